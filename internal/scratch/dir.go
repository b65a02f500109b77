package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	dirPrefix = "refloat-scratch-"
	ownerFile = "owner"
)

// Dir makes a throw-away directory below base (the system's temporary
// directory when empty) that says which process it belongs to. The server's
// user may pass through it, no one else.
func Dir(base, runAs string) (string, error) {
	cred, err := Credential(runAs)
	if err != nil {
		return "", err
	}
	if base != "" {
		if err := os.MkdirAll(base, 0o711); err != nil {
			return "", fmt.Errorf("scratch directory: %w", err)
		}
	}
	dir, err := os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return "", fmt.Errorf("scratch directory: %w", err)
	}
	id, err := processIdentity(os.Getpid())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ownerFile), []byte(id+"\n"), 0o600)
	}
	if err == nil {
		err = chown(dir, cred)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("scratch directory: %w", err)
	}
	return dir, nil
}

// Sweep removes the throw-away directories below base, and those below the
// system's temporary directory, whose process is gone, and reports them. A
// server that still runs over one is ended first.
func Sweep(base string) (removed []string, err error) {
	bases := []string{os.TempDir(), socketBase(), base}
	if base == "" {
		bases = bases[:2]
	}
	slices.Sort(bases)
	var problems []error
	for _, b := range slices.Compact(bases) {
		dirs, err := filepath.Glob(filepath.Join(b, dirPrefix+"*"))
		if err != nil {
			return removed, fmt.Errorf("sweep scratch directories: %w", err)
		}
		for _, dir := range dirs {
			if !orphan(dir) {
				continue
			}
			endServers(dir)
			if err := os.RemoveAll(dir); err != nil {
				problems = append(problems, err)
				continue
			}
			removed = append(removed, dir)
		}
	}
	return removed, errors.Join(problems...)
}

// orphan reports whether a directory is a throw-away one of a process that is
// gone. One without an owner is not ours, or being made at this moment.
func orphan(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, ownerFile))
	if err != nil {
		return false
	}
	owner := strings.TrimSpace(string(b))
	pid, _, _ := strings.Cut(owner, " ")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return false
	}
	id, err := processIdentity(n)
	switch {
	case err == nil:
		return id != owner
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return true
	default:
		return false
	}
}

// endServers ends the postmasters whose data directory is below dir, and waits
// until they are gone.
func endServers(dir string) {
	pidFiles, _ := filepath.Glob(filepath.Join(dir, "*", "postmaster.pid"))
	for _, f := range pidFiles {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		lines := strings.Split(string(b), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
		if err != nil || len(lines) < 2 || lines[1] != filepath.Dir(f) || !isPostgres(pid) {
			continue
		}
		// An immediate shutdown first: it takes the children along.
		for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
			_ = syscall.Kill(pid, sig)
			for end := time.Now().Add(killAfter); isPostgres(pid) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}

// isPostgres guards against a process number that was given away again.
func isPostgres(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.TrimSpace(string(b)) == "postgres"
}

// processIdentity is the number of a live process and when it started, so that
// a number that was given away again is not taken for the same process.
func processIdentity(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 {
		return "", fmt.Errorf("process %d: unexpected form of stat", pid)
	}
	return fmt.Sprintf("%d %s", pid, f[19]), nil
}
