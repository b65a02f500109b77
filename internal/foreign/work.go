package foreign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Errors of a restore that callers tell apart.
var (
	ErrNotInArchive = errors.New("not in the archive")             // the tool says so
	ErrNoTool       = errors.New("the tool is not installed here") // nothing can be told without it
)

// Work is how the tools that restore are run: with a user, a folder of their
// own, and nothing of production's.
type Work struct {
	Credential *syscall.Credential // nil for our own user
	Dir        string              // for their locks and logs; owned by that user
}

// Run runs a command to its end, however long it takes.
func (w Work) Run(ctx context.Context, environ []string, command string, args ...string) (stdout, stderr []byte, code int, err error) {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = append([]string{"LC_ALL=C.UTF-8", "PATH=" + searchPath, "HOME=" + w.Dir}, environ...)
	cmd.Dir = w.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: w.Credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, nil, -1, ctx.Err()
	case errors.As(err, &exit):
		return out.Bytes(), errs.Bytes(), exit.ExitCode(), nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil, nil, -1, fmt.Errorf("%w: %s", ErrNoTool, command)
	}
	return out.Bytes(), errs.Bytes(), 0, err
}

// File makes a file that the tools' user alone reads.
func (w Work) File(name, text string) (string, error) {
	path := filepath.Join(w.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	return path, w.own(path)
}

// Folder makes a folder for the tools' user.
func (w Work) Folder(name string) (string, error) {
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", err
	}
	return path, w.own(path)
}

func (w Work) own(path string) error {
	if w.Credential == nil {
		return nil
	}
	return os.Chown(path, int(w.Credential.Uid), int(w.Credential.Gid))
}

// Take reads a file that a tool wrote, and removes it.
func Take(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	return b, errors.Join(err, os.Remove(path))
}
