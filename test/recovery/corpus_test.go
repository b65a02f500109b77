package recovery

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func sortStrings(s []string) { slices.Sort(s) }

const schema = `CREATE TABLE ledger (id bigserial PRIMARY KEY, note text NOT NULL, at timestamptz NOT NULL DEFAULT now());
	CREATE INDEX ledger_note ON ledger (note);
	CREATE TABLE plain AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 20000) n;
	ALTER TABLE plain ADD PRIMARY KEY (n);`

// template is a healthy bed: a full, a delta, and log between and after them,
// shipped; the server has stopped in good order.
func template(t *testing.T, cluster targettest.Options, set settings) *bed {
	t.Helper()
	if cluster.SegmentMiB == 0 {
		cluster.SegmentMiB = 1
	}
	b := newBed(t, cluster, set)
	b.prod.Exec(t, schema)
	b.startServer()
	b.load(3)
	b.must("backup", "main", "--full")
	b.load(3)
	b.must("backup", "main")
	b.load(4)
	b.prod.Exec(t, "CHECKPOINT")
	b.shipped()
	b.endServer(syscall.SIGTERM)
	return b
}

func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Several bytes: one alone may hit a pack's spare copy of its own index,
	// which nothing needs.
	for i := len(data) / 3; i < len(data); i += 1 + len(data)/8 {
		data[i] ^= 0x40
	}
	rewrite(t, path, data)
}

func truncate(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, data[:len(data)*2/3])
}

// rewrite replaces a file, which the repository may have made read-only.
func rewrite(t *testing.T, path string, data []byte) {
	t.Helper()
	remove(t, path)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// each applies f to every blob with the prefix.
func each(prefix string, f func(*testing.T, string)) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		for _, path := range b.blobs(prefix) {
			f(t, path)
		}
	}
}

// largest applies f to the largest blob with the prefix.
func largest(prefix string, f func(*testing.T, string)) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		var best string
		var size int64
		for _, path := range b.blobs(prefix) {
			if i, err := os.Stat(path); err == nil && i.Size() > size {
				best, size = path, i.Size()
			}
		}
		f(t, best)
	}
}

// segment applies f to the stored segment at index i; negative counts from the end.
func segment(i int, f func(*testing.T, string)) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		s := b.segments()
		if i < 0 {
			i += len(s)
		}
		f(t, s[i])
	}
}

// needed is the log that the newest backup needs first: the segment from which
// its recovery starts.
func needed(f func(*testing.T, string)) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		name := b.startSegment()
		for _, p := range b.segments() {
			if strings.Contains(p, name) {
				f(t, p)
				return
			}
		}
		t.Fatalf("segment %s is not stored", name)
	}
}

// broken are the ways in which a repository loses its worth. Each must be seen
// by a drill of a copy of the healthy template.
var broken = []struct {
	name   string
	inject func(*testing.T, *bed)
}{
	{"a byte flipped in every pack", each("p", flip)},
	{"a byte flipped in the largest pack", largest("p", flip)},
	{"the largest pack truncated", largest("p", truncate)},
	{"the largest pack deleted", largest("p", remove)},
	{"manifests' packs deleted", each("q", remove)},
	{"a byte flipped in manifests' packs", each("q", flip)},
	{"index blobs deleted", each("x", remove)},
	{"a byte flipped in index blobs", each("x", flip)},
	{"the format blob truncated", each("kopia.repository", truncate)},
	{"the format blob deleted", each("kopia.repository", remove)},
	{"a segment missing in the middle of the log", segment(-3, remove)},
	{"a byte flipped in a segment", segment(-3, flip)},
	{"a segment truncated", segment(-3, truncate)},
	{"the last whole segment missing", segment(-1, remove)},
	{"a segment put in another's place", func(t *testing.T, b *bed) {
		s := b.segments()
		data, err := os.ReadFile(s[len(s)-3])
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, s[len(s)-2], data)
	}},
	{"the first segment that the newest backup needs missing", needed(remove)},
	{"every whole segment missing", func(t *testing.T, b *bed) {
		for _, p := range b.segments() {
			remove(t, p)
		}
	}},
	{"the log's index altered", each("refloat.log~main~index", flip)},
	{"the log's position altered", each("refloat.log~main~position", flip)},
	{"the end of the log cut off with its index and position", func(t *testing.T, b *bed) {
		s := b.segments()
		for _, p := range s[len(s)-2:] {
			remove(t, p)
		}
		each("refloat.log~main~index", remove)(t, b)
		each("refloat.log~main~position", remove)(t, b)
		for name, p := range b.blobs("refloat.log~main~") {
			if strings.HasSuffix(name, ".partial") {
				remove(t, p)
			}
		}
	}},
	{"the whole log deleted", each("refloat.log~main~", remove)},
	{"the passphrase wrong", func(t *testing.T, b *bed) { b.write("passphrase", "not the passphrase that it was\n") }},
	{"the passphrase gone", func(t *testing.T, b *bed) { remove(t, b.dir+"/passphrase") }},
	{"the repository gone", func(t *testing.T, b *bed) {
		if err := os.RemoveAll(b.dir + "/repository"); err != nil {
			t.Fatal(err)
		}
	}},
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	b := template(t, targettest.Options{}, settings{})
	t.Run("healthy control", func(t *testing.T) {
		p := b.copyTo(t).mustProve()
		if len(p.Checks) < 8 || p.Relations == 0 || p.Pages == 0 {
			t.Fatalf("the proof looked at little: %d checks, %d relations, %d pages", len(p.Checks), p.Relations, p.Pages)
		}
	})
	for _, c := range broken {
		t.Run(c.name, func(t *testing.T) {
			copied := b.copyTo(t)
			c.inject(t, copied)
			notProven(t, copied)
		})
	}
	t.Run("healthy control again", func(t *testing.T) { b.copyTo(t).mustProve() })
}

// notProven fails the test when a drill says proven, or does not say so with
// its exit code.
func notProven(t *testing.T, b *bed) *proof.Proof {
	t.Helper()
	code, p, text := b.drill()
	if code == 0 || (p != nil && p.Verdict == proof.Proven) {
		t.Fatalf("FALSE PROOF: exit %d\n%s", code, text)
	}
	if !slices.Contains([]int{2, 3, 4, 5}, code) {
		t.Fatalf("exit %d is not a verdict; the drill must say what is wrong\n%s", code, text)
	}
	return p
}
