package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

// A log server that was started for a recovery ends by itself: when recovery
// is over, or when nobody came for so long.
const (
	serveIdle  = 4 * time.Hour
	serveWatch = 5 * time.Second
	serveStart = 20 * time.Second
)

// LogFetchRequest is one call of restore_command.
type LogFetchRequest struct {
	Target     string
	Name, Dest string // %f and %p
	Until      string // an LSN, or empty
	AtLeast    string // TIMELINE:LSN that the log was known to reach, or empty
	Segment    int64  // bytes of a segment; goes with AtLeast
	Socket     string // of a log server; empty for the one in the data directory
	ServeOnly  bool   // a log server must be there
	ServeArgs  []string
	Load       func() (*App, error) // only called when no log server answers
	Stderr     io.Writer
}

// LogFetch brings one file of the log to a server that recovers, and returns
// the exit code that tells it what to do.
func LogFetch(ctx context.Context, r LogFetchRequest) int {
	o := restore.FetchOptions{Name: r.Name, Dest: r.Dest, Socket: r.Socket, Stderr: r.Stderr}
	if o.Socket == "" {
		o.Socket = restore.SocketName
	}
	if r.Until != "" {
		until, err := target.ParseLSN(r.Until)
		if err != nil {
			fmt.Fprintf(r.Stderr, "refloat: --until: %v\n", err)
			return restore.FetchAbort
		}
		o.Until = until
	}
	if r.AtLeast != "" {
		p, err := parsePosition(r.AtLeast)
		if err == nil && !target.ValidSegmentSize(r.Segment) {
			err = fmt.Errorf("--segment-size %d is none that PostgreSQL knows", r.Segment)
		}
		if err != nil {
			fmt.Fprintf(r.Stderr, "refloat: --at-least: %v\n", err)
			return restore.FetchAbort
		}
		o.AtLeast, o.SegmentSize = p, r.Segment
	}
	if !r.ServeOnly {
		o.Spawn = func() error { return spawnLogServer(".", r.ServeArgs) }
		o.Fetch = func(ctx context.Context, name string) ([]byte, error) {
			a, err := r.Load()
			if err != nil {
				return nil, err
			}
			l, err := a.logOf(ctx, r.Target)
			if err != nil {
				return nil, errors.Join(err, a.Close(ctx))
			}
			content, err := l.Fetch(ctx, name)
			return content, errors.Join(err, a.Close(ctx))
		}
	}
	return restore.Fetch(ctx, o)
}

// parsePosition reads what target.Position prints.
func parsePosition(s string) (target.Position, error) {
	tl, at, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(tl, 10, 32)
	if !ok || err != nil || n == 0 {
		return target.Position{}, fmt.Errorf("%q is not TIMELINE:LSN", s)
	}
	lsn, err := target.ParseLSN(at)
	return target.Position{Timeline: target.Timeline(n), LSN: lsn}, err
}

func (a *App) logOf(ctx context.Context, name string) (*backup.Log, error) {
	id, err := target.ParseID(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	repo, err := a.open(ctx, true)
	if err != nil {
		return nil, err
	}
	return &backup.Log{Repo: repo, Target: id}, nil
}

// LogServe answers log-fetch for the server that recovers in dir, which must
// be the working directory, until its recovery is over.
func (a *App) LogServe(ctx context.Context, name string) error {
	l, err := a.logOf(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		tick := time.NewTicker(serveWatch)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := os.Stat("recovery.signal"); errors.Is(err, os.ErrNotExist) {
					cancel() // recovered, or removed
				}
			}
		}
	}()
	o := restore.ServeOptions{Socket: restore.SocketName, Fetch: l.Fetch, Idle: serveIdle, Logger: a.log}
	if info, err := os.Stat("."); err == nil && os.Geteuid() == 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			o.Owner = &restore.Owner{UID: int(st.Uid), GID: int(st.Gid)}
		}
	}
	return restore.Serve(ctx, o)
}

// spawnLogServer starts this program as a log server that outlives us, and
// returns when it listens, or could not.
func spawnLogServer(dir string, args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	socket := filepath.Join(dir, restore.SocketName)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) { // of one that is gone
		return fmt.Errorf("start the log server: %w", err)
	}
	cmd := exec.Command(exe, append([]string{"log-serve"}, args...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the log server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(serveStart)
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the log server ended at once: %w", errors.Join(err, os.ErrProcessDone))
		case <-limit:
			return errors.New("the log server does not answer")
		case <-tick.C:
			if _, err := os.Stat(socket); err == nil {
				return nil
			}
		}
	}
}

// locationArgs name the repository to another process of this program. They
// hold no secret.
func (a *App) locationArgs() []string {
	if a.cfg.Path != "" {
		return []string{"--config", a.cfg.Path}
	}
	out := []string{"--repo", a.cfg.Repository.URL}
	if f := a.cfg.Repository.PassphraseFile; f != "" {
		out = append(out, "--passphrase-file", f)
	}
	return out
}

// recoveryCommand is the restore_command of a restored server.
func (a *App) recoveryCommand(r RestoreRequest, p RestorePlan) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program for restore_command: %w", err)
	}
	parts := append([]string{exe, "log-fetch", "--target", r.Target}, a.locationArgs()...)
	if p.Until != 0 {
		parts = append(parts, "--until", p.Until.String())
	}
	if p.End != nil {
		parts = append(parts, "--at-least", p.End.String(), "--segment-size", strconv.FormatInt(p.Backup.SegmentSize, 10))
	}
	for i := range parts {
		// PostgreSQL replaces %f and the like, and %% by %.
		parts[i] = strings.ReplaceAll(quoteShell(parts[i]), "%", "%%")
	}
	return strings.Join(parts, " ") + " %f %p", nil
}

// serveRestored starts a log server for a directory whose owner may not read
// the passphrase: the one who restored may.
func (a *App) serveRestored(ctx context.Context, r RestoreRequest, out *RestoreResult, owner *restore.Owner) {
	if owner == nil && a.cfg.Repository.PassphraseFile != "" {
		return // log-fetch starts its own
	}
	if _, err := os.Stat(filepath.Join(out.Dir, "recovery.signal")); err != nil {
		return
	}
	again := append([]string{"--target", r.Target, "--dir", out.Dir}, a.locationArgs()...)
	if err := spawnLogServer(out.Dir, again); err != nil {
		a.log.WarnContext(ctx, "no log server was started for the recovery", "error", err)
		return
	}
	for i := range again {
		again[i] = quoteShell(again[i])
	}
	out.Warnings = append(out.Warnings, fmt.Sprintf("the log is served to the recovering server by a process of ours for %s; after a restart of this machine, run: refloat log-serve %s",
		serveIdle, strings.Join(again, " ")))
	if exe, err := os.Executable(); err == nil && owner != nil && !reachable(exe, *owner) {
		out.Warnings = append(out.Warnings, "the restored server's user may not run "+exe+", which its restore_command names: copy it to /usr/local/bin and restore with that")
	}
}

// reachable reports whether a user may run a program.
func reachable(path string, who restore.Owner) bool {
	for p := path; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return false
		}
		may := os.FileMode(0o001)
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == who.UID {
			may = 0o100
		} else if ok && int(st.Gid) == who.GID {
			may = 0o010
		}
		if info.Mode().Perm()&may == 0 {
			return false
		}
		if p == filepath.Dir(p) {
			return true
		}
	}
}
