package prose

import "time"

// date finds days in their many spellings, months, quarters and ends of them.
func (s *scanner) date(i int) (Fact, int) {
	weekday, at := -1, i
	if w := weekdays[s.word(i)]; w != 0 && s.t[i].Kind == Word {
		weekday, at = w-1, i+1
		for range 3 {
			if s.is(at, ",", ".", "the", "(") {
				at++
			}
		}
	}
	loose := false
	if s.is(at, "end", "mid", "early", "late", "beginning", "start") && weekday < 0 {
		k := at + 1
		if s.is(k, "-") {
			k++
		}
		if s.is(k, "of") {
			k++
		}
		if months[s.word(k)] != 0 || s.is(k, "q") {
			at, loose = k, true
		}
	}
	d, end := s.day(at)
	if end == at {
		return Fact{}, i
	}
	d.Loose = d.Loose || loose || d.Day == 0
	d.Weekday = weekday
	if weekday < 0 { // 2023-10-05 (Thursday)
		k := end
		if s.is(k, "(", ",") {
			k++
		}
		if w := weekdays[s.word(k)]; w != 0 && (len(s.word(k)) > 3 || s.is(k-1, "(")) && (s.is(k-1, "(") && s.is(k+1, ")", ",") || s.is(k-1, ",") && !s.nextIsDay(k+1)) {
			d.Weekday, end = w-1, k+1
			if s.is(end, ")") {
				end++
			}
		}
	}
	return Fact{Kind: DateFact, Date: d}, end
}

func (s *scanner) nextIsDay(i int) bool {
	for s.is(i, ",", "the") {
		i++
	}
	_, end := s.day(i)
	return end > i
}

func (s *scanner) day(i int) (Date, int) {
	if d, end := s.numericDay(i); end > i {
		return d, end
	}
	if m := months[s.word(i)]; m != 0 {
		return s.monthFirst(i, m)
	}
	if s.is(i, "q") && s.glued(i+1) {
		q, ok := s.integer(i+1, 1)
		if !ok || q < 1 || q > 4 {
			return Date{}, i
		}
		at := i + 2
		if s.is(at, "/", "-", ",", "of") {
			at++
		}
		y, ok := s.year(at)
		if !ok {
			return Date{}, i
		}
		return Date{Year: y, Month: 3 * q, Loose: true}, at + 1
	}
	return s.dayFirst(i)
}

// dayFirst finds 5th of October, 2023 and 05-Oct-2023.
func (s *scanner) dayFirst(i int) (Date, int) {
	n, ok := s.integer(i, 2)
	if !ok {
		return Date{}, i
	}
	at := i + 1
	if s.is(at, "st", "nd", "rd", "th") && s.glued(at) {
		at++
	}
	for range 2 {
		if s.is(at, "of", "-", ".", "/") {
			at++
		}
	}
	m := months[s.word(at)]
	if m == 0 || s.is(at, "may") && !s.is(at-1, "-", "/", "of") && !s.yearNear(at+1) && !Capital(s.text, s.t[at]) || s.is(at, "sec") {
		return Date{}, i
	}
	at++
	y, end := s.yearAfter(at)
	return Date{Year: y, Month: m, Day: n}, end
}

func (s *scanner) yearNear(i int) bool { y, _ := s.yearAfter(i); return y != 0 }

func (s *scanner) yearAfter(at int) (int, int) {
	k := at
	for range 2 {
		if s.is(k, ",", "-", ".", "/", "of", "in") {
			k++
		}
	}
	if y, ok := s.year(k); ok {
		return y, k + 1
	}
	if y, ok := s.integer(k, 2); ok && s.is(k-1, "-", "/") && s.glued(k) && len(s.word(k)) == 2 {
		return 2000 + y, k + 1
	}
	return 0, at
}

func (s *scanner) monthFirst(i, m int) (Date, int) {
	name := s.t[i]
	if (name.S == "may" || name.S == "march" || name.S == "mar" || name.S == "sec") && !Capital(s.text, name) {
		return Date{}, i
	}
	at := i + 1
	if s.is(at, ".", "-", "/") {
		at++
	}
	if s.is(at, "the") {
		at++
	}
	if n, ok := s.integer(at, 2); ok && !s.is(at+1, ":", "%") && n >= 1 && n <= 39 {
		end := at + 1
		if s.is(end, "st", "nd", "rd", "th") {
			end++
		}
		if s.is(end, "hours", "minutes", "users", "customers") {
			return Date{}, i
		}
		y, end := s.yearAfter(end)
		return Date{Year: y, Month: m, Day: n}, end
	}
	if y, ok := s.year(at); ok {
		return Date{Year: y, Month: m, Loose: true}, at + 1
	}
	if s.is(at, ",", "of") {
		if y, ok := s.year(at + 1); ok {
			return Date{Year: y, Month: m, Loose: true}, at + 2
		}
	}
	if Capital(s.text, name) && len(name.S) > 3 && name.S != "may" && name.S != "march" {
		return Date{Month: m, Loose: true}, i + 1
	}
	return Date{}, i
}

func (s *scanner) year(i int) (int, bool) {
	y, ok := s.integer(i, 4)
	return y, ok && y >= 1970 && y <= 2199
}

// numericDay finds 2023-10-05, 10/05/2023 and 05.10.2023.
func (s *scanner) numericDay(i int) (Date, int) {
	if !s.isNumber(i) || i > 0 && s.glued(i) && s.is(i-1, "-", "/", ".", "_", "#") {
		return Date{}, i
	}
	sep := s.word(i + 1)
	if sep != "-" && sep != "/" && sep != "." && sep != "‑" || !s.glued(i+1) || !s.glued(i+2) || s.word(i+3) != sep || !s.glued(i+3) || !s.glued(i+4) {
		return Date{}, i
	}
	a, ok1 := s.integer(i, 4)
	b, ok2 := s.integer(i+2, 2)
	c, ok3 := s.integer(i+4, 4)
	if !ok1 || !ok2 || !ok3 {
		return Date{}, i
	}
	end := i + 5
	if len(s.word(i)) == 4 {
		if a < 1970 || a > 2199 {
			return Date{}, i
		}
		if s.is(end, "t") && s.glued(end) && s.glued(end+1) {
			end++ // 2023-10-05T02:00Z
		}
		return Date{Year: a, Month: b, Day: c}, end
	}
	if n := len(s.word(i + 4)); n == 2 {
		c += 2000
		if sep == "." && (len(s.word(i)) < 2) {
			return Date{}, i
		}
	} else if n != 4 || c < 1970 || c > 2199 {
		return Date{}, i
	}
	switch {
	case sep == "." || a > 12:
		return Date{Year: c, Month: b, Day: a}, end
	case b > 12:
		return Date{Year: c, Month: a, Day: b}, end
	}
	return Date{Year: c, Month: a, Day: b, Swappable: a != b}, end
}

// clock finds times of day.
func (s *scanner) clock(i int) (Fact, int) {
	switch {
	case s.is(i, "midnight"):
		return s.zoned(Fact{Kind: ClockFact}, i+1)
	case s.is(i, "noon"):
		return s.zoned(Fact{Kind: ClockFact, Clock: 12 * time.Hour}, i+1)
	}
	if !s.isNumber(i) || i > 0 && s.glued(i) && s.is(i-1, "-", "/", ".", "_", "#", ":") && !s.is(i-1, "-") {
		return Fact{}, i
	}
	h, ok := s.integer(i, 2)
	if !ok {
		return s.fourDigits(i)
	}
	m, sec, end := 0, 0, i+1
	switch {
	case s.is(end, ":", "h") && s.glued(end) && s.glued(end+1) && s.isNumber(end+1) && len(s.word(end+1)) == 2:
		m, _ = s.integer(end+1, 2)
		end += 2
		if s.is(end, ":") && s.glued(end) && s.isNumber(end+1) && len(s.word(end+1)) == 2 {
			sec, _ = s.integer(end+1, 2)
			end += 2
			if s.is(end, ".", ",") && s.glued(end) && s.glued(end+1) && s.isNumber(end+1) {
				end += 2
			}
		}
		if s.is(i+1, "h") && !s.is(i-1, "at", "around", "since", "from", "by") {
			return Fact{}, i
		}
	case s.is(end, ".") && s.glued(end) && s.glued(end+1) && s.isNumber(end+1) && len(s.word(end+1)) == 2 && s.is(end+2, "am", "pm", "hrs", "uhr"):
		m, _ = s.integer(end+1, 2)
		end += 2
	case s.is(end, "am", "pm") || s.is(end, "a", "p") && s.is(end+1, ".") && s.is(end+2, "m"):
	case s.is(end, "o'clock", "o’clock"):
		return s.zoned(Fact{Kind: ClockFact, Clock: time.Duration(h) * time.Hour}, end+1)
	default:
		return Fact{}, i
	}
	h, end = s.half(h, end)
	for s.is(end, "hrs", "hr", "hours", "h", "uhr") {
		end++
	}
	f := Fact{Kind: ClockFact, Clock: time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second}
	f.BadClock = h > 24 || h == 24 && m > 0 || m > 59 || sec > 60
	return s.zoned(f, end)
}

// half applies am and pm.
func (s *scanner) half(h, end int) (int, int) {
	switch {
	case s.is(end, "am", "pm"):
		if s.is(end, "pm") && h < 12 {
			h += 12
		} else if s.is(end, "am") && h == 12 {
			h = 0
		}
		return h, end + 1
	case s.is(end, "a", "p") && s.is(end+1, ".") && s.is(end+2, "m"):
		if s.is(end, "p") && h < 12 {
			h += 12
		} else if s.is(end, "a") && h == 12 {
			h = 0
		}
		end += 3
		if s.is(end, ".") && s.glued(end) {
			end++
		}
	}
	return h, end
}

// fourDigits finds 0200 hrs and 1415Z.
func (s *scanner) fourDigits(i int) (Fact, int) {
	n, ok := s.integer(i, 4)
	if !ok || len(s.word(i)) != 4 || n >= 2400 || n%100 > 59 || s.spanBefore(i) && !s.is(i+1, "hrs", "utc", "z") {
		return Fact{}, i
	}
	f := Fact{Kind: ClockFact, Clock: time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute}
	if s.is(i+1, "hrs", "hours", "hr", "h", "uhr") {
		return s.zoned(f, i+2)
	}
	if zoneAfter(s, i+1) && s.word(i)[0] <= '2' && !(n >= 1970 && n < 2100 && n%100 < 60 && !s.glued(i+1)) {
		return s.zoned(f, i+1)
	}
	return Fact{}, i
}

// zoned reads a zone after a time.
func (s *scanner) zoned(f Fact, end int) (Fact, int) {
	at := end
	if s.is(at, "(", ",") {
		at++
	}
	if z, zend := s.zone(at); zend > at {
		f.Zone, f.Local, end = z.Zone, z.Local, zend
		if s.is(at-1, "(") && s.is(end, ")") {
			end++
		}
		return f, end
	}
	if s.is(end, "+", "-", "−") && s.glued(end) && s.isNumber(end+1) { // 02:00+02:00
		name, zend := s.numericOffset(end)
		if zend > end && name != "" && (s.is(end+2, ":") && s.is(end, "+") || s.is(end, "+") || len(s.word(end+1)) == 4) {
			f.Zone = name
			return f, zend
		}
	}
	return f, end
}
