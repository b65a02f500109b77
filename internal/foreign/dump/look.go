package dump

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/refloat-db/refloat/internal/foreign"
)

const headBytes = 64 << 10

// file looks into a file; false when it is nothing that PostgreSQL made, and
// nothing that pretends to be.
func (l *looker) file(ctx context.Context, x *foreign.File) bool {
	f, err := os.Open(x.Path)
	if err != nil {
		x.Unread = err.Error()
		return true
	}
	defer func() { _ = f.Close() }() // read only
	in := bufio.NewReaderSize(f, headBytes)
	magic, _ := in.Peek(512)
	r, packed, err := unpack(in, magic)
	x.Packed = packed
	switch {
	case packed == "encrypted" || packed == "xz" || packed == "lz4":
		x.Unread = "it is packed with " + packed + ", which is not looked into"
		if packed == "encrypted" {
			x.Unread = "it is encrypted"
		}
		return true
	case err != nil:
		x.Problem = fmt.Sprintf("it cannot be unpacked: %v", err)
		return true
	}
	body := bufio.NewReaderSize(r, headBytes)
	head, err := body.Peek(headBytes)
	switch {
	case len(head) == 0 && (err == nil || errors.Is(err, io.EOF)):
		x.Problem = fmt.Sprintf("its %d bytes unpack to nothing", x.Bytes)
	case len(head) == 0 || err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
		x.Problem = fmt.Sprintf("it breaks off: %v", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("PGDMP")):
		x.Form = foreign.Custom
		if x.Packed != "" {
			x.Unread = "an archive of pg_dump inside " + x.Packed + " is not looked into"
			return true
		}
		l.archive(ctx, x)
	case len(head) > 265 && string(head[257:262]) == "ustar" && bytes.HasPrefix(head, []byte("toc.dat")):
		x.Form = foreign.Tar
		l.archive(ctx, x)
	case bytes.Contains(head, []byte("-- PostgreSQL database")):
		x.Form = foreign.Plain
		l.plain(x, body, head)
	case x.Problem != "":
	case says.Match(head):
		x.Problem = "it holds an error message instead of a dump: " + strings.TrimSpace(string(firstLine(head)))
	default:
		return dumpName.MatchString(x.Path) && notDump(x)
	}
	return true
}

var (
	says     = regexp.MustCompile(`(?i)^[^\n]{0,200}(error|fatal|failed|not found|no such|denied|refused|cannot|could not)\b`)
	dumpName = regexp.MustCompile(`(?i)\.(dump|pgdump)$|dump[^/]*\.(sql|gz|zst)`)
)

func notDump(x *foreign.File) bool {
	x.Problem = "by its name it is a dump, and by its content none that pg_dump made"
	return true
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return line[:min(len(line), 200)]
}

// unpack undoes a compression that it knows.
func unpack(r io.Reader, magic []byte) (io.Reader, string, error) {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return z, "gzip", err
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		return z, "zstd", err
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(r), "bzip2", nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ")):
		return r, "xz", nil
	case bytes.HasPrefix(magic, []byte{0x04, 0x22, 0x4d, 0x18}):
		return r, "lz4", nil
	case bytes.HasPrefix(magic, []byte("age-encryption.org/")), bytes.HasPrefix(magic, []byte("-----BEGIN PGP MESSAGE")),
		bytes.HasPrefix(magic, []byte("-----BEGIN AGE")), bytes.HasPrefix(magic, []byte("Salted__")), len(magic) > 0 && (magic[0] == 0x85 || magic[0] == 0x8c || magic[0] == 0xc1):
		return r, "encrypted", nil
	}
	return r, "", nil
}

var (
	dumpedFrom = regexp.MustCompile(`-- Dumped from database version (\d+)`)
	dumpedBy   = regexp.MustCompile(`-- Dumped by pg_dump(?:all)? version (\d+)`)
	connects   = regexp.MustCompile(`(?m)^\\connect (?:-reuse-previous=on )?"?(?:dbname=')?([^"'\n ]+)`)
)

// plain reads SQL to its end, when the budget allows: only its last line says
// that nothing is missing.
func (l *looker) plain(x *foreign.File, r io.Reader, head []byte) {
	x.Server, x.Client = major(dumpedFrom, head), major(dumpedBy, head)
	x.Filtered = bytes.Contains(head, []byte("SET row_security = on;"))
	if m := connects.FindSubmatch(head); m != nil && !bytes.Contains(head, []byte("database cluster dump")) {
		x.Database = string(m[1])
	}
	x.Globals = bytes.Contains(head, []byte("\nCREATE ROLE "))
	if x.Problem != "" {
		x.Problem = "it is cut off: " + strings.TrimPrefix(x.Problem, "it breaks off: ")
		return
	}
	if x.Bytes > l.left {
		x.Unread = fmt.Sprintf("its %d MiB are not read to their end here; refloat drill --from dump:%s does", x.Bytes>>20, x.Path)
		if x.Packed == "" && !endsWell(tail(x.Path)) {
			x.Unread, x.Problem = "", cutOff
		}
		return
	}
	l.left -= x.Bytes
	s := bufio.NewReaderSize(r, 1<<20)
	x.Tables = 0
	var last [4096]byte
	kept := 0
	for {
		line, err := s.ReadSlice('\n')
		if bytes.HasPrefix(line, []byte("COPY ")) || bytes.HasPrefix(line, []byte("INSERT INTO ")) {
			x.Tables++
		}
		x.Globals = x.Globals || bytes.HasPrefix(line, []byte("CREATE ROLE "))
		kept = keep(last[:], kept, line)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			x.Problem = "it is cut off: " + err.Error()
			return
		}
	}
	if !endsWell(last[:kept]) {
		x.Problem = cutOff
	}
}

const cutOff = "it is cut off: the line that ends each dump, \"PostgreSQL database dump complete\", is missing"

// keep holds the last bytes that were read.
func keep(last []byte, n int, more []byte) int {
	if len(more) >= len(last) {
		return copy(last, more[len(more)-len(last):])
	}
	if over := n + len(more) - len(last); over > 0 {
		n = copy(last, last[over:n])
	}
	return n + copy(last[n:], more)
}

func endsWell(last []byte) bool {
	return bytes.Contains(last, []byte("-- PostgreSQL database dump complete")) || bytes.Contains(last, []byte("-- PostgreSQL database cluster dump complete"))
}

// tail is the end of a file that is not packed.
func tail(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // read only
	if _, err := f.Seek(-4096, io.SeekEnd); err != nil {
		return nil
	}
	b, _ := io.ReadAll(f)
	return b
}

func major(re *regexp.Regexp, text []byte) int {
	m := re.FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1])) // digits
	return n
}

var (
	tocDatabase = regexp.MustCompile(`(?m)^;\s+dbname: (.*)$`)
	tocServer   = regexp.MustCompile(`(?m)^;\s+Dumped from database version: (\d+)`)
	tocClient   = regexp.MustCompile(`(?m)^;\s+Dumped by pg_dump version: (\d+)`)
	tocData     = regexp.MustCompile(`(?m)^\d+; .* TABLE DATA `)
)

// archive asks pg_restore for the table of contents of an archive, and lets it
// read all of it to nowhere: the contents alone say nothing of what follows.
func (l *looker) archive(ctx context.Context, x *foreign.File) {
	out, errs, code, err := l.o.Run(ctx, nil, l.restore, "--list", x.Path)
	switch {
	case err != nil:
		x.Unread = err.Error()
		return
	case code != 0 && strings.Contains(string(errs), "unsupported version"):
		x.Unread = foreign.LastLine(errs)
		return
	case code != 0:
		x.Problem = "pg_restore cannot read it: " + foreign.LastLine(errs)
		return
	}
	x.Server, x.Client, x.Tables = major(tocServer, out), major(tocClient, out), int64(len(tocData.FindAll(out, -1)))
	if m := tocDatabase.FindSubmatch(out); m != nil {
		x.Database = strings.TrimSpace(string(m[1]))
	}
	if x.Bytes > l.left {
		x.Unread = fmt.Sprintf("its %d MiB are not read to their end here; refloat drill --from dump:%s does", x.Bytes>>20, x.Path)
		return
	}
	l.left -= x.Bytes
	switch _, errs, code, err = l.o.Run(ctx, nil, l.restore, "--file=/dev/null", x.Path); {
	case err != nil:
		x.Unread = err.Error()
	case code != 0:
		x.Problem = "pg_restore cannot read it to its end: " + foreign.LastLine(errs)
	}
}
