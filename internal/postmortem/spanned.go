package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// spannedHere holds a duration against the two times that stand beside it in one
// sentence, whatever it is a duration of: "from 14:20 to 15:05, 45 minutes".
func spannedHere(l *linter) {
	for _, b := range l.prosaic() {
		if l.in(b, ActionItems, Recommendations, Glossary, ObjectiveGroup) {
			continue
		}
		for _, s := range b.sentences {
			l.rangeWith(b, s)
			l.laterThan(b, s)
		}
	}
}

// inSentence are the facts of a kind in a sentence, by their index.
func inSentence(b *Block, s prose.Sentence, kind prose.FactKind) []int {
	var out []int
	for n, f := range b.facts {
		if f.Kind == kind && f.First >= s.First && f.End <= s.End {
			out = append(out, n)
		}
	}
	return out
}

// exact are the durations of a sentence that can be held against times.
func exact(b *Block, s prose.Sentence) []prose.Fact {
	var out []prose.Fact
	for _, n := range inSentence(b, s, prose.DurationFact) {
		if f := b.facts[n]; !f.Vague && !f.PerTime && (!f.Age || word(b, f.End) == "later" || word(b, f.End-1) == "later") && f.Bound == prose.Exactly {
			out = append(out, f)
		}
	}
	return out
}

func (l *linter) rangeWith(b *Block, s prose.Sentence) {
	clocks, spans := inSentence(b, s, prose.ClockFact), exact(b, s)
	if len(clocks) != 2 || len(spans) == 0 || !joined(b, b.facts[clocks[0]], b.facts[clocks[1]], s) {
		return
	}
	first, last := b.facts[clocks[0]], b.facts[clocks[1]]
	x, ok := beside(b, spans, first, last)
	if !ok {
		return
	}
	from, fok := l.moment(b, l.beside(b, clocks[0]))
	until, uok := l.moment(b, l.beside(b, clocks[1]))
	if !fok || !uok {
		return
	}
	if hasDay(b, clocks[0]) && !hasDay(b, clocks[1]) { // the day holds for both
		until.At = until.At.Add(from.At.Truncate(24 * time.Hour).Sub(until.At.Truncate(24 * time.Hour)))
	}
	if !hasDay(b, clocks[0]) && hasDay(b, clocks[1]) && !strings.ContainsAny(first.Zone, "") && until.At.Sub(from.At) > 24*time.Hour {
		return // the first may be of any day
	}
	if first.Zone == "" && last.Zone != "" { // "10:04 to 14:26 PST"
		from.At = from.At.Add(l.offset("")).Add(-l.offset(last.Zone))
	}
	if until.At.Before(from.At) {
		until.At = until.At.AddDate(0, 0, 1)
	}
	c := l.claim("", b, x, false)
	least, most := c.limits()
	if gap := until.At.Sub(from.At); gap < least || gap > most {
		other := l.at(b, first.Lo, last.Hi)
		l.find(c.Place, &other, "%s here, but %s are %s", c, other.Text, dur(gap))
	}
}

// joined reports whether two times are the ends of a range.
func joined(b *Block, first, last prose.Fact, s prose.Sentence) bool {
	link := false
	for k := first.End; k < last.First; k++ {
		switch w := b.toks[k].S; w {
		case "to", "until", "till", "-", "–", "—", "through":
			link = true
		case "and":
			link = link || led(b, first.First, s.First, "between")
		case "at", "on", "am", "pm", "a", "p", "m", "the", "of", ",", "(", ")", ".", "next", "day", "morning":
		default:
			if b.toks[k].Kind == prose.Word && !b.dated(k) && !zoneWord(b, k) {
				return false // something happens between
			}
		}
	}
	return link
}

// zoneWord reports whether a token names a zone.
func zoneWord(b *Block, k int) bool {
	_, ok := prose.Offset(strings.ToUpper(b.toks[k].S))
	return ok
}

// led reports whether a word stands just before a token, a day between.
func led(b *Block, at, first int, word string) bool {
	for k := at - 1; k >= max(first, at-8); k-- {
		if b.toks[k].S == word {
			return true
		}
	}
	return false
}

// beside is the one duration that stands next to a range, after it or before it,
// with nothing else said between.
func beside(b *Block, spans []prose.Fact, first, last prose.Fact) (prose.Fact, bool) {
	var before, after []prose.Fact
	for _, x := range spans {
		switch {
		case x.First >= last.End && quiet(b, last.End, x.First):
			after = append(after, x)
		case x.End <= first.First && quiet(b, x.End, first.First):
			before = append(before, x)
		}
	}
	switch { // what follows a range is its length, whatever was said before it
	case len(after) == 1:
		return after[0], true
	case len(after) == 0 && len(before) == 1:
		return before[0], true
	}
	return prose.Fact{}, false
}

// quiet reports whether words between a range and a duration only tie the two
// together: "(", ", which is", ", from", "on 3 May".
func quiet(b *Block, first, end int) bool {
	if end-first > 14 {
		return false
	}
	for k := first; k < end; k++ {
		switch b.toks[k].S {
		case "which", "is", "was", "that", "a", "total", "of", "for", "or", "in", "all", "from", "between", "at", "on", "the", "about", "i", "e", "so", "lasting", "am", "pm", "p", "m", "local", "time", "next", "day", "morning", "evening", "night", "same", "over":
		default:
			if b.toks[k].Kind == prose.Word && !b.dated(k) && !zoneWord(b, k) {
				return false
			}
		}
	}
	return true
}

// laterThan holds "back at 18:05, 4 h 50 min after the first error" against when it
// began, and against every other time that the report knows: only what fits none is
// wrong.
func (l *linter) laterThan(b *Block, s prose.Sentence) {
	clocks := inSentence(b, s, prose.ClockFact)
	if len(clocks) == 0 || len(l.times(Started, false)) == 0 {
		return
	}
	for _, x := range exact(b, s) {
		at := -1
		for _, n := range clocks {
			if b.facts[n].End <= x.First {
				at = n
			}
		}
		if at < 0 || x.First-b.facts[at].End > 6 || !fromStart(b, b.facts[at], x, s) {
			continue
		}
		m, ok := l.moment(b, l.beside(b, at))
		if !ok {
			continue
		}
		c := l.claim("", b, x, false)
		least, most := c.limits()
		known := append([]Moment(nil), l.Moments...)
		for _, e := range l.Entries {
			known = append(known, Moment{At: e.At})
		}
		fits := false
		for _, o := range known {
			gap := m.At.Sub(o.At)
			fits = fits || gap >= least && gap <= most
		}
		for _, n := range clocks { // "at 10:00 … and at 10:30, 30 minutes later"
			if o, ok := l.moment(b, l.beside(b, n)); ok && n != at {
				gap := m.At.Sub(o.At)
				fits = fits || gap >= least && gap <= most
			}
		}
		start := l.known(Started)[0]
		if gap := m.At.Sub(start.At); !fits && gap > 0 {
			other := start.Place
			l.find(c.Place, &other, "%s here, but from %s on line %d to %s are %s", c, clock(start), other.Line, clock(m), dur(gap))
		}
	}
}

// fromStart reports whether a duration after a time counts from the beginning of the
// trouble to it.
func fromStart(b *Block, at, x prose.Fact, s prose.Sentence) bool {
	for k := at.End; k < x.First; k++ { // "at 06:41, after 27 minutes"
		if w := b.toks[k]; w.Kind == prose.Word && w.S != "after" && w.S != "only" && w.S != "just" && w.S != "or" && !b.dated(k) && !zoneWord(b, k) {
			return false
		}
	}
	if word(b, x.End-1) == "later" {
		return true
	}
	switch word(b, x.End) {
	case "later":
		return true
	case "after":
		for k := x.End + 1; k < min(x.End+6, s.End); k++ {
			switch w := b.toks[k].S; {
			case strings.HasPrefix(w, "began"), strings.HasPrefix(w, "begin"), strings.HasPrefix(w, "start"), w == "outage", w == "first", w == "failure", w == "crash", strings.HasPrefix(w, "fail"), w == "onset":
				return true
			}
		}
		return false
	}
	return word(b, x.First-1) == "after" && (x.End >= s.End || b.toks[x.End].Kind == prose.Mark)
}

// headline is the length that a summary gives to the trouble: the only duration of
// its sentence, led by "for"; or the one that an impact's line begins with.
func (d *Report) headline(b *Block, s prose.Sentence) (prose.Fact, bool) {
	all := exact(b, s)
	if len(all) == 0 || len(all) > 1 && !d.in(b, Impact) || d.speaks(b, s.First, s.End, objectiveWord, detectWord, ackWord, restoreSource, standbyWord) || supposed(b, s) && !d.unable(b, s) {
		return prose.Fact{}, false
	}
	x := all[0]
	switch {
	case d.in(b, Impact) && x.First <= s.First+d.labelTokens(b, s) && !d.speaks(b, s.First, s.End, lossWord):
		if w := word(b, x.End); w == "of" || w == "to" || w == "before" || w == "late" || w == "later" {
			return x, false
		}
		return x, word(b, x.Before()) != "up"
	case d.in(b, Impact) && word(b, x.Before()) == "for" && word(b, x.End) != "of" && d.unable(b, s):
		return x, !d.speaks(b, s.First, x.First, resolveWord) && !inPart(b, s.First, x.First)
	case (d.in(b, Summary) || b.Section <= 0 && b.Kind == Paragraph) && word(b, x.First-1) == "for" && word(b, x.End) != "of":
		return x, !d.speaks(b, s.First, x.First, resolveWord) && !inPart(b, s.First, x.First)
	}
	return x, false
}

// inPart reports whether words speak of a part of the trouble only.
func inPart(b *Block, first, end int) bool {
	for k := first; k < end; k++ {
		switch b.toks[k].S {
		case "some", "partially", "partly", "each", "average", "median", "another", "further", "additional", "per", "another's", "staging", "test", "half":
			return true
		}
	}
	return false
}

// supposed reports whether a sentence tells of what might have been.
func supposed(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "would", "could", "might", "if", "risk", "potential", "possible", "whether":
			return true
		}
	}
	return false
}

// labelTokens is how many tokens of a sentence belong to its block's label.
func (d *Report) labelTokens(b *Block, s prose.Sentence) int {
	n := 0
	for k := s.First; k < s.End && b.toks[k].Lo < b.LabelAt; k++ {
		n++
	}
	return n
}
