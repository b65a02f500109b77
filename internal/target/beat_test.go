package target

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func chain(n int) []Beat {
	var out []Beat
	var prev Beat
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)
	for range n {
		prev = NextBeat("shop", prev, at)
		out, at = append(out, prev), at.Add(time.Second)
	}
	return out
}

func TestVerifyBeats(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []Beat) []Beat
		want   string
	}{
		{"whole", func(b []Beat) []Beat { return b }, ""},
		{"none", func([]Beat) []Beat { return nil }, ""},
		{"a stretch", func(b []Beat) []Beat { return b[3:] }, ""},
		{"other zone", func(b []Beat) []Beat { b[2].At = b[2].At.In(time.FixedZone("x", 3600)); return b }, ""},
		{"missing", func(b []Beat) []Beat { return slices.Delete(b, 4, 5) }, "missing between"},
		{"changed time", func(b []Beat) []Beat { b[4].At = b[4].At.Add(time.Microsecond); return b }, "does not fit its content"},
		{"changed number", func(b []Beat) []Beat { b[4].Seq++; return b }, "does not fit its content"},
		{"swapped", func(b []Beat) []Beat { b[4], b[5] = b[5], b[4]; return b }, "missing between"},
		{"forked", func(b []Beat) []Beat {
			b[5] = NextBeat("shop", NextBeat("shop", b[3], b[0].At), b[1].At)
			return b
		}, "chain is broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := VerifyBeats("shop", c.change(chain(9)))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
	if VerifyBeats("other", chain(2)) == nil {
		t.Fatal("another target's chain passed")
	}
}

func TestDiffSchema(t *testing.T) {
	schema := func() Schema {
		return Schema{Roles: []string{"a", "b"}, Databases: []DatabaseSchema{{
			OID: 5, Name: "shop", Extensions: []Object{{10, "plpgsql 1.0"}}, Indexes: []Object{{30, "i"}},
			Relations: []Relation{{OID: 20, Name: "public.t", Kind: "table", Bytes: 8192, Columns: []string{"n integer"}}},
		}}}
	}
	same := func(*Schema) {}
	for _, c := range []struct {
		name        string
		copy, after func(s *Schema)
		want        string
	}{
		{"same but for size", func(s *Schema) { s.Databases[0].Relations[0].Bytes = 0 }, same, ""},
		{"role", func(s *Schema) { s.Roles = s.Roles[:1] }, same, "role: b is missing in the copy"},
		{"role dropped meanwhile", func(s *Schema) { s.Roles = s.Roles[:1] }, func(s *Schema) { s.Roles = s.Roles[:1] }, ""},
		{"extra role", func(s *Schema) { s.Roles = append(s.Roles, "c") }, same, "role: c is only in the copy"},
		{"database", func(s *Schema) { s.Databases = nil }, same, "database shop is missing in the copy"},
		{"extra database", func(s *Schema) { s.Databases = append(s.Databases, DatabaseSchema{OID: 4, Name: "x"}) }, same, "database x is only in the copy"},
		{"relation", func(s *Schema) { s.Databases[0].Relations = nil }, same, "table public.t (n integer) in database shop is missing in the copy"},
		{"column", func(s *Schema) { s.Databases[0].Relations[0].Columns = nil }, same, "table public.t (n integer) in database shop is table public.t () in the copy"},
		{"unlogged", func(s *Schema) { s.Databases[0].Relations[0].Unlogged = true }, same, "table public.t (n integer) in database shop is unlogged table public.t (n integer) in the copy"},
		{"stale index", func(s *Schema) { s.Databases[0].Indexes = append(s.Databases[0].Indexes, Object{29, "j"}) }, same, "index j in database shop is only in the copy"},
		{"index unknown to a production that changes", func(s *Schema) { s.Databases[0].Indexes = append(s.Databases[0].Indexes, Object{29, "j"}) },
			func(s *Schema) { s.Databases[0].Relations[0].Columns = nil }, ""},
		{"index made and dropped meanwhile", func(s *Schema) { s.Databases[0].Indexes = append(s.Databases[0].Indexes, Object{31, "j"}) }, same, ""},
		{"index dropped and made again", func(s *Schema) { s.Databases[0].Indexes = nil }, func(s *Schema) { s.Databases[0].Indexes[0].OID = 35 }, ""},
		{"index missing, though one of its name was made again beside it", func(s *Schema) { s.Databases[0].Indexes = nil },
			func(s *Schema) { s.Databases[0].Indexes = append(s.Databases[0].Indexes, Object{35, "i"}) }, "index i in database shop is missing in the copy"},
		{"column changed meanwhile", func(s *Schema) { s.Databases[0].Relations[0].Columns = nil }, func(s *Schema) { s.Databases[0].Relations[0].Columns = []string{"m integer"} }, ""},
		{"table changed meanwhile, and missing", func(s *Schema) { s.Databases[0].Relations = nil },
			func(s *Schema) { s.Databases[0].Relations[0].Columns = nil }, "table public.t (n integer) in database shop is missing in the copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, after := schema(), schema()
			c.copy(&got)
			c.after(&after)
			if diff := strings.Join(DiffSchema(schema(), got, after), "; "); diff != c.want {
				t.Fatalf("got %q, want %q", diff, c.want)
			}
		})
	}
}

func FuzzFirstPage(f *testing.F) {
	f.Add(make([]byte, 40))
	page := make([]byte, 8192)
	copy(page, []byte{0x10, 0xd1, 2, 0, 1, 0, 0, 0})
	f.Add(page)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, _, _, err := FirstPage(b); err == nil && (len(b) < 40 || b[1] != 0xD1) {
			t.Fatalf("accepted %x", b)
		}
	})
}

func FuzzParseHistory(f *testing.F) {
	f.Add("1\t0/3000000\tno recovery target specified\n\n2\t0/4000000\tx\n")
	f.Add("# comment\n1 0/0")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseHistory([]byte(s))
		if err != nil {
			return
		}
		for i, h := range got {
			if h.Timeline == 0 || i > 0 && (h.Timeline <= got[i-1].Timeline || h.LSN < got[i-1].LSN) {
				t.Fatalf("accepted %q as %v", s, got)
			}
		}
	})
}
