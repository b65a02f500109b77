package postgres

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

// answer is what a server sends, message by message. The byte streams here
// are made by the test to the documented protocol.
type answer []pgproto3.BackendMessage

func (a answer) bytes(t testing.TB) []byte {
	var out []byte
	for _, m := range a {
		var err error
		if out, err = m.Encode(out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func rows(columns int, values ...string) answer {
	fields := make([]pgproto3.FieldDescription, columns)
	for i := range fields {
		fields[i].Name = []byte("c")
	}
	out := answer{&pgproto3.RowDescription{Fields: fields}}
	for row := range slices.Chunk(values, columns) {
		var v [][]byte
		for _, s := range row {
			if s == "" {
				v = append(v, nil)
			} else {
				v = append(v, []byte(s))
			}
		}
		out = append(out, &pgproto3.DataRow{Values: v})
	}
	return append(out, &pgproto3.CommandComplete{CommandTag: []byte("SELECT")})
}

func tarOf(t testing.TB, dirs []string, files map[string][]byte, trailer bool) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, d := range dirs {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o700}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(files[name]))})
		if _, err2 := w.Write(files[name]); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if trailer {
		b.Write(make([]byte, 1024))
	}
	return b.Bytes()
}

func sumOf(b []byte) fileSum { return fileSum{int64(len(b)), crc32.Checksum(b, castagnoli)} }

func manifestOf(t testing.TB, all ...map[string][]byte) []byte {
	var b bytes.Buffer
	w := newManifestWriter(&b, 150000, 0)
	for i, files := range all {
		for name, content := range files {
			if i > 0 {
				name = "pg_tblspc/16385/" + name
			}
			w.file(name, sumOf(content), time.Unix(0, 0))
		}
	}
	if err := w.finish([]manifestRange{{1, 0x2000028, 0x3000000}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// dataMessages cuts b into messages of odd sizes.
func dataMessages(kind string, b []byte) (out answer) {
	for n := 7; len(b) > 0; n = n*3%5000 + 1 {
		n = min(n, len(b))
		out = append(out, &pgproto3.CopyData{Data: append([]byte(kind), b[:n]...)})
		b = b[n:]
	}
	return out
}

var (
	baseFiles  = map[string][]byte{"backup_label": []byte("START\nINCREMENTAL FROM LSN: 0/1\nEND\n"), "base/1/1259": make([]byte, 3*8192), "PG_VERSION": []byte("15\n"), "tablespace_map": []byte("16385 /x\n")}
	spaceFiles = map[string][]byte{"PG_15_1/5/16400": make([]byte, 8192)}
	tail       = append(rows(2, "0/3000000", "1"), &pgproto3.CommandComplete{CommandTag: []byte("BASE_BACKUP")}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
)

func modernAnswer(t testing.TB) answer {
	out := slices.Concat(rows(2, "0/2000028", "1"), rows(3, "16385", "/x", "8", "", "", "100"),
		answer{&pgproto3.CopyOutResponse{}, &pgproto3.CopyData{Data: []byte("nbase.tar\x00\x00")}})
	out = append(out, dataMessages("d", tarOf(t, []string{"base", "base/1", "pg_tblspc"}, baseFiles, true))...)
	out = append(out, &pgproto3.CopyData{Data: []byte("p12345678")}, &pgproto3.CopyData{Data: []byte("n16385.tar\x00/x\x00")})
	out = append(out, dataMessages("d", tarOf(t, []string{"PG_15_1", "PG_15_1/5"}, spaceFiles, true))...)
	out = append(out, &pgproto3.CopyData{Data: []byte("m")})
	out = append(out, dataMessages("d", manifestOf(t, baseFiles, spaceFiles))...)
	out = append(out, &pgproto3.CopyDone{})
	return append(out, tail...)
}

// legacyAnswer is PostgreSQL 14's: a CopyOut for each tablespace, the data
// directory last, then the manifest; archives without the two blocks of zeros.
func legacyAnswer(t testing.TB) answer {
	out := slices.Concat(rows(2, "0/2000028", "1"), rows(3, "16385", "/x", "8", "", "", "100"))
	for _, b := range [][]byte{
		tarOf(t, []string{"PG_15_1", "PG_15_1/5"}, spaceFiles, false),
		tarOf(t, []string{"base", "base/1", "pg_tblspc"}, baseFiles, false),
		manifestOf(t, baseFiles, spaceFiles),
	} {
		out = append(out, &pgproto3.CopyOutResponse{})
		out = append(out, dataMessages("", b)...)
		out = append(out, &pgproto3.CopyDone{})
	}
	return append(out, tail...)
}

// play feeds bytes to the parser and returns what a backup would.
func play(t testing.TB, b []byte, version target.Version, sink target.BackupSink) (target.Position, *protocolBackup, error) {
	ctx, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	p := &protocolBackup{
		cluster: &Cluster{log: slog.New(slog.DiscardHandler)}, sink: sink, took: make(chan error, 1),
		facts: serverFacts{version: version, segmentBlocks: 131072, checksums: true}, pipe: newBackupPipe(ctx),
		files: &fileReceiver{sink: sink, checksums: true, segmentBlocks: 131072, verdicts: newPageVerdicts(), files: map[string]fileSum{}},
	}
	front := pgproto3.NewFrontend(bytes.NewReader(b), nil)
	front.SetMaxBodyLen(1 << 20)
	end, err := p.collect(ctx, fail, front)
	if err == nil {
		err = checkManifest(p.held.reader(), p.files.files, 0, p.start.position, end)
	}
	return end, p, err
}

func TestStreamForms(t *testing.T) {
	for name, c := range map[string]struct {
		version target.Version
		answer  answer
	}{"modern": {150018, modernAnswer(t)}, "legacy": {140020, legacyAnswer(t)}} {
		t.Run(name, func(t *testing.T) {
			sink := newDirSink(t)
			end, _, err := play(t, c.answer.bytes(t), c.version, sink)
			if err != nil || end.LSN != 0x3000000 || sink.start.Position.LSN != 0x2000028 || sink.start.EstimatedSize != 108<<10 {
				t.Fatalf("%v, %v, %+v", err, end, sink.start)
			}
			for name, want := range map[string]string{
				"PG_VERSION": "15\n", "backup_label": "START\nEND\n", "pg_tblspc/16385/PG_15_1/5/16400": string(spaceFiles["PG_15_1/5/16400"]),
			} {
				if got, err := os.ReadFile(filepath.Join(sink.dir, name)); string(got) != want {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
			if len(sink.files) != 4 || !sink.files["base/1/1259"].Pages {
				t.Errorf("files %v", sink.files)
			}
		})
	}
}

// A stream that ends early, wherever that is, is never a backup.
func TestTruncatedStreamFails(t *testing.T) {
	for version, whole := range map[target.Version]answer{150018: modernAnswer(t), 140020: legacyAnswer(t)} {
		for n := range len(whole) {
			if _, _, err := play(t, whole[:n].bytes(t), version, newMemSink()); err == nil {
				t.Fatalf("%s: the first %d of %d messages passed", version, n, len(whole))
			}
			if _, ready := whole[n].(*pgproto3.ReadyForQuery); ready {
				continue
			}
			without := slices.Delete(slices.Clone(whole), n, n+1)
			_, _, err := play(t, without.bytes(t), version, newMemSink())
			// Two commands end one after the other at the end, and one is enough.
			if err == nil && !harmless(whole[n]) && n < len(whole)-3 {
				t.Fatalf("%s: passed without message %d, %#v", version, n, whole[n])
			}
		}
	}
}

// harmless messages carry nothing that a backup needs.
func harmless(m pgproto3.BackendMessage) bool {
	switch m := m.(type) {
	case *pgproto3.DataRow:
		return m.Values[0] == nil // the data directory's size
	case *pgproto3.CopyData:
		return len(m.Data) > 0 && m.Data[0] == 'p' || bytes.Count(m.Data, []byte{0}) >= len(m.Data)-1 // end of an archive
	}
	return false
}

func TestStreamErrors(t *testing.T) {
	corrupted := &pgproto3.ErrorResponse{Severity: "ERROR", Code: dataCorrupted, Message: "Prüfsummenfehler"}
	whole := modernAnswer(t)
	insert := func(at int, m ...pgproto3.BackendMessage) []byte {
		return slices.Insert(slices.Clone(whole), at, m...).bytes(t)
	}
	last := len(whole) - 2
	_, p, err := play(t, insert(last, corrupted), 150018, newMemSink())
	if findings, _ := p.files.verdicts.result(1, 2); err != nil || len(findings) != 1 {
		t.Errorf("damage that the server reports at the end: %v, %v", err, findings)
	}
	if _, _, err := play(t, insert(20, corrupted), 150018, newMemSink()); err == nil {
		t.Error("an error in the middle passed")
	}
	if _, _, err := play(t, insert(last, &pgproto3.ErrorResponse{Severity: "ERROR", Code: "58030", Message: "x"}), 150018, newMemSink()); err == nil {
		t.Error("another error at the end passed")
	}
	warning := &pgproto3.NoticeResponse{Severity: "WARNING", Message: `checksum verification failed in file "/x/PG_15_1/5/16400", block 0: calculated 1 but expected 2`}
	_, p, err = play(t, insert(20, warning), 150018, newMemSink())
	if findings, _ := p.files.verdicts.result(1, 2); err != nil || len(findings) != 1 || findings[0].File != "pg_tblspc/16385/PG_15_1/5/16400" {
		t.Errorf("the server's warning: %v, %v", err, findings)
	}
}

func TestEvilArchives(t *testing.T) {
	for _, name := range []string{"../x", "/etc/x", "base/../../x", "a//../../x"} {
		a := slices.Concat(rows(2, "0/2000028", "1"), rows(3, "", "", "100"), answer{&pgproto3.CopyOutResponse{}, &pgproto3.CopyData{Data: []byte("nbase.tar\x00\x00")}},
			dataMessages("d", tarOf(t, nil, map[string][]byte{name: []byte("x")}, true)),
			answer{&pgproto3.CopyData{Data: []byte("m")}}, dataMessages("d", manifestOf(t)), answer{&pgproto3.CopyDone{}}, tail)
		if _, _, err := play(t, a.bytes(t), 150018, newMemSink()); err == nil || !strings.Contains(err.Error(), "leads out") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedOnTheWay(t *testing.T) {
	for _, c := range []struct {
		name string
		bend func(files map[string]fileSum)
		want string
	}{
		{"same", func(map[string]fileSum) {}, ""},
		{"changed", func(f map[string]fileSum) { f["PG_VERSION"] = sumOf([]byte("16\n")) }, "PG_VERSION arrived damaged: its checksum"},
		{"short", func(f map[string]fileSum) { f["PG_VERSION"] = sumOf([]byte("1")) }, "PG_VERSION arrived damaged: it has 1 bytes"},
		{"missing", func(f map[string]fileSum) { delete(f, "PG_VERSION") }, "PG_VERSION did not arrive"},
		{"extra", func(f map[string]fileSum) { f["base/1/2"] = fileSum{} }, "base/1/2 arrived, but is not listed"},
		{"log is not listed", func(f map[string]fileSum) { f["pg_wal/000000010000000000000002"] = fileSum{} }, ""},
	} {
		files := map[string]fileSum{}
		for name, b := range baseFiles {
			files[name] = sumOf(b)
		}
		c.bend(files)
		err := checkManifest(bytes.NewReader(manifestOf(t, baseFiles)), files, 0, target.Position{Timeline: 1, LSN: 0x2000028}, target.Position{Timeline: 1, LSN: 0x3000000})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	position := target.Position{Timeline: 1, LSN: 0x2000028}
	if err := checkManifest(bytes.NewReader(manifestOf(t)), nil, 0, position, target.Position{Timeline: 2, LSN: 0x3000000}); err == nil {
		t.Error("another timeline's log passed")
	}
	text := manifestOf(t, baseFiles)
	for i := range text {
		bent := slices.Clone(text)
		bent[i] ^= 0x20
		files := map[string]fileSum{}
		for name, b := range baseFiles {
			files[name] = sumOf(b)
		}
		if err := checkManifest(bytes.NewReader(bent), files, 0, position, position); err == nil && !strings.EqualFold(string(bent), string(text)) {
			t.Fatalf("a manifest with byte %d changed passed:\n%s", i, bent)
		}
	}
}

// memSink throws all away.
type memSink struct{ dirSink }

func newMemSink() *memSink { return &memSink{} }

func (s *memSink) Dir(context.Context, string, fs.FileMode) error { return nil }

func (s *memSink) File(_ context.Context, f target.File, r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n != f.Size {
		err = errors.New("wrong size")
	}
	return err
}

func (s *memSink) IncrementalFile(_ context.Context, f target.File, inc target.Incremental, r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n != int64(len(inc.Blocks))*target.PageSize {
		err = fmt.Errorf("%s: %d bytes for %d pages", f.Path, n, len(inc.Blocks))
	}
	return err
}

func FuzzStream(f *testing.F) {
	f.Add(modernAnswer(f).bytes(f), false)
	f.Add(legacyAnswer(f).bytes(f), true)
	f.Fuzz(func(t *testing.T, b []byte, legacy bool) {
		version := target.Version(150018)
		if legacy {
			version = 140020
		}
		end, p, err := play(t, b, version, newMemSink())
		if err == nil && (end.Timeline == 0 || p.start.position.Timeline == 0) {
			t.Fatalf("accepted a backup without positions")
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add(manifestOf(f, baseFiles))
	f.Add([]byte(`{ "PostgreSQL-Backup-Manifest-Version": 2,` + "\n" + `"System-Identifier": 7, "Files": [{"Encoded-Path":"ff","Size":1}], "WAL-Ranges": [` + "\n" + `"Manifest-Checksum": "00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := readManifest(bytes.NewReader(b), func(string, manifestEntry) error { return nil })
		if err == nil && facts.version != 1 && facts.version != 2 {
			t.Fatal("accepted an unknown version")
		}
	})
}

func incrementalFile(inc target.Incremental) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, incrementalMagic)
	b = le.AppendUint32(b, uint32(len(inc.Blocks)))
	b = le.AppendUint32(b, inc.TruncationBlocks)
	for _, n := range inc.Blocks {
		b = le.AppendUint32(b, n)
	}
	for len(inc.Blocks) > 0 && len(b)%target.PageSize != 0 {
		b = append(b, 0)
	}
	for _, n := range inc.Blocks {
		page := goodPage(n, 1)
		b = append(b, page[:]...)
	}
	return b
}

func TestReadIncremental(t *testing.T) {
	good := target.Incremental{TruncationBlocks: 9, Blocks: []uint32{1, 4, 1000}}
	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"three pages", incrementalFile(good), true},
		{"none", incrementalFile(target.Incremental{TruncationBlocks: 9}), true},
		{"many", incrementalFile(target.Incremental{Blocks: manyBlocks(2100)}), true},
		{"descending", incrementalFile(target.Incremental{Blocks: []uint32{4, 1}}), false},
		{"twice", incrementalFile(target.Incremental{Blocks: []uint32{4, 4}}), false},
		{"too far", incrementalFile(target.Incremental{Blocks: []uint32{131072}}), false},
		{"too long", incrementalFile(target.Incremental{TruncationBlocks: 131073}), false},
		{"no magic", make([]byte, 12), false},
		{"short", incrementalFile(good)[:8192], false},
		{"empty", nil, false},
	} {
		r := bytes.NewReader(c.b)
		inc, err := readIncremental(r, int64(len(c.b)), 131072)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		} else if err == nil && r.Len() != len(inc.Blocks)*target.PageSize {
			t.Errorf("%s: %d bytes are left for %d pages", c.name, r.Len(), len(inc.Blocks))
		}
	}
	bad := incrementalFile(good)
	bad[2*target.PageSize+100] ^= 1 // in the second page, block 4
	v := newPageVerdicts()
	f := &fileReceiver{sink: newMemSink(), checksums: true, segmentBlocks: 131072, incremental: true, verdicts: v, files: map[string]fileSum{}}
	err := f.file(t.Context(), target.File{Path: "base/5/INCREMENTAL.16400", Size: int64(len(bad))}, bytes.NewReader(bad))
	findings, _ := v.result(100, 200)
	if err != nil || len(findings) != 1 || findings[0].File != "base/5/16400" || findings[0].Block != 4 {
		t.Errorf("%v, %+v", err, findings)
	}
}

func manyBlocks(n uint32) (out []uint32) {
	for i := range n {
		out = append(out, 2*i)
	}
	return out
}

func FuzzIncremental(f *testing.F) {
	f.Add(incrementalFile(target.Incremental{TruncationBlocks: 9, Blocks: []uint32{1, 4}}))
	f.Add(incrementalFile(target.Incremental{TruncationBlocks: 9}))
	f.Fuzz(func(t *testing.T, b []byte) {
		inc, err := readIncremental(bytes.NewReader(b), int64(len(b)), 131072)
		if err == nil && int64(len(inc.Blocks))*target.PageSize > int64(len(b)) {
			t.Fatalf("%d bytes hold %d pages", len(b), len(inc.Blocks))
		}
	})
}
