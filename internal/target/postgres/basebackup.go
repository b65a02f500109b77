package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	oldestMajor = 14
	newestMajor = 18 // the newest that this was tried with
	killTimeout = 3 * time.Second
	lookTimeout = 10 * time.Second

	stallTimeout = 10 * time.Minute
	// Before the first byte the server makes a checkpoint, spread over up to
	// checkpoint_timeout when no fast one was asked for; nothing is sent meanwhile.
	beginTimeout = 2 * time.Hour
)

// BaseBackup reads a base backup from the server into sink: over the
// replication protocol, or from the data directory on this host when
// req.ReadFiles (docs/decisions/003-base-backup-protocol.md). Pages with a
// wrong checksum are findings; a file that arrives otherwise than the manifest
// says is an error. target.ErrNoIncremental when req.PrevManifest is given and
// the server cannot say what changed. When ctx ends the server stops too.
func (c *Cluster) BaseBackup(ctx context.Context, req target.BaseBackupRequest, sink target.BackupSink) (target.BackupEnd, error) {
	var end target.BackupEnd
	var err error
	if req.ReadFiles {
		end, err = c.readFiles(ctx, req, sink)
	} else {
		end, err = c.streamBackup(ctx, req, sink)
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return target.BackupEnd{}, fmt.Errorf("base backup: %w", context.Cause(ctx))
	case err != nil:
		return target.BackupEnd{}, fmt.Errorf("base backup: %w", err)
	}
	return end, nil
}

// serverFacts are what a backup must know of the server.
type serverFacts struct {
	version       target.Version
	systemID      target.SystemID
	segmentBlocks uint32 // blocks in each file of a relation
	checksums     bool
	walSegment    int64 // bytes
}

// replicationFacts reads them over a replication connection.
func replicationFacts(ctx context.Context, conn *pgconn.PgConn) (serverFacts, error) {
	var f serverFacts
	shown := map[string]string{}
	for _, name := range []string{"server_version_num", "block_size", "segment_size", "data_checksums", "wal_segment_size"} {
		v, err := showSetting(ctx, conn, name)
		if err != nil {
			return f, err
		}
		shown[name] = v
	}
	n, err := strconv.Atoi(shown["server_version_num"])
	if err != nil {
		return f, fmt.Errorf("server_version_num %q: %w", shown["server_version_num"], err)
	}
	f.version = target.Version(n)
	if err := checkServer(f.version, shown["block_size"]); err != nil {
		return f, err
	}
	segment, err := parseSize(shown["segment_size"])
	if err != nil {
		return f, fmt.Errorf("segment_size: %w", err)
	}
	f.segmentBlocks = uint32(segment / target.PageSize)
	if f.walSegment, err = parseSize(shown["wal_segment_size"]); err != nil {
		return f, fmt.Errorf("wal_segment_size: %w", err)
	}
	f.checksums = shown["data_checksums"] == "on"
	res, err := conn.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err != nil || len(res) != 1 || len(res[0].Rows) != 1 || len(res[0].Rows[0]) < 1 {
		return f, errors.Join(errors.New("identify system: unexpected answer"), err)
	}
	f.systemID, err = parseSystemID(string(res[0].Rows[0][0]))
	return f, err
}

// checkServer refuses servers that cannot be backed up rightly.
func checkServer(v target.Version, blockSize string) error {
	if v.Major() < oldestMajor {
		return fmt.Errorf("the server is PostgreSQL %s; Refloat needs %d or later", v, oldestMajor)
	}
	if blockSize != strconv.Itoa(target.PageSize) {
		return fmt.Errorf("the server was built with a block size of %s bytes; Refloat knows only %d", blockSize, target.PageSize)
	}
	return nil
}

// glance is what an ordinary connection tells beside the backup.
type glance struct {
	offset time.Duration // server's clock minus ours
	names  map[uint32]string
}

// look asks for the server's clock and the names of tablespaces. A backup does
// not fail for want of them.
func (c *Cluster) look(ctx context.Context) (glance, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := c.connect(ctx, "")
	if err != nil {
		return glance{}, err
	}
	defer closeQuietly(conn)
	g := glance{names: map[uint32]string{}}
	if g.offset, err = clockOffset(ctx, conn); err != nil {
		return g, err
	}
	rows, err := conn.Query(ctx, "SELECT oid, spcname FROM pg_catalog.pg_tablespace")
	if err != nil {
		return g, fmt.Errorf("names of tablespaces: %w", err)
	}
	var oid uint32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&oid, &name}, func() error { g.names[oid] = name; return nil })
	return g, err
}

// clockOffset is the server's clock minus ours, at half the shortest of a few
// round trips.
func clockOffset(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	var offset, best time.Duration
	for i := range 3 {
		sent := time.Now()
		var at time.Time
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&at); err != nil {
			return 0, fmt.Errorf("ask the server's clock: %w", err)
		}
		if trip := time.Since(sent); i == 0 || trip < best {
			best, offset = trip, at.Sub(sent.Add(trip/2))
		}
	}
	return offset, nil
}

// command is BASE_BACKUP with its options (PostgreSQL docs, "Streaming
// Replication Protocol"; the older form up to 14). The log that the backup
// needs comes with it, so the server need not wait for its own archiving.
func command(v target.Version, req target.BaseBackupRequest) string {
	label := "'" + strings.ReplaceAll(req.Label, "'", "''") + "'"
	if v.Major() == oldestMajor {
		fast := ""
		if req.FastStart {
			fast = " FAST"
		}
		return "BASE_BACKUP LABEL " + label + " PROGRESS" + fast + " WAL NOWAIT TABLESPACE_MAP MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'"
	}
	checkpoint := "spread"
	if req.FastStart {
		checkpoint = "fast"
	}
	incremental := ""
	if req.PrevManifest != nil {
		incremental = ", INCREMENTAL"
	}
	return "BASE_BACKUP (LABEL " + label + ", PROGRESS true, CHECKPOINT '" + checkpoint +
		"', WAL true, WAIT false, TABLESPACE_MAP true, VERIFY_CHECKSUMS true, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C'" + incremental + ")"
}

// connMessages reads messages of a connection; whoever gives up closes it. A
// server that is silent for too long (stopped, or its disk hangs) is given up:
// TCP alone would wait for it without end.
type connMessages struct {
	conn    *pgconn.PgConn
	fail    context.CancelCauseFunc
	allowed time.Duration // silence, now
	stall   time.Duration // silence, once data has begun to arrive
}

// Receive counts only its own waiting as silence, and not the time that the
// receiver takes to digest.
func (m *connMessages) Receive() (pgproto3.BackendMessage, error) {
	silence := time.AfterFunc(m.allowed, func() {
		m.fail(fmt.Errorf("%w: nothing arrived for %s; is it stopped, or its disk stuck?", target.ErrStalled, m.allowed))
	})
	defer silence.Stop()
	msg, err := m.conn.ReceiveMessage(context.Background())
	if _, begins := msg.(*pgproto3.CopyOutResponse); begins {
		m.allowed = m.stall
	}
	return msg, err
}

// protocolBackup is a base backup over the protocol under way.
type protocolBackup struct {
	cluster *Cluster
	req     target.BaseBackupRequest
	sink    target.BackupSink
	facts   serverFacts
	glance  glance
	files   *fileReceiver
	pipe    *backupPipe
	held    spooled // the manifest
	start   streamStart
	took    chan error // the consumer's result
}

func (c *Cluster) streamBackup(parent context.Context, req target.BaseBackupRequest, sink target.BackupSink) (target.BackupEnd, error) {
	conn, err := c.connectReplication(parent, "")
	if err != nil {
		return target.BackupEnd{}, err
	}
	defer closeReplication(conn)
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(killed); kill(conn) })
	settled := false
	defer func() {
		if !settled && !stop() {
			<-killed // the server's side has been told
		}
	}()
	b := &protocolBackup{cluster: c, req: req, sink: sink, took: make(chan error, 1)}
	defer b.held.close()
	if b.facts, err = replicationFacts(ctx, conn); err != nil {
		return target.BackupEnd{}, err
	}
	if b.glance, err = c.look(ctx); err != nil {
		c.log.Debug("the backup goes on without the server's clock and tablespace names", "error", err)
	}
	verdicts := newPageVerdicts()
	b.files = &fileReceiver{
		sink: sink, checksums: b.facts.checksums, segmentBlocks: b.facts.segmentBlocks,
		incremental: req.PrevManifest != nil, verdicts: verdicts, files: map[string]fileSum{},
	}
	b.pipe = newBackupPipe(ctx)
	end, err := b.receive(ctx, fail, conn)
	if err != nil {
		return target.BackupEnd{}, err
	}
	settled = stop() // nothing is left to stop
	return b.finish(ctx, end)
}

// kill makes the server give the backup up, whatever it is doing, and ends the
// connection.
func kill(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	_ = conn.CancelRequest(ctx) // closing the connection does the same, later
	_ = conn.Conn().Close()     // it may be closed already
}

// receive runs the command: this goroutine reads from the network while
// another hands files to the sink.
func (b *protocolBackup) receive(ctx context.Context, fail context.CancelCauseFunc, conn *pgconn.PgConn) (target.Position, error) {
	if b.req.PrevManifest != nil {
		if b.facts.version.Major() < incrementalMajor {
			return target.Position{}, fmt.Errorf("PostgreSQL %s: %w", b.facts.version, target.ErrNoIncremental)
		}
		if err := uploadManifest(ctx, conn, b.req.PrevManifest); err != nil {
			return target.Position{}, noIncremental(err)
		}
	}
	conn.Frontend().SendQuery(&pgproto3.Query{String: command(b.facts.version, b.req)})
	if err := conn.Frontend().Flush(); err != nil {
		return target.Position{}, err
	}
	return b.collect(ctx, fail, &connMessages{conn: conn, fail: fail, allowed: max(beginTimeout, b.cluster.stall), stall: b.cluster.stall})
}

// collect takes the answer to the command.
func (b *protocolBackup) collect(ctx context.Context, fail context.CancelCauseFunc, msgs messages) (target.Position, error) {
	s := &backupStream{
		msgs: msgs, legacy: b.facts.version.Major() == oldestMajor, manifest: true,
		pipe: b.pipe, verdicts: b.files.verdicts, log: b.cluster.log,
		begin: func(start streamStart) error { return b.begin(ctx, fail, start) },
	}
	end, err := s.run()
	if err != nil {
		if !s.begun && b.req.PrevManifest != nil {
			err = noIncremental(err)
		}
		fail(err)
	}
	b.pipe.close(err)
	if s.begun && b.start.position.Timeline != 0 {
		if terr := <-b.took; terr != nil {
			fail(terr)
		}
	}
	if ctx.Err() != nil {
		return end, context.Cause(ctx) // what went wrong first
	}
	return end, nil
}

func noIncremental(err error) error {
	if refusesIncremental(err) {
		return fmt.Errorf("%w: %w", target.ErrNoIncremental, err)
	}
	return err
}

// begin tells the sink and starts the consumer.
func (b *protocolBackup) begin(ctx context.Context, fail context.CancelCauseFunc, start streamStart) error {
	for i, t := range start.tablespaces {
		start.tablespaces[i].Name = b.glance.names[t.OID]
	}
	b.files.verdicts.tablespaces(start.tablespaces)
	told := target.BackupStart{
		Position: start.position, At: time.Now().Add(b.glance.offset).UTC(), Tablespaces: start.tablespaces,
		EstimatedSize: start.size, Incremental: b.req.PrevManifest != nil,
	}
	if told.Incremental {
		told.EstimatedSize = 0 // the server's estimate is of the whole cluster
	}
	if err := b.sink.Begin(ctx, told); err != nil {
		return err
	}
	b.start = start
	go func() {
		err := b.consume(ctx)
		if err != nil {
			fail(err)
		}
		b.took <- err
	}()
	return nil
}

// consume hands archive after archive to the sink.
func (b *protocolBackup) consume(ctx context.Context) error {
	for {
		a, err := b.pipe.nextArchive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if a.manifest {
			_, err = io.Copy(&b.held, b.pipe)
		} else {
			err = b.files.archive(ctx, a.oid, b.pipe)
		}
		if err != nil {
			return err
		}
	}
}

// finish checks what arrived against the manifest and hands that over.
func (b *protocolBackup) finish(ctx context.Context, end target.Position) (target.BackupEnd, error) {
	offset := b.glance.offset
	if g, err := b.cluster.look(ctx); err == nil {
		offset = g.offset
	}
	at := time.Now().Add(offset).UTC()
	if err := checkManifest(b.held.reader(), b.files.files, b.facts.systemID, b.start.position, end); err != nil {
		return target.BackupEnd{}, err
	}
	f := target.File{Path: manifestFile, Mode: 0o600, Size: b.held.size, ModTime: at}
	if err := b.sink.File(ctx, f, b.held.reader()); err != nil {
		return target.BackupEnd{}, fmt.Errorf("%s: %w", manifestFile, err)
	}
	findings, torn := b.files.verdicts.result(b.start.position.LSN, end.LSN)
	return target.BackupEnd{Position: end, At: at, Findings: findings, TornPages: torn}, nil
}
