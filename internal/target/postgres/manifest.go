package postgres

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/refloat-db/refloat/internal/target"
)

// manifestEntry is one file of a backup manifest (PostgreSQL docs, "Backup
// Manifest Format").
type manifestEntry struct {
	Path         string `json:"Path,omitempty"`
	EncodedPath  string `json:"Encoded-Path,omitempty"` // hexadecimal, when the path is not UTF-8
	Size         int64  `json:"Size"`
	LastModified string `json:"Last-Modified"`
	Algorithm    string `json:"Checksum-Algorithm,omitempty"`
	Checksum     string `json:"Checksum,omitempty"`
}

// manifestRange is a span of the log that the backup needs.
type manifestRange struct {
	Timeline target.Timeline `json:"Timeline"`
	Start    target.LSN      `json:"Start-LSN"`
	End      target.LSN      `json:"End-LSN"`
}

// manifestFacts is what a manifest says beside its files.
type manifestFacts struct {
	version  int
	systemID target.SystemID // 0 when the version does not say
	ranges   []manifestRange
}

// readManifest reads a manifest with bounded memory, gives each file to take,
// and checks the manifest's own checksum.
func readManifest(r io.Reader, take func(name string, e manifestEntry) error) (manifestFacts, error) {
	body := &bodyHash{sum: sha256.New()}
	tee := io.TeeReader(r, body)
	dec := json.NewDecoder(tee)
	var facts manifestFacts
	var checksum string
	if err := expectDelim(dec, '{'); err != nil {
		return facts, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return facts, err
		}
		switch key {
		case "PostgreSQL-Backup-Manifest-Version":
			err = dec.Decode(&facts.version)
		case "System-Identifier":
			var n json.Number
			if err = dec.Decode(&n); err == nil {
				err = facts.systemID.UnmarshalText([]byte(n))
			}
		case "Files":
			err = readManifestFiles(dec, take)
		case "WAL-Ranges":
			err = dec.Decode(&facts.ranges)
		case "Manifest-Checksum":
			err = dec.Decode(&checksum)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return facts, err
		}
	}
	if err := expectDelim(dec, '}'); err != nil {
		return facts, err
	}
	rest, err := io.ReadAll(io.LimitReader(dec.Buffered(), 64))
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return facts, errors.New("something follows its end")
	}
	if n, err := io.Copy(io.Discard, tee); err != nil || n > 0 {
		return facts, errors.New("something follows its end")
	}
	if facts.version != 1 && facts.version != 2 {
		return facts, fmt.Errorf("its version %d is unknown", facts.version)
	}
	if got := body.result(); !strings.EqualFold(got, checksum) {
		return facts, fmt.Errorf("its checksum is %s, but it says %q", got, checksum)
	}
	return facts, nil
}

func expectDelim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%v instead of %v", t, want)
	}
	return nil
}

func readManifestFiles(dec *json.Decoder, take func(string, manifestEntry) error) error {
	if err := expectDelim(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		var e manifestEntry
		if err := dec.Decode(&e); err != nil {
			return err
		}
		name := e.Path
		if e.EncodedPath != "" {
			b, err := hex.DecodeString(e.EncodedPath)
			if err != nil || name != "" {
				return fmt.Errorf("path of a file: %q", e.EncodedPath)
			}
			name = string(b)
		}
		if name == "" {
			return errors.New("a file without a path")
		}
		if err := take(name, e); err != nil {
			return err
		}
	}
	return expectDelim(dec, ']')
}

// bodyHash sums all lines of a manifest but the last, which holds the sum.
type bodyHash struct {
	sum  hash.Hash
	tail []byte // not summed yet
}

const manifestTail = 256 // bytes; the last line is shorter

func (b *bodyHash) Write(p []byte) (int, error) {
	b.tail = append(b.tail, p...)
	if n := len(b.tail) - manifestTail; n > 0 {
		b.sum.Write(b.tail[:n]) // never fails
		b.tail = slices.Delete(b.tail, 0, n)
	}
	return len(p), nil
}

func (b *bodyHash) result() string {
	last := bytes.LastIndexByte(bytes.TrimRight(b.tail, "\n"), '\n')
	b.sum.Write(b.tail[:last+1]) // never fails
	return hex.EncodeToString(b.sum.Sum(nil))
}

// checkFile compares a file's entry with what arrived.
func (e manifestEntry) checkFile(name string, got fileSum) error {
	if e.Size != got.size {
		return fmt.Errorf("%s arrived damaged: it has %d bytes, the manifest says %d; take the backup again", name, got.size, e.Size)
	}
	if e.Algorithm != "CRC32C" {
		return fmt.Errorf("%s: the manifest has a checksum of kind %q instead of CRC32C", name, e.Algorithm)
	}
	if want := formatCRC(got.crc); !strings.EqualFold(e.Checksum, want) {
		return fmt.Errorf("%s arrived damaged: its checksum is %s, the manifest says %s; take the backup again", name, want, e.Checksum)
	}
	return nil
}

// formatCRC writes a CRC-32C as a manifest does: the bytes as they lie in the
// memory of a little-endian machine.
func formatCRC(crc uint32) string {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], crc)
	return hex.EncodeToString(b[:])
}

// checkManifest compares all that arrived with the manifest, and uses files up.
func checkManifest(r io.Reader, files map[string]fileSum, id target.SystemID, start, end target.Position) error {
	facts, err := readManifest(r, func(name string, e manifestEntry) error {
		got, ok := files[name]
		if !ok {
			return fmt.Errorf("%s did not arrive, though the manifest lists it (or lists it twice); take the backup again", name)
		}
		delete(files, name)
		return e.checkFile(name, got)
	})
	if err != nil {
		return fmt.Errorf("backup_manifest: %w", err)
	}
	for name := range files {
		if dir, _ := path.Split(name); dir == "pg_wal/" {
			continue // the log is listed as ranges
		}
		return fmt.Errorf("backup_manifest: %s arrived, but is not listed (one of %d files); take the backup again", name, len(files))
	}
	if facts.systemID != 0 && id != 0 && facts.systemID != id {
		return fmt.Errorf("backup_manifest: it is of system %s instead of %s", facts.systemID, id)
	}
	// One range for each timeline, the newest first.
	covers := func(p target.Position) bool {
		return slices.ContainsFunc(facts.ranges, func(r manifestRange) bool {
			return r.Timeline == p.Timeline && r.Start <= p.LSN && p.LSN <= r.End
		})
	}
	if !covers(start) || !covers(end) {
		return fmt.Errorf("backup_manifest: its ranges of the log %v do not reach from %s to %s", facts.ranges, start, end)
	}
	return nil
}

// spooled holds a manifest: in memory while it is small, else in a file
// without a name that no crash leaves behind.
type spooled struct {
	mem  bytes.Buffer
	file *os.File
	size int64
}

const spoolInMemory = 8 << 20

func (s *spooled) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.file == nil && s.mem.Len()+len(p) <= spoolInMemory {
		return s.mem.Write(p)
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "refloat-manifest-")
		if err != nil {
			return 0, fmt.Errorf("hold the manifest: %w", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, fmt.Errorf("hold the manifest: %w", err)
		}
	}
	return s.file.Write(p)
}

// reader reads it all from the beginning.
func (s *spooled) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.mem.Bytes())
	}
	rest := s.size - int64(s.mem.Len())
	return io.MultiReader(bytes.NewReader(s.mem.Bytes()), io.NewSectionReader(s.file, 0, rest))
}

func (s *spooled) close() {
	if s.file != nil {
		_ = s.file.Close() // nothing is to be kept
	}
}

// manifestWriter writes a manifest in PostgreSQL's format.
type manifestWriter struct {
	w     io.Writer
	sum   hash.Hash
	files int
	err   error
}

// newManifestWriter begins a manifest; versions before 17 do not name the system.
func newManifestWriter(w io.Writer, version target.Version, id target.SystemID) *manifestWriter {
	m := &manifestWriter{w: w, sum: sha256.New()}
	if version.Major() >= incrementalMajor {
		m.printf("{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": %s,\n\"Files\": [", id)
	} else {
		m.printf("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [")
	}
	return m
}

func (m *manifestWriter) printf(format string, args ...any) {
	if m.err != nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	m.sum.Write([]byte(text)) // never fails
	_, m.err = io.WriteString(m.w, text)
}

func (m *manifestWriter) file(name string, sum fileSum, modified time.Time) {
	field := "\"Path\": "
	if utf8.ValidString(name) {
		text, err := json.Marshal(name)
		if err != nil && m.err == nil {
			m.err = err
		}
		field += string(text)
	} else {
		field = "\"Encoded-Path\": \"" + hex.EncodeToString([]byte(name)) + "\""
	}
	sep := ",\n"
	if m.files == 0 {
		sep = "\n"
	}
	m.files++
	m.printf("%s{ %s, \"Size\": %d, \"Last-Modified\": \"%s GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"%s\" }",
		sep, field, sum.size, modified.UTC().Format(time.DateTime), formatCRC(sum.crc))
}

// finish writes the ranges of the log and the checksum.
func (m *manifestWriter) finish(ranges []manifestRange) error {
	m.printf("\n],\n\"WAL-Ranges\": [")
	for i, r := range ranges {
		sep := ",\n"
		if i == 0 {
			sep = "\n"
		}
		m.printf("%s{ \"Timeline\": %d, \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }", sep, r.Timeline, r.Start, r.End)
	}
	m.printf("\n],\n")
	sum := hex.EncodeToString(m.sum.Sum(nil))
	m.printf("\"Manifest-Checksum\": \"%s\"}\n", sum)
	if m.err != nil {
		return fmt.Errorf("write the manifest: %w", m.err)
	}
	return nil
}
