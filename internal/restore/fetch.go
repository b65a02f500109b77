package restore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// What log-fetch tells the server that recovers, by its exit code. PostgreSQL
// takes 1 to 125 for "there is no such file", which ends recovery as if all
// were well, and more than 125 for a reason to abort.
const (
	FetchOK    = 0
	FetchEnd   = 1
	FetchAbort = 200
)

// SocketName is where, in a data directory, log-serve listens for log-fetch.
// It is short because the path of a socket is limited to 107 bytes, and
// relative to the data directory, in which restore_command runs.
const SocketName = "pg_wal/.refloat.sock"

var fileName = regexp.MustCompile(`^([0-9A-F]{24}|[0-9A-F]{8}\.history|[0-9A-F]{24}\.[0-9A-F]{8}\.backup)$`)

// FetchOptions are one call of restore_command.
type FetchOptions struct {
	Name   string // %f
	Dest   string // %p
	Socket string
	Until  target.LSN // the log is cut off here; 0 for nowhere
	// AtLeast is how far the log was known to reach when the restore was
	// planned: one that ends before has lost something, and recovery is aborted.
	// The zero value asks for nothing.
	AtLeast     target.Position
	SegmentSize int64 // of the cluster; needed for AtLeast
	// Spawn starts a log-serve that outlives this process; nil where one must
	// be there already.
	Spawn func() error
	// Fetch reads the file directly, for when there is no log-serve; nil where
	// there must be one.
	Fetch  func(ctx context.Context, name string) ([]byte, error)
	Stderr io.Writer // the server's log
}

// Fetch brings one file of the log to where recovery wants it and returns the
// exit code. Only a true end of the log is an end; everything else aborts.
func Fetch(ctx context.Context, o FetchOptions) int {
	content, err := obtain(ctx, o)
	err = notBefore(o, err)
	if err == nil {
		content, err = cutOff(o.Name, content, o.Until)
	}
	if err == nil {
		err = deliver(o.Dest, content)
	}
	switch {
	case err == nil:
		return FetchOK
	case errors.Is(err, backup.ErrEndOfLog):
		return FetchEnd
	default:
		fmt.Fprintf(o.Stderr, "refloat: %s: %v; recovery is aborted, since going on would lose what the log holds\n", o.Name, err)
		return FetchAbort
	}
}

// notBefore turns an end of the log that comes too early into a loss.
func notBefore(o FetchOptions, err error) error {
	if !errors.Is(err, backup.ErrEndOfLog) || o.AtLeast.Timeline == 0 || len(o.Name) != 24 {
		return err
	}
	seg, perr := target.ParseSegmentName(o.Name, o.SegmentSize)
	if perr != nil {
		return perr
	}
	if seg.Timeline == o.AtLeast.Timeline && seg.Start() < o.AtLeast.LSN {
		return fmt.Errorf("the log reached %s when this restore was planned, and now ends before segment %s", o.AtLeast, o.Name)
	}
	return err
}

func obtain(ctx context.Context, o FetchOptions) ([]byte, error) {
	if !fileName.MatchString(o.Name) {
		return nil, fmt.Errorf("%q is no file of the log", o.Name)
	}
	if strings.HasSuffix(o.Name, ".backup") {
		return nil, backup.ErrEndOfLog // kept by archives only, and of no use to recovery
	}
	content, err := ask(ctx, o.Socket, o.Name)
	if err == nil || !errors.Is(err, errNobody) {
		return content, err
	}
	if o.Spawn != nil {
		if spawned := o.Spawn(); spawned == nil {
			if content, err = askSoon(ctx, o.Socket, o.Name); err == nil || !errors.Is(err, errNobody) {
				return content, err
			}
		}
	}
	if o.Fetch == nil {
		return nil, err
	}
	return o.Fetch(ctx, o.Name)
}

// errNobody: the question could not be put, so somebody else may be asked.
var errNobody = errors.New("nobody serves the log")

// askSoon asks a log-serve that is just starting.
func askSoon(ctx context.Context, socket, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := ask(ctx, socket, name)
		if err == nil || !errors.Is(err, errNobody) {
			return content, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// ask puts one question to a log-serve. The protocol: the client sends the
// file's name and a newline; the answer is a line "OK LENGTH", "END TEXT" or
// "BROKEN TEXT", and after OK the bytes.
func ask(ctx context.Context, socket, name string) ([]byte, error) {
	if socket == "" {
		return nil, errNobody
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(c, name+"\n"); err != nil {
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	}
	r := bufio.NewReaderSize(c, 1<<16)
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%w: it hung up: %w", errNobody, err)
	}
	word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	switch word {
	case "OK":
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil || n < 0 || n > 1<<30 {
			return nil, fmt.Errorf("the log server answered %q", line)
		}
		content := make([]byte, n)
		if _, err := io.ReadFull(r, content); err != nil {
			return nil, fmt.Errorf("%w: it hung up: %w", errNobody, err)
		}
		return content, nil
	case "END":
		return nil, fmt.Errorf("%w: %s", backup.ErrEndOfLog, rest)
	default:
		return nil, errors.New(rest)
	}
}

// cutOff ends the log at until: the bytes after it become zeros, which is how
// a log that ends in a segment looks, and later segments are not there.
func cutOff(name string, content []byte, until target.LSN) ([]byte, error) {
	if until == 0 || len(name) != 24 {
		return content, nil
	}
	seg, err := target.ParseSegmentName(name, int64(len(content)))
	if err != nil {
		return nil, err
	}
	if seg.Start() >= until {
		return nil, fmt.Errorf("%w: the restore is to end at %s", backup.ErrEndOfLog, until)
	}
	if until < seg.End() {
		clear(content[until-seg.Start():])
	}
	return content, nil
}

// deliver writes the file where recovery wants it, whole or not at all.
func deliver(dest string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(dest), ".refloat-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), dest)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
