package backup

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// logMap is the log that a target has, by timeline, and what has been found
// to be restorable on each.
type logMap struct {
	size     int64 // of a segment
	segments map[target.Timeline]map[uint64]SegmentInfo
	forks    map[target.Timeline][]fork // by the timeline that was left
	position LogPosition
	left     map[target.Timeline]target.LSN // where timelines on the main line were left
	newest   target.Timeline
	recorded []Gap
	reached  map[target.Timeline][]interval
	ends     map[string]target.Position // of backups, by ID
	holes    []CoverageGap
}

// fork is a timeline that began where another was left.
type fork struct {
	child target.Timeline
	at    target.LSN
}

// interval is a stretch of one timeline that can be restored.
type interval struct {
	from, to         target.LSN
	fromTime, toTime time.Time
	backups          []string
}

func newLogMap(backups []Backup, segments []SegmentInfo, histories map[target.Timeline][]byte, position LogPosition, gaps []Gap) *logMap {
	m := &logMap{
		size: defaultSegmentSize, segments: map[target.Timeline]map[uint64]SegmentInfo{},
		forks: map[target.Timeline][]fork{}, position: position, recorded: gaps,
		left: map[target.Timeline]target.LSN{}, reached: map[target.Timeline][]interval{},
		newest: position.Position.Timeline, ends: map[string]target.Position{},
	}
	switch {
	case target.ValidSegmentSize(position.SegmentSize):
		m.size = position.SegmentSize
	case len(backups) > 0 && target.ValidSegmentSize(backups[0].SegmentSize):
		m.size = backups[0].SegmentSize
	}
	for _, b := range backups {
		m.newest = max(m.newest, b.End.Timeline)
	}
	for _, s := range segments {
		seg, err := target.ParseSegmentName(s.Name, m.size)
		if err != nil {
			continue
		}
		if m.segments[seg.Timeline] == nil {
			m.segments[seg.Timeline] = map[uint64]SegmentInfo{}
		}
		m.segments[seg.Timeline][seg.Number] = s
		m.newest = max(m.newest, seg.Timeline)
	}
	m.addHistories(histories)
	m.judgeSegments()
	return m
}

// addHistories learns the forks. A history that cannot be read teaches
// nothing, so that nothing is claimed past it.
func (m *logMap) addHistories(histories map[target.Timeline][]byte) {
	for tl, content := range histories {
		line, err := target.ParseHistory(content)
		if err != nil {
			continue
		}
		for i, s := range line {
			f := fork{tl, s.LSN}
			if i+1 < len(line) {
				f.child = line[i+1].Timeline
			}
			if f.child > s.Timeline && !slices.Contains(m.forks[s.Timeline], f) {
				m.forks[s.Timeline] = append(m.forks[s.Timeline], f)
			}
			if tl == m.newest {
				m.left[s.Timeline] = s.LSN
			}
		}
	}
	for _, f := range m.forks {
		slices.SortFunc(f, func(a, b fork) int { return cmp.Or(cmp.Compare(a.child, b.child), cmp.Compare(a.at, b.at)) })
	}
}

// promised is how far the log of a timeline is known to have been stored.
func (m *logMap) promised(tl target.Timeline) target.LSN {
	if tl == m.position.Position.Timeline {
		return m.position.Position.LSN
	}
	return m.left[tl]
}

// judgeSegments takes out what recovery would not accept, by the rules of
// Log.Fetch: it must be stored, and known to the index unless nothing past its
// beginning was promised; a beginning must reach as far as was promised.
func (m *logMap) judgeSegments() {
	for tl, segs := range m.segments {
		last := uint64(0)
		for n, s := range segs {
			if s.Indexed && !s.Partial {
				last = max(last, n)
			}
		}
		for n, s := range segs {
			end := target.LSN((n + 1) * uint64(m.size))
			must := min(end, m.promised(tl))
			switch {
			case !s.Partial && s.Stored && !s.Indexed && must < end:
				s.End = max(must, target.LSN(n*uint64(m.size)))
			case s.Partial && s.Stored && s.End >= must && last < n:
			case !s.Partial && s.Stored && s.Indexed:
				s.End = end
			default:
				s.End = 0
			}
			segs[n] = s
		}
	}
}

// usable returns a segment that recovery would accept.
func (m *logMap) usable(tl target.Timeline, number uint64) (SegmentInfo, bool) {
	s, ok := m.segments[tl][number]
	return s, ok && s.End > target.LSN(number*uint64(m.size))
}

// reach follows a timeline's log from a position and returns how far it goes
// without a hole, and the server's time there.
func (m *logMap) reach(tl target.Timeline, from target.LSN, at time.Time) (target.LSN, time.Time) {
	pos := from
	for {
		s, ok := m.usable(tl, uint64(pos)/uint64(m.size))
		if !ok || s.End <= pos {
			break
		}
		pos = s.End
		if s.To.After(at) {
			at = s.To
		}
		if uint64(pos)%uint64(m.size) != 0 {
			break
		}
	}
	p := m.position
	if p.Position.Timeline == tl && pos >= p.Position.LSN && p.Position.LSN >= from && p.ServerTime.After(at) {
		at = p.ServerTime
	}
	return pos, at
}

// addBackup adds what can be restored from a backup.
func (m *logMap) addBackup(b Backup) {
	m.ends[b.ID] = b.End
	m.follow(b.ID, b.End.Timeline, b.End.LSN, b.EndedAt)
}

// follow adds the stretch of a timeline that begins at from, and those of the
// timelines that branch off it.
func (m *logMap) follow(id string, tl target.Timeline, from target.LSN, at time.Time) {
	to, toTime := m.reach(tl, from, at)
	m.reached[tl] = append(m.reached[tl], interval{from, to, at, toTime, []string{id}})
	for _, f := range m.forks[tl] {
		if f.at >= from {
			m.branch(id, f, to, m.timeBefore(tl, f.at, at))
		}
	}
}

// branch follows a fork when the log reaches to on the timeline that was left,
// and reports whether anything was reached. The first segment of the new
// timeline begins with a copy of the old one's bytes, so the old one need only
// reach its start; and the copy may be in the first segment of a timeline that
// branched off further on in the same segment.
func (m *logMap) branch(id string, f fork, to target.LSN, at time.Time) bool {
	number := uint64(f.at) / uint64(m.size)
	if to < target.LSN(number*uint64(m.size)) {
		return false
	}
	if first, ok := m.usable(f.child, number); ok && first.End >= f.at {
		m.follow(id, f.child, f.at, at)
		return true
	}
	found := false
	for _, g := range m.forks[f.child] {
		if g.at >= f.at && uint64(g.at)/uint64(m.size) == number {
			found = m.branch(id, g, to, at) || found
		}
	}
	if found {
		m.reached[f.child] = append(m.reached[f.child], interval{f.at, f.at, at, at, []string{id}})
	}
	return found
}

// timeBefore is a moment that is not after lsn was written.
func (m *logMap) timeBefore(tl target.Timeline, lsn target.LSN, least time.Time) time.Time {
	number := uint64(lsn) / uint64(m.size)
	if s, ok := m.segments[tl][number]; ok && s.From.After(least) {
		return s.From
	}
	if number > 0 {
		if s, ok := m.segments[tl][number-1]; ok && s.To.After(least) {
			return s.To
		}
	}
	return least
}

// merged joins intervals of a timeline that overlap or touch.
func merged(in []interval) []interval {
	in = slices.Clone(in)
	slices.SortStableFunc(in, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	var out []interval
	for _, i := range in {
		n := len(out)
		if n == 0 || i.from > out[n-1].to {
			i.backups = slices.Clone(i.backups)
			out = append(out, i)
			continue
		}
		last := &out[n-1]
		if i.to > last.to {
			last.to, last.toTime = i.to, i.toTime
		} else if i.to == last.to && i.toTime.After(last.toTime) {
			last.toTime = i.toTime
		}
		for _, id := range i.backups {
			if !slices.Contains(last.backups, id) {
				last.backups = append(last.backups, id)
			}
		}
	}
	return out
}

// describeMissing says why the log cannot be followed past a position.
func (m *logMap) describeMissing(tl target.Timeline, at target.LSN) string {
	seg := target.SegmentAt(target.Position{Timeline: tl, LSN: at}, m.size)
	s, ok := m.segments[tl][seg.Number]
	switch {
	case !ok:
		return fmt.Sprintf("log segment %s is missing", seg.Name())
	case !s.Stored:
		return fmt.Sprintf("log segment %s is in the index but not in storage", seg.Name())
	case s.Partial:
		return fmt.Sprintf("log segment %s is stored only in part", seg.Name())
	case !s.Indexed:
		return fmt.Sprintf("log segment %s is stored but not in the index", seg.Name())
	}
	return fmt.Sprintf("the log ends at %s", at)
}
