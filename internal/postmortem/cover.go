package postmortem

import (
	"strings"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// work is what kind of doing an action is.
type work uint8

const (
	engineering work = 1 << iota
	watching
	proving
	documenting
	training
	talking
	cleaning
)

// subject is what a stretch of text is about: topics, and the stems of its words.
type subject struct {
	topics topicSet
	stems  map[string]bool
	rare   map[string]bool // names and long words, of which one is enough
}

// deed is one clause of an action: what is done to what.
type deed struct {
	subject
	work work
}

// common are stems that tell nothing of what a text is about.
var common = setOf(`this that with from have were been will when which their there after before because during into only also more
	than then them they over such very about each every until while where would could should must team teams
	incident outage time times first last next minut hour week month year october november december januar januari
	februar data databas database server serv servic service system product production action work caus cause root
	issu issue problem need made make take took done owner does did not had has was the and for are our its who
	how what one two three four five all any can but nobod nobody both same still even else other without client
	customer custom user new old add use better bett improv improve respons response respond run set know knew
	known way day process proc critic critical complete complet implement regular ensur ensure it long late earl
	early within part line by under against out per quarter introduc enabl check found tell told happen failur
	failure fail change chang platform lead missing manual plan build error err thing people everyon someon lack
	miss lost well good start end stop keep high number numb point case real open clos close nothing written writ
	write engine engineer engineering state stat status current full may april june july august september march`)

// generic topics are met in almost every sentence of such reports.
var generic = topicBit(topicConfig) | topicBit(topicCode) | topicBit(topicTest) | topicBit(topicAccess) | topicBit(topicCapacity) | topicBit(topicDependency) | topicBit(topicOnCall) | topicBit(topicHardware) | topicBit(topicSchedule) | topicBit(topicQuery) | topicBit(topicNetwork)

// subjectOf reads what tokens are about.
func (d *Report) subjectOf(b *Block, first, end int) subject {
	s := subject{topics: d.matters(b, first, end), stems: map[string]bool{}, rare: map[string]bool{}}
	for k := first; k < end && k < first+400; k++ {
		t := b.toks[k]
		if t.Kind != prose.Word || len(t.S) < 3 {
			continue
		}
		if strings.Contains(t.S, "_") { // max_slot_wal_keep_size
			parts := prose.Tokens(strings.ReplaceAll(t.S, "_", " "))
			for _, h := range d.lexicon.Scan(parts) {
				s.topics |= topicBit(h.Class)
			}
		}
		st := prose.Stem(t.S)
		if common[st] || common[t.S] {
			continue
		}
		s.stems[st] = true
		raw := b.Text[t.Lo:t.Hi]
		upper := k > first && raw == strings.ToUpper(raw) && len(raw) > 2
		if strings.Contains(t.S, "_") || upper || len(st) >= 9 || k > first && prose.Capital(b.Text, t) && b.toks[k-1].Kind == prose.Word {
			s.rare[st] = true
		}
	}
	return s
}

// matters are the topics of tokens without an alarm that only says from when time is
// counted: "31 minutes from the alert until somebody looked at the queries".
func (d *Report) matters(b *Block, first, end int) topicSet {
	out := topicSet(0)
	for _, h := range d.hits(b) {
		if h.First < first || h.End > end {
			continue
		}
		if w := b.toks[h.First].S; h.Class == topicDetection && (w == "alert" || w == "page" || w == "alarm") && word(b, h.First-1) == "the" && (word(b, h.First-2) == "from" || word(b, h.First-2) == "after" || word(b, h.First-2) == "since") {
			continue
		}
		out |= topicBit(h.Class)
	}
	return out
}

func (s *subject) join(o subject) {
	s.topics |= o.topics
	for k := range o.stems {
		s.stems[k] = true
	}
	for k := range o.rare {
		s.rare[k] = true
	}
}

// meets reports whether two texts are about the same thing.
func (s subject) meets(o subject) bool {
	if s.topics&o.topics&^generic != 0 {
		return true
	}
	shared := 0
	for k := range s.stems {
		same := o.like(k)
		if same == "" {
			continue
		}
		if s.rare[k] || o.rare[same] {
			return true
		}
		shared++
	}
	return shared >= 2 || shared == 1 && (s.topics&o.topics != 0 || len(s.stems) <= 4)
}

// like finds a stem, or one of the same beginning: "comparison" and "compares".
func (s subject) like(stem string) string {
	if s.stems[stem] {
		return stem
	}
	const most = 60 // stems; more is no sentence
	if len(stem) < 6 || len(s.stems) > most {
		return ""
	}
	found := ""
	for o := range s.stems {
		if len(o) < 6 || !strings.HasPrefix(o, stem) && !strings.HasPrefix(stem, o) {
			continue
		}
		if s.rare[o] {
			return o
		}
		found = o
	}
	return found
}

// cleanVerbs begin actions that put things back and change nothing for next time.
var cleanVerbs = map[string]bool{
	"refund": true, "apologise": true, "apologize": true, "rebuild": true, "re": true, "rerun": true, "resend": true, "restore": true, "reimburse": true, "clean": true, "publish": true, "send": true, "credit": true, "compensate": true, "thank": true, "resubmit": true, "reconcile": true, "reimport": true, "inform": true, "close": true, "pay": true, "archive": true, "return": true, "contact": true, "share": true, "recreate": true, "resync": true, "invoice": true, "order": true,
}

// cleans reports whether a token is such a verb, and no noun: "the archive".
func cleans(b *Block, k int) bool {
	switch word(b, k-1) {
	case "the", "a", "an", "our", "its", "each", "every", "of":
		return false
	}
	return cleanVerbs[b.toks[k].S]
}

// deeds splits an action at its joints and says what each part does.
func (d *Report) deeds(a *Action) []deed {
	if a.split {
		return a.deeds
	}
	a.split = true
	for _, p := range a.parts {
		if !p.matter {
			continue
		}
		b := p.block
		from := p.first
		if b.LabelAt > 0 && b.Label != "" && fieldName(b.Label) == fieldAction {
			f, _ := d.tokens(b, b.LabelAt, len(b.Text))
			from = max(from, f)
		}
		end := d.matterEnd(b, from, p.end)
		for k := from; k <= end; k++ {
			if k < end && !(joint(b, k) && d.leadsClause(b, from, k+1, end)) {
				continue
			}
			if k > from {
				a.deeds = d.deed(a.deeds, b, from, k)
			}
			from = k + 1
		}
	}
	if a.Source != "" && len(a.parts) > 0 {
		toks := prose.Tokens(a.Source)
		src := subject{topics: 0, stems: map[string]bool{}, rare: map[string]bool{}}
		for _, h := range d.lexicon.Scan(toks) {
			src.topics |= topicBit(h.Class)
		}
		for _, t := range toks {
			if st := prose.Stem(t.S); t.Kind == prose.Word && len(st) > 3 && !common[st] {
				src.stems[st] = true
			}
		}
		for i := range a.deeds {
			a.deeds[i].subject.join(src)
		}
	}
	return a.deeds
}

// matterEnd is where the words of the action end and how one tells begins.
func (d *Report) matterEnd(b *Block, first, end int) int {
	for k := first + 1; k+1 < end; k++ {
		switch b.toks[k].S {
		case "owner", "owners", "assignee", "assigned", "responsible", "due", "deadline", "dri", "priority", "type", "kind", "status":
			if next := word(b, k+1); next == ":" || next == "=" || next == "by" || next == "to" && b.toks[k].S == "assigned" || b.dated(k+1) {
				end = k
			}
		}
	}
	if _, at := d.inlineCheck(b, part{block: b, first: first, end: end}); at < b.toks[end-1].Hi {
		for k := first + 1; k < end; k++ {
			if b.toks[k].Lo >= at {
				return k
			}
		}
	}
	return end
}

func joint(b *Block, k int) bool {
	switch b.toks[k].S {
	case "and", ";", "then", "plus":
		return true
	case ".", ",":
		return k+1 < len(b.toks) && b.toks[k+1].Gap
	}
	return false
}

// leadsClause reports whether a new thing to do begins at token k: with a verb of
// its own that is no second participle of the same thing ("bought and configured").
func (d *Report) leadsClause(b *Block, from, k, end int) bool {
	if k >= end {
		return true
	}
	if w := b.toks[k].S; strings.HasSuffix(w, "ed") && !strings.HasSuffix(word(b, from), "ed") {
		return false
	}
	for i := k; i < min(k+2, end); i++ {
		if d.speaks(b, i, i+1, buildWord, vagueVerb) || cleanVerbs[b.toks[i].S] {
			return true
		}
		switch b.toks[i].S {
		case "document", "train", "teach", "practise", "practice", "write", "test", "verify", "prove", "validate", "rehearse", "check", "alert", "page", "monitor", "run":
			return true
		}
	}
	return false
}

// deed adds a clause; one without a matter of its own belongs to the one before.
func (d *Report) deed(out []deed, b *Block, first, end int) []deed {
	s := d.subjectOf(b, first, end)
	w := d.workOf(b, first, end)
	if len(s.stems) == 0 && s.topics == 0 {
		return out
	}
	leads := false // whether it begins with a verb of its own
	for k := first; k < min(first+3, end); k++ {
		leads = leads || d.speaks(b, k, k+1, buildWord, vagueVerb, testWord, trainWord, documentWord) || cleans(b, k)
	}
	if n := len(out); n > 0 && !(leads && w != 0) {
		out[n-1].subject.join(s)
		if w&(watching|documenting|training) != 0 && out[n-1].work&engineering == 0 {
			out[n-1].work |= w &^ engineering
		}
		return out
	}
	return append(out, deed{s, w})
}

// named reports whether a verb of tidying up is part of a name instead: "Archive
// command fails when …".
func named(b *Block, k, end int) bool {
	next := word(b, k+1)
	if k+1 >= end || next == "" {
		return false
	}
	switch next {
	case "command", "commands", "job", "jobs", "script", "scripts", "process", "tool", "api", "path", "paths", "queue", "handler", "service", "button", "page", "mail", "mode":
		return true
	}
	return false
}

// workOf says what kind of doing a clause is, by its nouns before its verbs: to
// add an alert is watching, to add a lock is engineering.
func (d *Report) workOf(b *Block, first, end int) work {
	var w work
	for k := first; k < min(first+4, end); k++ {
		if cleans(b, k) && !named(b, k, end) && !d.speaks(b, first, end, testWord, watchWord) {
			return cleaning
		}
	}
	if d.speaks(b, first, end, testWord) && (d.speaks(b, first, end, topicRestore, topicBackup, topicFailover, topicDeploy, topicMigration, topicRollback, topicConfig, topicLoad, topicCertificate, topicCode) || d.speaks(b, first, end, buildWord)) && !d.speaks(b, first, end, documentWord) {
		w |= proving | engineering
	}
	if d.speaks(b, first, end, documentWord) {
		w |= documenting
	}
	if d.speaks(b, first, end, trainWord) && w&proving == 0 {
		w |= training
	}
	if d.speaks(b, first, end, watchWord) {
		w |= watching
	}
	if d.speaks(b, first, end, talkWord) {
		w |= talking
	}
	if w == 0 {
		w = engineering
		if !d.speaks(b, first, end, buildWord) && d.speaks(b, first, min(end, first+3), vagueVerb) {
			w = 0
		}
	}
	return w
}

// covered reports whether some action is about a subject; with the kinds of work
// that count.
func (d *Report) covered(s subject, counts work) bool {
	for i := range d.Actions {
		for _, x := range d.deeds(&d.Actions[i]) {
			if (counts == 0 || x.work&counts != 0) && s.meets(x.subject) {
				return true
			}
		}
	}
	return false
}

// cause is a sentence that names a root cause.
type cause struct {
	block      *Block
	first, end int
}

// causes lists the sentences that name the root cause.
func (d *Report) causes() []cause {
	if d.causesKnown {
		return d.causeList
	}
	d.causesKnown = true
	named := []cause(nil)
	for _, b := range d.prosaic() {
		if d.in(b, ActionItems, ObjectiveGroup, Recommendations, Glossary, Conclusion, Timeline) {
			continue
		}
		for _, s := range b.sentences {
			for k := s.First; k < s.End; k++ {
				if b.toks[k].S == "root" && strings.HasPrefix(word(b, k+1), "cause") && !d.intent(b, s, k) {
					named = append(named, cause{b, s.First, s.End})
					break
				}
			}
		}
	}
	section := d.section(RootCause)
	if len(section) == 0 {
		d.causeList = named
		return named
	}
	var plain []*Block // under a name that says cause, not only where causes may stand
	for _, b := range section {
		if strings.Contains(prose.Lower(b.Label), "cause") || b.Section >= 0 && strings.Contains(prose.Lower(d.Sections[b.Section].Title), "cause") {
			plain = append(plain, b)
		}
	}
	if len(plain) > 0 {
		section = plain
	}
	d.causeList = d.causeSection(section)
	return d.causeList
}

// intent tells "find the root cause" from naming it.
func (d *Report) intent(b *Block, s prose.Sentence, k int) bool {
	for i := max(s.First, k-5); i < k; i++ {
		switch w := b.toks[i].S; {
		case strings.HasPrefix(w, "find"), strings.HasPrefix(w, "identif"), strings.HasPrefix(w, "determin"), w == "analysis", strings.HasPrefix(w, "investigat"), w == "unknown", strings.HasPrefix(w, "understand"), strings.HasPrefix(w, "establish"):
			return true
		}
	}
	return word(b, k+2) == "analysis" && s.End-s.First < 6
}

// causeSection picks from the section of the cause the sentences that name it.
func (d *Report) causeSection(blocks []*Block) []cause {
	var cued, all []cause
	for _, b := range blocks {
		label := strings.Contains(prose.Lower(b.Label), "cause")
		for _, s := range b.sentences {
			if b.toks[s.End-1].S == "?" { // of five whys; the answers are what counts
				continue
			}
			c := cause{b, s.First, s.End}
			all = append(all, c)
			for k := s.First; k < s.End; k++ {
				switch w := b.toks[k].S; {
				case strings.HasPrefix(w, "cause"), w == "because", w == "due", w == "led", strings.HasPrefix(w, "misconfig"), w == "why", w == "since", label:
					cued = append(cued, c)
				default:
					continue
				}
				break
			}
		}
	}
	if n := len(all); len(cued) > 0 {
		if n > 0 && cued[len(cued)-1] != all[n-1] && len(all) < 12 {
			cued = append(cued, all[n-1])
		}
		return cued
	}
	return all
}
