package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

// filesBackup is a base backup under way that reads the data directory on this
// host (PostgreSQL docs, "Making a Base Backup Using the Low Level API").
type filesBackup struct {
	cluster  *Cluster
	req      target.BaseBackupRequest
	sink     target.BackupSink
	conn     *pgx.Conn // held: the server gives the backup up when it ends
	server   target.Server
	facts    serverFacts
	tree     *dataTree
	verdicts *pageVerdicts
	start    target.Position
	end      target.Position
	label    string
	dirMode  fs.FileMode // of directories; of files that we make, without the bits to enter

	mu     sync.Mutex
	listed []listedFile
}

type listedFile struct {
	name     string
	sum      fileSum
	modified time.Time
}

func (c *Cluster) readFiles(parent context.Context, req target.BaseBackupRequest, sink target.BackupSink) (target.BackupEnd, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	conn, err := c.connect(ctx, "")
	if err != nil {
		return target.BackupEnd{}, err
	}
	defer closeQuietly(conn)
	b := &filesBackup{cluster: c, req: req, sink: sink, conn: conn, verdicts: newPageVerdicts()}
	if err := b.prepare(ctx); err != nil {
		return target.BackupEnd{}, err
	}
	defer b.tree.close()
	if err := b.begin(ctx); err != nil {
		return target.BackupEnd{}, err
	}
	if err := b.copyAll(ctx, cancel); err != nil {
		return target.BackupEnd{}, err
	}
	return b.finish(ctx)
}

// prepare learns of the server and makes sure that the directory is its own.
func (b *filesBackup) prepare(ctx context.Context) error {
	// A held session must outlive the copying.
	const settings = `SET search_path = pg_catalog; SET statement_timeout = 0; SET idle_session_timeout = 0; SET lock_timeout = 0`
	if _, err := b.conn.Exec(ctx, settings); err != nil {
		return fmt.Errorf("prepare the session: %w", err)
	}
	b.server.Settings = map[string]string{}
	for _, read := range []func(context.Context, *pgx.Conn, *target.Server) error{
		b.cluster.inspectSettings, inspectState, inspectTablespaces, inspectControl,
	} {
		if err := read(ctx, b.conn, &b.server); err != nil {
			return fmt.Errorf("look at the server: %w", err)
		}
	}
	if err := inspectSize(ctx, b.conn, &b.server); err != nil && !mayNotSee(err) {
		return fmt.Errorf("look at the server: %w", err)
	}
	blocks, err := strconv.ParseUint(b.server.Settings["segment_size"], 10, 32)
	if err != nil {
		return fmt.Errorf("segment_size: %w", err)
	}
	b.facts = serverFacts{
		version: b.server.Version, systemID: b.server.SystemID, segmentBlocks: uint32(blocks),
		checksums: b.server.DataChecksums, walSegment: b.server.SegmentSize,
	}
	b.dirMode = 0o700
	if mode, err := strconv.ParseUint(b.server.Settings["data_directory_mode"], 8, 32); err == nil {
		b.dirMode = fs.FileMode(mode).Perm()
	}
	return b.open(ctx)
}

func (b *filesBackup) fileMode() fs.FileMode { return b.dirMode & 0o640 }

// open opens the data directory and compares it with the server.
func (b *filesBackup) open(ctx context.Context) error {
	dir := b.server.DataDirectory
	if dir == "" {
		return errors.New("the role may not see where the data directory is: grant it pg_monitor, or use read: protocol")
	}
	elsewhere := func(why string) error {
		return fmt.Errorf("data directory %s on this host is not the server's: %s; reading files works on the server's own host only, elsewhere use read: protocol", dir, why)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return elsewhere("it does not exist")
	}
	if err != nil {
		return fmt.Errorf("open the data directory: %w (Refloat must run as the server's user, or as one of its group where the directory allows it)", err)
	}
	defer func() { _ = root.Close() }() // only read
	control, err := readControl(ctx, root)
	if err != nil {
		return err
	}
	id, catalog, err := controlIdentity(control)
	if err != nil {
		return err
	}
	if id != b.server.SystemID {
		return elsewhere(fmt.Sprintf("it belongs to system %s, the server is system %s", id, b.server.SystemID))
	}
	pid, err := root.ReadFile("postmaster.pid")
	if err != nil {
		return elsewhere("no server runs on it")
	}
	if why := otherServer(string(pid), b.server.Settings["port"], b.server.StartedAt); why != "" {
		return elsewhere(why)
	}
	b.tree, err = openTree(dir, fmt.Sprintf("PG_%d_%d", b.server.Version.Major(), catalog))
	return err
}

// startSlack is how long a server may take between noting its start in
// postmaster.pid and in pg_postmaster_start_time.
const startSlack = 2 * time.Minute

// otherServer compares postmaster.pid (its third line is the time of the start,
// the fourth the port) with the server that we speak to. A standby is the same
// system as its primary, and may well have the same directory and port on
// another host. It returns what does not fit.
func otherServer(pid, port string, started time.Time) string {
	lines := strings.Split(pid, "\n")
	if len(lines) < 4 {
		return "its postmaster.pid cannot be read"
	}
	if got := strings.TrimSpace(lines[3]); got != port {
		return fmt.Sprintf("the server that runs on it listens on port %s instead of %s", got, port)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(lines[2]), 10, 64)
	if err != nil || started.Sub(time.Unix(seconds, 0)).Abs() > startSlack {
		return "the server that runs on it was not started when the server that answers was"
	}
	return ""
}

// begin starts the backup on the server and tells the sink.
func (b *filesBackup) begin(ctx context.Context) error {
	call := "SELECT pg_backup_start($1, $2)::text"
	if b.facts.version.Major() == oldestMajor {
		call = "SELECT pg_start_backup($1, $2, false)::text"
	}
	offset, err := clockOffset(ctx, b.conn)
	if err != nil {
		return err
	}
	at := time.Now().Add(offset).UTC()
	var lsn string
	if err := b.conn.QueryRow(ctx, call, b.req.Label, b.req.FastStart).Scan(&lsn); err != nil {
		if hasCode(err, "42501") {
			err = fmt.Errorf("the role may not start a backup by itself: `refloat init --grants` prints the rights, or use read: protocol: %w", err)
		}
		return fmt.Errorf("start the backup: %w", err)
	}
	if b.start.LSN, err = target.ParseLSN(lsn); err != nil {
		return err
	}
	var timeline int64
	if err := b.conn.QueryRow(ctx, "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&timeline); err != nil {
		return fmt.Errorf("timeline of the backup: %w", err)
	}
	b.start.Timeline = target.Timeline(timeline)
	control, err := readControl(ctx, b.tree.data.root)
	if err != nil {
		return err
	}
	if redo := controlRedo(control); redo < b.start.LSN {
		return fmt.Errorf("data directory %s on this host is not the server's: its last checkpoint is at %s, the backup begins with one at %s; use read: protocol",
			b.server.DataDirectory, redo, b.start)
	}
	return b.sink.Begin(ctx, target.BackupStart{
		Position: b.start, At: at, Tablespaces: b.server.Tablespaces, EstimatedSize: b.server.Size,
	})
}

// copyAll reads all files but pg_control with several workers.
func (b *filesBackup) copyAll(ctx context.Context, cancel context.CancelCauseFunc) error {
	workers := b.req.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	jobs := make(chan foundFile, 4*workers)
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for found := range jobs {
				if ctx.Err() != nil {
					continue
				}
				if err := b.readFound(ctx, found); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := b.tree.walk(
		func(dir string) error { return b.sink.Dir(ctx, dir, b.dirMode) },
		func(found foundFile) error {
			select {
			case jobs <- found:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	close(jobs)
	done.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// finish reads pg_control, ends the backup on the server, and adds the log
// that it needs, its label and its manifest.
func (b *filesBackup) finish(ctx context.Context) (target.BackupEnd, error) {
	control, err := readControl(ctx, b.tree.data.root)
	if err != nil {
		return target.BackupEnd{}, err
	}
	now := time.Now()
	file := target.File{Path: controlFile, Mode: b.fileMode(), Size: int64(len(control)), ModTime: now}
	if err := b.deliver(ctx, file, bytes.NewReader(control)); err != nil {
		return target.BackupEnd{}, err
	}
	if err := b.stop(ctx); err != nil {
		return target.BackupEnd{}, err
	}
	offset, err := clockOffset(ctx, b.conn)
	if err != nil {
		return target.BackupEnd{}, err
	}
	at := time.Now().Add(offset).UTC()
	label := []byte(b.label)
	if err := b.deliver(ctx, target.File{Path: labelFile, Mode: b.fileMode(), Size: int64(len(label)), ModTime: now}, bytes.NewReader(label)); err != nil {
		return target.BackupEnd{}, err
	}
	ranges, err := b.copyLog(ctx)
	if err != nil {
		return target.BackupEnd{}, err
	}
	if err := b.manifest(ctx, now, ranges); err != nil {
		return target.BackupEnd{}, err
	}
	findings, torn := b.verdicts.result(b.start.LSN, b.end.LSN)
	return target.BackupEnd{Position: b.end, At: at, Findings: findings, TornPages: torn}, nil
}

// stop ends the backup on the server. Its log is copied by us, so it does not
// wait for its own archiving.
func (b *filesBackup) stop(ctx context.Context) error {
	call := "SELECT lsn::text, labelfile FROM pg_backup_stop(false)"
	if b.facts.version.Major() == oldestMajor {
		call = "SELECT lsn::text, labelfile FROM pg_stop_backup(false, false)"
	}
	var lsn string
	if err := b.conn.QueryRow(ctx, call).Scan(&lsn, &b.label); err != nil {
		return fmt.Errorf("stop the backup: %w", err)
	}
	var err error
	if b.end.LSN, err = target.ParseLSN(lsn); err != nil {
		return err
	}
	b.end.Timeline = b.start.Timeline
	if !b.server.InRecovery {
		return nil
	}
	var timeline int64
	if err := b.conn.QueryRow(ctx, "SELECT min_recovery_end_timeline FROM pg_control_recovery()").Scan(&timeline); err != nil {
		return fmt.Errorf("timeline of the backup's end: %w", err)
	}
	if timeline > 0 {
		b.end.Timeline = target.Timeline(timeline)
	}
	return nil
}

// manifest writes the list of all files as the server would have.
func (b *filesBackup) manifest(ctx context.Context, at time.Time, ranges []manifestRange) error {
	slices.SortFunc(b.listed, func(x, y listedFile) int { return cmp.Compare(x.name, y.name) })
	var held spooled
	defer held.close()
	w := newManifestWriter(&held, b.facts.version, b.facts.systemID)
	for _, f := range b.listed {
		w.file(f.name, f.sum, f.modified)
	}
	if err := w.finish(ranges); err != nil {
		return err
	}
	err := b.sink.File(ctx, target.File{Path: manifestFile, Mode: b.fileMode(), Size: held.size, ModTime: at}, held.reader())
	if err != nil {
		return fmt.Errorf("%s: %w", manifestFile, err)
	}
	return nil
}
