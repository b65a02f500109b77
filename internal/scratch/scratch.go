// Package scratch runs disposable PostgreSQL servers over throw-away
// directories: unix socket only, nothing that can act on the world, killed and
// removed afterwards.
package scratch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say what to run.
type Options struct {
	Binaries  Binaries
	Major     int               // of the data directory
	DataDir   string            // throw-away; owned by RunAs when we are root
	RunAs     string            // user of the server when we are root; default postgres
	Settings  map[string]string // beside those that make a server harmless, which win
	Env       []string          // further environment, such as restore_command needs
	Superuser string            // role to sign in as
	// Ping connects and runs a trivial query; nil once the server serves.
	Ping func(ctx context.Context, dsn string) error
	// Database is one that is known to be there; default postgres.
	Database string
}

// Server is a running scratch server. It is killed when this process dies.
type Server struct {
	options Options
	private string // sockets, configuration and log
	pid     int
	done    chan struct{}
	err     error
	silence time.Duration // that is taken from a server that serves
}

const (
	port      = 5432 // only names the socket: nothing listens on TCP
	killAfter = 10 * time.Second
)

// Start starts a server and returns at once; see WaitReady. Stop or Kill it.
func Start(ctx context.Context, o Options) (s *Server, err error) {
	if o.Ping == nil || o.DataDir == "" {
		return nil, errors.New("start a scratch server: no data directory, or no way to ask it")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cred, err := Credential(o.RunAs)
	if err != nil {
		return nil, err
	}
	// Unix socket paths are limited to 107 bytes, so not below the data.
	s = &Server{options: o, silence: silence, done: make(chan struct{})}
	if s.private, err = Dir(socketBase(), o.RunAs); err != nil {
		return nil, fmt.Errorf("start a scratch server: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.private)
		}
	}()
	if err := s.prepare(cred); err != nil {
		return nil, err
	}
	if err := s.launch(cred); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Binaries.Postgres, err)
	}
	return s, nil
}

// socketBase is the system's temporary directory, unless its path is too long
// for that of a socket below it.
func socketBase() string {
	if d := os.TempDir(); len(d) < 60 {
		return d
	}
	return "/tmp"
}

func (s *Server) prepare(cred *syscall.Credential) error {
	hbaFile, ident := filepath.Join(s.private, "pg_hba.conf"), filepath.Join(s.private, "pg_ident.conf")
	for name, text := range map[string]string{
		hbaFile:        hba,
		ident:          "",
		s.configFile(): config(hbaFile, ident, s.private),
		s.logFile():    "",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("configure a scratch server: %w", err)
		}
		if err := chown(name, cred); err != nil {
			return fmt.Errorf("configure a scratch server: %w", err)
		}
	}
	auto := filepath.Join(s.options.DataDir, "postgresql.auto.conf")
	text, err := os.ReadFile(auto)
	if err == nil {
		err = os.WriteFile(auto, []byte(onlyRecovery(string(text))), 0o600) // keeps its owner
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("configure a scratch server: %w", err)
	}
	return nil
}

func (s *Server) configFile() string { return filepath.Join(s.private, "postgresql.conf") }
func (s *Server) logFile() string    { return filepath.Join(s.private, "log") }

func (s *Server) launch(cred *syscall.Credential) error {
	logf, err := os.OpenFile(s.logFile(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = logf.Close() }()
	settings := usual()
	for k, v := range s.options.Settings {
		settings[k] = v
	}
	for k, v := range harmless(s.options.Major) {
		settings[k] = v
	}
	settings["config_file"] = s.configFile()
	settings["port"] = strconv.Itoa(port)
	cmd := exec.Command(s.options.Binaries.Postgres, append([]string{"-D", s.options.DataDir}, arguments(settings)...)...)
	cmd.Dir = s.private
	cmd.Env = append(environment(), s.options.Env...)
	cmd.Stdout, cmd.Stderr = logf, logf
	cmd.SysProcAttr = attributes(cred)
	started := make(chan error, 1)
	go func() {
		// The server must die with us however we end. The signal for that is
		// bound to the thread that started it, so the thread is held.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		s.pid = cmd.Process.Pid
		started <- nil
		s.err = cmd.Wait()
	}()
	return <-started
}

// environment is what a server needs of ours. The rest may hold secrets.
func environment() []string {
	out := []string{"LC_ALL=C"}
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH":
			out = append(out, e)
		}
	}
	return out
}

// DSN is how to reach a database of the server.
func (s *Server) DSN(database string) string {
	query := url.Values{"host": {s.private}, "port": {strconv.Itoa(port)}, "sslmode": {"disable"}, "options": {sessionOptions(s.options.Major)}}.Encode()
	// PostgreSQL does not take + for a space.
	u := url.URL{Scheme: "postgres", User: url.User(s.options.Superuser), Path: "/" + database, RawQuery: strings.ReplaceAll(query, "+", "%20")}
	return u.String()
}

// SocketDir is the directory of the server's socket, for programs that take a
// host and a port.
func (s *Server) SocketDir() (dir string, portNumber int) { return s.private, port }

// silence is how long a server that serves may refuse us.
const silence = time.Minute

// WaitReady waits until recovery has ended and the server serves, however long
// that takes. When it ends instead, the error has its last words; when it says
// that it serves and yet cannot be asked, the error says why.
func (s *Server) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	// Whoever dropped the one database still has the other.
	databases := []string{cmp.Or(s.options.Database, "postgres"), "template1"}
	var serves time.Time
	for i := 0; ; i++ {
		ping, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.options.Ping(ping, s.DSN(databases[i%len(databases)]))
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("the scratch server ended: %w: %s", exitError(s.err), strings.Join(s.LastWords(), " | "))
		case <-ctx.Done():
			return fmt.Errorf("wait for the scratch server: %w (%w)", ctx.Err(), err)
		case <-look.C:
			if serves.IsZero() && s.saysItServes() {
				serves = time.Now()
			}
			if !serves.IsZero() && time.Since(serves) > s.silence {
				return fmt.Errorf("the scratch server serves, but cannot be asked: %w", err)
			}
		case <-tick.C:
		}
	}
}

func (s *Server) saysItServes() bool {
	lines, err := s.Log()
	return err == nil && slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "database system is ready to accept connections") })
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// Stop shuts the server down so that every page is on disk, and removes what
// Start made. After an error the server is dead all the same.
func (s *Server) Stop(ctx context.Context) error {
	defer func() { _ = os.RemoveAll(s.private) }()
	_ = syscall.Kill(s.pid, syscall.SIGINT) // fast shutdown
	select {
	case <-s.done:
		if s.err != nil {
			return fmt.Errorf("stop the scratch server: %w: %s", s.err, strings.Join(s.LastWords(), " | "))
		}
		return nil
	case <-ctx.Done():
		s.kill()
		return fmt.Errorf("stop the scratch server: %w", ctx.Err())
	}
}

// Kill ends the server at once and removes what Start made. It is safe after
// Stop.
func (s *Server) Kill() {
	s.kill()
	_ = os.RemoveAll(s.private)
}

func (s *Server) kill() {
	select {
	case <-s.done:
		return
	default:
	}
	// An immediate shutdown ends the server's children too, which a SIGKILL of
	// the postmaster alone would leave to find out by themselves.
	_ = syscall.Kill(s.pid, syscall.SIGQUIT)
	select {
	case <-s.done:
	case <-time.After(killAfter):
		_ = syscall.Kill(-s.pid, syscall.SIGKILL)
		_ = syscall.Kill(s.pid, syscall.SIGKILL)
		<-s.done
	}
}

// Log returns the server's log so far.
func (s *Server) Log() ([]string, error) {
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return nil, fmt.Errorf("read the scratch server's log: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n"), nil
}

// LastWords are the lines of the log that say why a server ended: its FATAL
// and PANIC lines with their details, or the last lines when there are none.
func (s *Server) LastWords() []string {
	lines, err := s.Log()
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for i, l := range lines {
		if strings.Contains(l, "the database system is") || strings.Contains(l, "Hot standby mode is disabled") {
			continue // an answer to our own asking whether it serves yet
		}
		if strings.Contains(l, "FATAL:") || strings.Contains(l, "PANIC:") || strings.Contains(l, "ERROR:") ||
			i > 0 && len(out) > 0 && (strings.Contains(l, "DETAIL:") || strings.Contains(l, "HINT:")) || strings.Contains(l, "refloat:") {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		out = lines
	}
	return out[max(0, len(out)-12):]
}
