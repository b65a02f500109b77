package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// What commands show of standing and record.
type (
	StatusReport  = status.Report
	JournalEntry  = journal.Entry
	JournalReport = journal.Report
	LogState      = backup.ReceiverState
)

// How targets stand.
const (
	StandsBadly     = status.Bad
	StandsUncertain = status.Uncertain
)

// Status says how one target, or each of the configuration, stands.
func (a *App) Status(ctx context.Context, name string) ([]StatusReport, error) {
	names := a.Targets()
	if name != "" {
		if _, _, err := a.target(name); err != nil {
			return nil, err
		}
		names = []string{name}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: %s has no targets", ErrNoTarget, a.cfg.Path)
	}
	repo, err := a.open(ctx, true)
	if err != nil {
		return nil, err
	}
	out := []StatusReport{}
	for _, n := range names {
		id := target.ID(n)
		src := RepositorySources(repo, id, func(ctx context.Context) (*status.Coverage, error) { return statusCoverage(ctx, repo, id) }, a.lastProofIn(repo, id))
		out = append(out, TargetStatus(ctx, src, id, objectives(a.cfg.Targets[n]), a.openStore, a.cfg.StateDir, time.Now()))
	}
	return out, nil
}

// StatusClass is the worst of all reports.
func StatusClass(all []StatusReport) status.Class {
	worst := status.Good
	for _, r := range all {
		if r.Class == status.Bad || r.Class == status.Uncertain && worst == status.Good {
			worst = r.Class
		}
	}
	return worst
}

// JournalFilter chooses entries; the zero value takes all.
type JournalFilter struct {
	Target string
	Kind   string // or its beginning, up to a dot
	Since  time.Time
	Last   int // only so many, the newest; 0 for all
}

// JournalList reads the journal of this machine's state.
func (a *App) JournalList(ctx context.Context, f JournalFilter) (out []JournalEntry, err error) {
	s, err := a.openStore(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	out = []JournalEntry{}
	const page = 1000
	for after := int64(0); ; {
		some, err := s.Read(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		for _, e := range some {
			if f.takes(e) {
				out = append(out, e)
			}
			after = e.Seq
		}
		if f.Last > 0 && len(out) > f.Last {
			out = slices.Clone(out[len(out)-f.Last:])
		}
		if len(some) < page {
			return out, nil
		}
	}
}

func (f JournalFilter) takes(e JournalEntry) bool {
	switch {
	case f.Target != "" && e.Subject != "target/"+f.Target && e.Subject != "job/"+f.Target:
		return false
	case f.Kind != "" && e.Kind != f.Kind && (len(e.Kind) <= len(f.Kind) || e.Kind[:len(f.Kind)+1] != f.Kind+"."):
		return false
	}
	return !e.Time.Before(f.Since)
}

// JournalVerify checks the journal's chain.
func (a *App) JournalVerify(ctx context.Context) (r JournalReport, err error) {
	s, err := a.openStore(ctx, true)
	if err != nil {
		return r, fmt.Errorf("open the journal: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if r, err = s.Verify(ctx); err != nil {
		return r, fmt.Errorf("verify the journal: %w", err)
	}
	r.Findings = orEmpty(r.Findings)
	return r, nil
}
