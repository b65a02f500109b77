package prose

import (
	"strings"
	"time"
)

// zone finds UTC, CEST, UTC+2, Europe/Berlin, Pacific Time and local time.
func (s *scanner) zone(i int) (Fact, int) {
	if i >= len(s.t) || s.t[i].Kind != Word {
		return Fact{}, i
	}
	w := s.t[i].S
	raw := s.text[s.t[i].Lo:s.t[i].Hi]
	if z := zones[w]; z != nil {
		if raw == strings.ToUpper(raw) || !z.upper && len(w) >= 3 && w != "eat" && w != "cat" {
			if w == "z" && !s.glued(i) {
				return Fact{}, i
			}
			if (w == "utc" || w == "gmt") && s.is(i+1, "+", "-", "−") && s.isNumber(i+2) && s.glued(i+1) && s.glued(i+2) {
				if name, end := s.numericOffset(i + 1); end > i+1 {
					return Fact{Kind: ZoneFact, Zone: strings.ToUpper(w) + name}, end
				}
			}
			return Fact{Kind: ZoneFact, Zone: strings.ToUpper(w)}, i + 1
		}
		return Fact{}, i
	}
	switch w {
	case "europe", "america", "asia", "australia", "africa", "pacific":
		if s.is(i+1, "/") && s.glued(i+1) && i+2 < len(s.t) && s.t[i+2].Kind == Word {
			return Fact{Kind: ZoneFact, Zone: s.text[s.t[i].Lo:s.t[i+2].Hi]}, i + 3
		}
	}
	switch w {
	case "pacific", "eastern", "central", "mountain", "greenwich", "coordinated":
		at := i + 1
		for s.is(at, "standard", "daylight", "european", "mean", "universal", "summer", "winter") {
			at++
		}
		if s.is(at, "time") && Capital(s.text, s.t[i]) {
			return Fact{Kind: ZoneFact, Zone: s.text[s.t[i].Lo:s.t[at].Hi]}, at + 1
		}
	case "local":
		if s.is(i+1, "time") {
			return Fact{Kind: ZoneFact, Local: true}, i + 2
		}
	}
	return Fact{}, i
}

// numericOffset reads +2, +02:00 and -0530.
func (s *scanner) numericOffset(i int) (string, int) {
	if i+1 >= len(s.t) || !s.isNumber(i+1) || len(s.t[i+1].S) > 4 {
		return "", i
	}
	end := i + 2
	if s.is(end, ":") && s.glued(end) && s.isNumber(end+1) {
		end += 2
	}
	sign := s.word(i)
	if sign == "−" {
		sign = "-"
	}
	return sign + s.text[s.t[i+1].Lo:s.t[end-1].Hi], end
}

func parseOffset(name string) (time.Duration, bool) {
	n := strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(name), "UTC"), "GMT")
	if len(n) < 2 || n[0] != '+' && n[0] != '-' {
		return 0, false
	}
	sign, digits := time.Duration(1), strings.ReplaceAll(n[1:], ":", "")
	if n[0] == '-' {
		sign = -1
	}
	v := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	if len(digits) <= 2 {
		return sign * time.Duration(v) * time.Hour, true
	}
	return sign * (time.Duration(v/100)*time.Hour + time.Duration(v%100)*time.Minute), true
}
