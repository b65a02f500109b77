package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func TestScanDir(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	for _, c := range []struct {
		name          string
		noChecksums   bool
		vacuum        bool
		harm          func(page []byte)
		damaged, lost int
	}{
		{name: "healthy", vacuum: true},
		{name: "healthy without checksums", noChecksums: true, vacuum: true},
		{name: "a bit flipped", harm: func(p []byte) { p[5000] ^= 4 }, damaged: 1},
		{name: "a header that makes no sense", noChecksums: true, harm: func(p []byte) { p[13] = 0xFF }, damaged: 1},
		{name: "zeros where the map says all visible", noChecksums: true, vacuum: true, harm: func(p []byte) { clear(p) }, lost: 1},
		{name: "zeros that an index points to", harm: func(p []byte) { clear(p) }, lost: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := targettest.Start(t, targettest.Options{NoChecksums: c.noChecksums, Settings: map[string]string{"autovacuum": "off"}})
			s.Exec(t, "CREATE TABLE t AS SELECT n, n % 7 AS k FROM generate_series(1, 20000) n; CREATE INDEX ON t (k)")
			if c.vacuum {
				s.Exec(t, "VACUUM FREEZE t")
			}
			s.Exec(t, "CHECKPOINT")
			cluster, err := New(Options{DSN: s.DSN("postgres")})
			if err != nil {
				t.Fatal(err)
			}
			var read target.TableRead
			if err := cluster.ReadTables(t.Context(), "postgres", func(r target.TableRead) {
				if r.Name == "public.t" {
					read = r
				}
				if r.Problem != "" {
					t.Errorf("%s: %s", r.Name, r.Problem)
				}
			}); err != nil || read.Rows != 20000 || read.ByIndex != 20000 {
				t.Fatalf("%+v, %v", read, err)
			}
			files, err := cluster.RelationFiles(t.Context(), "postgres")
			if err != nil {
				t.Fatal(err)
			}
			path := s.Query(t, "SELECT pg_relation_filepath('t')")
			s.Stop(t)
			if c.harm != nil {
				f, err := os.OpenFile(filepath.Join(s.Dir, path), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				page := make([]byte, target.PageSize)
				if _, err := f.ReadAt(page, 5*target.PageSize); err != nil {
					t.Fatal(err)
				}
				c.harm(page)
				if _, err := f.WriteAt(page, 5*target.PageSize); err != nil {
					t.Fatal(err)
				}
			}
			r, err := ScanDir(t.Context(), s.Dir, !c.noChecksums, files)
			if err != nil || len(r.Damaged) != c.damaged || len(r.Lost) != c.lost || r.Pages < 1000 {
				t.Fatalf("%+v, %v", r, err)
			}
			for _, f := range append(r.Damaged, r.Lost...) {
				if f.File != path || f.Block != 5 {
					t.Errorf("%+v, want block 5 of %s", f, path)
				}
			}
		})
	}
}

func FuzzLeafBlocks(f *testing.F) {
	f.Add(make([]byte, target.PageSize))
	f.Fuzz(func(_ *testing.T, b []byte) {
		page := make([]byte, target.PageSize)
		copy(page, b)
		page[16], page[17] = 0xF0, 0x1F
		page[8176+12] |= btreeLeaf
		_ = leafBlocks(page)
	})
}
