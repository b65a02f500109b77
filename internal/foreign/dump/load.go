package dump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
)

// Loader loads dumps into a scratch server.
type Loader struct {
	Work   foreign.Work
	BinDir string // of the server's programs; others are taken where it has none
	Socket string
	Port   int
	User   string   // superuser, who is there before any dump is loaded
	Known  []string // databases of production
}

// Report is what became of a load.
type Report struct {
	Files     []string
	Bytes     int64
	Oldest    time.Time // when the oldest file was written
	Databases []string  // that were loaded; empty for all of a server
	Globals   bool
	Errors    []string // the first fifty
	Count     int      // of all
}

func (r *Report) fail(file, what string) {
	r.Count++
	if len(r.Errors) < 50 {
		r.Errors = append(r.Errors, filepath.Base(file)+": "+what)
	}
}

// Load loads a set, roles first. Every error is counted, and none stops it. The
// error is for what kept it from looking.
func (l Loader) Load(ctx context.Context, s Set) (Report, error) {
	var r Report
	if s.Globals != "" {
		r.Globals = true
		if err := l.plain(ctx, &r, s.Globals, "postgres"); err != nil {
			return r, err
		}
	}
	for _, f := range s.Files {
		if r.Oldest.IsZero() || f.At.Before(r.Oldest) {
			r.Oldest = f.At
		}
		r.Files = append(r.Files, f.Path)
		r.Bytes += f.Bytes
		if err := l.one(ctx, &r, f); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (l Loader) one(ctx context.Context, r *Report, f foreign.File) error {
	switch {
	case f.Problem != "" && f.Form == foreign.Other:
		r.fail(f.Path, f.Problem)
		return nil
	case f.Form == foreign.Other:
		return fmt.Errorf("%s: %s", f.Path, f.Unread)
	case f.Form == foreign.Plain && f.Globals: // pg_dumpall
		r.Globals = true
		return l.plain(ctx, r, f.Path, "postgres")
	case f.Form == foreign.Plain && f.Database != "": // it makes its database itself
		r.Databases = append(r.Databases, f.Database)
		return l.plain(ctx, r, f.Path, "postgres")
	case f.Form == foreign.Plain:
		db := DatabaseOf(f, l.Known)
		r.Databases = append(r.Databases, db)
		if err := l.create(ctx, db); err != nil {
			return err
		}
		return l.plain(ctx, r, f.Path, db)
	}
	r.Databases = append(r.Databases, f.Database)
	return l.archive(ctx, r, f)
}

func (l Loader) program(name string) string {
	if p := filepath.Join(l.BinDir, name); exists(p) {
		return p
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return slices.Max(found)
	}
	return name
}

func (l Loader) reach(args ...string) []string {
	return append([]string{"-h", l.Socket, "-p", strconv.Itoa(l.Port), "-U", l.User}, args...)
}

// run runs a client over an input. It returns what the client said and how it
// ended.
func (l Loader) run(ctx context.Context, input func(io.Writer) error, program string, args ...string) (said []byte, exit int, err error) {
	cmd := exec.CommandContext(ctx, l.program(program), l.reach(args...)...)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + l.BinDir + ":/usr/bin:/bin", "HOME=" + l.Work.Dir, "PGOPTIONS=-c client_min_messages=error"}
	cmd.Dir = l.Work.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: l.Work.Credential}
	var out bytes.Buffer
	cmd.Stderr = &out
	var in io.WriteCloser
	if input != nil {
		if in, err = cmd.StdinPipe(); err != nil {
			return nil, 0, err
		}
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, 0, fmt.Errorf("%w: %s", foreign.ErrNoTool, program)
		}
		return nil, 0, err
	}
	var fed error
	if input != nil {
		fed = errors.Join(input(in), in.Close())
	}
	err = cmd.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		exit, err = ended.ExitCode(), nil
	}
	if errors.Is(fed, syscall.EPIPE) || errors.Is(fed, os.ErrClosed) {
		fed = nil // the client ended first, and says why
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.Bytes(), exit, errors.Join(err, fed)
}

func (l Loader) create(ctx context.Context, database string) error {
	if database == "postgres" || database == "template1" {
		return nil
	}
	quoted := `"` + strings.ReplaceAll(database, `"`, `""`) + `"`
	said, exit, err := l.run(ctx, nil, "psql", "-X", "-q", "-d", "postgres", "-c", "CREATE DATABASE "+quoted+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	if err == nil && exit != 0 {
		err = fmt.Errorf("create database %s: %s", database, foreign.LastLine(said))
	}
	return err
}

// plain feeds SQL to psql, which goes on after an error, as most people let it.
func (l Loader) plain(ctx context.Context, r *Report, path, database string) error {
	var end ending
	said, exit, err := l.run(ctx, func(w io.Writer) (err error) {
		end, err = l.feed(path, w)
		return err
	}, "psql", "-X", "-q", "-d", database, "-v", "ON_ERROR_STOP=0", "-o", "/dev/null")
	var refused refusedError
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, errCutOff):
		r.fail(path, err.Error())
		err = nil
	case !end.whole && err == nil:
		r.fail(path, cutOff)
	}
	for _, line := range errorLines(said, "ERROR:", "FATAL:", "PANIC:", "psql: error:") {
		if !strings.Contains(line, `role "`+l.User+`" already exists`) {
			r.fail(path, line)
		}
	}
	if exit != 0 && r.Count == 0 {
		r.fail(path, fmt.Sprintf("psql ended with status %d", exit))
	}
	return err
}

func errorLines(said []byte, words ...string) []string {
	var out []string
	for line := range strings.Lines(string(said)) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// archive lets pg_restore make the database and load it.
func (l Loader) archive(ctx context.Context, r *Report, f foreign.File) error {
	args := []string{"--clean", "--if-exists", "--create", "-d", "template1"}
	said, exit, err := l.restoreFrom(ctx, f, args)
	if err == nil && strings.Contains(string(said), "CREATE DATABASE") && strings.Contains(string(said), "locale") {
		// The locale is not installed here, which says nothing of the dump.
		if err := l.create(ctx, f.Database); err != nil {
			return err
		}
		said, exit, err = l.restoreFrom(ctx, f, []string{"-d", f.Database})
	}
	if err != nil {
		return err
	}
	before := r.Count
	for _, line := range errorLines(said, "pg_restore: error:", "pg_restore: [") {
		r.fail(f.Path, line)
	}
	if exit != 0 && r.Count == before {
		r.fail(f.Path, fmt.Sprintf("pg_restore ended with status %d: %s", exit, foreign.LastLine(said)))
	}
	return nil
}

func (l Loader) restoreFrom(ctx context.Context, f foreign.File, args []string) ([]byte, int, error) {
	if f.Form == foreign.Directory {
		return l.run(ctx, nil, "pg_restore", append(args, "--format=directory", f.Path)...)
	}
	return l.run(ctx, func(w io.Writer) error {
		in, done, err := open(f.Path)
		if err != nil {
			return err
		}
		defer done()
		_, err = io.Copy(w, in)
		return err
	}, "pg_restore", args...)
}

// open opens a file and undoes its compression.
func open(path string) (io.Reader, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	in := bufio.NewReaderSize(f, 1<<20)
	magic, _ := in.Peek(512)
	r, packed, err := unpack(in, magic)
	if err == nil && (packed == "encrypted" || packed == "xz" || packed == "lz4") {
		err = fmt.Errorf("%s: packed with %s, which cannot be read here: unpack it first", path, packed)
	}
	return r, func() { _ = f.Close() }, err
}
