package restore

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// ErrNotCovered means that the repository cannot give the asked point.
var ErrNotCovered = errors.New("the repository does not reach this point")

// Measurement is how long an earlier restore of the target took.
type Measurement struct {
	Bytes    int64         `json:"bytes"`     // restored
	Restore  time.Duration `json:"restore"`   // from start to a whole directory
	LogBytes int64         `json:"log_bytes"` // replayed
	Recover  time.Duration `json:"recover"`   // from start of the server to its first answer
}

// Inputs are all that a plan is made from.
type Inputs struct {
	Target   Target
	Backups  []backup.Backup
	Coverage backup.CoverageReport
	Segments []backup.SegmentInfo
	Position backup.LogPosition // zero when there is no log
	BackupID string             // to start from; empty picks the best
	Measured []Measurement      // of earlier restores, oldest first
	// LastTransaction is when the newest transaction in the log ended; zero when
	// it is not known. See LastTransaction.
	LastTransaction time.Time
}

// Plan is what a restore will do.
type Plan struct {
	Target      Target              `json:"target"`
	Backup      backup.Backup       `json:"backup"`
	Timeline    target.Timeline     `json:"timeline"` // that recovery follows
	End         *target.Position    `json:"end"`      // where recovery will end, where that is known before
	EndTime     time.Time           `json:"end_time"` // every commit before it will be there; zero when unknown
	Until       target.LSN          `json:"until"`    // the log is cut off here, for an end at which no record begins; 0 for nowhere
	Bytes       int64               `json:"bytes"`    // to write
	Segments    []string            `json:"segments"` // of log, in order
	LogBytes    int64               `json:"log_bytes"`
	Estimate    *time.Duration      `json:"estimate"` // to an answering server; null without an earlier measurement
	Tablespaces []target.Tablespace `json:"tablespaces"`
	Warnings    []string            `json:"warnings"`
}

// Make plans a restore. It fails with ErrNotCovered, naming the nearest points
// that can be restored, rather than give less than what was asked.
func Make(in Inputs) (Plan, error) {
	p := Plan{Target: in.Target, Warnings: []string{}, Segments: []string{}}
	if len(in.Backups) == 0 {
		return p, fmt.Errorf("plan the restore: %w: there is no base backup", ErrNotCovered)
	}
	var err error
	switch in.Target.Kind {
	case ToBackup:
		err = p.atBackup(in)
	case ToLatest:
		err = p.atLatest(in)
	case ToTime:
		err = p.atTime(in)
	case ToLSN:
		err = p.atLSN(in)
	case ToName, ToXID:
		err = p.somewhere(in)
	default:
		err = fmt.Errorf("no restore target of kind %q", in.Target.Kind)
	}
	if err != nil {
		return p, fmt.Errorf("plan the restore to %s: %w", in.Target, err)
	}
	p.Bytes, p.Tablespaces = p.Backup.Bytes, p.Backup.Tablespaces
	p.needLog(in)
	p.estimate(in.Measured)
	for _, f := range p.Backup.Findings {
		p.Warnings = append(p.Warnings, fmt.Sprintf("backup %s was taken of a damaged cluster: %s block %d: %s", p.Backup.ID, f.File, f.Block, f.Detail))
	}
	return p, nil
}

func (p *Plan) atBackup(in Inputs) error {
	b := in.Backups[len(in.Backups)-1]
	if in.BackupID != "" {
		i := slices.IndexFunc(in.Backups, func(b backup.Backup) bool { return b.ID == in.BackupID })
		if i < 0 {
			return fmt.Errorf("%w: there is no backup %s", ErrNotCovered, in.BackupID)
		}
		b = in.Backups[i]
	}
	p.Backup, p.Timeline, p.End, p.EndTime = b, b.End.Timeline, &b.End, b.EndedAt
	return nil
}

func (p *Plan) atLatest(in Inputs) error {
	n := in.Coverage.Newest
	if n == nil {
		return fmt.Errorf("%w: no backup can be restored", ErrNotCovered)
	}
	// A log that goes on behind a hole is not a log that ends: to stop before
	// the hole must be asked for.
	for _, g := range in.Coverage.Gaps {
		if g.To != (target.Position{}) && after(g.To, n.Position) {
			return fmt.Errorf("%w: the log is broken after %s (%s), and goes on to %s; ask for --to %s to restore to the last point before it",
				ErrNotCovered, n.Position, g.Reason, g.To, n.Position.LSN)
		}
	}
	if after(in.Position.Position, n.Position) {
		return fmt.Errorf("%w: the log is recorded as reaching %s, but can be restored to %s only; ask for --to %s to accept that",
			ErrNotCovered, in.Position.Position, n.Position, n.Position.LSN)
	}
	span, ok := spanOf(in.Coverage, n.Position)
	if !ok {
		return fmt.Errorf("%w: no span holds %s", ErrNotCovered, n.Position)
	}
	end := n.Position
	p.Timeline, p.End, p.EndTime = end.Timeline, &end, n.Time
	return p.choose(in, span, func(backup.Backup) bool { return true })
}

// after reports whether a is on a later timeline than b, or further on the same.
func after(a, b target.Position) bool {
	return a.Timeline > b.Timeline || a.Timeline == b.Timeline && a.LSN > b.LSN
}

func spanOf(r backup.CoverageReport, p target.Position) (backup.Span, bool) {
	for _, s := range r.Spans {
		if s.To == p {
			return s, true
		}
	}
	return backup.Span{}, false
}

func (p *Plan) atTime(in Inputs) error {
	t := in.Target.Time
	n := in.Coverage.NearestTime(t)
	if !n.Inside {
		return notCovered(n)
	}
	span := in.Coverage.Spans[n.Span]
	on := 0
	for i, part := range span.Parts {
		if !t.Before(part.FromTime) {
			on = i
		}
	}
	p.Timeline = readableOn(in, span, on, span.Parts[on].To)
	p.EndTime = t
	// PostgreSQL looks for a commit after the target time and refuses to end
	// without one. Where nothing was committed after it, the end of the log as
	// it is now is the same point.
	end := span.To
	newest := in.Coverage.Newest != nil && in.Coverage.Newest.Position == end && p.Timeline == end.Timeline
	switch last := lastWritten(in.Segments, span); {
	case p.Timeline == end.Timeline && !last.IsZero() && !t.Before(last),
		newest && !in.LastTransaction.IsZero() && !t.Before(in.LastTransaction):
		p.End, p.Until = &end, end.LSN
	case !newest || in.LastTransaction.IsZero():
		p.Warnings = append(p.Warnings, "should the server say that recovery ended before the target was reached, then nothing was committed after that time: restore to the end of the span instead, which is the same point")
	}
	return p.choose(in, span, func(b backup.Backup) bool { return !b.EndedAt.After(t) })
}

// lastWritten is when the newest bytes of a span's log were written.
func lastWritten(segments []backup.SegmentInfo, span backup.Span) time.Time {
	var last time.Time
	for _, s := range segments {
		if s.End <= span.To.LSN && s.To.After(last) && timelineOf(s.Name) == span.To.Timeline {
			last = s.To
		}
	}
	return last
}

func (p *Plan) atLSN(in Inputs) error {
	n := in.Coverage.NearestLSN(target.Position{LSN: in.Target.LSN})
	if !n.Inside {
		return notCovered(n)
	}
	span := in.Coverage.Spans[n.Span]
	if span.Abandoned {
		p.Warnings = append(p.Warnings, "the cluster went on from an earlier position on another timeline: this point lies in a history that was given up")
	}
	at := in.Target.LSN
	// The timeline on which the point lies; where one leaves another, the one
	// that goes on, whose segment holds what came before too.
	on := 0
	for i, part := range span.Parts {
		if at >= part.From && at <= part.To {
			on = i
		}
	}
	p.Timeline = readableOn(in, span, on, at)
	p.End = &target.Position{Timeline: p.Timeline, LSN: at}
	for _, part := range span.Parts {
		if part.Timeline == p.Timeline && at == part.To {
			p.Until = at // no record begins at the end of the log, and PostgreSQL would wait for one
		}
	}
	return p.choose(in, span, func(b backup.Backup) bool { return b.End.LSN <= at && b.End.Timeline <= p.Timeline })
}

// readableOn is the timeline to follow for a position on a part of a span. The
// segment in which a timeline was left may be stored on the next one alone,
// whose copy holds what came before too; PostgreSQL looks only on the timeline
// that it follows.
func readableOn(in Inputs, span backup.Span, on int, at target.LSN) target.Timeline {
	for _, part := range span.Parts[on:] {
		for _, s := range in.Segments {
			seg, err := target.ParseSegmentName(s.Name, in.Position.SegmentSize)
			if err == nil && seg.Timeline == part.Timeline && seg.Start() < at && at <= s.End {
				return part.Timeline
			}
		}
	}
	return span.Parts[on].Timeline // a backup carries it
}

// somewhere plans for a point that only replay can find.
func (p *Plan) somewhere(in Inputs) error {
	n := in.Coverage.Newest
	if n == nil {
		return fmt.Errorf("%w: no backup can be restored", ErrNotCovered)
	}
	span, ok := spanOf(in.Coverage, n.Position)
	if !ok {
		return fmt.Errorf("%w: no span holds %s", ErrNotCovered, n.Position)
	}
	p.Timeline = n.Position.Timeline
	p.Warnings = append(p.Warnings, "whether the log holds this point is only known when recovery has found it: the server refuses to start when it does not")
	if in.BackupID == "" && len(span.Backups) > 1 {
		p.Warnings = append(p.Warnings, "the newest backup is used; a point before its end needs an older one: name it with --backup")
	}
	return p.choose(in, span, func(backup.Backup) bool { return true })
}

// choose takes the newest backup of the span that fits, or the one asked for.
func (p *Plan) choose(in Inputs, span backup.Span, fits func(backup.Backup) bool) error {
	for i := len(in.Backups) - 1; i >= 0; i-- {
		b := in.Backups[i]
		if !slices.Contains(span.Backups, b.ID) || in.BackupID != "" && b.ID != in.BackupID {
			continue
		}
		if fits(b) {
			p.Backup = b
			return nil
		}
	}
	if in.BackupID != "" {
		return fmt.Errorf("%w from backup %s: it ends after it, or lies in another span", ErrNotCovered, in.BackupID)
	}
	return fmt.Errorf("%w: every backup of the span %s to %s ends after it", ErrNotCovered, span.From, span.To)
}

func notCovered(n backup.Nearest) error {
	var near []string
	show := func(m *backup.Moment, word string) {
		if m != nil {
			near = append(near, fmt.Sprintf("%s: %s (LSN %s, timeline %d)", word, m.Time.Format("2006-01-02 15:04:05.999999Z07:00"), m.Position.LSN, m.Position.Timeline))
		}
	}
	show(n.Before, "nearest before")
	show(n.After, "nearest after")
	if len(near) == 0 {
		return fmt.Errorf("%w, nor any other", ErrNotCovered)
	}
	return fmt.Errorf("%w; %s", ErrNotCovered, strings.Join(near, "; "))
}

// needLog lists the segments between the backup's start and the plan's end.
func (p *Plan) needLog(in Inputs) {
	if p.Target.Kind == ToBackup {
		return // it carries its own
	}
	size := p.Backup.SegmentSize
	for _, s := range in.Segments {
		tl := timelineOf(s.Name)
		seg, err := target.ParseSegmentName(s.Name, size)
		if err != nil || tl < p.Backup.Start.Timeline || tl > p.Timeline || seg.End() <= p.Backup.Start.LSN {
			continue
		}
		if p.End != nil && seg.Start() > p.End.LSN || p.End == nil && !p.EndTime.IsZero() && s.From.After(p.EndTime) {
			continue
		}
		p.Segments = append(p.Segments, s.Name)
		p.LogBytes += int64(s.End - seg.Start())
	}
	slices.Sort(p.Segments)
}

// timelineOf reads the timeline of a segment's name; 0 when it is none.
func timelineOf(name string) target.Timeline {
	n, err := strconv.ParseUint(name[:min(8, len(name))], 16, 32)
	if err != nil {
		return 0
	}
	return target.Timeline(n)
}

// estimate scales the newest measurement to this plan's sizes.
func (p *Plan) estimate(measured []Measurement) {
	if len(measured) == 0 {
		return
	}
	m := measured[len(measured)-1]
	if m.Bytes <= 0 || m.Restore <= 0 {
		return
	}
	d := time.Duration(float64(m.Restore) * float64(p.Bytes) / float64(m.Bytes))
	if m.LogBytes > 0 && p.LogBytes > m.LogBytes {
		d += time.Duration(float64(m.Recover) * float64(p.LogBytes) / float64(m.LogBytes))
	} else {
		d += m.Recover
	}
	p.Estimate = &d
}
