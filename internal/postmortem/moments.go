package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// MomentKind is a moment that every report should name.
type MomentKind string

// The moments of an incident.
const (
	Started      MomentKind = "start"
	Detected     MomentKind = "detection"
	Acknowledged MomentKind = "acknowledgement"
	Mitigated    MomentKind = "mitigation"
	Ended        MomentKind = "end"
)

// Moment is a time that a report gives for one of them.
type Moment struct {
	Kind  MomentKind    `json:"kind"`
	At    time.Time     `json:"at"` // UTC where the zone is known
	Clock time.Duration `json:"-"`
	Dated bool          `json:"dated"`
	Zone  string        `json:"zone,omitempty"`
	From  MomentSource  `json:"from"`
	Place Place         `json:"place"`
	Sure  bool          `json:"-"` // the words name the moment itself
	block *Block
}

// MomentSource is where a moment was read.
type MomentSource string

// Where moments are read.
const (
	FromField    MomentSource = "field"
	FromTimeline MomentSource = "timeline"
	FromSentence MomentSource = "sentence"
)

// Entry is a line of the timeline.
type Entry struct {
	At     time.Time     `json:"at"`
	Clock  time.Duration `json:"-"`
	Offset bool          `json:"offset,omitempty"` // T+12m
	Zone   string        `json:"zone,omitempty"`
	Dated  bool          `json:"dated"`
	Own    bool          `json:"-"` // the day stands in the entry itself
	Text   string        `json:"text"`
	Place  Place         `json:"place"`
	block  *Block
	first  int // the token after the time
}

// readEntries reads the timeline.
func (d *Report) readEntries() {
	blocks := d.section(Timeline)
	if len(blocks) == 0 {
		blocks = d.stray()
	}
	day := d.began
	dated := !day.IsZero()
	var last time.Time
	section := -1
	for _, b := range blocks {
		if b.Section != section && b.Section >= 0 {
			section = b.Section
			if t, ok := d.firstDay(d.Blocks[d.Sections[section].Block].facts); ok {
				day, dated, last = t, true, time.Time{}
			}
		}
		e, ok := d.entry(b, &day, &dated)
		if !ok {
			if t, has := d.firstDay(b.facts); has && len(b.Text) < 48 {
				day, dated, last = t, true, time.Time{}
			}
			continue
		}
		if !e.Offset {
			e.At = day.Add(e.Clock).Add(-d.offset(e.Zone))
			if !e.Own && !last.IsZero() && last.Sub(e.At) > 6*time.Hour {
				day = day.AddDate(0, 0, 1)
				e.At = e.At.AddDate(0, 0, 1)
			}
		}
		last, b.entry = e.At, true
		d.Entries = append(d.Entries, e)
	}
}

// stray finds lines that begin with a time where no section is a timeline.
func (d *Report) stray() []*Block {
	var out []*Block
	for _, b := range d.prosaic() {
		if b.Kind != Code && !d.in(b, ActionItems) && b.LabelAt == 0 && timeLed(strings.TrimSpace(b.Text)) {
			out = append(out, b)
		}
	}
	if len(out) < 3 {
		return nil
	}
	return out
}

// entry reads a block's leading time.
func (d *Report) entry(b *Block, day *time.Time, dated *bool) (Entry, bool) {
	e := Entry{block: b}
	found := false
	for n, f := range b.facts {
		if f.Lo > 40 && !found || n > 3 {
			break
		}
		switch f.Kind {
		case prose.DateFact:
			if found || f.Date.Loose {
				continue
			}
			anchor := *day
			if t, ok := d.day(f.Date, anchor); ok {
				*day, *dated, e.Own = t, true, true
			}
			e.first = f.End
			continue
		case prose.ClockFact:
			if found || !d.leads(b, f) {
				continue
			}
			e.Clock, e.Zone, found, e.first = f.Clock, f.Zone, true, f.End
		case prose.OffsetFact:
			if found || f.Lo > 6 {
				continue
			}
			e.Offset, found, e.first = true, true, f.End
			e.Clock = f.Span
			if s := d.startClock(); s != nil {
				e.At, e.Dated = s.Add(f.Span), true
			} else {
				e.At = time.Time{}.Add(f.Span + 24*time.Hour)
			}
		default:
			continue
		}
	}
	if !found {
		return e, false
	}
	e.Dated = e.Dated || *dated
	if e.Zone == "" {
		e.Zone = d.defaultZone()
	}
	e.Text = strings.TrimLeft(strings.TrimSpace(b.Text[b.toks[min(e.first, len(b.toks))-1].Hi:]), "|-–—:)]. ~\t")
	e.Place = d.whole(b)
	return e, true
}

// leads reports whether only marks, a day or nothing stand before a time.
func (d *Report) leads(b *Block, f prose.Fact) bool {
	for i := 0; i < f.First; i++ {
		t := b.toks[i]
		if t.Kind != prose.Word {
			continue
		}
		inFact := false
		for _, o := range b.facts {
			if o.Kind == prose.DateFact && i >= o.First && i < o.End {
				inFact = true
			}
		}
		switch t.S {
		case "at", "around", "about", "approx", "approximately", "ca", "circa", "on", "time", "from", "between", "th", "st", "nd", "rd", "day", "next", "same", "the", "by":
			continue
		}
		if !inFact {
			return false
		}
	}
	return true
}

func (d *Report) startClock() *time.Time {
	for _, f := range d.Fields {
		if f.Kind == fieldStart {
			if m, ok := d.moment(f.Block, f.facts()); ok {
				return &m.At
			}
		}
	}
	return nil
}

// defaultZone is the zone that the report gives to all times: the one that it
// names in a sentence of its own, or the only one.
func (d *Report) defaultZone() string {
	if d.zoneKnown {
		return d.zone
	}
	d.zoneKnown = true
	for _, z := range d.Zones {
		if !z.Clock && z.Name != "" {
			d.zone = z.Name
			return d.zone
		}
	}
	for _, z := range d.Zones {
		if d.zone != "" && z.Name != d.zone {
			d.zone = ""
			return ""
		}
		d.zone = z.Name
	}
	return d.zone
}

func (d *Report) offset(zone string) time.Duration {
	if zone == "" {
		zone = d.defaultZone()
	}
	o, known := prose.Offset(zone)
	if !known { // "Pacific time", which the report's own zone makes exact
		o, _ = prose.Offset(d.defaultZone())
	}
	return o
}

// moment makes a time of a clock and the day beside it.
func (d *Report) moment(b *Block, facts []prose.Fact) (Moment, bool) {
	m := Moment{block: b}
	day := d.began
	m.Dated = !day.IsZero()
	ok := false
	for _, f := range facts {
		switch {
		case f.Kind == prose.DateFact && !f.Date.Loose && !ok:
			if t, valid := d.day(f.Date, d.began); valid {
				day, m.Dated = t, true
			}
		case f.Kind == prose.DateFact && !f.Date.Loose && ok: // 02:00 UTC on 5 October
			if t, valid := d.day(f.Date, d.began); valid {
				m.At = m.At.Add(t.Sub(day))
				m.Dated = true
			}
			return m, true
		case f.Kind == prose.ClockFact && !ok:
			m.Clock, m.Zone, ok = f.Clock, f.Zone, true
			m.At = day.Add(f.Clock).Add(-d.offset(f.Zone))
			m.Place = d.at(b, f.Lo, f.Hi)
		case f.Kind == prose.ClockFact:
			return m, ok
		}
	}
	return m, ok
}

var fieldMoments = map[fieldKind]MomentKind{
	fieldStart: Started, fieldDetected: Detected, fieldAcked: Acknowledged, fieldMitigate: Mitigated, fieldEnd: Ended,
}

// readMoments gathers the five moments from fields, timeline and sentences.
func (d *Report) readMoments() {
	for _, f := range d.Fields {
		kind, is := fieldMoments[f.Kind]
		if !is || d.in(f.Block, ActionItems, Timeline, ObjectiveGroup, Recommendations) && f.Block.Kind != Row || d.in(f.Block, ActionItems, ObjectiveGroup) {
			continue
		}
		if len(f.value()) > 160 || d.in(f.Block, Timeline) && f.Block.entry {
			continue
		}
		if m, ok := d.moment(f.Block, f.facts()); ok {
			m.Kind, m.From, m.Sure = kind, FromField, true
			d.Moments = append(d.Moments, m)
			d.rangeEnd(f, kind)
		}
	}
	fields := map[*Block]bool{} // what was read as a field is no sentence, too
	for _, m := range d.Moments {
		fields[m.block] = true
	}
	for _, e := range d.Entries {
		d.entryMoments(e)
	}
	for _, b := range d.prosaic() {
		if d.in(b, Timeline, ActionItems, Recommendations, ObjectiveGroup, Lessons, Glossary, Before, Earlier) || b.Label != "" && fieldMoments[fieldName(b.Label)] != "" && len(b.words()) <= 160 {
			continue
		}
		if b.entry || b.Kind == Row && fields[b] {
			continue
		}
		for _, s := range b.sentences {
			d.sentenceMoments(b, s)
		}
	}
	d.closings()
}

// closings makes the closing of an incident no sure end where the report tells apart
// when service was back.
func (d *Report) closings() {
	var closed []int
	var back time.Time
	for i, m := range d.Moments {
		switch {
		case m.Kind != Ended:
		case d.closes(m):
			closed = append(closed, i)
		case m.Sure && (back.IsZero() || m.At.Before(back)):
			back = m.At
		}
	}
	for _, i := range closed {
		if !back.IsZero() && d.Moments[i].At.After(back) {
			d.Moments[i].Sure = false
		}
	}
}

// closes reports whether a moment is told as the closing of the incident rather than
// as the return of service.
func (d *Report) closes(m Moment) bool {
	b := m.block
	first, end := 0, len(b.toks)
	switch m.From {
	case FromField:
		return strings.Contains(prose.Lower(b.Label), "closed")
	case FromSentence:
		for end > 0 && b.source(b.toks[end-1].Lo) >= m.Place.Lo {
			end--
		}
		first = max(0, end-8)
		for k := end - 1; k >= first; k-- {
			if b.toks[k].S == "." || b.toks[k].S == ";" || b.toks[k].S == "," {
				first = k + 1
			}
		}
	}
	closed := false
	for k := first; k < end; k++ {
		w := b.toks[k].S
		if strings.HasPrefix(w, "restor") || strings.HasPrefix(w, "recover") || strings.HasPrefix(w, "resolv") || w == "back" {
			return false
		}
		closed = closed || w == "closed" || w == "closes" || w == "stood" && word(b, k+1) == "down"
	}
	return closed
}

// rangeEnd takes the second time of "Time: 02:00 to 07:24" for the end.
func (d *Report) rangeEnd(f Field, kind MomentKind) {
	if kind != Started {
		return
	}
	facts := f.facts()
	for n, x := range facts {
		if x.Kind != prose.ClockFact || n+1 >= len(facts) {
			continue
		}
		for k := n + 1; k < len(facts); k++ {
			if facts[k].Kind != prose.ClockFact {
				continue
			}
			rest := facts[k:]
			if k > 0 && facts[k-1].Kind == prose.DateFact {
				rest = facts[k-1:]
			}
			if m, ok := d.moment(f.Block, rest); ok {
				if m.At.Before(d.Moments[len(d.Moments)-1].At) && facts[k-1].Kind != prose.DateFact {
					m.At = m.At.AddDate(0, 0, 1)
				}
				m.Kind, m.From, m.Sure = Ended, FromField, true
				d.Moments = append(d.Moments, m)
			}
			return
		}
		return
	}
}

// entryMoments reads what an entry of the timeline marks.
func (d *Report) entryMoments(e Entry) {
	b, end := e.block, len(e.block.toks)
	add := func(kind MomentKind, sure bool) {
		d.Moments = append(d.Moments, Moment{Kind: kind, At: e.At, Clock: e.Clock, Dated: e.Dated, Zone: e.Zone, From: FromTimeline, Place: e.Place, Sure: sure, block: b})
	}
	begins := d.within(b, e.first, end, beginWord)
	outage := d.within(b, e.first, end, outageWord)
	switch {
	case len(begins) > 0 && (near2(begins, outage, 3) || near2(begins, d.within(b, e.first, end, failWord), 2)):
		add(Started, true)
	case d.speaks(b, e.first, end, failWord):
		add(Started, false)
	case len(begins) > 0 || len(outage) > 0 && !d.speaks(b, e.first, end, resolveWord):
		add(Started, false)
	}
	hits := d.detections(b, e.first, end)
	if len(hits) == 0 && alarms[firstWord(b, e.first)] { // "Page: the database does not serve"
		add(Detected, false)
	}
	if len(hits) > 0 {
		sure := false
		for _, h := range hits {
			w := b.toks[h.First].S
			sure = sure || strings.HasPrefix(w, "detect") || strings.HasPrefix(w, "notic") || strings.HasPrefix(w, "discover")
		}
		add(Detected, sure)
	}
	if hits := d.within(b, e.first, end, ackWord); len(hits) > 0 {
		w := b.toks[hits[0].First].S
		add(Acknowledged, strings.HasPrefix(w, "ack"))
	}
	if d.speaks(b, e.first, end, mitigateWord) {
		add(Mitigated, strings.Contains(prose.Lower(e.Text), "mitigated"))
	}
	if hits := d.within(b, e.first, end, resolveWord); len(hits) > 0 && !d.speaks(b, e.first, end, negation) {
		sure := false
		for _, h := range hits {
			w := b.toks[h.First].S
			ends := strings.HasPrefix(w, "resolved") || w == "end" || w == "ends" || w == "ended" || w == "over" || w == "all" || w == "closed"
			sure = sure || ends && end-e.first <= 3 // "Resolved", "Incident closed"
			back := strings.HasPrefix(w, "restored") || strings.HasPrefix(w, "recovered")
			sure = sure || ends && (near2([]prose.Hit{h}, outage, 4) || w == "all") || back && near2([]prose.Hit{h}, d.within(b, e.first, end, serviceWord), 3)
		}
		add(Ended, sure)
	}
}

// alarms are words that an entry about an alarm begins with.
var alarms = map[string]bool{"page": true, "alert": true, "alarm": true, "pager": true, "pagerduty": true, "opsgenie": true}

// firstWord is the first word from a token on, past marks.
func firstWord(b *Block, k int) string {
	for k < len(b.toks) && b.toks[k].Kind == prose.Mark {
		k++
	}
	return word(b, k)
}

// detections are the words of noticing among tokens, without reports that are
// things: "all reports served".
func (d *Report) detections(b *Block, first, end int) []prose.Hit {
	var out []prose.Hit
	for _, h := range d.within(b, first, end, detectWord) {
		if w := b.toks[h.First].S; w == "report" || w == "reports" {
			before := word(b, h.First-1)
			_, person := reporters[before]
			if !person && !(before != "" && prose.Capital(b.Text, b.toks[h.First-1]) && d.people[before]) {
				continue
			}
		}
		out = append(out, h)
	}
	return out
}

// reporters are those who report trouble.
var reporters = map[string]struct{}{
	"customer": {}, "customers": {}, "user": {}, "users": {}, "client": {}, "clients": {}, "support": {}, "first": {}, "seller": {}, "sellers": {}, "team": {}, "engineer": {}, "partner": {}, "partners": {},
	"monitor": {}, "monitoring": {}, "someone": {}, "colleague": {}, "store": {}, "stores": {}, "shop": {}, "shops": {}, "helpdesk": {}, "desk": {}, "merchant": {}, "merchants": {}, "bug": {},
}

// near2 reports whether a phrase of one list stands within n tokens of one of
// the other.
func near2(a, b []prose.Hit, n int) bool {
	for _, x := range a {
		for _, y := range b {
			if x.First == y.First {
				continue
			}
			if g := y.First - x.End; g >= 0 && g <= n {
				return true
			}
			if g := x.First - y.End; g >= 0 && g <= n {
				return true
			}
		}
	}
	return false
}

// sentenceMoments reads "The outage began at 02:00 and was noticed at 02:47".
func (d *Report) sentenceMoments(b *Block, s prose.Sentence) {
	var clocks []int
	for n, f := range b.facts {
		if f.Kind == prose.ClockFact && f.First >= s.First && f.End <= s.End {
			clocks = append(clocks, n)
		}
	}
	from := s.First
	for n, at := range clocks {
		f := b.facts[at]
		until := s.End
		if n+1 < len(clocks) {
			until = b.facts[clocks[n+1]].First
		}
		m, ok := d.moment(b, d.beside(b, at))
		if !ok {
			continue
		}
		m.From = FromSentence
		if n > 0 && d.Moments != nil && !hasDay(b, at) && m.At.Before(d.previous(b)) && d.previous(b).Sub(m.At) > 6*time.Hour {
			m.At = m.At.AddDate(0, 0, 1)
		}
		if d.ranged(b, s, clocks, n) {
			m.Kind, m.Sure = Started, d.speaks(b, s.First, s.End, outageWord, failWord) || d.unable(b, s)
			if n == 1 {
				m.Kind = Ended
			}
			d.Moments = append(d.Moments, m)
			from = f.End
			continue
		}
		ahead := opensClause(b, s.First, f.First)
		if ahead {
			m.Kind, m.Sure = d.told(b, f.End, until, false)
		}
		if m.Kind == "" {
			m.Kind, m.Sure = d.told(b, from, f.First, true)
		}
		if m.Kind == "" && !ahead {
			m.Kind, m.Sure = d.told(b, f.End, until, false)
		}
		if m.Kind != "" {
			d.Moments = append(d.Moments, m)
		}
		from = f.End
	}
}

// opensClause reports whether a time begins a clause: "…, and at 09:20 service
// was restored".
func opensClause(b *Block, first, at int) bool {
	k := at - 1
	for k >= first {
		w := b.toks[k].S
		if w == "at" || w == "around" || w == "about" || w == "by" || w == "on" || w == "approximately" || b.dated(k) || w == "," && k > first && b.dated(k-1) {
			k--
			continue
		}
		break
	}
	if k < first {
		return true
	}
	switch b.toks[k].S {
	case ",", "and", ";", "but", "then", ":", "(", "—", "–":
		return k < at-1 || b.toks[k].S == ";"
	}
	return false
}

// unable reports whether a sentence says that something could not be done.
func (d *Report) unable(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch w := b.toks[k].S; w {
		case "cannot", "couldn't", "couldn’t", "can't", "can’t", "unable", "refused", "unavailable":
			return true
		case "could", "can":
			if word(b, k-2) == "no" || word(b, k-3) == "no" || word(b, k+1) == "not" || k > s.First && (word(b, k-1) == "nobody" || word(b, k-1) == "none") {
				return true
			}
		}
	}
	return false
}

func (d *Report) previous(b *Block) time.Time {
	for i := len(d.Moments) - 1; i >= 0; i-- {
		if d.Moments[i].block == b {
			return d.Moments[i].At
		}
	}
	return time.Time{}
}

func hasDay(b *Block, at int) bool {
	return at > 0 && b.facts[at-1].Kind == prose.DateFact && b.facts[at].First-b.facts[at-1].End < 4 ||
		at+1 < len(b.facts) && b.facts[at+1].Kind == prose.DateFact && b.facts[at+1].First-b.facts[at].End < 4
}

// beside is a time with the day that stands next to it.
func (d *Report) beside(b *Block, at int) []prose.Fact {
	out := []prose.Fact{b.facts[at]}
	if at > 0 && b.facts[at-1].Kind == prose.DateFact && b.facts[at].First-b.facts[at-1].End < 6 {
		return append([]prose.Fact{b.facts[at-1]}, out...)
	}
	if at+1 < len(b.facts) && b.facts[at+1].Kind == prose.DateFact && b.facts[at+1].First-b.facts[at].End < 6 {
		return append(out, b.facts[at+1])
	}
	return out
}

// ranged reports whether clock n is an end of "from 02:00 to 07:24", spoken of an
// outage.
func (d *Report) ranged(b *Block, s prose.Sentence, clocks []int, n int) bool {
	if len(clocks) < 2 || n > 1 {
		return false
	}
	a, z := b.facts[clocks[0]], b.facts[clocks[1]]
	if a.First == 0 {
		return false
	}
	joined := false
	for k := a.End; k < z.First && k < a.End+10; k++ {
		switch b.toks[k].S {
		case "to", "until", "till", "and", "-", "–", "—", "through":
			joined = true
		}
	}
	led := false
	for k := a.First - 1; k >= s.First && k >= a.First-8; k-- {
		switch b.toks[k].S {
		case "from", "between", "(":
			led = true
		}
	}
	verbs := d.speaks(b, a.End, z.First, beginWord, detectWord, ackWord, resolveWord, mitigateWord)
	return joined && led && !verbs && (d.speaks(b, s.First, s.End, outageWord, failWord) || d.unable(b, s)) && !d.speaks(b, s.First, s.End, lossWord)
}

// told finds what a clause says of its time: the last word before it, or the
// first after it.
func (d *Report) told(b *Block, first, end int, before bool) (MomentKind, bool) {
	hits := d.within(b, first, end, beginWord, failWord, detectWord, ackWord, mitigateWord, resolveWord)
	if len(hits) == 0 {
		return "", false
	}
	order := func(i int) prose.Hit {
		if before {
			return hits[len(hits)-1-i]
		}
		return hits[i]
	}
	outage := d.speaks(b, first, end, outageWord)
	service := d.speaks(b, first, end, serviceWord)
	for i := range hits {
		h := order(i)
		w := b.toks[h.First].S
		if d.speaks(b, max(first, h.First-4), h.First, negation) || word(b, h.End) == "nothing" {
			continue
		}
		switch h.Class {
		case beginWord:
			if outage {
				return Started, true
			}
			continue
		case failWord:
			if service && w != "errors" && w != "down" {
				return Started, i == 0
			}
			if outage {
				return Started, false
			}
			continue
		case detectWord:
			return Detected, strings.HasPrefix(w, "detect") || strings.HasPrefix(w, "notic") || strings.HasPrefix(w, "discover")
		case ackWord:
			return Acknowledged, strings.HasPrefix(w, "ack")
		case mitigateWord:
			return Mitigated, strings.HasPrefix(w, "mitigat")
		case resolveWord:
			if outage || service {
				return Ended, (strings.HasPrefix(w, "resolv") || strings.HasPrefix(w, "restor") || strings.HasPrefix(w, "recover") || w == "ended" || w == "back") && !d.speaks(b, first, end, limitedWord)
			}
			continue
		}
	}
	return "", false
}

// times lists a moment's times, sure ones only or all.
func (d *Report) times(kind MomentKind, sure bool) []Moment {
	var out []Moment
	for _, m := range d.Moments {
		if m.Kind == kind && (m.Sure || !sure) {
			out = append(out, m)
		}
	}
	return out
}
