package postmortem

import (
	"sort"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// ClaimKind is what a claim says.
type ClaimKind string

// The kinds of claims.
const (
	DowntimeClaim    ClaimKind = "downtime"
	ResolveClaim     ClaimKind = "time to resolve"
	DetectClaim      ClaimKind = "time to detect"
	AcknowledgeClaim ClaimKind = "time to acknowledge"
	MitigateClaim    ClaimKind = "time to mitigate"
	NoLossClaim      ClaimKind = "no data lost"
	LossClaim        ClaimKind = "data lost"
)

// Claim is something that a report says of the incident as a whole.
type Claim struct {
	Kind   ClaimKind     `json:"kind"`
	Span   time.Duration `json:"span,omitempty"`
	Grain  time.Duration `json:"-"`
	Bound  prose.Bound   `json:"-"`
	Approx bool          `json:"approx,omitempty"`
	Vague  bool          `json:"vague,omitempty"`
	Field  bool          `json:"-"`
	Place  Place         `json:"place"`
	block  *Block
	first  int // the clause that holds it
	end    int
}

// range is the least and the most that a claimed span can mean.
func (c Claim) limits() (least, most time.Duration) {
	slack := time.Minute - time.Second
	switch {
	case c.Vague:
		return 0, 1<<63 - 1
	case c.Grain >= 24*time.Hour:
		slack = 12 * time.Hour
	case c.Approx:
		slack = max(c.Grain/2, c.Span/8)
	case c.Grain >= time.Hour:
		slack = 30 * time.Minute
	case c.Grain > time.Minute: // 5.4 hours
		slack = c.Grain / 2
	case c.Grain < time.Minute:
		slack = time.Second
	}
	switch c.Bound {
	case prose.AtMost:
		return 0, c.Span + time.Minute
	case prose.AtLeast:
		return c.Span - slack, 1<<63 - 1
	}
	return c.Span - slack, c.Span + slack
}

var fieldClaims = map[fieldKind]ClaimKind{
	fieldDown: DowntimeClaim, fieldTTD: DetectClaim, fieldTTA: AcknowledgeClaim, fieldTTM: MitigateClaim, fieldTTR: ResolveClaim,
}

// readClaims gathers what is said of durations and of lost data.
func (d *Report) readClaims() {
	for _, f := range d.Fields {
		if d.in(f.Block, ActionItems, Recommendations, ObjectiveGroup, Before, Earlier) || f.Block.entry {
			continue
		}
		switch kind := fieldClaims[f.Kind]; {
		case f.Kind == fieldLoss:
			d.lossField(f)
		case kind != "" && d.objectiveCell(f):
		case kind != "":
			for _, x := range f.facts() {
				if x.Kind == prose.DurationFact && !x.PerTime {
					d.Claims = append(d.Claims, d.claim(kind, f.Block, x, true))
					break
				}
				if x.Kind == prose.ClockFact && kind == DowntimeClaim && len(f.facts()) == 1 && x.Zone == "" && f.Hi-f.Lo < 12 { // "Duration: 05:24"
					x.Span, x.Grain = x.Clock, time.Minute
					d.Claims = append(d.Claims, d.claim(kind, f.Block, x, true))
				}
			}
		}
	}
	for _, b := range d.prosaic() {
		if d.in(b, ActionItems, Recommendations, ObjectiveGroup, Glossary, Before, Earlier) || b.Label != "" && fieldClaims[fieldName(b.Label)] != "" {
			continue
		}
		for _, s := range b.sentences {
			d.sentenceClaims(b, s)
		}
	}
}

// objectiveCell reports whether a row of a table sets objectives beside what was
// reached.
func (d *Report) objectiveCell(f Field) bool {
	if f.Block.Kind != Row {
		return false
	}
	for _, c := range f.Block.Cells {
		if k := objectiveColumn(c.Head); k == limitColumn || k == verdictColumn { // "Value" alone sets nothing beside it
			return true
		}
	}
	return false
}

func (d *Report) claim(kind ClaimKind, b *Block, x prose.Fact, field bool) Claim {
	return Claim{Kind: kind, Span: x.Span, Grain: x.Grain, Bound: x.Bound, Approx: x.Approx, Vague: x.Vague, Field: field, Place: d.at(b, x.Lo, x.Hi), block: b}
}

func (d *Report) lossField(f Field) {
	b := f.Block
	kind := LossClaim
	first, end := d.tokens(b, f.Lo, f.Hi)
	if first == end {
		return
	}
	switch b.toks[first].S {
	case "none", "no", "zero", "nil", "0", "-":
		kind = NoLossClaim
	default:
		if d.speaks(b, first, end, negation) {
			kind = NoLossClaim
		}
	}
	if d.speaks(b, first, end, metWord, missedWord, objectiveWord) { // it tells of an objective, with its limit
		return
	}
	if w := b.toks[first].S; w == "unknown" || w == "tbd" || w == "minimal" || w == "n" {
		return
	}
	d.Claims = append(d.Claims, Claim{Kind: kind, Field: true, Place: f.Place, block: b})
}

// tokens is the range of tokens of bytes of a block's text.
func (d *Report) tokens(b *Block, lo, hi int) (first, end int) {
	first = sort.Search(len(b.toks), func(i int) bool { return b.toks[i].Lo >= lo })
	end = sort.Search(len(b.toks), func(i int) bool { return b.toks[i].Hi > hi })
	end = max(first, end)
	return first, end
}

func (d *Report) sentenceClaims(b *Block, s prose.Sentence) {
	d.lossClaims(b, s)
	if x, ok := d.headline(b, s); ok {
		d.Claims = append(d.Claims, d.claim(DowntimeClaim, b, x, false))
		return
	}
	if d.speaks(b, s.First, s.End, objectiveWord) && !d.speaks(b, s.First, s.End, beginWord) {
		// "The objective of 4 hours was missed: it took 5 h 24 min" speaks of both.
		if n := spans(b, s); n < 2 {
			return
		}
	}
	from := s.First
	for n := range b.facts {
		x := b.facts[n]
		if x.Kind != prose.DurationFact || x.First < s.First || x.End > s.End || x.Age || x.PerTime || x.Compound {
			continue
		}
		until := s.End
		for k := n + 1; k < len(b.facts); k++ {
			if b.facts[k].Kind == prose.DurationFact && b.facts[k].First < s.End {
				until = b.facts[k].First
				break
			}
		}
		lo := clauseStart(b, from, x.First)
		hi := clauseEnd(b, x.End, until)
		if d.speaks(b, max(lo, x.First-4), min(hi, x.End+3), objectiveWord) {
			from = x.End
			continue
		}
		if kind := d.spanKind(b, lo, x, hi); kind != "" && !others(b, s, x) {
			d.Claims = append(d.Claims, d.claim(kind, b, x, false))
		}
		from = x.End
	}
}

// others reports whether a sentence tells of a third party's outage rather than
// of ours.
func others(b *Block, s prose.Sentence, x prose.Fact) bool {
	ours := true
	for k := s.First; k < x.First; k++ {
		switch b.toks[k].S {
		case "provider", "vendor", "supplier", "carrier", "isp", "their", "theirs", "upstream":
			ours = false
		case "we", ";":
			ours = true
		}
	}
	if !ours {
		return true
	}
	for k := x.First; k < s.End-2; k++ {
		if b.toks[k].S == "of" && b.toks[k+1].S == "its" && b.toks[k+2].S == "own" {
			return true
		}
	}
	return false
}

func spans(b *Block, s prose.Sentence) int {
	n := 0
	for _, x := range b.facts {
		if x.Kind == prose.DurationFact && x.First >= s.First && x.End <= s.End {
			n++
		}
	}
	return n
}

// clauseStart goes back to the comma or the joining word before a fact.
func clauseStart(b *Block, from, at int) int {
	for k := at - 1; k > from; k-- {
		switch b.toks[k].S {
		case ",", ":", "but", "while", "whereas", "which", "(", "—", "–":
			if at-k > 1 {
				return k + 1
			}
		}
	}
	return from
}

func clauseEnd(b *Block, from, until int) int {
	for k := from; k < until; k++ {
		switch b.toks[k].S {
		case ",", "but", "while", "whereas", "and", "(", "—":
			return k
		}
	}
	return until
}

// spanKind is what a length of time in a clause measures; nothing where the
// clause speaks of a part only.
func (d *Report) spanKind(b *Block, first int, x prose.Fact, end int) ClaimKind {
	before, after := word(b, x.First-1), word(b, x.End)
	for k := x.Before(); k < x.First && k >= 0; k++ {
		if before == "" {
			before = word(b, k)
		}
	}
	lead := word(b, x.Before())
	limited := d.speaks(b, first, x.First, limitedWord) || d.speaks(b, x.End, end, limitedWord)
	detect := d.within(b, first, end, detectWord)
	for _, h := range detect {
		w := b.toks[h.First].S
		late := lead == "after" || lead == "within" || before == "within" || before == "after" || after == "after" || after == "to" || lead == "for" || lead == "took" || after == "before" || after == "until" || after == "later"
		if (w == "undetected" || w == "unnoticed" || late) && !d.speaks(b, first, end, mitigateWord, resolveWord) && (h.First < x.First || after == "to" || after == "before" || after == "until" || after == "for") {
			if w == "monitoring" || w == "monitor" || w == "report" || w == "reports" || w == "ticket" || w == "tickets" || w == "page" || w == "pages" && after != "before" || w == "alerting" {
				continue
			}
			if d.speaks(b, first, end, ackWord) && h.First < x.First {
				return AcknowledgeClaim
			}
			if otherBase(b, x, end) || limited && w != "undetected" {
				return ""
			}
			return DetectClaim
		}
	}
	if hits := d.within(b, first, x.First, ackWord); len(hits) > 0 && !replies(b, hits, x) && (lead == "within" || before == "within" || lead == "after" || lead == "in" || before == "in") {
		return AcknowledgeClaim
	}
	if limited || otherBase(b, x, end) {
		return ""
	}
	if resolves(b, first, x.First) && (lead == "within" || before == "within" || lead == "in" || before == "in" || lead == "after" || lead == "took" && strings.Contains(b.Text[b.toks[first].Lo:x.Lo], "esol")) && d.speaks(b, first, x.First, outageWord, serviceWord, resolveWord) {
		if d.speaks(b, first, x.First, negation) {
			return ""
		}
		return ResolveClaim
	}
	if (after == "to" || after == "before" || after == "until") && resolves(b, x.End, end) && d.speaks(b, first, end, outageWord, serviceWord) && !d.speaks(b, x.End, end, detectWord) {
		return ResolveClaim
	}
	if d.down(b, first, x, end, lead) {
		return DowntimeClaim
	}
	return ""
}

// replies reports whether it is a machine that answers within a few seconds.
func replies(b *Block, hits []prose.Hit, x prose.Fact) bool {
	w := b.toks[hits[len(hits)-1].First].S
	return x.Grain < time.Minute && (strings.HasPrefix(w, "answer") || strings.HasPrefix(w, "respon"))
}

// down reports whether a clause gives a length of time to the outage itself.
func (d *Report) down(b *Block, first int, x prose.Fact, end int, lead string) bool {
	after := word(b, x.End)
	if after == "of" {
		switch word(b, x.End+1) {
		case "downtime", "outage", "unavailability", "disruption", "interruption":
			return true
		case "total", "full", "complete", "service":
			w := word(b, x.End+2)
			return w == "downtime" || w == "outage" || w == "unavailability" || w == "disruption" || w == "interruption"
		}
		return false
	}
	if after == "outage" || after == "downtime" || after == "-" && word(b, x.End+1) == "outage" || after == "disruption" || after == "interruption" {
		return true
	}
	for k := x.First - 1; k >= first && k >= x.First-6; k-- {
		switch word(b, k) {
		case "downtime", "lasted", "lasting", "offline", "unavailable", "unreachable", "inaccessible", "duration":
			return true
		case "down":
			if lead == "for" || word(b, x.First-1) == "for" {
				return true
			}
		case "outage", "disruption", "interruption", "unavailability":
			switch lead {
			case "of", "for", "lasted", "took", "a", ":", "was", "an":
				return word(b, k-1) != "the" || lead != "for"
			}
		}
	}
	return false
}

// otherBase reports whether a length of time is counted from something else than
// the outage's start: "40 minutes after the page".
func otherBase(b *Block, x prose.Fact, end int) bool {
	switch word(b, x.End) {
	case "after", "of", "from", "following", "since":
	default:
		return false
	}
	for k := x.End + 1; k < end && k < x.End+7; k++ {
		switch w := word(b, k); w {
		case "page", "paged", "alert", "call", "decision", "backup", "declaration", "escalation", "notification", "ticket", "report", "joining", "that", "failover":
			return true
		default:
			if strings.HasPrefix(w, "detect") || strings.HasPrefix(w, "acknowl") || strings.HasPrefix(w, "notic") || strings.HasPrefix(w, "restor") || strings.HasPrefix(w, "promot") {
				return true
			}
		}
	}
	return false
}

// resolves reports whether words say that service came back.
func resolves(b *Block, first, end int) bool {
	for k := first; k < end; k++ {
		switch w := word(b, k); {
		case strings.HasPrefix(w, "resol"), strings.HasPrefix(w, "restor"), strings.HasPrefix(w, "recover"), w == "back", w == "fixed", w == "fix", w == "repaired", w == "ended", w == "solved":
			return true
		}
	}
	return false
}

func word(b *Block, i int) string {
	if i < 0 || i >= len(b.toks) {
		return ""
	}
	return b.toks[i].S
}

// lossClaims reads "no data was lost" and "412 orders were lost".
func (d *Report) lossClaims(b *Block, s prose.Sentence) {
	hits := d.within(b, s.First, s.End, lossWord)
	for _, h := range hits {
		lo, hi := clauseStart(b, s.First, h.First), clauseEnd(b, h.End, s.End)
		no := d.within(b, max(lo, h.First-5), min(hi, h.End+2), negation)
		w := b.toks[h.First].S
		if doubtful(b, prose.Sentence{First: lo, End: hi}) || d.speaks(b, lo, hi, objectiveWord) {
			continue
		}
		switch {
		case len(no) > 0:
			d.Claims = append(d.Claims, Claim{Kind: NoLossClaim, Place: d.sentence(b, s), block: b, first: lo, end: hi})
			return
		case w == "data" || w == "loss" || w == "unrecoverable" || w == "rpo":
			if !d.counted(b, lo, hi) && w != "data" {
				continue
			}
			if word(b, h.First+1) == "loss" && !d.counted(b, lo, hi) {
				continue
			}
			d.Claims = append(d.Claims, Claim{Kind: LossClaim, Place: d.sentence(b, s), block: b, first: lo, end: hi})
			return
		case d.counted(b, lo, hi) && d.dataCounted(b, lo, hi):
			d.Claims = append(d.Claims, Claim{Kind: LossClaim, Place: d.sentence(b, s), block: b, first: lo, end: hi})
			return
		}
	}
}

// doubtful reports whether a sentence speaks of what might be.
func doubtful(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "would", "could", "might", "if", "risk", "risks", "potential", "possible", "fear", "feared", "whether", "had", "must", "prevent", "prevents":
			return true
		}
	}
	return false
}

// counted reports whether a clause holds a figure.
func (d *Report) counted(b *Block, first, end int) bool {
	for _, f := range b.facts {
		if f.First < first || f.End > end {
			continue
		}
		switch f.Kind {
		case prose.CountFact:
			if f.Value > 0 {
				return true
			}
		case prose.DurationFact, prose.PercentFact:
			return true
		}
	}
	return false
}

// dataCounted reports whether what is counted is data.
func (d *Report) dataCounted(b *Block, first, end int) bool {
	for k := first; k < end; k++ {
		switch prose.Stem(b.toks[k].S) {
		case "order", "ord", "transact", "row", "record", "entr", "writ", "writes", "data", "event", "messag", "booking", "book", "invoic", "payment", "pay", "document", "docu", "fil", "file", "upload", "comment", "com", "post", "ticket", "measure", "reading", "read", "edit", "change", "chang", "chat", "mail", "photo", "image", "form", "submission", "submiss", "registr", "item", "update", "upd", "minut", "hour":
			return true
		}
	}
	return false
}
