package backup

import (
	"slices"

	"github.com/refloat-db/refloat/internal/target"
)

// spans joins what was reached on each timeline into spans, and notes the
// holes between them.
func (m *logMap) spans() []Span {
	var lines []target.Timeline
	for tl := range m.reached {
		m.reached[tl] = merged(m.reached[tl])
		lines = append(lines, tl)
	}
	slices.Sort(lines)
	m.findHoles(lines)
	continued := map[SpanPart]bool{} // beginnings that another span runs into
	out := []Span{}
	for _, tl := range lines {
		for _, i := range m.reached[tl] {
			if continued[SpanPart{Timeline: tl, From: i.from}] {
				out = m.addTails(out, tl, i)
				continue
			}
			s := m.join(tl, i, continued)
			out = append(out, s)
			out = m.addTails(out, tl, i)
		}
	}
	for i := range out {
		out[i].Abandoned = m.abandoned(out[i])
	}
	slices.SortStableFunc(out, func(a, b Span) int { return comparePositions(a.From, b.From) })
	return out
}

// join makes the span that begins with an interval and runs on along the
// newest timelines.
func (m *logMap) join(tl target.Timeline, i interval, continued map[SpanPart]bool) Span {
	s := Span{From: target.Position{Timeline: tl, LSN: i.from}, FromTime: i.fromTime}
	for {
		f, next, ok := m.next(tl, i)
		if !ok {
			break
		}
		s.Parts = append(s.Parts, SpanPart{tl, i.from, f.at, i.fromTime, next.fromTime})
		m.addBackups(&s, i.backups, target.Position{Timeline: tl, LSN: f.at})
		continued[SpanPart{Timeline: f.child, From: f.at}] = true
		tl, i = f.child, next
	}
	s.Parts = append(s.Parts, SpanPart{tl, i.from, i.to, i.fromTime, i.toTime})
	m.addBackups(&s, i.backups, target.Position{Timeline: tl, LSN: i.to})
	s.To, s.ToTime = target.Position{Timeline: tl, LSN: i.to}, i.toTime
	return s
}

// addBackups adds to a span those that begin before a part of it ends; later
// ones were taken on the timeline after the span left it.
func (m *logMap) addBackups(s *Span, ids []string, until target.Position) {
	for _, id := range ids {
		if comparePositions(m.ends[id], until) <= 0 && !slices.Contains(s.Backups, id) {
			s.Backups = append(s.Backups, id)
		}
	}
}

// next is the fork by which an interval goes on: of those that were reached,
// the one that leads to the newest timeline.
func (m *logMap) next(tl target.Timeline, i interval) (fork, interval, bool) {
	var best fork
	var on interval
	found := false
	for _, f := range m.forks[tl] {
		if f.at < i.from {
			continue
		}
		for _, c := range m.reached[f.child] {
			if c.from == f.at && m.shares(i, c, f.at) && (!found || m.leadsTo(f.child) > m.leadsTo(best.child)) {
				best, on, found = f, c, true
			}
		}
	}
	return best, on, found
}

// shares reports whether a backup of interval i was followed into c, which
// branches off at lsn.
func (m *logMap) shares(i, c interval, lsn target.LSN) bool {
	return slices.ContainsFunc(i.backups, func(id string) bool {
		return slices.Contains(c.backups, id) && (m.ends[id].LSN <= lsn)
	})
}

// leadsTo is the newest timeline that descends from tl.
func (m *logMap) leadsTo(tl target.Timeline) target.Timeline {
	best := tl
	for _, f := range m.forks[tl] {
		best = max(best, m.leadsTo(f.child))
	}
	return best
}

// addTails adds the stretch that an interval has past the fork at which the
// cluster left it.
func (m *logMap) addTails(out []Span, tl target.Timeline, i interval) []Span {
	f, _, ok := m.next(tl, i)
	if !ok || i.to <= f.at {
		return out
	}
	at := i.toTime
	if s, ok := m.segments[tl][uint64(f.at)/uint64(m.size)]; ok && !s.To.IsZero() && s.To.Before(at) {
		at = s.To
	}
	return append(out, Span{
		From: target.Position{Timeline: tl, LSN: f.at}, To: target.Position{Timeline: tl, LSN: i.to},
		FromTime: at, ToTime: i.toTime, Backups: slices.Clone(i.backups),
		Parts: []SpanPart{{tl, f.at, i.to, at, i.toTime}},
	})
}

// abandoned reports whether a span ends off the line that leads to the newest
// timeline.
func (m *logMap) abandoned(s Span) bool {
	last := s.Parts[len(s.Parts)-1]
	if last.Timeline == m.newest {
		return false
	}
	left, onLine := m.left[last.Timeline]
	return len(m.left) > 0 && (!onLine || last.To > left)
}

// findHoles notes where the log was lost: past the end of each stretch, when
// there is more of its timeline.
func (m *logMap) findHoles(lines []target.Timeline) {
	for _, tl := range lines {
		all := m.reached[tl]
		for k, i := range all {
			end, to := m.known(tl), i.to
			if k+1 < len(all) {
				end = all[k+1].from
			}
			if f, _, ok := m.next(tl, i); ok {
				to = max(to, f.at)
			}
			if end > to {
				m.hole(tl, to, end)
			}
		}
	}
	for _, g := range m.recorded {
		if m.matters(g) && !slices.ContainsFunc(m.holes, func(h CoverageGap) bool { return overlaps(h, g) }) {
			m.gap(CoverageGap(g))
		}
	}
}

// known is how far a timeline's log is known to have gone.
func (m *logMap) known(tl target.Timeline) target.LSN {
	end, flight := m.promised(tl), m.inFlight(tl)
	for n, s := range m.segments[tl] {
		if n >= flight {
			continue
		}
		if s.Partial {
			end = max(end, s.End)
		} else {
			end = max(end, target.LSN((n+1)*uint64(m.size)))
		}
	}
	if left, ok := m.left[tl]; ok && m.position.Position.Timeline != tl {
		end = max(end, left)
	}
	return end
}

// inFlight is the number of the first segment of a timeline that may be on its
// way at this moment: stored and not indexed yet, or indexed since storage was
// listed. Nothing past its beginning was promised, so that it, and what is past
// it, is no sign of a hole. A server writes log faster than it can be looked at.
func (m *logMap) inFlight(tl target.Timeline) uint64 {
	const none = ^uint64(0)
	p := m.position.Position
	if p.Timeline == 0 || tl < p.Timeline {
		return none
	}
	flight := none
	for n := range m.segments[tl] {
		if _, usable := m.usable(tl, n); !usable && n < flight && target.LSN(n*uint64(m.size)) >= m.promised(tl) {
			flight = n
		}
	}
	// One that holds the last promised byte counts only that far.
	if n := uint64(m.promised(tl)) / uint64(m.size); n < flight && uint64(m.promised(tl))%uint64(m.size) != 0 {
		if s, ok := m.segments[tl][n]; ok && s.Stored && !s.Partial && !s.Indexed && s.End == m.promised(tl) {
			flight = n
		}
	}
	return flight
}

func (m *logMap) hole(tl target.Timeline, from, to target.LSN) {
	h := CoverageGap{
		From: target.Position{Timeline: tl, LSN: from}, To: target.Position{Timeline: tl, LSN: to},
		Reason: m.describeMissing(tl, from),
	}
	for _, g := range m.recorded {
		if overlaps(h, g) {
			h.Reason, h.At = g.Reason, g.At
		}
	}
	m.gap(h)
}

func (m *logMap) gap(g CoverageGap) { m.holes = append(m.holes, g) }

// overlaps reports whether a recorded gap explains a hole. A gap may end on a
// later timeline than it began.
func overlaps(h CoverageGap, g Gap) bool {
	return comparePositions(g.From, h.To) < 0 && comparePositions(h.From, g.To) < 0
}

// matters reports whether a recorded gap lies after something restorable.
func (m *logMap) matters(g Gap) bool {
	for tl, all := range m.reached {
		for _, i := range all {
			if comparePositions(target.Position{Timeline: tl, LSN: i.from}, g.To) < 0 {
				return true
			}
		}
	}
	return len(m.reached) == 0
}
