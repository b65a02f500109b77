package foreign

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// INI is a file of sections with keys; libraries for it do not tell in which
// line a key is.
type INI map[string]map[string]Setting

// ReadINI reads one or more files, later ones over earlier ones. What is not
// there is an error only when it is the first.
func ReadINI(files ...string) (INI, error) {
	out := INI{}
	for i, name := range files {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		out.add(name, text)
	}
	return out, nil
}

func (i INI) add(file string, text []byte) {
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		l := strings.TrimSpace(lines.Text())
		switch {
		case l == "" || l[0] == '#' || l[0] == ';':
		case l[0] == '[' && strings.HasSuffix(l, "]"):
			section = l[1 : len(l)-1]
			if i[section] == nil {
				i[section] = map[string]Setting{"": {File: file, Line: n}}
			}
		default:
			key, value, ok := strings.Cut(l, "=")
			if ok && section != "" {
				key = strings.TrimSpace(key)
				i[section][key] = Setting{Name: key, Value: strings.Trim(strings.TrimSpace(value), `"'`), File: file, Line: n}
			}
		}
	}
}

// Get is a key of the first section that has it.
func (i INI) Get(key string, sections ...string) Setting {
	for _, s := range sections {
		if v, ok := i[s][key]; ok {
			return v
		}
	}
	return Setting{Name: key}
}

// Runner runs a command that only lists, and returns what it wrote; code is its
// exit status. An error means that it could not be run to its end.
type Runner func(ctx context.Context, environ []string, command string, args ...string) (stdout, stderr []byte, code int, err error)

// listTimeout is how long a tool may take to list what it has.
const listTimeout = 20 * time.Second

// Exec is the Runner of this machine.
func Exec(ctx context.Context, environ []string, command string, args ...string) (stdout, stderr []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = append([]string{"LC_ALL=C.UTF-8", "PATH=" + searchPath, "HOME=/"}, environ...)
	cmd.Dir = "/"
	// A tool may start others; all of them end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, nil, -1, fmt.Errorf("%s gave no answer in %s", command, listTimeout)
	case errors.As(err, &exit):
		return out.Bytes(), errs.Bytes(), exit.ExitCode(), nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil, nil, -1, fmt.Errorf("%s is not installed here", command)
	}
	return out.Bytes(), errs.Bytes(), 0, err
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LastLine is the last line of a tool's words that says something.
func LastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Device is the device that a folder of this machine is on.
func Device(path string) (uint64, error) {
	i, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	st, ok := i.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: its device is not known here", path)
	}
	return uint64(st.Dev), nil //nolint:unconvert // it is 32 bits elsewhere
}
