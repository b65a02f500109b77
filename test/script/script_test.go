// Package script tests the program as a person uses it: each file of testdata
// is a session that can be read from top to bottom.
package script

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"rsc.io/script"

	_ "github.com/refloat-db/refloat/internal/cli" // so that a change of the program is not taken from the test cache
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// built is the program, made once for all tests of this folder.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "refloat-script-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server's own user runs it, too
		return filepath.Join(dir, "refloat"), err
	}
	bin := filepath.Join(dir, "refloat")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/refloat").CombinedOutput(); err != nil {
		return bin, fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, _ := built(); bin != "" { // also one that could not be built
		_ = os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

func build(t *testing.T) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	bin := build(t)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			run(t, bin, f, text)
		})
	}
}

// session is what the commands of one file share.
type session struct {
	t       *testing.T
	bin     string
	cluster *targettest.Cluster // nil in a session that does not name $DSN
	server  *os.Process
}

func run(t *testing.T, bin, name string, text []byte) {
	dir := targettest.TempDir(t)
	s := &session{t: t, bin: bin}
	env := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "WORK=" + dir, "LC_ALL=C", "TZ=UTC"}
	if bytes.Contains(text, []byte("sql ")) || bytes.Contains(text, []byte("$DSN")) {
		s.cluster = targettest.Start(t, targettest.Options{Major: 15})
		dsn := s.cluster.DSN("postgres")
		env = append(env, "DSN="+dsn, "SHOP="+s.cluster.DSN("shop"), "SMALL="+strings.Replace(dsn, "postgres@", "refloat@", 1)) // as the role that the grants make
	}
	e := &script.Engine{Cmds: script.DefaultCmds(), Conds: script.DefaultConds()}
	e.Cmds["refloat"] = s.refloat()
	e.Cmds["sql"] = s.sql(false)
	e.Cmds["sqlin"] = s.sql(true) // the database first
	e.Cmds["until"] = s.until()
	e.Cmds["typein"] = s.typein()
	e.Cmds["append"] = appendTo()
	e.Cmds["stop"] = s.stop()
	e.Cmds["kill"] = s.kill()
	e.Cmds["destroy"] = s.destroy()
	e.Cmds["start"] = s.start()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	state, err := script.NewState(ctx, dir, env)
	if err != nil {
		t.Fatal(err)
	}
	ar := txtar.Parse(text)
	if err := state.ExtractFiles(ar); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	err = e.Execute(state, name, bufio.NewReader(bytes.NewReader(ar.Comment)), &log)
	if cerr := state.CloseAndWait(&log); cerr != nil && err == nil {
		err = cerr
	}
	if err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}

// refloat runs the program; its first argument is the exit code that is
// expected.
func (s *session) refloat() script.Cmd {
	return script.Command(script.CmdUsage{
		Summary: "run refloat and expect an exit code", Args: "code args...", Async: true,
	}, func(st *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) == 0 {
			return nil, script.ErrUsage
		}
		want := args[0]
		cmd := exec.CommandContext(st.Context(), s.bin, args[1:]...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 30 * time.Second
		cmd.Dir, cmd.Env = st.Getwd(), st.Environ()
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		if want != "1" && args[1] == "server" {
			s.server = cmd.Process
		}
		return func(*script.State) (string, string, error) {
			_ = cmd.Wait() // the exit code says it all
			return stdout.String(), stderr.String(), expect(cmd.ProcessState, want)
		}, nil
	})
}

// typein runs the program with a line, or @file, on its standard input.
func (s *session) typein() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "run refloat with a line on standard input", Args: "text code args..."}, func(st *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) < 3 {
			return nil, script.ErrUsage
		}
		text := args[0] + "\n"
		if name, ok := strings.CutPrefix(args[0], "@"); ok {
			b, err := os.ReadFile(st.Path(name))
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		cmd := exec.CommandContext(st.Context(), s.bin, args[2:]...)
		cmd.Dir, cmd.Env, cmd.Stdin = st.Getwd(), st.Environ(), strings.NewReader(text)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code says it all
		err := expect(cmd.ProcessState, args[1])
		return func(*script.State) (string, string, error) { return stdout.String(), stderr.String(), err }, nil
	})
}

// appendTo puts one file's text at the end of another.
func appendTo() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "append a file to another", Args: "file from"}, func(st *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) != 2 {
			return nil, script.ErrUsage
		}
		text, err := os.ReadFile(st.Path(args[1]))
		if err != nil {
			return nil, err
		}
		f, err := os.OpenFile(st.Path(args[0]), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(text)
		return nil, errors.Join(err, f.Close())
	})
}

// expect compares an exit code with the one, or those between commas, wanted.
func expect(p *os.ProcessState, want string) error {
	if got := strconv.Itoa(p.ExitCode()); !slices.Contains(strings.Split(want, ","), got) {
		return fmt.Errorf("exit code %s, want %s", got, want)
	}
	return nil
}

// sql runs statements in the session's server and prints the first value.
func (s *session) sql(in bool) script.Cmd {
	return script.Command(script.CmdUsage{Summary: "run SQL", Args: "statements, or @file"}, func(st *script.State, args ...string) (script.WaitFunc, error) {
		var database string
		if in {
			database, args = args[0], args[1:]
		}
		text := strings.Join(args, " ")
		if name, ok := strings.CutPrefix(text, "@"); ok {
			b, err := os.ReadFile(st.Path(name))
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		if in {
			s.cluster.ExecIn(s.t, database, text)
			return nil, nil
		}
		out, err := s.cluster.TryQuery(text)
		return func(*script.State) (string, string, error) { return out + "\n", "", err }, nil
	})
}

// until repeats a command of the program until its output matches.
func (s *session) until() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "run refloat until its output matches", Args: "regexp args..."}, func(st *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) < 2 {
			return nil, script.ErrUsage
		}
		want, err := regexp.Compile(args[0])
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(st.Context(), time.Minute)
		defer cancel()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			cmd := exec.CommandContext(ctx, s.bin, args[1:]...)
			cmd.Dir, cmd.Env = st.Getwd(), st.Environ()
			out, _ := cmd.CombinedOutput() // what it prints decides
			if want.Match(out) {
				return func(*script.State) (string, string, error) { return string(out), "", nil }, nil
			}
			select {
			case <-ctx.Done():
				return nil, fmt.Errorf("never matched %s; last:\n%s", want, out)
			case <-tick.C:
			}
		}
	})
}

// kill ends the session's Refloat server as a loss of power would.
func (s *session) kill() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "send SIGKILL to refloat server"}, func(*script.State, ...string) (script.WaitFunc, error) {
		return nil, s.server.Kill()
	})
}

// destroy kills the session's PostgreSQL server and removes its data.
func (s *session) destroy() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "kill -9 the database server and remove its data directory"}, func(*script.State, ...string) (script.WaitFunc, error) {
		s.cluster.Kill(s.t)
		return nil, os.RemoveAll(s.cluster.Dir)
	})
}

// start starts PostgreSQL on a restored directory, in the lost server's place.
func (s *session) start() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "start PostgreSQL on a directory", Args: "dir"}, func(st *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) != 1 {
			return nil, script.ErrUsage
		}
		s.cluster = targettest.Adopt(s.t, st.Path(args[0]), s.cluster.Major, s.cluster.Port)
		s.cluster.Start(s.t)
		return nil, s.recovered(st.Context())
	})
}

// recovered waits until the server has replayed all and takes writes: it
// answers before that.
func (s *session) recovered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if standing, err := s.cluster.TryQuery("SELECT pg_is_in_recovery()"); err == nil && standing == "f" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("recovery does not end: %s", s.cluster.Log(s.t))
		case <-tick.C:
		}
	}
}

// stop asks the session's server to end.
func (s *session) stop() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "send SIGTERM to refloat server"}, func(*script.State, ...string) (script.WaitFunc, error) {
		return nil, s.server.Signal(syscall.SIGTERM)
	})
}
