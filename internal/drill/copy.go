package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
)

// restore writes the planned backup below dir.
func (r *run) restore(ctx context.Context, dir, data, socket string) error {
	if r.o.Delivered != "" {
		return r.copyDelivered(ctx, dir, data, socket)
	}
	if err := room(dir, r.plan.Bytes); err != nil {
		return err
	}
	img, err := r.o.Image(ctx, r.plan.Backup)
	if err != nil {
		return err
	}
	owner, err := owner(r.o.RunAs)
	if err != nil {
		return err
	}
	result, err := restore.Execute(ctx, r.plan, img, restore.Options{
		Dir: data, TablespaceDir: filepath.Join(dir, "tablespaces"), Owner: owner,
		RestoreCommand: r.o.RestoreCommand(socket, r.plan.Until),
		KeepCached:     true, // every page is about to be read
		Progress:       func(p backup.Progress) { r.progress("restore", p.Done, p.Total) },
	})
	if err != nil {
		return err
	}
	r.p.RestoredBytes = result.Bytes
	r.done("restore", result.Bytes)
	return nil
}

func owner(runAs string) (*restore.Owner, error) {
	cred, err := scratch.Credential(runAs)
	if err != nil || cred == nil {
		return nil, err
	}
	return &restore.Owner{UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}

// room refuses to begin what the disk cannot hold: the cluster, and what
// recovery writes beside it.
func room(dir string, bytes int64) error {
	const spare = 256 << 20
	if err := restore.Room(map[string]int64{dir: bytes + spare}); err != nil {
		return fmt.Errorf("%w: %w; free some, or set drill.scratch_dir to another file system", errNoSpace, err)
	}
	return nil
}

// copyServer is the scratch server and what was learnt while it recovered.
type copyServer struct {
	server *scratch.Server
	copy   Copy
	stop   func(ctx context.Context) error // in good order, so that every page is on disk
}

// recover starts the scratch server, serves it the log, and waits until it
// serves. The returned function ends everything at once.
func (r *run) recover(ctx context.Context, bins scratch.Binaries, data, socket string) (*copyServer, func(), error) {
	own, err := owner(r.o.RunAs)
	if err != nil {
		return nil, nil, err
	}
	guard := newTablespaceGuard(r.plan)
	if err := guard.lookAtBackup(data); err != nil {
		return nil, nil, err
	}
	logCtx, endLog := context.WithCancel(ctx)
	served := make(chan error, 1)
	var fetched atomic.Int64
	ahead := int64(0) // the usual
	if r.foreign != nil {
		ahead = 1 // a segment at a time: each is a run of the other tool
	}
	go func() {
		served <- restore.Serve(logCtx, restore.ServeOptions{
			Socket: socket, Ahead: ahead, Owner: own, Logger: r.o.Logger,
			Fetch: func(ctx context.Context, name string) ([]byte, error) {
				b, err := r.o.Log.Fetch(ctx, name)
				if err == nil {
					err = guard.look(name, b)
				}
				r.progress("recover", fetched.Add(int64(len(b))), r.plan.LogBytes)
				return b, err
			},
		})
	}()
	stopLog := func() error { endLog(); return <-served }
	if err := listening(ctx, socket, served); err != nil {
		return nil, nil, errors.Join(err, stopLog())
	}
	asked := map[string]Copy{}
	s, err := scratch.Start(ctx, scratch.Options{
		Binaries: bins, Major: r.plan.Backup.Version.Major(), DataDir: data, RunAs: r.o.RunAs,
		Settings: needed(r.plan.Backup.Settings), Superuser: r.plan.Backup.BootstrapRole, Database: r.o.Database,
		Ping: func(ctx context.Context, dsn string) (err error) {
			c := asked[dsn]
			if c == nil {
				if c, err = r.o.Copy(dsn); err != nil {
					return err
				}
				asked[dsn] = c
			}
			return c.Ping(ctx)
		},
	})
	if err != nil {
		return nil, nil, errors.Join(err, stopLog())
	}
	err = s.WaitReady(ctx)
	r.log, _ = s.Log()
	if err != nil {
		s.Kill()
		err = errors.Join(err, stopLog())
		if found := guard.found(); found != nil {
			err = found
		}
		return nil, nil, err
	}
	c, err := r.o.Copy(s.DSN(r.o.Database))
	if err != nil {
		s.Kill()
		return nil, nil, errors.Join(err, stopLog())
	}
	end := func() {
		s.Kill()
		if err := stopLog(); err != nil {
			r.o.Logger.Warn("the log server ended badly", "target", r.o.Target, "error", err)
		}
	}
	return &copyServer{server: s, copy: c, stop: s.Stop}, end, nil
}

// listening waits until the log server can be asked.
func listening(ctx context.Context, socket string, served chan error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		select {
		case err := <-served:
			served <- nil // for whoever waits for its end
			return fmt.Errorf("the log cannot be served: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// needed are production's settings without which a server cannot replay its
// log (prepared transactions, locks), whatever else a scratch server has.
func needed(settings map[string]string) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"max_prepared_transactions", "max_locks_per_transaction", "track_commit_timestamp"} {
		if v, ok := settings[name]; ok {
			out[name] = v
		}
	}
	return out
}

// reached is where replay ended: the switch point that the promoted copy wrote
// into its newest timeline history.
func reached(data string) (target.Position, error) {
	files, err := filepath.Glob(filepath.Join(data, "pg_wal", "*.history"))
	if err != nil || len(files) == 0 {
		return target.Position{}, errors.Join(errors.New("the copy wrote no timeline history: it did not end recovery by promotion"), err)
	}
	sort.Strings(files)
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		return target.Position{}, err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last, err := target.ParseHistory([]byte(lines[len(lines)-1]))
	if err != nil || len(last) != 1 {
		return target.Position{}, fmt.Errorf("the copy's timeline history %q: %w", lines[len(lines)-1], err)
	}
	return target.Position{Timeline: last[0].Timeline, LSN: last[0].LSN}, nil
}
