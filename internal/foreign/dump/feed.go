package dump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"syscall"
)

// errCutOff: a dump breaks off in the middle of its compression.
var errCutOff = errors.New("it is cut off")

// refusedError is something in a dump that is not loaded: pg_dump never writes
// it, and it would reach out of the scratch server.
type refusedError struct {
	line int
	text string
}

func (e refusedError) Error() string {
	return fmt.Sprintf("line %d, %.80q, is nothing that pg_dump writes; it is not loaded", e.line, e.text)
}

// ending is what a feed knows at its end.
type ending struct{ whole bool }

var (
	makesSpace = regexp.MustCompile(`^(CREATE TABLESPACE .+ LOCATION ')((?:[^']|'')*)(';\s*)$`)
	// A database's name alone: anything else may name another server.
	plainConnect = regexp.MustCompile(`^\\connect (?:-reuse-previous=on "dbname='[^'"=]*'"|"[^"=:/]*"|[^\s"=:/]+)\s*$`)
	harmless     = regexp.MustCompile(`^\\(restrict|unrestrict) [A-Za-z0-9]+\s*$`)
)

// feed writes a plain dump to psql, with tablespaces inside the scratch
// directory.
func (l Loader) feed(path string, w io.Writer) (ending, error) {
	in, done, err := open(path)
	if err != nil {
		return ending{}, err
	}
	defer done()
	f := feeder{l: l, w: w}
	r := bufio.NewReaderSize(in, 1<<20)
	for begins := true; ; {
		part, err := r.ReadSlice('\n')
		if len(part) > 0 {
			if ferr := f.part(part, begins); ferr != nil {
				return ending{}, ferr
			}
			begins = part[len(part)-1] == '\n'
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return ending{whole: endsWell(f.last[:f.kept])}, nil
		default:
			return ending{}, fmt.Errorf("%w: %w", errCutOff, err)
		}
	}
}

type feeder struct {
	l      Loader
	w      io.Writer
	line   int
	inCopy bool
	spaces int
	gone   bool // psql ended; the rest is read for how it ends
	last   [4096]byte
	kept   int
}

// part passes on a line, or the part of one that fits the buffer.
func (f *feeder) part(b []byte, begins bool) error {
	f.kept = keep(f.last[:], f.kept, b)
	if begins {
		f.line++
		switch {
		case f.inCopy:
			f.inCopy = !bytes.Equal(bytes.TrimRight(b, "\r\n"), []byte(`\.`))
		case bytes.HasPrefix(b, []byte("COPY ")) && bytes.HasSuffix(bytes.TrimRight(b, "\r\n"), []byte(" FROM stdin;")):
			f.inCopy = true
		case b[0] == '\\' && !plainConnect.Match(b) && !harmless.Match(b):
			return refusedError{f.line, strings.TrimSpace(string(b))}
		case bytes.HasPrefix(b, []byte("CREATE TABLESPACE ")):
			var err error
			if b, err = f.space(b); err != nil {
				return err
			}
		}
	}
	if f.gone {
		return nil
	}
	_, err := f.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		f.gone, err = true, nil
	}
	return err
}

func (f *feeder) space(b []byte) ([]byte, error) {
	m := makesSpace.FindSubmatch(b)
	if m == nil {
		return nil, refusedError{f.line, strings.TrimSpace(string(b))}
	}
	f.spaces++
	dir, err := f.l.Work.Folder(fmt.Sprintf("tablespace-%d-%d", f.line, f.spaces))
	if err != nil {
		return nil, err
	}
	return []byte(string(m[1]) + strings.ReplaceAll(dir, "'", "''") + string(m[3])), nil
}
