package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// LogStatus is what the repository holds of a target's log.
type LogStatus struct {
	Target   target.ID           `json:"target"`
	Position *backup.LogPosition `json:"position"` // null before the first
	Segments int                 `json:"segments"`
	Oldest   string              `json:"oldest"`
	Newest   string              `json:"newest"`
	Gaps     []backup.Gap        `json:"gaps"`
	Slot     *target.Slot        `json:"slot"` // null when the server cannot be asked
	Server   target.LSN          `json:"server_position"`
	LagBytes *int64              `json:"lag_bytes"`
	Note     string              `json:"note,omitempty"` // why the server could not be asked
}

// LogStatus reads how far the log in the repository reaches, and asks the
// server how far its own does, where the configuration knows it.
func (a *App) LogStatus(ctx context.Context, name string) (LogStatus, error) {
	repo, err := a.open(ctx, true)
	if err != nil {
		return LogStatus{}, err
	}
	ids, err := a.selected(ctx, &backup.Catalogue{Repo: repo}, name)
	if err != nil {
		return LogStatus{}, err
	}
	out := LogStatus{Target: ids[0], Gaps: []backup.Gap{}}
	l := &backup.Log{Repo: repo, Target: ids[0]}
	pos, err := l.Position(ctx)
	switch {
	case err == nil:
		out.Position = &pos
	case !errors.Is(err, repository.ErrNotFound) || errors.Is(err, backup.ErrLogBroken):
		return out, fmt.Errorf("read the log's position: %w", err)
	}
	segments, err := l.Segments(ctx)
	if err != nil {
		return out, fmt.Errorf("list the log: %w", err)
	}
	if out.Segments = len(segments); out.Segments > 0 {
		out.Oldest, out.Newest = segments[0].Name, segments[len(segments)-1].Name
	}
	all, err := l.Gaps(ctx)
	if err != nil {
		return out, fmt.Errorf("list gaps: %w", err)
	}
	out.Gaps = append(out.Gaps, all...)
	if t, known := a.cfg.Targets[name]; known {
		a.askServer(ctx, &out, name, t.Log.Slot)
	}
	return out, nil
}

func (a *App) askServer(ctx context.Context, out *LogStatus, name, slot string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := a.cluster(name, "refloat")
	if err == nil {
		var s target.Slot
		if s, err = c.Slot(ctx, slot); err == nil {
			out.Slot = &s
			var id target.LogIdentity
			if id, err = c.Identify(ctx); err == nil {
				out.Server = id.Flushed
				if out.Position != nil {
					lag := max(0, int64(id.Flushed)-int64(out.Position.Position.LSN))
					out.LagBytes = &lag
				}
			}
		}
	}
	if err != nil {
		out.Note = strings.TrimSpace(err.Error())
	}
}

// LogStream keeps one target's log in the foreground until ctx ends, without
// schedules or heartbeat. No server may run with the same state.
func (a *App) LogStream(ctx context.Context, name string, tell func(LogState)) error {
	if _, _, err := a.target(name); err != nil {
		return err
	}
	repo, err := a.open(ctx, false)
	if err != nil {
		return err
	}
	unlock, err := lockState(ctx, a.cfg.StateDir)
	if err != nil {
		return err
	}
	r, err := a.receiver(ctx, name, repo, nil)
	if err != nil {
		return errors.Join(err, unlock())
	}
	polled, end := context.WithCancel(ctx)
	var poll sync.WaitGroup
	poll.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-polled.Done():
				return
			case <-tick.C:
				tell(r.State())
			}
		}
	})
	err = r.Run(ctx)
	end()
	poll.Wait()
	return errors.Join(err, unlock())
}
