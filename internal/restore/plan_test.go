package restore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

const mib = 1 << 20 // a segment

var day0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// moment maps a position to a time: a segment a minute.
func moment(l target.LSN) time.Time {
	return day0.Add(time.Duration(float64(l) / mib * float64(time.Minute)))
}

// past is a made-up history: one timeline, and perhaps a second that left it.
type past struct {
	backups  []backup.Backup
	has      map[target.Segment]bool
	end      target.Position
	switched target.LSN // 0 for no second timeline
}

func drawPast(t *rapid.T) past {
	const last = 12 // segments
	p := past{has: map[target.Segment]bool{}, end: target.Position{Timeline: 1, LSN: last * mib}}
	if rapid.Bool().Draw(t, "failed over") {
		p.switched = target.LSN(rapid.IntRange(4*mib, 9*mib).Draw(t, "switched"))
		p.end.Timeline = 2
	}
	keep := func(tl target.Timeline, from, to uint64) {
		for n := from; n <= to; n++ {
			if rapid.IntRange(0, 9).Draw(t, fmt.Sprintf("keep %d:%d", tl, n)) > 0 {
				p.has[target.Segment{Timeline: tl, Number: n, Size: mib}] = true
			}
		}
	}
	if p.switched == 0 {
		keep(1, 0, last-1)
	} else {
		keep(1, 0, uint64(p.switched-1)/mib)
		keep(2, uint64(p.switched)/mib, last-1)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "backups") {
		start := target.LSN(rapid.IntRange(mib/2, 11*mib).Draw(t, fmt.Sprintf("start %d", i)))
		b := backup.Backup{
			ID: fmt.Sprintf("b%02d-%d", start/mib, i), Kind: backup.Full, SegmentSize: mib,
			Start: target.Position{Timeline: 1, LSN: start}, End: target.Position{Timeline: 1, LSN: start + mib/4},
		}
		if p.switched != 0 && b.End.LSN > p.switched {
			if b.Start.LSN < p.switched {
				continue // no backup runs over a failover
			}
			b.Start.Timeline, b.End.Timeline = 2, 2
		}
		b.StartedAt, b.EndedAt = moment(b.Start.LSN), moment(b.End.LSN)
		p.backups = append(p.backups, b)
	}
	slices.SortFunc(p.backups, func(a, b backup.Backup) int { return int(a.Start.LSN) - int(b.Start.LSN) })
	return p
}

func (p past) inputs(to Target) Inputs {
	in := Inputs{Target: to, Backups: p.backups, Position: backup.LogPosition{SegmentSize: mib, Position: p.end, ServerTime: moment(p.end.LSN)}}
	for s := range p.has {
		end := s.End()
		if p.switched != 0 && s.Timeline == 1 {
			end = min(end, p.switched)
		}
		in.Segments = append(in.Segments, backup.SegmentInfo{Name: s.Name(), End: end, Partial: end < s.End(), From: moment(s.Start()), To: moment(end), Stored: true, Indexed: end == s.End()})
	}
	slices.SortFunc(in.Segments, func(a, b backup.SegmentInfo) int { return int(a.End) - int(b.End) })
	histories := map[target.Timeline][]byte{}
	if p.switched != 0 {
		histories[2] = fmt.Appendf(nil, "1\t%s\tno recovery target\n", p.switched)
	}
	in.Coverage = backup.Coverage(p.backups, in.Segments, histories, in.Position, nil, moment(p.end.LSN).Add(time.Hour))
	return in
}

// reaches works out by hand whether recovery from b along a timeline comes to
// a position: PostgreSQL reads each segment from the newest timeline that the
// wanted one passes through there.
func (p past) reaches(b backup.Backup, tl target.Timeline, at target.LSN) bool {
	switch {
	case at < b.End.LSN, b.End.Timeline > tl, tl == 2 && p.switched == 0,
		tl == 1 && p.switched != 0 && at > p.switched,
		tl == 2 && b.End.Timeline == 1 && at < p.switched && b.End.LSN > p.switched:
		return false
	}
	for n := uint64(b.End.LSN) / mib; target.LSN(n*mib) < at; n++ {
		if target.LSN(n+1)*mib <= b.End.LSN {
			continue // the backup carries it
		}
		from := tl
		if tl == 2 && target.LSN(n+1)*mib <= p.switched {
			from = 1
		}
		if !p.has[target.Segment{Timeline: from, Number: n, Size: mib}] {
			return false
		}
	}
	return true
}

// A plan never promises what recovery cannot reach.
func TestPlansKeepTheirPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPast(t)
		to := Target{Kind: ToLatest}
		switch at := target.LSN(rapid.IntRange(0, 13*mib).Draw(t, "at")); rapid.SampledFrom([]Kind{ToLatest, ToLSN, ToTime}).Draw(t, "kind") {
		case ToLSN:
			to = Target{Kind: ToLSN, LSN: at}
		case ToTime:
			to = Target{Kind: ToTime, Time: moment(at)}
		}
		plan, err := Make(p.inputs(to))
		if err != nil {
			if !errors.Is(err, ErrNotCovered) {
				t.Fatalf("%s: %v", to, err)
			}
			if to.Kind == ToLSN {
				for _, b := range p.backups {
					for tl := range target.Timeline(3) {
						if tl > 0 && p.reaches(b, tl, to.LSN) {
							t.Fatalf("%s is refused (%v), but %s reaches it on timeline %d", to, err, b.ID, tl)
						}
					}
				}
			}
			return
		}
		at := to.LSN
		switch to.Kind {
		case ToLatest:
			at = plan.End.LSN
			if plan.End.Timeline != p.end.Timeline || at != p.end.LSN {
				t.Fatalf("latest is %s, but the log is recorded up to %s", plan.End, p.end)
			}
		case ToTime:
			at = target.LSN(to.Time.Sub(day0).Minutes() * mib)
		}
		if at < plan.Backup.End.LSN-1 || !p.reaches(plan.Backup, plan.Timeline, max(at, plan.Backup.End.LSN)) {
			t.Fatalf("%s: planned from %s (%s to %s) on timeline %d, which does not reach %s", to, plan.Backup.ID, plan.Backup.Start, plan.Backup.End, plan.Timeline, at)
		}
	})
}
