package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Span is a stretch of history to every moment of which the target can be
// restored.
type Span struct {
	From     target.Position `json:"from"`
	To       target.Position `json:"to"`
	FromTime time.Time       `json:"from_time"`
	ToTime   time.Time       `json:"to_time"`
	Backups  []string        `json:"backups"` // IDs of those that a restore into it can start from, oldest first
	Parts    []SpanPart      `json:"parts"`   // one for each timeline that it runs through
	// Abandoned: the cluster went on on another timeline from a position before
	// this span. A restore into it must name its timeline.
	Abandoned bool `json:"abandoned,omitempty"`
}

// SpanPart is a span's stretch on one timeline.
type SpanPart struct {
	Timeline target.Timeline `json:"timeline"`
	From     target.LSN      `json:"from"`
	To       target.LSN      `json:"to"`
	FromTime time.Time       `json:"from_time"`
	ToTime   time.Time       `json:"to_time"`
}

// Point reports whether the span is the end of a backup and nothing else.
func (s Span) Point() bool { return s.From == s.To }

// CoverageGap is a stretch that cannot be restored to.
type CoverageGap struct {
	From   target.Position `json:"from"`
	To     target.Position `json:"to"`
	At     time.Time       `json:"at"` // when it was recorded; zero when it was found by looking
	Reason string          `json:"reason"`
}

// CoverageReport says to which moments a target can be restored.
type CoverageReport struct {
	Spans   []Span          `json:"spans"` // by timeline and position of their beginning
	Gaps    []CoverageGap   `json:"gaps"`
	Newest  *Moment         `json:"newest"` // newest restorable; absent when there is no backup
	Damaged []DamagedBackup `json:"damaged_backups"`
}

// Moment is a restorable point.
type Moment struct {
	Position target.Position `json:"position"`
	Time     time.Time       `json:"time"` // everything committed before it is there
	Age      time.Duration   `json:"age"`  // nanoseconds
	Backup   string          `json:"backup"`
}

// Coverage works out what can be restored: from the end of each backup, where
// it becomes consistent, through the log as far as it is stored without a
// hole, on the backup's timeline and on those that descend from it. A backup
// without log is restorable to its own end, since it carries the log that it
// needs. It never claims a position past a hole.
func Coverage(backups []Backup, segments []SegmentInfo, histories map[target.Timeline][]byte, position LogPosition, gaps []Gap, now time.Time) CoverageReport {
	m := newLogMap(backups, segments, histories, position, gaps)
	sorted := slices.Clone(backups)
	sortBackups(sorted)
	for _, b := range sorted {
		if _, ok := chainOf(sorted, b.ID); !ok {
			m.gap(CoverageGap{From: b.Start, To: b.End, Reason: "backup " + b.ID + " builds on one that is gone"})
			continue
		}
		m.addBackup(b)
	}
	r := CoverageReport{Spans: m.spans(), Gaps: m.holes, Damaged: []DamagedBackup{}}
	slices.SortFunc(r.Gaps, func(a, b CoverageGap) int { return comparePositions(a.From, b.From) })
	if r.Gaps == nil {
		r.Gaps = []CoverageGap{}
	}
	for _, s := range r.Spans {
		if r.Newest == nil || comparePositions(s.To, r.Newest.Position) > 0 {
			r.Newest = &Moment{Position: s.To, Time: s.ToTime, Age: max(0, now.Sub(s.ToTime)), Backup: s.Backups[len(s.Backups)-1]}
		}
	}
	return r
}

func comparePositions(a, b target.Position) int {
	return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.LSN, b.LSN))
}

// Nearest are the restorable moments around one that is asked for.
type Nearest struct {
	Inside bool    `json:"inside"` // the moment itself is restorable
	Span   int     `json:"span"`   // index of the span that it is inside
	Before *Moment `json:"before"` // the latest restorable moment not after it
	After  *Moment `json:"after"`  // the earliest not before it
}

// NearestTime finds the restorable moments around t.
func (r CoverageReport) NearestTime(t time.Time) Nearest {
	var n Nearest
	for i, s := range r.Spans {
		if !t.Before(s.FromTime) && !t.After(s.ToTime) {
			if !n.Inside || !s.Abandoned {
				n.Inside, n.Span = true, i
			}
			continue
		}
		if s.ToTime.Before(t) && (n.Before == nil || n.Before.Time.Before(s.ToTime)) {
			n.Before = &Moment{Position: s.To, Time: s.ToTime, Backup: s.Backups[len(s.Backups)-1]}
		}
		if s.FromTime.After(t) && (n.After == nil || n.After.Time.After(s.FromTime)) {
			n.After = &Moment{Position: s.From, Time: s.FromTime, Backup: s.Backups[0]}
		}
	}
	return n
}

// NearestLSN finds the restorable positions around one; timeline 0 looks at
// every timeline.
func (r CoverageReport) NearestLSN(p target.Position) Nearest {
	var n Nearest
	for i, s := range r.Spans {
		for _, part := range s.Parts {
			if p.Timeline != 0 && p.Timeline != part.Timeline {
				continue
			}
			switch {
			case p.LSN >= part.From && p.LSN <= part.To:
				if !n.Inside || !s.Abandoned {
					n.Inside, n.Span = true, i
				}
			case part.To < p.LSN && (n.Before == nil || n.Before.Position.LSN < part.To):
				n.Before = &Moment{Position: target.Position{Timeline: part.Timeline, LSN: part.To}, Time: part.ToTime, Backup: s.Backups[len(s.Backups)-1]}
			case part.From > p.LSN && (n.After == nil || n.After.Position.LSN > part.From):
				n.After = &Moment{Position: target.Position{Timeline: part.Timeline, LSN: part.From}, Time: part.FromTime, Backup: s.Backups[0]}
			}
		}
	}
	return n
}

// Coverage reads what the repository holds for a target and works out what
// can be restored.
func (c *Catalogue) Coverage(ctx context.Context, id target.ID, now time.Time) (CoverageReport, error) {
	in, err := c.logInputs(ctx, id)
	if err != nil {
		return CoverageReport{}, fmt.Errorf("coverage of %s: %w", id, err)
	}
	r := Coverage(in.backups, in.segments, in.histories, in.position, in.gaps, now)
	if len(in.damaged) > 0 {
		r.Damaged = in.damaged
	}
	r.Gaps = append(r.Gaps, in.notes...)
	return r, nil
}

// logInputs are what decisions about a target's log are made from.
type logInputs struct {
	backups   []Backup
	damaged   []DamagedBackup
	segments  []SegmentInfo
	histories map[target.Timeline][]byte
	position  LogPosition
	gaps      []Gap
	notes     []CoverageGap
}

func (c *Catalogue) logInputs(ctx context.Context, id target.ID) (in logInputs, err error) {
	all, bad, err := c.entries(ctx, id)
	if err != nil {
		return in, err
	}
	in.backups, in.damaged = resolve(all), bad
	l := &Log{Repo: c.Repo, Target: id}
	in.position, err = l.Position(ctx)
	switch {
	case errors.Is(err, repository.ErrNotFound) && !errors.Is(err, ErrLogBroken):
	case errors.Is(err, ErrLogBroken):
		in.notes = append(in.notes, CoverageGap{Reason: err.Error()})
	case err != nil:
		return in, err
	}
	if in.segments, err = l.Segments(ctx); err != nil {
		return in, err
	}
	if in.histories, err = l.Histories(ctx); err != nil {
		return in, err
	}
	in.gaps, err = l.Gaps(ctx)
	return in, err
}
