package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

func take(t testing.TB, c *Catalogue, m *memCluster, o TakeOptions) Backup {
	t.Helper()
	o.Target = memTarget
	b, err := c.Take(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// contents reads every file of the cluster that a backup holds, but its log.
func contents(c *Catalogue, b Backup) (map[string][]byte, error) {
	img, err := c.Open(context.Background(), b)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, f := range img.Files() {
		if f.Mode.IsDir() || strings.HasPrefix(f.Path, "pg_wal/") || f.Path == "backup_label" {
			continue
		}
		r, err := img.OpenFile(context.Background(), f.Path)
		if err != nil {
			return nil, err
		}
		var buf bytes.Buffer
		_, err = io.Copy(&buf, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		if int64(buf.Len()) != f.Size {
			return nil, errors.New(f.Path + " has another size than listed")
		}
		out[f.Path] = buf.Bytes()
	}
	return out, nil
}

func sameContents(t interface {
	Helper()
	Fatalf(string, ...any)
}, what string, got, want map[string][]byte) {
	t.Helper()
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Fatalf("%s: files %v, want %v", what, g, w)
	}
	for p := range want {
		if !bytes.Equal(got[p], want[p]) {
			t.Fatalf("%s: %s differs (%d bytes, want %d)", what, p, len(got[p]), len(want[p]))
		}
	}
}

func TestFullAndDelta(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	m.files["base/1/empty"] = nil
	m.findings = []target.PageFinding{{File: "base/1/100", Block: 1, Detail: "bad checksum"}}
	first := take(t, c, m, TakeOptions{})
	if first.Kind != Full || first.Method != "protocol" || first.Chain != 0 || len(first.Findings) != 1 {
		t.Errorf("first backup: %+v", first)
	}
	one := maps.Clone(m.files)
	m.files["base/1/100"] = pagesOf(1, 9, 3, 4)
	m.files["global/pg_control"] = []byte("control 1")
	second := take(t, c, m, TakeOptions{})
	if second.Kind != Delta || second.Parent != first.ID || second.Chain != 1 {
		t.Errorf("second backup: %+v", second)
	}
	list, err := c.List(t.Context(), memTarget)
	if err != nil || len(list) != 2 || list[0].ID != first.ID || list[1].ID != second.ID {
		t.Fatalf("list: %+v, %v", list, err)
	}
	if list[1].Files != 6 || list[1].Settings["max_connections"] != "100" || list[1].BootstrapRole != "postgres" {
		t.Errorf("entry: %+v", list[1])
	}
	for i, want := range []map[string][]byte{one, m.files} {
		got, err := contents(c, list[i])
		if err != nil {
			t.Fatal(err)
		}
		sameContents(t, list[i].ID, got, want)
	}
	tree, err := c.Repo.Tree(t.Context(), second.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tree, func(n repository.Node) bool { return n.Path == "pgdata/base/1/INCREMENTAL.100" })
	if i < 0 || tree[i].Size != 3*target.PageSize {
		t.Errorf("the delta does not hold a header and two pages: %+v", tree)
	}
	ids, err := c.Targets(t.Context())
	if err != nil || !slices.Equal(ids, []target.ID{memTarget}) {
		t.Errorf("targets: %v, %v", ids, err)
	}
}

func TestBackupLabelIsOfAWholeCluster(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	img, err := c.Open(t.Context(), take(t, c, m, TakeOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := img.OpenFile(t.Context(), "backup_label")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || strings.Contains(string(text), "INCREMENTAL") || !strings.Contains(string(text), "LABEL: x") {
		t.Errorf("backup_label: %q, %v", text, err)
	}
}

func TestWrongCluster(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	take(t, c, m, TakeOptions{})
	m.server.SystemID = 78
	_, err := c.Take(t.Context(), m, TakeOptions{Target: memTarget})
	if !errors.Is(err, ErrWrongCluster) || !strings.Contains(err.Error(), "77") || !strings.Contains(err.Error(), "78") {
		t.Fatalf("got %v", err)
	}
}

func TestFailedBackupIsInvisible(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	boom := errors.New("boom")
	for name, breakIt := range map[string]func(m *memCluster){
		"source":     func(m *memCluster) { m.fail = boom },
		"no control": func(m *memCluster) { delete(m.files, "global/pg_control") },
		"odd pages":  func(m *memCluster) { m.files["base/1/100"] = make([]byte, 100) },
		"reserved":   func(m *memCluster) { m.files["base/1/INCREMENTAL.7"] = nil },
		"outside":    func(m *memCluster) { m.files["../x"] = nil },
	} {
		for _, delta := range []bool{false, true} {
			c, m := testCatalogue(t), newMemCluster()
			want := 0
			if delta {
				take(t, c, m, TakeOptions{})
				want = 1
			}
			breakIt(m)
			_, err := c.Take(t.Context(), m, TakeOptions{Target: memTarget})
			if err == nil || m.fail != nil && !errors.Is(err, boom) {
				t.Errorf("%s: %v", name, err)
			}
			if l, err := c.List(t.Context(), memTarget); err != nil || len(l) != want {
				t.Errorf("%s: %d backups, %v", name, len(l), err)
			}
		}
	}
}

func TestCancelledBackupIsInvisible(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Take(ctx, m, TakeOptions{Target: memTarget, Progress: func(p Progress) {
		if p.Phase == "copy" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if l, err := c.List(t.Context(), memTarget); err != nil || len(l) != 0 {
		t.Errorf("%v, %v", l, err)
	}
}

func TestParentDeletedMeanwhile(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	first := take(t, c, m, TakeOptions{})
	_, err := c.Take(t.Context(), m, TakeOptions{Target: memTarget, Progress: func(p Progress) {
		if p.Phase == "log" {
			_ = c.Delete(t.Context(), memTarget, first.ID) // the second of these finds nothing
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "deleted meanwhile") {
		t.Errorf("got %v", err)
	}
	if l, err := c.List(t.Context(), memTarget); err != nil || len(l) != 0 {
		t.Errorf("%v, %v", l, err)
	}
}

func TestDamagedParentMakesAFull(t *testing.T) {
	dir := t.TempDir()
	c, m := &Catalogue{Repo: testRepo(t, dir)}, newMemCluster()
	first := take(t, c, m, TakeOptions{})
	if err := c.Repo.DeleteSnapshot(t.Context(), first.Snapshot); err != nil {
		t.Fatal(err)
	}
	second := take(t, c, m, TakeOptions{})
	third := take(t, c, m, TakeOptions{})
	if err := c.Repo.DeleteSnapshot(t.Context(), second.Snapshot); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), third); !errors.Is(err, ErrBroken) {
		t.Errorf("a delta without its parent: %v", err)
	}
	if fourth := take(t, c, m, TakeOptions{}); fourth.Kind != Full {
		t.Errorf("built on a broken chain: %+v", fourth)
	}
}

// TestChain takes chains of backups over random changes, by every method, and
// reads each state back: before and after folding and deleting.
func TestChain(t *testing.T) {
	t.Parallel()
	repo := testRepo(t, t.TempDir())
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		c, m := &Catalogue{Repo: repo}, newMemCluster()
		n++
		id := target.ID("t" + strings.Repeat("x", n%8) + "-" + string(rune('a'+n/8%26)) + string(rune('a'+n/208)))
		states := map[string]map[string][]byte{}
		for range rapid.IntRange(1, 6).Draw(t, "backups") {
			mutate(t, m)
			m.server.SummarizeWAL = rapid.Bool().Draw(t, "summarize")
			m.decline = rapid.IntRange(0, 3).Draw(t, "decline") == 0
			m.parallel = !m.server.SummarizeWAL && rapid.Bool().Draw(t, "parallel")
			b, err := c.Take(context.Background(), m, TakeOptions{Target: id, MaxChain: 3, ReadFiles: m.parallel})
			if err != nil {
				t.Fatal(err)
			}
			states[b.ID] = maps.Clone(m.files)
		}
		check := func(what string) []Backup {
			list, err := c.List(context.Background(), id)
			if err != nil || len(list) != len(states) {
				t.Fatalf("%s: %d backups, want %d: %v", what, len(list), len(states), err)
			}
			for _, b := range list {
				if b.Chain > 3 {
					t.Fatalf("chain of %d", b.Chain)
				}
				got, err := contents(c, b)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				sameContents(t, what, got, states[b.ID])
			}
			return list
		}
		list := check("taken")
		b := rapid.SampledFrom(list).Draw(t, "fold")
		if err := c.Fold(context.Background(), id, b.ID); err != nil {
			t.Fatal(err)
		}
		list = check("folded")
		b = rapid.SampledFrom(list).Draw(t, "delete")
		needed := slices.ContainsFunc(list, func(o Backup) bool { return o.Parent == b.ID })
		err := c.Delete(context.Background(), id, b.ID)
		if needed != errors.Is(err, ErrNeeded) || !needed && err != nil {
			t.Fatalf("delete: %v, needed %v", err, needed)
		}
		if !needed {
			delete(states, b.ID)
		}
		check("deleted")
	})
}

func mutate(t *rapid.T, m *memCluster) {
	m.files["global/pg_control"] = []byte(rapid.StringN(1, 20, -1).Draw(t, "control"))
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
		p := "base/1/" + rapid.SampledFrom([]string{"100", "101", "102_fsm"}).Draw(t, "file")
		old := m.files[p]
		blocks := len(old) / target.PageSize
		switch rapid.SampledFrom([]string{"page", "extend", "truncate", "remove", "zeros"}).Draw(t, "change") {
		case "page":
			if blocks > 0 {
				b := rapid.IntRange(0, blocks-1).Draw(t, "block")
				next := bytes.Clone(old)
				copy(next[b*target.PageSize:], pagesOf(rapid.Uint64().Draw(t, "content")))
				m.set(p, next)
			}
		case "extend":
			m.set(p, append(bytes.Clone(old), pagesOf(rapid.SliceOfN(rapid.Uint64(), 1, 5).Draw(t, "pages")...)...))
		case "zeros":
			m.set(p, append(bytes.Clone(old), make([]byte, 3*target.PageSize)...))
		case "truncate":
			m.set(p, old[:rapid.IntRange(0, blocks).Draw(t, "blocks")*target.PageSize])
		case "remove":
			m.set(p, nil)
			delete(m.files, p)
		}
	}
}

func TestReadAtAnyRange(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	n := make([]uint64, 300)
	for i := range n {
		n[i] = uint64(i + 1)
	}
	m.files["base/1/100"] = pagesOf(n...)
	take(t, c, m, TakeOptions{})
	for i := 0; i < len(n); i += 7 {
		n[i] += 1000
	}
	m.files["base/1/100"] = pagesOf(n...)
	img, err := c.Open(t.Context(), take(t, c, m, TakeOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, p := range []string{"base/1/100", "PG_VERSION"} {
			want := m.files[p]
			r, err := img.OpenFile(context.Background(), p)
			if err != nil {
				t.Fatal(err)
			}
			off := rapid.IntRange(0, len(want)).Draw(t, "off")
			got := make([]byte, rapid.IntRange(0, 2<<20).Draw(t, "len"))
			k, err := r.ReadAt(got, int64(off))
			if k != min(len(got), len(want)-off) || !bytes.Equal(got[:k], want[off:off+k]) || errors.Is(err, io.EOF) != (k < len(got)) {
				t.Fatalf("%s: ReadAt(%d, %d): %d bytes, %v", p, off, len(got), k, err)
			}
			rest, err := io.ReadAll(io.LimitReader(r, int64(len(want)/2)))
			if err != nil || !bytes.Equal(rest, want[:len(rest)]) {
				t.Fatalf("%s: Read: %v", p, err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestSpillKeepsPagesOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := &spill{dir: dir}
	var want []byte
	for i := range 2*spillAfter/target.PageSize + 1 {
		page := pagesOf(uint64(i + 1))
		want = append(want, page...)
		if _, err := s.Write(page); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 || s.file == nil {
		t.Errorf("files with a name: %v, %v", left, err)
	}
	r, err := s.reader()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back %d bytes, want %d: %v", len(got), len(want), err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	s = &spill{dir: filepath.Join(dir, "gone")}
	if _, err := s.Write(make([]byte, spillAfter+1)); err == nil {
		t.Error("a missing folder was no error")
	}
}
