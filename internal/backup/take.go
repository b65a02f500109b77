package backup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// keptSettings are those that a restored server must have at least, or that
// explain the cluster (PostgreSQL docs, "Hot Standby", administrator's
// overview).
var keptSettings = [...]string{
	"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
	"max_locks_per_transaction", "wal_level", "wal_segment_size", "block_size", "data_checksums",
	"track_commit_timestamp", "wal_log_hints", "full_page_writes", "fsync", "server_encoding",
	"lc_collate", "lc_ctype", "shared_preload_libraries", "data_directory_mode", "archive_mode", "synchronous_standby_names",
}

// taking is one base backup under way.
type taking struct {
	cat    *Catalogue
	src    Source
	o      TakeOptions
	log    *slog.Logger
	server target.Server
	known  []Backup
	began  time.Time
}

// Take takes a base backup. On any error nothing of it is visible. Page
// findings do not fail it; they are in the entry.
func (c *Catalogue) Take(ctx context.Context, src Source, o TakeOptions) (Backup, error) {
	t := &taking{cat: c, src: src, o: o, log: o.Logger, began: time.Now()}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.log = t.log.With("target", string(o.Target))
	var err error
	if t.server, err = src.Inspect(ctx); err != nil {
		return Backup{}, fmt.Errorf("inspect %s: %w", o.Target, err)
	}
	if t.known, err = c.List(ctx, o.Target); err != nil {
		return Backup{}, err
	}
	if err := t.checkCluster(ctx); err != nil {
		return Backup{}, err
	}
	plan := decide(t.known, t.server, o)
	b, err := t.attempt(ctx, plan)
	if errors.Is(err, target.ErrNoIncremental) && plan.server {
		t.log.Info("the server cannot say what changed; comparing pages instead", "reason", err)
		plan.server = false
		b, err = t.attempt(ctx, plan)
	}
	if err != nil {
		return Backup{}, fmt.Errorf("base backup of %s: %w", o.Target, err)
	}
	return b, nil
}

// checkCluster refuses a server that is not the one whose backups and log the
// target has: its pages and log would not fit together.
func (t *taking) checkCluster(ctx context.Context) error {
	refuse := func(what string, id target.SystemID) error {
		return fmt.Errorf("target %s: the server has system identifier %s, but %s has %s: %w; check the DSN, or give the new cluster a target name of its own",
			t.o.Target, t.server.SystemID, what, id, ErrWrongCluster)
	}
	for _, b := range slices.Backward(t.known) {
		if b.SystemID != t.server.SystemID {
			return refuse("backup "+b.ID, b.SystemID)
		}
	}
	pos, err := (&Log{Repo: t.cat.Repo, Target: t.o.Target}).Position(ctx)
	switch {
	case errors.Is(err, repository.ErrNotFound):
		return nil
	case errors.Is(err, ErrLogBroken):
		t.log.Warn("the log's position cannot be read; backing up all the same", "error", err)
		return nil
	case err != nil:
		return fmt.Errorf("read the log's position: %w", err)
	case pos.SystemID != t.server.SystemID:
		return refuse("the log", pos.SystemID)
	}
	return nil
}

// attempt takes the backup by a plan and commits it.
func (t *taking) attempt(ctx context.Context, plan takePlan) (b Backup, err error) {
	var base *base
	if plan.parent != nil {
		base, err = t.cat.openBase(ctx, *plan.parent, plan.server)
		if ctx.Err() != nil {
			return Backup{}, context.Cause(ctx)
		}
		if err != nil {
			t.log.Warn("the newest backup cannot be built on; taking a full", "backup", plan.parent.ID, "error", err)
			plan = takePlan{why: fmt.Sprintf("backup %s cannot be read", plan.parent.ID)}
			base = nil
		}
	}
	t.log.Info("base backup begins", "kind", plan.kind(), "reason", plan.why)
	t.tell(Progress{Phase: "checkpoint"})
	w, err := t.cat.Repo.NewWriter(ctx, "base backup of "+string(t.o.Target))
	if err != nil {
		return Backup{}, err
	}
	defer func() {
		// After a commit this does nothing; after a failure the caller's context
		// may be over, and the session must end all the same.
		if aerr := w.Abort(context.WithoutCancel(ctx)); aerr != nil && err == nil {
			err = fmt.Errorf("end the write session: %w", aerr)
		}
	}()
	s := newSink(ctx, w, base.pageTable(), t.o)
	defer s.abort()
	s.below = t.below(plan)
	if n, err := strconv.ParseInt(t.server.Settings["segment_size"], 10, 64); err == nil && n > 0 {
		s.visible.segmentBlocks = n // pg_settings gives it in blocks
	}
	end, err := t.src.BaseBackup(ctx, t.request(ctx, plan, base), s)
	if err != nil {
		if serr := s.failed(); serr != nil && ctx.Err() == nil {
			err = serr // what went wrong first; the source says it second
		}
		return Backup{}, err
	}
	tree, err := s.finish()
	if err != nil {
		return Backup{}, err
	}
	if err := t.complete(s, end); err != nil {
		return Backup{}, err
	}
	b = t.entry(plan, s, end)
	return t.commit(ctx, w, b, tree)
}

func (p takePlan) kind() Kind {
	if p.parent == nil {
		return Full
	}
	return Delta
}

func (t *taking) request(ctx context.Context, plan takePlan, base *base) target.BaseBackupRequest {
	req := target.BaseBackupRequest{
		Label: "refloat " + string(t.o.Target), FastStart: t.o.FastStart,
		ReadFiles: t.o.ReadFiles, Workers: t.o.Workers,
	}
	if plan.server && base != nil {
		req.PrevManifest = func() (io.ReadCloser, error) { return t.cat.Repo.OpenObject(ctx, base.manifest) }
	}
	return req
}

// below opens files of the backup that is built on, which is opened once, when
// first asked for.
func (t *taking) below(plan takePlan) func(context.Context, string) (FileReader, error) {
	var img *Image
	return func(ctx context.Context, path string) (FileReader, error) {
		if img == nil {
			var err error
			if img, err = t.cat.Open(ctx, *plan.parent); err != nil {
				return nil, err
			}
		}
		return img.OpenFile(ctx, path)
	}
}

// complete refuses a backup that lacks what every restore needs.
func (t *taking) complete(s *sink, end target.BackupEnd) error {
	if !s.begun {
		return errors.New("the server sent no backup")
	}
	for _, p := range []string{labelName, "global/pg_control", "PG_VERSION"} {
		if _, ok := s.nodes[dataRoot+"/"+p]; !ok {
			return fmt.Errorf("the backup lacks %s, so it could not be restored", p)
		}
	}
	if missing := missingLog(s.logs, s.start.Position, end.Position, t.server.SegmentSize); len(missing) > 0 {
		return fmt.Errorf("the backup lacks %d segments of the log that it needs, the first is %s", len(missing), missing[0])
	}
	return nil
}

// entry describes the backup that was received.
func (t *taking) entry(plan takePlan, s *sink, end target.BackupEnd) Backup {
	at, ended := s.start.At, end.At
	if at.IsZero() {
		at = t.began
	}
	if ended.IsZero() {
		ended = time.Now()
	}
	b := Backup{
		Format: backupFormat, ID: t.newID(at), Target: t.o.Target, Kind: plan.kind(),
		Method: methodProtocol, SystemID: t.server.SystemID, Version: t.server.Version,
		SegmentSize: t.server.SegmentSize, Checksums: t.server.DataChecksums,
		Start: s.start.Position, End: end.Position,
		StartedAt: at.UTC(), EndedAt: ended.UTC(), Took: time.Since(t.began),
		Tablespaces: s.start.Tablespaces, Files: s.count, Bytes: s.restored, Received: s.received.Load(),
		Findings: end.Findings, TornPages: end.TornPages, BootstrapRole: t.server.BootstrapRole,
		Settings: map[string]string{},
	}
	switch {
	case s.start.Incremental:
		b.Method = methodIncremental
	case t.o.ReadFiles:
		b.Method = methodFiles
	}
	if plan.parent != nil {
		b.Parent = plan.parent.ID
		b.Chain = plan.parent.Chain + 1
	}
	for _, k := range keptSettings {
		if v, ok := t.server.Settings[k]; ok {
			b.Settings[k] = v
		}
	}
	return b
}

// newID makes an identity that sorts by time and that no other backup has.
func (t *taking) newID(at time.Time) string {
	for {
		n, err := rand.Int(rand.Reader, big.NewInt(10000))
		if err != nil {
			n = big.NewInt(at.UnixNano() % 10000)
		}
		id := fmt.Sprintf("%s-%04d", at.UTC().Format(backupIDLayout), n.Int64())
		if !slices.ContainsFunc(t.known, func(b Backup) bool { return b.ID == id }) {
			return id
		}
		at = at.Add(time.Second) // only when four digits collided
	}
}

// commit writes the entry and makes the backup visible.
func (t *taking) commit(ctx context.Context, w *repository.Writer, b Backup, tree []repository.Node) (Backup, error) {
	t.tell(Progress{Phase: "commit", Done: b.Received, Total: b.Received})
	if err := w.Checkpoint(ctx); err != nil {
		return Backup{}, err
	}
	if err := t.parentStays(ctx, b); err != nil {
		return Backup{}, err
	}
	b.Stored = w.Stored()
	return commitBackup(ctx, w, b, tree)
}

// parentStays looks once more for the backup that a delta builds on: someone
// may have deleted it while the delta was taken.
func (t *taking) parentStays(ctx context.Context, b Backup) error {
	if b.Kind == Full {
		return nil
	}
	if err := t.cat.Repo.Refresh(ctx); err != nil {
		return err
	}
	snaps, err := t.cat.Repo.Snapshots(ctx, sourceOf(b.Target))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(snaps, func(s repository.Snapshot) bool { return s.Tags[tagBackup] == b.Parent }) {
		return fmt.Errorf("backup %s, which this one builds on, was deleted meanwhile: take another", b.Parent)
	}
	return nil
}

func (t *taking) tell(p Progress) {
	if t.o.Progress != nil {
		t.o.Progress(p)
	}
}

// commitBackup writes a backup's entry into its tree and commits it.
func commitBackup(ctx context.Context, w *repository.Writer, b Backup, tree []repository.Node) (Backup, error) {
	if b.Tablespaces == nil {
		b.Tablespaces = []target.Tablespace{}
	}
	if b.Findings == nil {
		b.Findings = []target.PageFinding{}
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return Backup{}, fmt.Errorf("encode the backup's entry: %w", err)
	}
	id, n, err := w.WriteObject(ctx, entryPath, bytes.NewReader(text))
	if err != nil {
		return Backup{}, fmt.Errorf("store the backup's entry: %w", err)
	}
	at := b.EndedAt
	nodes := map[string]repository.Node{entryPath: {Path: entryPath, Mode: 0o600, Size: n, ModTime: at, Object: id}}
	for _, node := range tree {
		if node.Path != entryPath {
			nodes[node.Path] = node
		}
	}
	snap, err := w.Commit(ctx, repository.Snapshot{
		Source: sourceOf(b.Target), Start: b.StartedAt, End: at, Size: b.Bytes, Files: b.Files,
		Tags: map[string]string{tagBackup: b.ID, tagKind: string(b.Kind), tagTarget: string(b.Target)},
	}, completeTree(nodes))
	if err != nil {
		return Backup{}, fmt.Errorf("commit backup %s: %w", b.ID, err)
	}
	b.Snapshot = snap.ID
	return b, nil
}

// sortBackups orders by position in the log, which no clock can disturb.
func sortBackups(all []Backup) {
	slices.SortFunc(all, func(a, b Backup) int {
		return cmp.Or(cmp.Compare(a.Start.Timeline, b.Start.Timeline), cmp.Compare(a.Start.LSN, b.Start.LSN),
			cmp.Compare(a.End.LSN, b.End.LSN), a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
}
