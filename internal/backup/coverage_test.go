package backup

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/target"
)

var day0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

const mib = 1 << 20

// minute maps a position to a time: one segment a minute.
func minute(l target.LSN) time.Time {
	return day0.Add(time.Duration(float64(l) / mib * float64(time.Minute)))
}

func wholeSegment(tl target.Timeline, n uint64) SegmentInfo {
	s := target.Segment{Timeline: tl, Number: n, Size: mib}
	return SegmentInfo{Name: s.Name(), End: s.End(), From: minute(s.Start()), To: minute(s.End()), Stored: true, Indexed: true}
}

func someSegments(tl target.Timeline, from, to uint64) []SegmentInfo {
	var out []SegmentInfo
	for n := from; n <= to; n++ {
		out = append(out, wholeSegment(tl, n))
	}
	return out
}

func backupAt(id string, tl target.Timeline, start, end target.LSN) Backup {
	return Backup{ID: id, Kind: Full, SegmentSize: mib, Start: target.Position{Timeline: tl, LSN: start}, End: target.Position{Timeline: tl, LSN: end},
		StartedAt: minute(start), EndedAt: minute(end)}
}

func logAt(tl target.Timeline, l target.LSN) LogPosition {
	return LogPosition{SegmentSize: mib, Position: target.Position{Timeline: tl, LSN: l}, ServerTime: minute(l).Add(time.Second)}
}

// show writes a report's spans and gaps in MiB, for tables.
func show(r CoverageReport) string {
	at := func(p target.Position) string { return fmt.Sprintf("%d:%g", p.Timeline, float64(p.LSN)/mib) }
	var out []string
	for _, s := range r.Spans {
		a := ""
		if s.Abandoned {
			a = " abandoned"
		}
		out = append(out, fmt.Sprintf("%s-%s %s%s", at(s.From), at(s.To), strings.Join(s.Backups, "+"), a))
	}
	for _, g := range r.Gaps {
		out = append(out, fmt.Sprintf("gap %s-%s", at(g.From), at(g.To)))
	}
	return strings.Join(out, "; ")
}

func TestCoverage(t *testing.T) {
	b2 := backupAt("b2", 1, 2.125*mib, 2.5*mib)
	b6 := backupAt("b6", 1, 6.125*mib, 6.5*mib)
	partial := func(n uint64, end target.LSN) SegmentInfo {
		s := wholeSegment(1, n)
		s.Partial, s.Indexed, s.End = true, false, end
		return s
	}
	with := func(s SegmentInfo, f func(*SegmentInfo)) SegmentInfo { f(&s); return s }
	history := map[target.Timeline][]byte{2: []byte("1\t0/480000\tno recovery target\n")} // 4.5 MiB
	for name, tc := range map[string]struct {
		backups   []Backup
		segments  []SegmentInfo
		histories map[target.Timeline][]byte
		position  LogPosition
		gaps      []Gap
		want      string
	}{
		"nothing":                       {want: ""},
		"log without a backup":          {segments: someSegments(1, 1, 5), position: logAt(1, 6*mib), want: ""},
		"backup without log":            {backups: []Backup{b2}, want: "1:2.5-1:2.5 b2"},
		"log":                           {[]Backup{b2}, someSegments(1, 1, 4), nil, logAt(1, 5*mib), nil, "1:2.5-1:5 b2"},
		"partial end":                   {[]Backup{b2}, append(someSegments(1, 2, 4), partial(5, 5.25*mib)), nil, logAt(1, 5.25*mib), nil, "1:2.5-1:5.25 b2"},
		"partial shorter than promised": {[]Backup{b2}, append(someSegments(1, 2, 4), partial(5, 5.25*mib)), nil, logAt(1, 5.5*mib), nil, "1:2.5-1:5 b2; gap 1:5-1:5.5"},
		"partial with log after it":     {[]Backup{b2}, slices.Concat(someSegments(1, 2, 3), []SegmentInfo{partial(4, 4.5*mib)}, someSegments(1, 5, 5)), nil, logAt(1, 6*mib), nil, "1:2.5-1:4 b2; gap 1:4-1:6"},
		"hole":                          {[]Backup{b2}, append(someSegments(1, 1, 3), someSegments(1, 5, 7)...), nil, logAt(1, 8*mib), nil, "1:2.5-1:4 b2; gap 1:4-1:8"},
		"hole, then a backup":           {[]Backup{b2, b6}, append(someSegments(1, 1, 3), someSegments(1, 5, 7)...), nil, logAt(1, 8*mib), nil, "1:2.5-1:4 b2; 1:6.5-1:8 b6; gap 1:4-1:6.5"},
		"two backups":                   {[]Backup{b6, b2}, someSegments(1, 1, 7), nil, logAt(1, 8*mib), nil, "1:2.5-1:8 b2+b6"},
		"end of the log lost":           {[]Backup{b2}, someSegments(1, 2, 3), nil, logAt(1, 8*mib), nil, "1:2.5-1:4 b2; gap 1:4-1:8"},
		"first segment lost":            {[]Backup{b2}, someSegments(1, 3, 5), nil, logAt(1, 6*mib), nil, "1:2.5-1:2.5 b2; gap 1:2.5-1:6"},
		"object lost":                   {[]Backup{b2}, slices.Concat(someSegments(1, 2, 2), []SegmentInfo{with(wholeSegment(1, 3), func(s *SegmentInfo) { s.Stored = false })}, someSegments(1, 4, 4)), nil, logAt(1, 5*mib), nil, "1:2.5-1:3 b2; gap 1:3-1:5"},
		"index lost":                    {[]Backup{b2}, slices.Concat(someSegments(1, 2, 2), []SegmentInfo{with(wholeSegment(1, 3), func(s *SegmentInfo) { s.Indexed = false })}), nil, logAt(1, 5*mib), nil, "1:2.5-1:3 b2; gap 1:3-1:5"},
		"index not yet written":         {[]Backup{b2}, slices.Concat(someSegments(1, 2, 2), []SegmentInfo{with(wholeSegment(1, 3), func(s *SegmentInfo) { s.Indexed = false })}), nil, logAt(1, 3.5*mib), nil, "1:2.5-1:3.5 b2"},
		"four on their way": {[]Backup{b2}, slices.Concat(someSegments(1, 2, 2), []SegmentInfo{
			with(wholeSegment(1, 3), func(s *SegmentInfo) { s.Indexed = false }), with(wholeSegment(1, 4), func(s *SegmentInfo) { s.Stored = false }),
			with(wholeSegment(1, 6), func(s *SegmentInfo) { s.Indexed = false }), partial(7, 7.5*mib),
		}), nil, logAt(1, 3*mib), nil, "1:2.5-1:3 b2"},
		"indexed since it was listed":    {[]Backup{b2}, slices.Concat(someSegments(1, 2, 2), []SegmentInfo{with(wholeSegment(1, 3), func(s *SegmentInfo) { s.Stored = false })}, someSegments(1, 4, 4)), nil, logAt(1, 3*mib), nil, "1:2.5-1:3 b2"},
		"lost before what is on its way": {[]Backup{b2}, slices.Concat(someSegments(1, 2, 2), []SegmentInfo{with(wholeSegment(1, 5), func(s *SegmentInfo) { s.Indexed = false })}), nil, logAt(1, 5*mib), nil, "1:2.5-1:3 b2; gap 1:3-1:5"},
		"recorded gap":                   {[]Backup{b2, b6}, append(someSegments(1, 1, 3), someSegments(1, 5, 7)...), nil, logAt(1, 8*mib), []Gap{{From: target.Position{Timeline: 1, LSN: 4 * mib}, To: target.Position{Timeline: 1, LSN: 5 * mib}, Reason: "slot"}}, "1:2.5-1:4 b2; 1:6.5-1:8 b6; gap 1:4-1:6.5"},
		"gap before any backup":          {[]Backup{b6}, someSegments(1, 5, 7), nil, logAt(1, 8*mib), []Gap{{From: target.Position{Timeline: 1, LSN: 1 * mib}, To: target.Position{Timeline: 1, LSN: 2 * mib}, Reason: "slot"}}, "1:6.5-1:8 b6"},
		"promoted":                       {[]Backup{b2}, append(someSegments(1, 2, 3), someSegments(2, 4, 6)...), history, logAt(2, 7*mib), nil, "1:2.5-2:7 b2"},
		"promoted, old log stays":        {[]Backup{b2}, append(someSegments(1, 2, 5), someSegments(2, 4, 6)...), history, logAt(2, 7*mib), nil, "1:2.5-2:7 b2; 1:4.5-1:6 b2 abandoned"},
		"promoted, no history":           {[]Backup{b2}, append(someSegments(1, 2, 3), someSegments(2, 4, 6)...), nil, logAt(2, 7*mib), nil, "1:2.5-1:4 b2"},
		"promoted, first lost":           {[]Backup{b2}, append(someSegments(1, 2, 4), someSegments(2, 5, 6)...), history, logAt(2, 7*mib), nil, "1:2.5-1:5 b2 abandoned"},
		"promoted, hole before":          {[]Backup{b2}, append(someSegments(1, 2, 2), someSegments(2, 4, 6)...), history, logAt(2, 7*mib), nil, "1:2.5-1:3 b2; gap 1:3-1:4.5"},
		"backup on each timeline":        {[]Backup{b2, backupAt("c", 2, 5*mib, 5.5*mib)}, append(someSegments(1, 2, 3), someSegments(2, 4, 6)...), history, logAt(2, 7*mib), nil, "1:2.5-2:7 b2+c"},
		"backup past the fork":           {[]Backup{b6}, append(someSegments(1, 2, 7), someSegments(2, 4, 6)...), history, logAt(2, 7*mib), nil, "1:6.5-1:8 b6 abandoned"},
		"delta without its parent":       {[]Backup{{ID: "d", Kind: Delta, Parent: "x", SegmentSize: mib, Start: b2.Start, End: b2.End}}, someSegments(1, 2, 4), nil, logAt(1, 5*mib), nil, "gap 1:2.125-1:2.5"},
	} {
		r := Coverage(tc.backups, tc.segments, tc.histories, tc.position, tc.gaps, day0.Add(time.Hour))
		if got := show(r); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tc.want)
		}
		for _, g := range r.Gaps {
			if g.Reason == "" {
				t.Errorf("%s: a gap without a reason", name)
			}
		}
		if name == "recorded gap" && r.Gaps[0].Reason != "slot" {
			t.Errorf("%s: reason %q", name, r.Gaps[0].Reason)
		}
	}
}

func TestNewestMomentAdvancesOnAnIdleServer(t *testing.T) {
	b := backupAt("b", 1, 2*mib, 2.5*mib)
	pos := logAt(1, 2.75*mib)
	pos.ServerTime = day0.Add(50 * time.Minute)
	part := wholeSegment(1, 2)
	part.Partial, part.Indexed, part.End = true, false, 2.75*mib
	r := Coverage([]Backup{b}, []SegmentInfo{part}, nil, pos, nil, day0.Add(51*time.Minute))
	if r.Newest == nil || r.Newest.Age != time.Minute || r.Newest.Position.LSN != 2.75*mib || r.Newest.Backup != "b" {
		t.Errorf("%+v", r.Newest)
	}
}

func TestNearest(t *testing.T) {
	r := Coverage([]Backup{backupAt("b2", 1, 2.125*mib, 2.5*mib), backupAt("b6", 1, 6.125*mib, 6.5*mib)},
		append(someSegments(1, 1, 3), someSegments(1, 5, 7)...), nil, logAt(1, 8*mib), nil, day0)
	at := func(m *Moment) float64 {
		if m == nil {
			return -1
		}
		return float64(m.Position.LSN) / mib
	}
	for lsn, want := range map[float64]struct {
		inside        bool
		before, after float64
	}{1: {false, -1, 2.5}, 3: {true, -1, 6.5}, 5: {false, 4, 6.5}, 7: {true, 4, -1}, 9: {false, 8, -1}} {
		l := target.LSN(lsn * mib)
		for kind, n := range map[string]Nearest{"lsn": r.NearestLSN(target.Position{LSN: l}), "time": r.NearestTime(minute(l))} {
			if n.Inside != want.inside || at(n.Before) != want.before || at(n.After) != want.after {
				t.Errorf("%s %g: %v %g %g", kind, lsn, n.Inside, at(n.Before), at(n.After))
			}
		}
	}
}

// history is a random cluster's past: timelines that branch, some log, some
// backups.
type history struct {
	left     map[target.Timeline]fork // where and by which child's making; by child
	parent   map[target.Timeline]target.Timeline
	backups  []Backup
	segments []SegmentInfo
	files    map[target.Timeline][]byte
	position LogPosition
}

func drawHistory(t *rapid.T) history {
	h := history{left: map[target.Timeline]fork{}, parent: map[target.Timeline]target.Timeline{}, files: map[target.Timeline][]byte{}}
	lines := rapid.IntRange(1, 4).Draw(t, "timelines")
	lsn := func(label string, least float64) target.LSN {
		return target.LSN(float64(rapid.IntRange(int(least*4), 48).Draw(t, label)) / 4 * mib)
	}
	for tl := target.Timeline(1); tl <= target.Timeline(lines); tl++ {
		if tl > 1 {
			p := target.Timeline(rapid.IntRange(1, int(tl)-1).Draw(t, "parent"))
			least := 1.0
			if p > 1 {
				least = float64(h.left[p].at) / mib
			}
			h.parent[tl], h.left[tl] = p, fork{tl, lsn("fork", least)}
			line := h.line(tl)
			var text string
			for _, a := range line[:len(line)-1] {
				next := line[slices.Index(line, a)+1]
				text += fmt.Sprintf("%d\t%s\treason\n", a, h.left[next].at)
			}
			h.files[tl] = []byte(text)
		}
		for n := uint64(h.left[tl].at) / mib; n < 12; n++ {
			if rapid.IntRange(0, 5).Draw(t, "have") > 0 {
				h.segments = append(h.segments, wholeSegment(tl, n))
			}
		}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "backups") {
		tl := target.Timeline(rapid.IntRange(1, lines).Draw(t, "on"))
		end := lsn("end", float64(h.left[tl].at)/mib)
		h.backups = append(h.backups, backupAt(fmt.Sprint("b", i), tl, end, end))
	}
	return h
}

// line is a timeline with its ancestors, oldest first.
func (h history) line(tl target.Timeline) []target.Timeline {
	out := []target.Timeline{tl}
	for h.parent[tl] != 0 {
		tl = h.parent[tl]
		out = append([]target.Timeline{tl}, out...)
	}
	return out
}

// recovers does as PostgreSQL does: for each segment it takes the file of the
// newest timeline of the target's line that has one (XLogFileReadAnyTLI).
func (h history) recovers(b Backup, to target.Position) bool {
	line := h.line(to.Timeline)
	i := slices.Index(line, b.End.Timeline)
	if i < 0 || to.LSN < b.End.LSN {
		return false
	}
	leftAt := func(tl target.Timeline) target.LSN {
		if k := slices.Index(line, tl); k+1 < len(line) {
			return h.left[line[k+1]].at
		}
		return 1 << 60
	}
	if b.End.LSN > leftAt(b.End.Timeline) {
		return false
	}
	for at := b.End.LSN; at < to.LSN; {
		n := uint64(at) / mib
		need := min(target.LSN((n+1)*mib), to.LSN)
		got := at
		for _, tl := range line {
			ok := slices.ContainsFunc(h.segments, func(s SegmentInfo) bool {
				return s.Name == target.Segment{Timeline: tl, Number: n, Size: mib}.Name()
			})
			if ok && uint64(h.left[tl].at)/mib <= n {
				got = max(got, min(need, leftAt(tl)))
			}
		}
		if got < need {
			return false
		}
		at = need
	}
	return true
}

func (h history) coverage() CoverageReport {
	return Coverage(h.backups, h.segments, h.files, h.position, nil, day0)
}

// TestCoverageClaimsWhatRecoveryReaches compares the report with a model of
// recovery, position by position.
func TestCoverageClaimsWhatRecoveryReaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		r := h.coverage()
		byID := map[string]Backup{}
		for _, b := range h.backups {
			byID[b.ID] = b
		}
		covered := func(p target.Position) bool {
			for _, s := range r.Spans {
				for _, part := range s.Parts {
					if part.Timeline == p.Timeline && part.From <= p.LSN && p.LSN <= part.To {
						return true
					}
				}
			}
			return false
		}
		for _, s := range r.Spans {
			first := byID[s.Backups[0]]
			if !h.recovers(first, s.To) {
				t.Fatalf("%s: claims %v from %s", show(r), s.To, first.ID)
			}
			for _, id := range s.Backups {
				if !h.recovers(byID[id], s.To) {
					t.Fatalf("%s: claims %v from %s", show(r), s.To, id)
				}
			}
		}
		for _, b := range h.backups {
			for tl := range target.Timeline(5) {
				if tl == 0 || tl > 1 && h.parent[tl] == 0 {
					continue
				}
				for q := range target.LSN(13 * 4) {
					p := target.Position{Timeline: tl, LSN: q * mib / 4}
					if tl != b.End.Timeline && p.LSN <= h.left[tl].at {
						continue // the same moment is on an older timeline
					}
					if h.recovers(b, p) && !covered(p) {
						t.Fatalf("%s: does not cover %v, which %s reaches", show(r), p, b.ID)
					}
				}
			}
		}
		for i := 1; i < len(r.Spans); i++ {
			if comparePositions(r.Spans[i-1].From, r.Spans[i].From) > 0 {
				t.Fatalf("%s: not sorted", show(r))
			}
		}
	})
}

// TestLosingASegmentNeverCoversMore takes away one segment.
func TestLosingASegmentNeverCoversMore(t *testing.T) {
	total := func(r CoverageReport) int {
		at := map[target.Position]bool{}
		for _, s := range r.Spans {
			for _, p := range s.Parts {
				for l := p.From; l < p.To; l += mib / 4 {
					at[target.Position{Timeline: p.Timeline, LSN: l}] = true
				}
			}
		}
		return len(at)
	}
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		if len(h.segments) == 0 {
			return
		}
		before := h.coverage()
		i := rapid.IntRange(0, len(h.segments)-1).Draw(t, "lose")
		lost, err := target.ParseSegmentName(h.segments[i].Name, mib)
		if err != nil {
			t.Fatal(err)
		}
		h.segments = slices.Delete(slices.Clone(h.segments), i, i+1)
		after := h.coverage()
		if total(after) > total(before) {
			t.Fatalf("%s became %s", show(before), show(after))
		}
		for _, s := range before.Spans {
			for _, p := range s.Parts {
				inside := p.Timeline == lost.Timeline && p.From <= lost.Start() && lost.End() <= p.To && h.left[lost.Timeline].at <= lost.Start()
				forks := slices.ContainsFunc(h.lines(), func(f fork) bool { return h.parent[f.child] == p.Timeline && f.at > lost.Start() && f.at <= lost.End() })
				if inside && !forks && total(after) >= total(before) {
					t.Fatalf("losing %s leaves %s as it is: %s", lost.Name(), show(before), show(after))
				}
			}
		}
	})
}

func (h history) lines() []fork {
	var out []fork
	for _, f := range h.left {
		out = append(out, f)
	}
	return out
}
