package prose

import (
	"strings"
	"time"
)

// number reads a number in digits or words from token i; the end, or i for none.
func (s *scanner) number(i int) (float64, int) {
	if s.isNumber(i) {
		return s.digits(i)
	}
	w := s.word(i)
	if f := fractions[w]; f != 0 {
		return f, i + 1
	}
	v, ok := numberWords[w]
	if !ok || v < 0 {
		return 0, i
	}
	end := i + 1
	if v >= 20 && v <= 90 { // twenty-four
		at := end
		if s.is(at, "-") {
			at++
		}
		if u, ok := numberWords[s.word(at)]; ok && u >= 1 && u <= 9 && !s.is(at, "a", "an") {
			v, end = v+u, at+1
		}
	}
	for s.is(end, "hundred", "thousand", "dozen", "million") {
		switch s.word(end) {
		case "hundred":
			v *= 100
		case "dozen":
			v *= 12
		case "thousand":
			v *= 1e3
		case "million":
			v *= 1e6
		}
		end++
	}
	if s.is(end, "and") && s.is(end+1, "a") && s.is(end+2, "half") {
		v, end = v+0.5, end+3
	}
	return v, end
}

// digits reads 1,200 and 5.4 and 5½.
func (s *scanner) digits(i int) (float64, int) {
	v := float64(0)
	for _, c := range s.t[i].S {
		v = v*10 + float64(c-'0')
	}
	end := i + 1
	for s.is(end, ",", "'", "’", ".") && s.glued(end) && s.glued(end+1) && s.isNumber(end+1) && len(s.t[end+1].S) == 3 && len(s.t[i].S) <= 3 &&
		(s.word(end) != "." || s.is(end+2, ".") && s.glued(end+2) && s.isNumber(end+3)) {
		for _, c := range s.t[end+1].S {
			v = v*10 + float64(c-'0')
		}
		end += 2
	}
	if s.is(end, ".", ",") && s.glued(end) && s.glued(end+1) && s.isNumber(end+1) && !(s.is(end+2, ".") && s.glued(end+2) && s.isNumber(end+3)) {
		scale := 1.0
		for _, c := range s.t[end+1].S {
			v, scale = v*10+float64(c-'0'), scale*10
		}
		v /= scale // once, so that it is the number that was written
		end += 2
	}
	if f := fractions[s.word(end)]; f != 0 {
		v, end = v+f, end+1
	}
	return v, end
}

// scaled reads k, M and million after a number.
func (s *scanner) scaled(v float64, end int) (float64, int) {
	m := scales[s.word(end)]
	if m == 0 || s.t[end].Kind != Word {
		return v, end
	}
	if short := len(s.word(end)) <= 2; short && !s.glued(end) {
		return v, end
	}
	return v * m, end + 1
}

func (s *scanner) percent(i int) (Fact, int) {
	v, end := s.number(i)
	if end == i {
		return Fact{}, i
	}
	switch {
	case s.is(end, "%", "percent", "‰"):
		return Fact{Kind: PercentFact, Value: v}, end + 1
	case s.is(end, "per") && s.is(end+1, "cent"):
		return Fact{Kind: PercentFact, Value: v}, end + 2
	}
	return Fact{}, i
}

func (s *scanner) money(i int) (Fact, int) {
	at, unit := i, ""
	if u := money[s.word(i)]; u != "" {
		at, unit = i+1, u
	} else if u := currencies[s.word(i)]; u != "" && (s.isNumber(i + 1)) {
		at, unit = i+1, u
	}
	if at > i && s.is(at, "$") {
		at++
	}
	v, end := s.number(at)
	if end == at || unit == "" && s.is(at, "a", "an", "no") {
		return Fact{}, i
	}
	v, end = s.scaled(v, end)
	if unit == "" {
		if u := currencies[s.word(end)]; u != "" {
			unit, end = u, end+1
		} else if u := money[s.word(end)]; u != "" {
			unit, end = u, end+1
		} else {
			return Fact{}, i
		}
	}
	f := Fact{Kind: MoneyFact, Value: v, Unit: unit}
	f.PerTime = s.is(end, "per", "/") || s.is(end, "an", "each", "every") && units[s.word(end+1)] != 0
	return f, end
}

// notCounted are words that stand after a number without being counted.
var notCounted = map[string]bool{
	"of": true, "and": true, "or": true, "to": true, "in": true, "on": true, "at": true, "by": true, "the": true, "was": true, "were": true, "is": true, "for": true,
	"from": true, "with": true, "after": true, "before": true, "th": true, "st": true, "nd": true, "rd": true, "x": true, "v": true, "utc": true, "hrs": true, "percent": true, "gb": true, "mb": true,
	"kb": true, "tb": true, "gib": true, "mib": true, "as": true, "had": true, "has": true, "we": true, "that": true, "which": true, "it": true, "not": true, "than": true, "a": true, "an": true, "s": true, "ms": true, "but": true, "then": true, "when": true,
}

// describing words stand between a number and what is counted.
var describing = map[string]bool{
	"of": true, "our": true, "the": true, "paying": true, "active": true, "affected": true, "failed": true, "unique": true, "different": true, "distinct": true, "total": true, "new": true,
	"live": true, "end": true, "business": true, "enterprise": true, "small": true, "large": true, "individual": true, "separate": true, "open": true, "main": true, "key": true, "following": true,
	"corrective": true, "preventive": true, "customer": true, "client": true, "user": true, "action": true, "other": true, "more": true, "additional": true, "impacted": true, "key-account": true, "online": true, "support": true,
	"http": true, "api": true, "contributing": true, "concrete": true, "registered": true, "concurrent": true, "follow": true, "up": true, "-": true, "remediation": true, "critical": true, "lost": true, "write": true, "read": true, "payment": true,
}

func (s *scanner) count(i int) (Fact, int) {
	if s.is(i, "a", "an", "half") || i > 0 && s.glued(i) && s.is(i-1, ".", "-", ":", "/", "#", "_") {
		return Fact{}, i
	}
	v, end := s.number(i)
	if end == i {
		if !s.is(i, "no", "zero") {
			return Fact{}, i
		}
		v, end = 0, i+1
	}
	v, end = s.scaled(v, end)
	f := Fact{Kind: CountFact, Value: v}
	noun := end
	for k := 0; k < 4 && noun < len(s.t) && describing[s.word(noun)]; k++ {
		noun++
	}
	for noun > end && (noun >= len(s.t) || s.t[noun].Kind != Word || notCounted[s.word(noun)]) {
		noun-- // "1,200 customers" where customer is all there is
	}
	if noun < len(s.t) && s.t[noun].Kind == Word && !notCounted[s.word(noun)] {
		f.Unit = Stem(s.word(noun))
		if s.is(i, "no") {
			return Fact{}, i
		}
		f.PerTime = s.is(noun+1, "per", "/") || s.is(noun+1, "a", "each", "every") && units[s.word(noun+2)] != 0
		return f, noun + 1
	}
	if s.is(i, "no") || s.t[i].Kind == Word {
		return Fact{}, i
	}
	return f, end
}

// Stem cuts the commonest endings, so that two forms of a word meet.
func Stem(w string) string {
	w = strings.TrimSuffix(strings.TrimSuffix(w, "'s"), "’s")
	for _, e := range []string{"ations", "ation", "ings", "ing", "ions", "ion", "ments", "ment", "ies", "ied", "ers", "er", "ed", "es", "s", "ly", "e", "y"} {
		if n := len(w) - len(e); n >= 4 && w[n:] == e {
			w = w[:n]
			break
		}
	}
	if n := len(w); n > 4 && w[n-1] == w[n-2] && w[n-1] != 's' && w[n-1] != 'l' {
		w = w[:n-1]
	}
	return w
}

// vague finds "several hours" and "a few minutes".
func (s *scanner) vague(i int) (Fact, int) {
	var at int
	switch {
	case s.is(i, "several", "many", "few"):
		at = i + 1
	case s.is(i, "a") && s.is(i+1, "few"):
		at = i + 2
	case s.is(i, "a") && s.is(i+1, "couple") && s.is(i+2, "of"):
		at = i + 3
	case s.is(i, "couple") && s.is(i+1, "of"):
		at = i + 2
	case s.is(i, "hours", "minutes"):
		if s.is(i-1, "for", "took", "lasted", "within") {
			return Fact{Kind: DurationFact, Vague: true, Span: units[s.word(i)], Grain: units[s.word(i)]}, i + 1
		}
		return Fact{}, i
	default:
		return Fact{}, i
	}
	u := units[s.word(at)]
	if u == 0 || len(s.word(at)) < 4 {
		return Fact{}, i
	}
	return Fact{Kind: DurationFact, Vague: true, Span: 3 * u, Grain: u}, at + 1
}

// offset finds T+12m and T-5 min.
func (s *scanner) offset(i int) (Fact, int) {
	if !s.is(i, "t") || !s.is(i+1, "+", "-", "−") || i+2 >= len(s.t) {
		return Fact{}, i
	}
	sign := time.Duration(1)
	if !s.is(i+1, "+") {
		sign = -1
	}
	if h, ok := s.integer(i+2, 2); ok && s.is(i+3, ":") && s.glued(i+3) {
		if m, ok := s.integer(i+4, 2); ok {
			return Fact{Kind: OffsetFact, Span: sign * (time.Duration(h)*time.Hour + time.Duration(m)*time.Minute), Grain: time.Minute}, i + 5
		}
	}
	f, end := s.duration(i + 2)
	if end == i+2 {
		v, ok := s.integer(i+2, 4)
		if !ok {
			return Fact{}, i
		}
		return Fact{Kind: OffsetFact, Span: sign * time.Duration(v) * time.Minute, Grain: time.Minute}, i + 3
	}
	f.Kind, f.Span = OffsetFact, sign*f.Span
	return f, end
}

// isoDuration finds PT5H24M.
func (s *scanner) isoDuration(i int) (Fact, int) {
	if !s.is(i, "pt", "p") || !s.glued(i+1) || !s.isNumber(i+1) {
		return Fact{}, i
	}
	f, end := s.duration(i + 1)
	if end == i+1 {
		return Fact{}, i
	}
	return f, end
}
