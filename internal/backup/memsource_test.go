package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target"
)

const memSegment = 1 << 20

// memCluster is a cluster of bytes: what a server would send.
type memCluster struct {
	server target.Server
	at     time.Time
	files  map[string][]byte // relation files are below base/
	states map[string]map[string][]byte
	low    map[string]int // least length of a file since the last backup
	decline,
	parallel bool
	fail     error // returned in the middle of the backup
	findings []target.PageFinding
	sent     int64 // bytes of the last backup
}

func newMemCluster() *memCluster {
	return &memCluster{
		server: target.Server{
			Version: 170000, SystemID: 77, Timeline: 1, Position: 5 * memSegment, DataChecksums: true,
			SegmentSize: memSegment, BootstrapRole: "postgres", Settings: map[string]string{"max_connections": "100"},
		},
		at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
		files: map[string][]byte{
			"PG_VERSION": []byte("17\n"), "global/pg_control": []byte("control 0"), "base/1/100": pagesOf(1, 2, 3),
		},
		states: map[string]map[string][]byte{}, low: map[string]int{},
	}
}

// set changes a file.
func (m *memCluster) set(p string, b []byte) {
	if low, ok := m.low[p]; !ok || len(b) < low {
		m.low[p] = min(len(b), len(m.files[p]))
	}
	m.files[p] = b
}

// pagesOf makes a file of pages, each filled from its own number.
func pagesOf(n ...uint64) []byte {
	out := make([]byte, 0, len(n)*target.PageSize)
	for _, v := range n {
		page := make([]byte, target.PageSize)
		if v != 0 {
			for i := 0; i < len(page); i += 8 {
				binary.LittleEndian.PutUint64(page[i:], v*1_000_003+uint64(i))
			}
		}
		out = append(out, page...)
	}
	return out
}

func (m *memCluster) Inspect(context.Context) (target.Server, error) { return m.server, nil }

func isPages(p string) bool {
	return strings.HasPrefix(p, "base/") || strings.HasPrefix(p, "pg_tblspc/")
}

// BaseBackup sends the files as they are, and a manifest that names the state.
func (m *memCluster) BaseBackup(ctx context.Context, req target.BaseBackupRequest, sink target.BackupSink) (target.BackupEnd, error) {
	m.sent = 0
	var prev map[string][]byte
	if req.PrevManifest != nil {
		if m.decline {
			return target.BackupEnd{}, fmt.Errorf("no summaries: %w", target.ErrNoIncremental)
		}
		r, err := req.PrevManifest()
		if err != nil {
			return target.BackupEnd{}, err
		}
		text, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return target.BackupEnd{}, err
		}
		var state struct{ State string }
		if err := json.Unmarshal(text, &state); err != nil {
			return target.BackupEnd{}, err
		}
		if prev = m.states[state.State]; prev == nil {
			return target.BackupEnd{}, fmt.Errorf("unknown state %q", state.State)
		}
	}
	m.at = m.at.Add(time.Hour)
	start := target.Position{Timeline: m.server.Timeline, LSN: m.server.Position}
	m.server.Position += 1000
	end := target.BackupEnd{Position: target.Position{Timeline: m.server.Timeline, LSN: m.server.Position}, At: m.at.Add(time.Minute), Findings: m.findings}
	m.server.Position += memSegment
	if err := sink.Begin(ctx, target.BackupStart{Position: start, At: m.at, EstimatedSize: 1, Incremental: prev != nil}); err != nil {
		return target.BackupEnd{}, err
	}
	if err := sink.Dir(ctx, "base", 0o700); err != nil {
		return target.BackupEnd{}, err
	}
	if err := m.sendFiles(ctx, sink, prev); err != nil {
		return target.BackupEnd{}, err
	}
	label := "START WAL LOCATION: somewhere\nINCREMENTAL FROM LSN: 0/1\nINCREMENTAL FROM TLI: 1\nLABEL: x\n"
	seg := target.SegmentAt(start, memSegment).Name()
	for p, b := range map[string][]byte{"backup_label": []byte(label), "pg_wal/" + seg: make([]byte, memSegment), "backup_manifest": m.manifest()} {
		if err := m.send(ctx, sink, p, b); err != nil {
			return target.BackupEnd{}, err
		}
	}
	return end, nil
}

func (m *memCluster) manifest() []byte {
	type file struct {
		Path      string `json:"Path"`
		Algorithm string `json:"Checksum-Algorithm"`
		Checksum  string `json:"Checksum"`
	}
	state := fmt.Sprint("state ", len(m.states))
	m.states[state] = maps.Clone(m.files)
	clear(m.low)
	out := struct {
		State string
		Files []file
	}{State: state}
	for p, b := range m.files {
		var sum [4]byte
		binary.LittleEndian.PutUint32(sum[:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		out.Files = append(out.Files, file{p, "CRC32C", fmt.Sprintf("%x", sum)})
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return text
}

func (m *memCluster) sendFiles(ctx context.Context, sink target.BackupSink, prev map[string][]byte) error {
	paths := slices.Sorted(maps.Keys(m.files))
	one := func(p string) error {
		if old, ok := prev[p]; ok && isPages(p) && len(m.files[p]) > 0 {
			return m.sendIncremental(ctx, sink, p, old)
		}
		return m.send(ctx, sink, p, m.files[p])
	}
	if m.parallel {
		errs := make(chan error, len(paths))
		var all sync.WaitGroup
		for _, p := range paths {
			all.Go(func() { errs <- one(p) })
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for i, p := range paths {
		if m.fail != nil && i == len(paths)-1 {
			return m.fail
		}
		if err := one(p); err != nil {
			return err
		}
	}
	return nil
}

func (m *memCluster) send(ctx context.Context, sink target.BackupSink, p string, b []byte) error {
	if !m.parallel {
		m.sent += int64(len(b))
	}
	return sink.File(ctx, target.File{Path: p, Mode: 0o600, Size: int64(len(b)), ModTime: m.at, Pages: isPages(p)}, bytes.NewReader(b))
}

// sendIncremental does as the server does: it knows how short the file has
// been; new pages of zeros past that are not listed, since nothing logged them.
func (m *memCluster) sendIncremental(ctx context.Context, sink target.BackupSink, p string, old []byte) error {
	now := m.files[p]
	short := min(len(now), len(old))
	if low, ok := m.low[p]; ok {
		short = min(short, low)
	}
	inc := target.Incremental{TruncationBlocks: uint32(short / target.PageSize)}
	var pages []byte
	for o := 0; o < len(now); o += target.PageSize {
		page := now[o : o+target.PageSize]
		same := o < short && bytes.Equal(page, old[o:o+target.PageSize])
		last := o+target.PageSize == len(now)
		if same || o >= short && !last && bytes.Equal(page, make([]byte, target.PageSize)) {
			continue
		}
		inc.Blocks = append(inc.Blocks, uint32(o/target.PageSize))
		pages = append(pages, page...)
	}
	m.sent += int64(len(pages))
	return sink.IncrementalFile(ctx, target.File{Path: p, Mode: 0o600, ModTime: m.at, Pages: true}, inc, bytes.NewReader(pages))
}

const memTarget target.ID = "main"

func testCatalogue(t testing.TB) *Catalogue {
	t.Helper()
	return &Catalogue{Repo: testRepo(t, t.TempDir())}
}

func testRepo(t testing.TB, dir string) *repository.Repository {
	t.Helper()
	r, err := repository.Create(t.Context(), repository.Options{URL: "file://" + dir, Passphrase: secret.New("correct horse battery")})
	if err != nil {
		if err.Error() == "not built yet" {
			t.Skip("there is no repository yet")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}
