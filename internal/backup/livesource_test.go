package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// liveSource reads a real cluster's files between pg_backup_start and
// pg_backup_stop, so that this room's tests need no other room's source.
type liveSource struct{ c *targettest.Cluster }

var (
	relationFile = regexp.MustCompile(`^(global|base/[0-9]+|pg_tblspc/[0-9]+/PG_[^/]+/[0-9]+)/[0-9]+(_fsm|_vm|_init)?(\.[0-9]+)?$`)
	emptyFolders = []string{"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}
)

func (s liveSource) Inspect(ctx context.Context) (target.Server, error) {
	var out target.Server
	err := s.with(ctx, func(conn *pgx.Conn) error {
		var sys, lsn string
		err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, system_identifier::text, timeline_id, pg_current_wal_lsn()::text,
			current_setting('data_checksums') = 'on', pg_size_bytes(current_setting('wal_segment_size')) FROM pg_control_system(), pg_control_checkpoint()`).
			Scan(&out.Version, &sys, &out.Timeline, &lsn, &out.DataChecksums, &out.SegmentSize)
		if err != nil {
			return err
		}
		if err := out.SystemID.UnmarshalText([]byte(sys)); err != nil {
			return err
		}
		out.Position, err = target.ParseLSN(lsn)
		return err
	})
	return out, err
}

func (s liveSource) with(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.c.DSN("postgres"))
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close(ctx))
}

func (s liveSource) BaseBackup(ctx context.Context, req target.BaseBackupRequest, sink target.BackupSink) (end target.BackupEnd, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		var lsn, label, stop string
		var tl target.Timeline
		if err := conn.QueryRow(ctx, "SELECT pg_backup_start('refloat', true)::text").Scan(&lsn); err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&tl); err != nil {
			return err
		}
		from, err := target.ParseLSN(lsn)
		if err != nil {
			return err
		}
		start := target.Position{Timeline: tl, LSN: from}
		if err := sink.Begin(ctx, target.BackupStart{Position: start, At: time.Now()}); err != nil {
			return err
		}
		if err := s.sendTree(ctx, sink); err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, "SELECT lsn::text, labelfile FROM pg_backup_stop(false)").Scan(&stop, &label); err != nil {
			return err
		}
		to, err := target.ParseLSN(stop)
		if err != nil {
			return err
		}
		if err := sink.File(ctx, target.File{Path: labelName, Mode: 0o600, Size: int64(len(label))}, strings.NewReader(label)); err != nil {
			return err
		}
		end = target.BackupEnd{Position: target.Position{Timeline: tl, LSN: to}, At: time.Now()}
		return s.sendLog(ctx, sink, start, to)
	})
	return end, err
}

// sendTree sends all but the log; pg_control last.
func (s liveSource) sendTree(ctx context.Context, sink target.BackupSink) error {
	err := filepath.WalkDir(s.c.Dir, func(full string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(s.c.Dir, full)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // dropped meanwhile: the log knows
		case err != nil || rerr != nil:
			return errors.Join(err, rerr)
		case rel == ".":
			return nil
		case d.IsDir():
			if err := sink.Dir(ctx, rel, 0o700); err != nil {
				return err
			}
			if slices.Contains(emptyFolders, rel) {
				return fs.SkipDir
			}
			return nil
		case strings.HasPrefix(d.Name(), "postmaster.") || d.Name() == "pg_internal.init" || rel == "global/pg_control":
			return nil
		}
		return s.sendFile(ctx, sink, rel)
	})
	if err != nil {
		return err
	}
	return s.sendFile(ctx, sink, "global/pg_control")
}

func (s liveSource) sendFile(ctx context.Context, sink target.BackupSink, rel string) error {
	b, err := os.ReadFile(filepath.Join(s.c.Dir, rel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f := target.File{Path: rel, Mode: 0o600, Pages: relationFile.MatchString(rel)}
	if f.Pages {
		b = b[:len(b)/target.PageSize*target.PageSize]
	}
	f.Size = int64(len(b))
	return sink.File(ctx, f, bytes.NewReader(b))
}

func (s liveSource) sendLog(ctx context.Context, sink target.BackupSink, start target.Position, to target.LSN) error {
	sizes, err := filepath.Glob(filepath.Join(s.c.Dir, "pg_wal", fmt.Sprintf("%08X*", uint32(start.Timeline))))
	if err != nil || len(sizes) == 0 {
		return fmt.Errorf("no log: %w", err)
	}
	st, err := os.Stat(sizes[0])
	if err != nil {
		return err
	}
	for seg := target.SegmentAt(start, st.Size()); seg.Start() < to; seg = seg.Next() {
		if err := s.sendFile(ctx, sink, path.Join("pg_wal", seg.Name())); err != nil {
			return err
		}
	}
	return nil
}

// materialise writes an image to a new directory and makes it a cluster that
// can be started beside the first.
func materialise(t testing.TB, img *Image, major int) *targettest.Cluster {
	t.Helper()
	dir := filepath.Join(targettest.TempDir(t), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	targettest.Own(t, dir)
	for _, f := range img.Files() {
		full := filepath.Join(dir, f.Path)
		if f.Mode.IsDir() {
			if err := os.Mkdir(full, f.Mode.Perm()); err != nil {
				t.Fatal(err)
			}
			targettest.Own(t, full)
			continue
		}
		r, err := img.OpenFile(t.Context(), f.Path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode.Perm())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(w, r)
		if err := errors.Join(err, w.Close(), r.Close()); err != nil {
			t.Fatal(err)
		}
		targettest.Own(t, full)
	}
	port := targettest.FreePort(t)
	f, err := os.OpenFile(filepath.Join(dir, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("port = " + strconv.Itoa(port) + "\nunix_socket_directories = '" + filepath.Dir(dir) + "'\narchive_mode = off\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return targettest.Adopt(t, dir, major, port)
}
