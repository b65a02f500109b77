package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

func missingRules() []Rule {
	return []Rule{
		{ID: "report-no-start", Severity: Warning, Title: "No time at which the incident began", Why: "Without it no duration can be checked, and nobody knows how long detection took.", Fix: "give the time at which clients were first affected, with its zone", check: noMoment(Started)},
		{ID: "report-no-detection", Severity: Warning, Title: "No time of detection", Why: "How long an outage goes unnoticed is the first thing to shorten; it cannot be shortened when it is not known.", Fix: "give the time at which a person or a monitor first knew", check: noMoment(Detected)},
		{ID: "report-no-acknowledgement", Severity: Warning, Title: "No time of acknowledgement", Why: "Between the page and the first person at work lies what on-call must answer for.", Fix: "give the time at which somebody took charge", check: noMoment(Acknowledged)},
		{ID: "report-no-mitigation", Severity: Warning, Title: "No time of mitigation", Why: "Clients are served again before the cause is mended; both times matter.", Fix: "give the time at which the impact stopped, and by what", check: noMoment(Mitigated)},
		{ID: "report-no-end", Severity: Warning, Title: "No time at which the incident ended", Why: "Without it the downtime cannot be checked.", Fix: "give the time at which service was whole again", check: noMoment(Ended)},
		{ID: "report-no-zone", Severity: Warning, Title: "Times without a zone", Why: "Readers in other places, logs in UTC and the night the clocks change make hours of difference.", Fix: "name the zone once (\"all times are UTC\") or at each time", check: noZone},
		{ID: "report-no-timeline", Severity: Warning, Title: "No timeline", Why: "Without the order of events nobody can see where time was lost.", Fix: "list what happened, with times, from the first sign to the all-clear", check: noTimeline},
		{ID: "report-no-cause", Severity: Warning, Title: "No root cause", Why: "What is not named is not mended.", Fix: "name the cause, or say that it is not known and who is looking", check: noCause},
		{ID: "report-no-actions", Severity: Warning, Title: "No action items", Why: "A report that changes nothing lets it happen again.", Fix: "list what will be done, by whom, until when, and how one can tell", check: noActions},
		{ID: "report-no-date", Severity: Note, Title: "The report has no date", Why: "Due days cannot be held against it, and readers cannot tell how much was known.", Fix: "give the day on which it was written", check: noDate},
		{ID: "report-impact-no-figures", Severity: Warning, Title: "Impact without figures", Why: "\"Greatly affected\" cannot be compared with the cost of preventing it.", Fix: "say how many clients, requests, orders, or how much money", check: impactFigures},
		{ID: "report-section-empty", Severity: Warning, Title: "A section without a word", Why: "A reader cannot tell whether there was nothing or nobody wrote it.", Fix: "fill it, say that there was nothing, or remove the heading", check: emptySection},
		{ID: "report-placeholder", Severity: Error, Title: "A placeholder was left in", Why: "The report looks finished and is not.", Fix: "fill it in, or say who finds out until when", check: placeholders},
	}
}

// report reports whether a document is one at all: something that speaks of an
// incident in more than a few words.
func (d *Report) report() bool { return len(d.prosaic()) > 0 }

func noMoment(kind MomentKind) func(*linter) {
	return func(l *linter) {
		if !l.report() || len(l.times(kind, false)) > 0 {
			return
		}
		claim := map[MomentKind]ClaimKind{Detected: DetectClaim, Acknowledged: AcknowledgeClaim, Mitigated: MitigateClaim}[kind]
		if claim != "" && len(l.spansOf(claim)) > 0 {
			return
		}
		for field, k := range fieldMoments {
			if k == kind && l.gap(field) {
				return
			}
		}
		if kind == Mitigated && l.servedAgain() {
			return
		}
		where := map[MomentKind][]SectionKind{Detected: {Detection, Timeline}, Acknowledged: {Response, Timeline}, Mitigated: {Recovery, Timeline}, Ended: {Recovery, Timeline}, Started: {Timeline, Summary}}[kind]
		l.find(l.heading(where...), nil, "the report gives no time of %s", kind)
	}
}

// servedAgain reports whether the time at which service was back is told apart from
// the closing: then nothing is missing where nobody calls it mitigated.
func (d *Report) servedAgain() bool {
	var back, closed []time.Time
	note := func(at time.Time, text string) {
		low := " " + prose.Lower(text)
		for _, w := range []string{" closed", " resolved", " stood down", " ends", " ended", " over"} {
			if strings.Contains(low, w) {
				closed = append(closed, at)
				return
			}
		}
		for _, w := range []string{" again", " back", " succeed", " go through", " served", " reachable", " under one second", " caught up", " normal", " restored", " recovered", " returned", " resumed"} {
			if strings.Contains(low, w) && !strings.Contains(low, " not ") && !strings.Contains(low, "roll") {
				back = append(back, at)
				return
			}
		}
	}
	for _, e := range d.Entries {
		note(e.At, e.Text)
	}
	for _, m := range d.Moments {
		if m.Kind == Ended && m.From == FromSentence {
			for _, s := range m.block.sentences {
				if m.Place.Lo >= m.block.source(m.block.toks[s.First].Lo) && m.Place.Lo <= m.block.source(m.block.toks[s.End-1].Lo) {
					note(m.At, d.sentence(m.block, s).Text)
				}
			}
		}
	}
	for _, b := range back {
		for _, c := range closed {
			if c.After(b) {
				return true
			}
		}
	}
	return false
}

func noZone(l *linter) {
	if len(l.Zones) > 0 {
		for _, z := range l.Zones {
			if z.Name != "" || l.localExplained() {
				return
			}
		}
	}
	for _, b := range l.prosaic() {
		for _, f := range b.facts {
			if f.Kind == prose.ClockFact {
				l.find(l.at(b, f.Lo, f.Hi), nil, "%s in which zone? The report names none", oneLine(b.Text[f.Lo:f.Hi]))
				return
			}
		}
	}
}

// localExplained reports whether "local time" is tied to a place.
func (d *Report) localExplained() bool {
	for _, b := range d.prosaic() {
		for k := range b.toks {
			if b.toks[k].S == "local" && word(b, k+1) == "time" && (word(b, k+2) == "in" || word(b, k+2) == "(" || word(b, k+2) == "of" || word(b, k+2) == "at") {
				return true
			}
			if b.toks[k].S == "time" && k > 0 && prose.Capital(b.Text, b.toks[k-1]) && d.in(b, Timeline, Meta, Summary, Introduction) && word(b, k-1) != "the" && len(word(b, k-1)) > 4 {
				return true // "Berlin time"
			}
		}
	}
	return false
}

func noTimeline(l *linter) {
	if l.report() && len(l.Entries) == 0 {
		times := 0
		for _, m := range l.Moments {
			if m.From != FromTimeline {
				times++
			}
		}
		if times < 4 {
			l.find(l.heading(Timeline, Summary), nil, "nothing in the report tells the order of events with times")
		}
	}
}

func noCause(l *linter) {
	if l.report() && len(l.causes()) == 0 {
		l.find(l.heading(RootCause, Summary), nil, "the report names no root cause")
	}
}

func noActions(l *linter) {
	if l.report() && len(l.Actions) == 0 {
		l.find(l.heading(ActionItems, Recommendations, Conclusion), nil, "the report has no action items")
	}
}

func noDate(l *linter) {
	if l.report() && l.Written == nil {
		l.find(l.top(), nil, "the report does not say when it was written")
	}
}

// impactFigures asks for a number of something, or money, where the impact is told.
func impactFigures(l *linter) {
	blocks := l.section(Impact)
	if len(blocks) == 0 {
		blocks = l.section(Summary, Introduction, Meta)
		if len(blocks) == 0 || len(l.Figures) == 0 && !l.speaksOfImpact(blocks) {
			if l.report() && len(l.Figures) == 0 {
				l.find(l.top(), nil, "the report does not say whom it affected, in figures")
			}
			return
		}
	}
	for _, b := range blocks {
		if l.figured(b) || b.unfilled() {
			return
		}
	}
	for _, f := range l.Figures { // elsewhere, but plainly of the impact
		if l.impactFigure(f) {
			return
		}
	}
	l.find(l.heading(Impact, Summary), nil, "the impact is told without a figure of those affected, of requests or of money")
}

func (d *Report) speaksOfImpact(blocks []*Block) bool {
	for _, b := range blocks {
		for _, t := range b.toks {
			if strings.HasPrefix(t.S, "affect") || strings.HasPrefix(t.S, "impact") {
				return true
			}
		}
	}
	return false
}

// figured reports whether a block holds a figure of an impact.
func (d *Report) figured(b *Block) bool {
	for _, f := range b.facts {
		switch f.Kind {
		case prose.MoneyFact, prose.PercentFact:
			return true
		case prose.CountFact:
			if f.Unit != "" && (affectedUnit(f.Unit) || d.kind(b) == Impact && f.Value >= 2) {
				return true
			}
		}
	}
	for k := range b.toks { // "no client was affected", "all clients"
		if w := b.toks[k].S; (w == "no" || w == "all" || w == "zero" || w == "none" || w == "every" || w == "nobody") && (k+1 < len(b.toks) && affectedUnit(prose.Stem(word(b, k+1))) || affectedUnit(prose.Stem(word(b, k+2))) || affectedUnit(prose.Stem(word(b, k+3)))) {
			return w != "all" && w != "every" || d.counted(b, 0, len(b.toks)) && !d.onlyDurations(b)
		}
	}
	return false
}

func (d *Report) onlyDurations(b *Block) bool {
	for _, f := range b.facts {
		if f.Kind == prose.CountFact || f.Kind == prose.PercentFact || f.Kind == prose.MoneyFact {
			return false
		}
	}
	return true
}

// affectedUnit reports whether what is counted can be an outage's impact.
func affectedUnit(stem string) bool {
	switch stem {
	case "client", "customer", "custom", "user", "us", "account", "request", "order", "ord", "transact", "transaction", "row", "record", "payment", "pay", "book", "booking", "ticket", "merchant", "shop", "tenant", "messag", "message", "patient", "student", "session", "sess", "call", "error", "err", "visitor", "visit", "job", "event", "upload", "login", "site", "store", "company", "compan", "organisation", "organis", "organiz", "subscrib", "subscriber", "device", "devic", "query", "quer", "driver", "driv", "parcel", "shipment", "ship", "invoic", "invoice", "employe", "employee", "staff", "member", "passenger", "player", "play", "checkout", "purchas", "purchase", "reader", "read", "writ", "write", "file", "fil", "mail", "email", "deliver", "delivery", "team", "form", "exam", "trip", "rid", "ride", "cart", "basket", "school", "clinic", "hospital", "citizen", "household", "build", "export", "import", "report", "sale", "sal", "consumer", "consum", "partner", "partn", "api", "search", "reservation", "reserv", "lesson", "appointment", "appoint", "page", "pag", "document", "people", "person", "workspac", "workspace", "project", "websit", "website", "database", "databas", "seller", "sell", "buyer", "buy", "guest", "host", "agent", "desk", "developer", "develop", "pipelin", "pipeline", "feed", "sensor", "meter", "met", "branch", "restaurant", "pharmac", "pharmacy", "prescription", "prescript", "measurement", "measur", "reading":
		return true
	}
	return false
}

func (d *Report) impactFigure(f Figure) bool {
	if f.Fact.Kind == prose.CountFact && !affectedUnit(f.Fact.Unit) {
		return false
	}
	if f.Fact.Kind == prose.CountFact && f.Fact.Value < 2 {
		return false
	}
	b := f.Block
	for k := max(0, f.Fact.First-8); k < min(len(b.toks), f.Fact.End+8); k++ {
		if w := b.toks[k].S; strings.HasPrefix(w, "affect") || strings.HasPrefix(w, "impact") || strings.HasPrefix(w, "unable") || strings.HasPrefix(w, "fail") || strings.HasPrefix(w, "lost") || w == "could" || w == "couldn't" || strings.HasPrefix(w, "refus") || strings.HasPrefix(w, "delay") || w == "late" || strings.HasPrefix(w, "cost") || strings.HasPrefix(w, "revenue") {
			return true
		}
	}
	return false
}

func emptySection(l *linter) {
	for i, s := range l.Sections {
		if s.Kind == NoSection && i == 0 || s.Title == "" {
			continue
		}
		b := l.Blocks[s.Block]
		filled := false
		for _, next := range l.Blocks[s.Block+1:] {
			if next.Kind != Heading {
				filled = true
				break
			}
			if next.Level <= b.Level {
				break
			}
		}
		if !filled && !(i == 0 && len(l.Sections) > 1) {
			l.find(s.Place, nil, "nothing stands under %q", s.Title)
		}
	}
}

// placeholderWords are marks that a writer leaves for later.
var placeholderWords = map[string]bool{"tbd": true, "todo": true, "xxx": true, "fixme": true, "tbc": true, "tba": true, "xxxx": true, "lorem": true, "xx": true}

func placeholders(l *linter) {
	for _, b := range l.Blocks {
		if b.Kind == Code || strings.Contains(b.said(), allowMark) {
			continue
		}
		for k, t := range b.toks {
			if p := l.placeholder(b, k, t); p > 0 {
				at := l.at(b, t.Lo, b.toks[min(k+p, len(b.toks))-1].Hi)
				l.find(at, nil, "%q was left in", at.Text)
				if word(b, k+1) != "fill" { // of ours, each is told
					break
				}
			}
		}
	}
}

// placeholder is how many tokens from k are one.
func (d *Report) placeholder(b *Block, k int, t prose.Token) int {
	raw := b.Text[t.Lo:t.Hi]
	switch {
	case placeholderWords[t.S] && (raw == strings.ToUpper(raw) || t.S == "tbd" || t.S == "lorem" || t.S == "fixme"):
		if t.S == "todo" && fieldName(b.Label) == fieldState {
			return 0 // "Status: TODO" is a state
		}
		if t.S == "xx" && !(word(b, k+1) == ":" || word(b, k-1) == ":") {
			return 0
		}
		if t.S == "todo" && b.Kind == Row || t.S == "todo" && d.kind(b) == ActionItems && len(b.toks) < 3 {
			return 0
		}
		return 1
	case t.S == "?" && word(b, k+1) == "?" && word(b, k+2) == "?":
		return 3
	case t.S == "to" && word(b, k+1) == "be":
		switch word(b, k+2) {
		case "determined", "added", "written", "filled", "completed", "decided", "announced", "confirmed", "provided", "defined":
			if k == 0 || b.toks[k-1].Kind == prose.Mark || k+3 >= len(b.toks) || b.toks[k+3].S == ")" || word(b, k-1) == "still" || word(b, k-1) == "yet" {
				return 3
			}
		}
	case t.S == "yyyy" || raw == "HH" && word(b, k+1) == ":" || t.S == "hh" && word(b, k+1) == ":" && word(b, k+2) == "mm":
		return 1
	case t.S == "{" && word(b, k+1) == "{":
		return 2
	case t.S == "<" || t.S == "[" || t.S == "{":
		return d.bracketed(b, k)
	}
	return 0
}

// bracketed finds <name>, [insert figure] and {date}.
func (d *Report) bracketed(b *Block, k int) int {
	closing := map[string]string{"<": ">", "[": "]", "{": "}"}[b.toks[k].S]
	reach := 9
	if word(b, k+1) == "fill" && word(b, k+2) == "in" {
		reach = 60
	}
	for n := k + 1; n < len(b.toks) && n < k+reach; n++ {
		if b.toks[n].S != closing {
			continue
		}
		if n == k+1 {
			return 0
		}
		first := b.toks[k+1].S
		switch first {
		case "insert", "fill", "name", "names", "date", "time", "owner", "add", "describe", "enter", "your", "to", "number", "amount", "link", "figure", "placeholder", "replace", "write", "team", "value", "duration", "x", "n", "severity", "title", "summary", "details", "what", "who", "when", "how", "service", "customer", "client", "person", "ticket", "count", "missing", "unknown", "list", "text", "describe…", "impact", "action":
			if b.toks[k].S == "[" && first != "insert" && first != "fill" && first != "your" && first != "describe" && first != "enter" && first != "placeholder" && n-k > 3 {
				return 0
			}
			if first == "x" && b.toks[k].S == "[" {
				return 0
			}
			return n - k + 1
		}
		return 0
	}
	return 0
}
