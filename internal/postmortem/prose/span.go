package prose

import "time"

// duration finds "5 hours and 24 minutes", 5h24m, "an hour and a half", "5:24
// hours", "the four-hour objective" and their like.
func (s *scanner) duration(i int) (Fact, int) {
	if f, end := s.colonSpan(i); end > i {
		return f, end
	}
	total, at, grain := time.Duration(0), i, time.Duration(0)
	f := Fact{Kind: DurationFact}
	for {
		v, unit, end := s.part(at, grain)
		if end == at {
			break
		}
		if grain != 0 && unit >= grain {
			break
		}
		if s.is(at, "a", "an") && grain == 0 && unit >= 24*time.Hour { // "a day" counts little
			f.Approx = true
		}
		total, grain = finite(float64(total)+v*float64(unit)), unit
		if v != float64(int64(v)) {
			grain = unit / 10
		}
		at = end
		if s.is(at, "and") && s.is(at+1, "a") && s.is(at+2, "half") { // an hour and a half
			total, grain, at = total+unit/2, unit/2, at+3
			break
		}
		if s.is(at, "and") && s.is(at+1, "a") && s.is(at+2, "quarter") {
			total, grain, at = total+unit/4, unit/4, at+3
			break
		}
		next := at
		if s.is(next, ",") {
			next++
		}
		if s.is(next, "and", "&") {
			next++
		}
		if _, _, more := s.part(next, grain); more == next {
			break
		}
		at = next
	}
	if at == i {
		return Fact{}, i
	}
	// A bare number after hours: 5h24.
	if m, ok := s.integer(at, 2); ok && grain == time.Hour && s.glued(at) && m < 60 && s.is(at-1, "h") {
		total, grain, at = total+time.Duration(m)*time.Minute, time.Minute, at+1
	}
	f.Span, f.Grain = total, grain
	f.Age = s.is(at, "old", "ago", "earlier", "later", "before", "behind") || s.is(at, "of") && s.is(at+1, "age")
	f.PerTime = s.is(i-1, "per", "every", "each", "/")
	f.Compound = s.is(i-1, "last", "past", "next", "previous", "following")
	return f, at
}

// part reads one number with its unit.
func (s *scanner) part(i int, grain time.Duration) (float64, time.Duration, int) {
	if i > 0 && i < len(s.t) && s.glued(i) && s.is(i-1, ".", "-", "#", "_", "/") && !s.is(i-1, "/") && grain == 0 && s.isNumber(i) && i >= 2 && s.glued(i-1) {
		return 0, 0, i // a piece of a version or of a name
	}
	v, end := s.number(i)
	if end == i {
		return 0, 0, i
	}
	if s.is(i, "half") && s.is(end, "an", "a") { // half an hour
		end++
	}
	if s.is(end, "-", "‑") && s.glued(end) && s.glued(end+1) {
		end++ // four-hour
	}
	if s.is(end, "full", "whole", "more", "additional", "consecutive", "solid") {
		end++
	}
	unit := units[s.word(end)]
	if unit == 0 {
		return 0, 0, i
	}
	short := len(s.word(end)) == 1
	switch {
	case short && !s.glued(end) && !s.is(end, "h", "m", "s"):
		return 0, 0, i
	case s.is(end, "second") && s.t[i].Kind == Word && !s.is(i, "one", "half", "a"):
		return 0, 0, i
	case s.is(end, "second") && s.is(i, "a", "an"):
		return 0, 0, i
	case s.is(end, "hrs", "hr", "hours", "h") && s.clockLike(i):
		return 0, 0, i
	case s.is(end, "m") && (s.is(i-1, "$", "€", "£") || grain == 0 && s.is(end+1, "rows", "requests", "users", "records")):
		return 0, 0, i
	}
	return v, unit, end + 1
}

// clockLike tells "0200 hrs" and "at 2 hrs" from a length of time.
func (s *scanner) clockLike(i int) bool {
	if !s.isNumber(i) {
		return false
	}
	if len(s.t[i].S) == 4 && !s.spanBefore(i) {
		h, _ := s.integer(i, 4)
		return h < 2400 && h%100 < 60
	}
	return false
}

// spanBefore reports whether the words before speak of a length of time.
func (s *scanner) spanBefore(i int) bool {
	for k := i - 1; k >= 0 && k >= i-5; k-- {
		switch s.word(k) {
		case "for", "lasted", "took", "downtime", "duration", "of", "total", "within", "under", "down", "than", "outage", "length", "resolution", "resolve", "elapsed", "takes", "took:", "<":
			return true
		case "at", "around", "by", "since", "from", "until", "till", "began", "started", "on", "@", ".", "time":
			return false
		}
	}
	return false
}

// colonSpan finds 5:24 hours, 05:24:10 h, and a bare 5:24 where a length of time
// is spoken of.
func (s *scanner) colonSpan(i int) (Fact, int) {
	h, ok := s.integer(i, 3)
	if !ok || !s.is(i+1, ":") || !s.glued(i+1) || !s.glued(i+2) {
		return Fact{}, i
	}
	m, ok := s.integer(i+2, 2)
	if !ok || len(s.word(i+2)) != 2 || m > 59 {
		return Fact{}, i
	}
	span, end, grain := time.Duration(h)*time.Hour+time.Duration(m)*time.Minute, i+3, time.Minute
	if s.is(end, ":") && s.glued(end) {
		sec, ok := s.integer(end+1, 2)
		if ok {
			span, end, grain = span+time.Duration(sec)*time.Second, end+2, time.Second
		}
	}
	before := s.spanBefore(i)
	switch {
	case s.is(end, "hours", "hour") && !s.is(i-1, "at", "by", "since", "from", "until", "around", "@"):
	case s.is(end, "hrs", "hr", "h") && before:
	case s.is(end, "(", "[") && s.is(end+1, "h", "hh") && before:
		return Fact{Kind: DurationFact, Span: span, Grain: grain}, end
	case before && s.is(i-1, ":", "of", "for", "lasted", "took", "was") && (s.durationLabel(i)) && !zoneAfter(s, end) && !s.is(end, "am", "pm", "-", "–", "to"):
		return Fact{Kind: DurationFact, Span: span, Grain: grain}, end
	default:
		return Fact{}, i
	}
	return Fact{Kind: DurationFact, Span: span, Grain: grain}, end + 1
}

func zoneAfter(s *scanner, i int) bool {
	_, end := s.zone(i)
	return end > i
}

func (s *scanner) durationLabel(i int) bool {
	for k := i - 1; k >= 0 && k >= i-4; k-- {
		if s.is(k, "duration", "downtime", "elapsed", "lasted", "took") {
			return true
		}
	}
	return false
}
