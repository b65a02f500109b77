package restore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// TestDeltaKeepsToItsOwn turns a used directory back, with a log directory
// elsewhere and tablespaces whose directories hold what is not the cluster's.
func TestDeltaKeepsToItsOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	b := newBed(t, targettest.Options{})
	b.prod.Exec(t, "CREATE TABLESPACE far LOCATION '"+targettest.TempDir(t)+"'")
	b.prod.Exec(t, "CREATE TABLE t TABLESPACE far AS SELECT 42 AS n")
	b.take()
	p := b.mustPlan("backup")
	base := targettest.TempDir(t)
	dir, space, log := filepath.Join(base, "data"), filepath.Join(base, "data-tablespaces", "far"), filepath.Join(base, "log")
	if _, err := b.execute(p, dir, "s", false); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(log, "000000010000000000000099")
	mine := filepath.Join(space, "not-the-cluster's")
	if err := errors.Join(os.Rename(filepath.Join(dir, "pg_wal"), log), os.Symlink(log, filepath.Join(dir, "pg_wal")),
		os.WriteFile(stale, []byte("of another future"), 0o600), os.WriteFile(mine, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	r, err := b.execute(p, dir, "s", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Error("log of another future was left where recovery would replay it")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("a file beside the tablespace was removed: %v", err)
	}
	if !strings.Contains(strings.Join(r.Warnings, "\n"), log) {
		t.Errorf("nothing said about %s: %q", log, r.Warnings)
	}
	if got, err := b.start(p, dir, filepath.Join(base, "s"), rows); err != nil || got != "42" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestTablespacesThatAreNotOurs(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	b := newBed(t, targettest.Options{})
	at := targettest.TempDir(t)
	b.prod.Exec(t, "CREATE TABLESPACE far LOCATION '"+at+"'")
	b.prod.Exec(t, "CREATE TABLE t TABLESPACE far AS SELECT 42 AS n")
	b.take()
	p := b.mustPlan("backup")
	img, err := b.cat.Open(t.Context(), p.Backup)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(targettest.TempDir(t), "data")
	into := func(o restore.Options) error {
		o.Dir, o.Owner = dir, b.owner
		_, err := restore.Execute(t.Context(), p, img, o)
		return err
	}
	if err := into(restore.Options{Tablespaces: map[string]string{"far": at}}); !errors.Is(err, restore.ErrServerLives) {
		t.Fatalf("into the tablespace of a live server: %v", err)
	}
	full := targettest.TempDir(t)
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := into(restore.Options{Tablespaces: map[string]string{"far": full}}); !errors.Is(err, restore.ErrNotEmpty) {
		t.Fatalf("into a directory that is not empty: %v", err)
	}
	if err := into(restore.Options{Tablespaces: map[string]string{"fra": full}}); err == nil || !strings.Contains(err.Error(), "fra") {
		t.Fatalf("a tablespace that is not there: %v", err)
	}
	if err := into(restore.Options{}); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "pg_tblspc", "*")
	links, err := filepath.Glob(link)
	if err != nil || len(links) != 1 {
		t.Fatalf("%v, %v", links, err)
	}
	// As in a copy of a data directory, which links to its original's places.
	if err := errors.Join(os.Remove(links[0]), os.Symlink(full, links[0])); err != nil {
		t.Fatal(err)
	}
	if err := into(restore.Options{Delta: true}); err == nil || !strings.Contains(err.Error(), "--tablespace far="+full) {
		t.Fatalf("over a copied directory: %v", err)
	}
}

func TestCutOffInTheLastStep(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	b := newBed(t, targettest.Options{})
	b.take()
	p := b.mustPlan("backup")
	dir := filepath.Join(targettest.TempDir(t), "data")
	if _, err := b.execute(p, dir, "s", false); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir, "global/pg_control")
	if err := os.Rename(control, control+".refloat"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.execute(p, dir, "s", false); err != nil {
		t.Fatalf("going on: %v", err)
	}
	if _, err := os.Stat(control); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(control + ".refloat"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("left behind: %v", err)
	}
}

// TestServeNeverServesAStaleEnd: the last segment grows between its reading
// ahead and the question for it.
func TestServeNeverServesAStaleEnd(t *testing.T) {
	const size = 1 << 20
	socket := filepath.Join(targettest.TempDir(t), "s")
	var reads atomic.Int64
	ahead := make(chan struct{})
	fetch := func(_ context.Context, name string) ([]byte, error) {
		switch name {
		case "000000010000000000000001":
			return bytes.Repeat([]byte{1}, size), nil
		case "000000010000000000000002":
			content := make([]byte, size)
			if reads.Add(1) == 1 {
				content[0] = 1
				close(ahead)
				return content, nil
			}
			return bytes.Repeat([]byte{2}, size), nil
		}
		return nil, backup.ErrEndOfLog
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- restore.Serve(ctx, restore.ServeOptions{Socket: socket, Fetch: fetch}) }()
	defer func() { cancel(); <-done }()
	dest := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	get := func(name string) int {
		return restore.Fetch(ctx, restore.FetchOptions{Name: name, Dest: dest, Socket: socket, Stderr: os.Stderr, Spawn: func() error { return nil }})
	}
	if code := get("000000010000000000000001"); code != restore.FetchOK {
		t.Fatalf("exit %d", code)
	}
	select {
	case <-ahead:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was read ahead")
	}
	if code := get("000000010000000000000002"); code != restore.FetchOK {
		t.Fatalf("exit %d", code)
	}
	got, err := os.ReadFile(dest)
	if err != nil || got[size-1] != 2 {
		t.Fatalf("a stale end was served: %v", err)
	}
	if code := get("000000010000000000000003"); code != restore.FetchEnd {
		t.Fatalf("exit %d at the end of the log", code)
	}
}

func TestFetchDecides(t *testing.T) {
	const size = 1 << 20
	end := func(context.Context, string) ([]byte, error) { return nil, backup.ErrEndOfLog }
	full := func(context.Context, string) ([]byte, error) { return bytes.Repeat([]byte{1}, size), nil }
	broken := func(context.Context, string) ([]byte, error) { return nil, backup.ErrLogBroken }
	for _, tc := range []struct {
		what    string
		name    string
		fetch   func(context.Context, string) ([]byte, error)
		until   target.LSN
		atLeast target.Position
		want    int
	}{
		{"there", "000000010000000000000002", full, 0, target.Position{}, restore.FetchOK},
		{"the end", "000000010000000000000002", end, 0, target.Position{}, restore.FetchEnd},
		{"the end where it was planned", "000000010000000000000002", end, 0, target.Position{Timeline: 1, LSN: 2 * size}, restore.FetchEnd},
		{"the end before it was planned", "000000010000000000000002", end, 0, target.Position{Timeline: 1, LSN: 2*size + 1}, restore.FetchAbort},
		{"the end of another timeline", "000000020000000000000002", end, 0, target.Position{Timeline: 1, LSN: 9 * size}, restore.FetchEnd},
		{"a break", "000000010000000000000002", broken, 0, target.Position{}, restore.FetchAbort},
		{"no next timeline", "00000002.history", end, 0, target.Position{Timeline: 1, LSN: 9 * size}, restore.FetchEnd},
		{"past the asked end", "000000010000000000000002", full, 2 * size, target.Position{}, restore.FetchEnd},
		{"in the asked end", "000000010000000000000002", full, 2*size + 100, target.Position{}, restore.FetchOK},
		{"no file of the log", "../../etc/passwd", full, 0, target.Position{}, restore.FetchAbort},
	} {
		t.Run(tc.what, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "file")
			var said bytes.Buffer
			code := restore.Fetch(t.Context(), restore.FetchOptions{
				Name: tc.name, Dest: dest, Fetch: tc.fetch, Until: tc.until, AtLeast: tc.atLeast, SegmentSize: size, Stderr: &said,
			})
			got, err := os.ReadFile(dest)
			if code != tc.want || (err == nil) != (code == restore.FetchOK) || (said.Len() > 0) != (code == restore.FetchAbort) {
				t.Fatalf("exit %d, want %d; file %v; said %q", code, tc.want, err, said.String())
			}
			if cut := int(tc.until) - 2*size; code == restore.FetchOK && cut > 0 && (got[cut-1] != 1 || got[cut] != 0 || got[size-1] != 0) {
				t.Fatal("the log was not cut off where it was asked to")
			}
		})
	}
}
