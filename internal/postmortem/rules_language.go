package postmortem

import (
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

func languageRules() []Rule {
	return []Rule{
		{ID: "report-blame", Severity: Warning, Title: "A person is blamed", Why: "Whoever fears blame tells less next time; and the next person will stand before the same trap.", Fix: "say what in the system let it happen, not who did it", check: blames},
		{ID: "report-hindsight", Severity: Warning, Title: "Words of hindsight", Why: "\"Should have\" tells what nobody knew then, and hides why what was done made sense.", Fix: "say what was known at that moment, and what would have shown more", check: hindsight},
		{ID: "report-cause-human", Severity: Error, Title: "A person's error is given as the root cause", Why: "It ends the search too early: the question is why one slip was enough.", Fix: "ask why the slip was possible and why nothing stopped it, and give that as the cause", check: humanCause},
	}
}

// guilt are words that only blame.
var guilt = [][]string{
	{"careless"}, {"carelessly"}, {"carelessness"}, {"negligent"}, {"negligence"}, {"incompetent"}, {"incompetence"}, {"sloppy"}, {"sloppiness"}, {"reckless"}, {"recklessly"}, {"irresponsible"}, {"irresponsibly"}, {"lazy"}, {"laziness"}, {"to", "blame"}, {"the", "fault", "of"}, {"his", "fault"}, {"her", "fault"}, {"their", "fault"}, {"his", "mistake"}, {"her", "mistake"}, {"did", "not", "bother"}, {"didn't", "bother"}, {"not", "bothered"}, {"messed", "up"}, {"screwed", "up"}, {"inattentive"}, {"unprofessional"}, {"stupid"}, {"stupidly"}, {"foolish"}, {"foolishly"}, {"thoughtless"}, {"thoughtlessly"}, {"inexcusable"}, {"fault", "lies", "with"}, {"was", "at", "fault"}, {"is", "at", "fault"}, {"disciplinary"}, {"culprit"}, {"guilty"}, {"the", "offender"}, {"was", "not", "paying", "attention"}, {"wasn't", "paying", "attention"},
}

// slips are verbs that blame where a person is their subject.
var slips = [][]string{
	{"forgot"}, {"neglected"}, {"ignored"}, {"failed", "to"}, {"made", "a", "mistake"}, {"mistakenly"}, {"overlooked"}, {"did", "not", "follow"}, {"didn't", "follow"}, {"disregarded"}, {"skipped"}, {"blindly"}, {"misread"}, {"had", "not", "bothered"}, {"wrongly"}, {"broke", "production"}, {"refused", "to"}, {"caused", "the", "outage"}, {"caused", "the", "incident"}, {"did", "not", "check"}, {"didn't", "check"}, {"panicked"}, {"did", "not", "read"}, {"violated"}, {"had", "forgotten"}, {"simply"}, {"was", "asleep"}, {"made", "an", "error"}, {"made", "the", "error"}, {"made", "the", "mistake"}, {"did", "not", "care"}, {"lacked", "the", "skill"},
}

// roles are subjects that are persons.
var roles = map[string]bool{
	"engineer": true, "operator": true, "developer": true, "administrator": true, "admin": true, "dba": true, "intern": true, "contractor": true, "employee": true, "colleague": true, "technician": true, "he": true, "she": true, "person": true, "sysadmin": true, "junior": true, "manager": true, "programmer": true, "consultant": true, "trainee": true, "someone": true, "member": true, "responder": true, "author": true, "analyst": true,
}

func blames(l *linter) {
	for _, b := range l.prosaic() {
		for _, s := range b.sentences {
			if k, ok := phraseIn(b, s, guilt); ok && !l.speaks(b, max(s.First, k-5), k, negation) && !l.speaks(b, s.First, k, negation) && word(b, k-1) != "no" {
				l.find(l.sentence(b, s), nil, "this blames: %q", oneLine(b.Text[b.toks[k].Lo:b.toks[min(k+2, s.End)-1].Hi]))
				continue
			}
			for k := s.First; k < s.End; k++ {
				if n := slipAt(b, s, k); n > 0 && l.person(b, s, k) {
					l.find(l.sentence(b, s), nil, "this blames a person: %q", oneLine(b.Text[b.toks[s.First].Lo:b.toks[k+n-1].Hi]))
					break
				}
			}
		}
	}
}

func slipAt(b *Block, s prose.Sentence, k int) int {
	for _, p := range slips {
		ok := true
		for i, w := range p {
			if k+i >= s.End || b.toks[k+i].S != w {
				ok = false
				break
			}
		}
		if ok {
			return len(p)
		}
	}
	return 0
}

// person reports whether the subject right before a verb is a person.
func (d *Report) person(b *Block, s prose.Sentence, verb int) bool {
	k := verb - 1
	for k >= s.First {
		switch b.toks[k].S {
		case "simply", "just", "had", "has", "then", "also", "apparently", "again", "clearly", "completely", "who", "obviously", "and":
			k--
			continue
		}
		break
	}
	if k < s.First || b.toks[k].Kind != prose.Word {
		return false
	}
	w := b.toks[k].S
	if roles[w] {
		return !d.speaks(b, max(s.First, k-2), k, negation) && word(b, k-1) != "no" && word(b, k-1) != "every"
	}
	return prose.Capital(b.Text, b.toks[k]) && !notNames[w] && len(w) > 2 && !d.thing(b, k, k+1) && !strings.HasSuffix(w, "s") && strings.ToUpper(b.Text[b.toks[k].Lo:b.toks[k].Hi]) != b.Text[b.toks[k].Lo:b.toks[k].Hi] && !d.speaks(b, k, k+1, serviceWord, outageWord) && d.human(b, k)
}

// human reports whether a capital word is used as a person elsewhere, or stands
// where only a name can: not the first word of the sentence, or an owner.
func (d *Report) human(b *Block, k int) bool {
	name := b.toks[k].S
	if d.people == nil {
		d.people = map[string]bool{}
		for _, a := range d.Actions {
			for _, w := range strings.Fields(prose.Lower(a.Owner)) {
				d.people[strings.Trim(w, "@.,()")] = true
			}
		}
		for _, f := range d.Fields {
			if f.Kind == fieldAuthors || f.Kind == fieldOwner {
				for _, w := range strings.Fields(prose.Lower(f.value())) {
					d.people[strings.Trim(w, "@.,()")] = true
				}
			}
		}
	}
	if d.people[name] {
		return true
	}
	return givenNames[name] || k > 0 && b.toks[k-1].Kind == prose.Word && givenNames[b.toks[k-1].S]
}

// givenNames are common first names of several languages.
var givenNames = setOf("ana anna anne maria mary john jan james robert michael mike david daniel dan paul peter thomas tom mark luca marco andrea sara sarah laura julia lena lisa emma eva max felix jonas lukas leon paulo pedro jose juan carlos luis miguel diego sofia lucia elena olga ivan igor dmitri sergei alex alexei alexander alexandra andrew andre anthony antonio ben benjamin bob brian bruno carl carol chris christian christina claire claudia dave dennis diana eric erik fatima frank fred george giulia grace greg hannah hans harry heidi helen henry ian ines isabel jack jacob jane jason jeff jens jessica jim joe johan jonathan joseph karen karin karl kate katherine kevin kim klaus lars linda lucas lucy luke marie marta martin martina matt matteo matthew max mei mia mohamed mohammed ahmed ali omar hassan natalia nick nicolas nicole nina noah oliver olivia oscar patrick petra philip pierre priya rachel raj rajesh ravi rebecca rene richard rob roberto rosa ruth ryan sam samuel sandra simon sofie stefan stephen steve steven susan sven tim timo tina tobias tony ulrich victor vincent walter wei wendy will william yuki yusuf zoe amara chidi ngozi kwame kofi ade amina aisha mateo joao tiago rui hugo arjun anil sunil deepak neha pooja kavita chen li wang zhang hiroshi kenji sato tanaka miguel pablo javier marek tomasz piotr agnieszka katarzyna zuzana jana milan ondrej janos gabor istvan nils ole per bjorn astrid ingrid freya linnea aino")

func setOf(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

func hindsight(l *linter) {
	for _, b := range l.prosaic() {
		if l.in(b, ActionItems, Recommendations, ObjectiveGroup) {
			continue
		}
		for _, h := range l.within(b, 0, len(b.toks), hindsightWord) {
			if quoted(b, h) || word(b, h.First-1) == "not" || l.expected(b, h) {
				continue
			}
			at := l.at(b, b.toks[h.First].Lo, b.toks[h.End-1].Hi)
			l.find(at, nil, "%q speaks from hindsight", at.Text)
			break
		}
	}
}

// expected tells "the job should have run at 01:00", of a machine, from what a
// person should have done.
func (d *Report) expected(b *Block, h prose.Hit) bool {
	if w := b.toks[h.First].S; w != "should" && w != "shouldn't" {
		return false
	}
	switch word(b, h.First-1) {
	case "we", "he", "she", "they", "i", "somebody", "someone", "team", "engineer", "you":
		return false
	}
	for k := h.First - 1; k >= max(0, h.First-3); k-- {
		switch w := b.toks[k].S; {
		case w == "which" || w == "that" || w == "alert" || w == "alarm" || w == "job" || w == "it" || w == "check" || w == "monitor" || w == "script" || w == "process" || w == "failover" || w == "alerts" || w == "probe" || w == "timer" || w == "backup" || w == "page":
			return true
		case w == ".":
			return false
		}
	}
	return false
}

func quoted(b *Block, h prose.Hit) bool {
	return h.First > 0 && strings.ContainsAny(word(b, h.First-1), "\"“'‘`")
}

var humanErrors = [][]string{
	{"human", "error"}, {"operator", "error"}, {"user", "error"}, {"carelessness"}, {"human", "mistake"}, {"human", "failure"}, {"inattention"}, {"personal", "error"}, {"pilot", "error"}, {"manual", "error"}, {"human", "factor"}, {"an", "error", "by", "the"}, {"a", "mistake", "by"}, {"an", "engineer's", "mistake"}, {"forgetfulness"}, {"negligence"}, {"an", "error", "of", "the", "operator"}, {"lack", "of", "attention"}, {"lack", "of", "care"},
}

func humanCause(l *linter) {
	for _, c := range l.causes() {
		s := prose.Sentence{First: c.first, End: c.end}
		k, ok := phraseIn(c.block, s, humanErrors)
		if !ok || l.speaks(c.block, c.first, k, negation) {
			continue
		}
		at := l.at(c.block, c.block.toks[c.first].Lo, c.block.toks[c.end-1].Hi)
		l.find(at, nil, "%q ends the search for the cause too early", oneLine(c.block.Text[c.block.toks[k].Lo:c.block.toks[min(k+2, c.end)-1].Hi]))
		return
	}
}

// counts holds "three actions" against the list that follows, or against the
// report's own actions.
func counts(l *linter) {
	for i, b := range l.Blocks {
		if b.Kind == Heading || b.Kind == Code {
			continue
		}
		for _, f := range b.facts {
			if f.Kind != prose.CountFact || f.Value < 2 || f.Value > 20 || f.Value != float64(int(f.Value)) || f.Bound != prose.Exactly || f.Approx {
				continue
			}
			n, what := l.listed(i, b, f)
			if n == 0 || n == int(f.Value) {
				continue
			}
			p := l.whole(l.Blocks[min(i+1, len(l.Blocks)-1)])
			l.find(l.at(b, f.Lo, f.Hi), &p, "%s, but %s", oneLine(b.Text[f.Lo:f.Hi]), fmt.Sprintf("the list holds %d %s", n, what))
		}
	}
}

var listUnits = setOf("action step factor caus cause lesson recommendat recommendation challeng challenge problem thing reason chang change measur measure item follow task point success improvement improv question area issue issu finding contribut weakness weak gap point prior event phase stage stag actions")

// listed counts the list that a figure announces.
func (l *linter) listed(i int, b *Block, f prose.Fact) (int, string) {
	if !listUnits[f.Unit] || word(b, f.First-1) == "of" || word(b, f.First-1) == "first" || word(b, f.First-1) == "last" || word(b, f.First-1) == "other" || word(b, f.First-1) == "-" {
		return 0, ""
	}
	if strings.HasSuffix(strings.TrimSpace(b.Text), ":") && f.First > len(b.toks)-14 || l.introduces(i, b, f) {
		if n := l.listAfter(i); n > 0 {
			return n, "points"
		}
	}
	if (f.Unit == "action" || f.Unit == "follow") && len(l.Actions) > 0 && l.in(b, Summary, Conclusion, Introduction) && !partly(b, f) && l.says(b, outageWord, recurWord, buildWord, objectiveWord, cadenceWord) || f.Unit == "action" && l.in(b, Conclusion, Summary) && len(l.Actions) > 0 && !partly(b, f) {
		return len(l.Actions), "actions"
	}
	if l.in(b, Conclusion, Summary) && len(l.Actions) > 0 && !partly(b, f) && l.actionsAre(f.Unit) {
		return len(l.Actions), "actions"
	}
	if f.Unit == "lesson" && l.in(b, Summary, Conclusion) {
		n := 0
		for _, x := range l.section(Lessons) {
			if x.Kind == Item && x.Level == 0 {
				n++
			}
		}
		return n, "lessons"
	}
	return 0, ""
}

// actionsAre reports whether the section of actions calls them by a name: "What we
// change" of changes.
func (l *linter) actionsAre(unit string) bool {
	for _, s := range l.Sections {
		if s.Kind != ActionItems {
			continue
		}
		for _, w := range strings.Fields(bare(s.Title)) {
			if prose.Stem(w) == unit || w == unit {
				return true
			}
		}
	}
	return false
}

// partly reports whether only some of a list are meant.
func partly(b *Block, f prose.Fact) bool {
	for k := max(0, f.First-3); k < min(len(b.toks), f.End+3); k++ {
		if b.toks[k].S == "of" && k >= f.End && (word(b, k+1) == "section" || word(b, k+1) == "chapter" || word(b, k+1) == "part") {
			return false
		}
		switch b.toks[k].S {
		case "of", "done", "most", "open", "main", "remaining", "completed", "already", "important", "first", "more", "further", "key", "more:", "preventive", "corrective", "other", "still":
			return true
		}
	}
	return false
}

// introduces reports whether the block stands right before a list and speaks of it.
func (l *linter) introduces(i int, b *Block, f prose.Fact) bool {
	if b.Kind != Paragraph || i+1 >= len(l.Blocks) || l.Blocks[i+1].Kind != Item || partly(b, f) && word(b, f.End) != "of" {
		return false
	}
	return len(b.sentences) == 1 && len(b.toks) < 16
}

// listAfter counts the points of the list after block i.
func (l *linter) listAfter(i int) int {
	if i+1 >= len(l.Blocks) {
		return 0
	}
	first := l.Blocks[i+1]
	n := 0
	for _, x := range l.Blocks[i+1:] {
		switch {
		case first.Kind == Item && x.Kind == Item && x.Level == first.Level, first.Kind == Row && x.Kind == Row && !x.Head:
			n++
		case first.Kind == Item && x.Kind == Item && x.Level > first.Level:
		case first.Kind == Row && x.Kind == Row:
		default:
			return n
		}
	}
	return n
}

// figureRoles are what a count can be of.
var figureRoles = []struct{ role, words string }{
	{"lost", "lost lose losing missing gone unrecoverable"},
	{"failed", "failed fail rejected errors error refused dropped timed 5xx 500 returned"},
	{"affected", "affected impacted unable couldn't reached reach hit without could cannot experienced saw outage unavailable"},
	{"reported", "complained contacted complaints tickets reported wrote opened raised called"},
}

// figuresDiffer compares counts of the same thing in the same role, and severities.
func figuresDiffer(l *linter) {
	type key struct{ unit, role string }
	seen := map[key]Figure{}
	for _, f := range l.Figures {
		if f.Fact.PerTime || f.Fact.Bound == prose.AtMost || l.partFigure(f) {
			continue
		}
		k := key{}
		switch f.Fact.Kind {
		case prose.CountFact:
			if !affectedUnit(f.Fact.Unit) || f.Fact.Value < 2 {
				continue
			}
			k = key{f.Fact.Unit, l.role(f)}
		case prose.MoneyFact:
			k = key{f.Fact.Unit, l.moneyRole(f)}
		case prose.PercentFact:
			continue
		}
		if k.role == "" {
			continue
		}
		first, is := seen[k]
		if !is {
			seen[k] = f
			continue
		}
		a, b := first.Fact.Value, f.Fact.Value
		slack := 0.0
		if first.Fact.Approx || f.Fact.Approx {
			slack = 0.1 * max(a, b)
		}
		if first.Fact.Bound == prose.AtLeast && b >= a || f.Fact.Bound == prose.AtLeast && a >= b {
			continue
		}
		if (a-b > slack || b-a > slack) && first.Block != f.Block {
			p := first.Place
			l.find(f.Place, &p, "%s here, %s on line %d", oneLine(f.Place.Text), oneLine(p.Text), p.Line)
		}
	}
	l.severities()
}

// partFigure reports whether a figure counts a part: "of them", "in the EU".
func (d *Report) partFigure(f Figure) bool {
	b := f.Block
	for k := f.Fact.First - 1; k >= max(0, f.Fact.First-3); k-- {
		switch b.toks[k].S {
		case "of", "another", "further", "additional", "other", "remaining", "first", "these", "peak", "to", "from", "plus", "typically", "usually", "normally", "our", "all":
			return true
		}
	}
	for k := f.Fact.End; k < min(len(b.toks), f.Fact.End+4); k++ {
		switch b.toks[k].S {
		case "of":
			w := word(b, k+1)
			if (w == "whom" || w == "which") && word(b, k-1) == "," {
				return false // "212 customers, of whom 9 …": the whole
			}
			return w == "them" || w == "these" || w == "those" || w == "which" || w == "whom" || b.toks[min(k+1, len(b.toks)-1)].Kind == prose.Number
		case "still", "per":
			return true
		}
	}
	return false
}

func (d *Report) role(f Figure) string {
	b := f.Block
	s := sentenceOf(b, f.Fact.First)
	best, where := "", 99
	for k := s.First; k < s.End; k++ {
		if k >= f.Fact.End && b.toks[k].S == "of" && (word(b, k+1) == "whom" || word(b, k+1) == "which") {
			break // "212 customers, of whom 9 wrote to us": what 9 did
		}
		for _, r := range figureRoles {
			if !strings.Contains(" "+r.words+" ", " "+b.toks[k].S+" ") {
				continue
			}
			far := k - f.Fact.End
			if k < f.Fact.First {
				far = f.Fact.First - k + 1
			}
			if k >= f.Fact.First && k < f.Fact.End {
				far = 0
			}
			if far < where {
				best, where = r.role, far
			}
		}
	}
	if where > 8 {
		best = ""
	}
	if best == "" && d.in(b, Impact) && b.Label == "" && d.kind(b) == Impact && len(s2(b)) == 1 && len(b.toks) < 10 {
		best = "affected"
	}
	if best == "" && b.Label != "" && strings.Contains(prose.Lower(b.Label), "affected") {
		best = "affected"
	}
	return best
}

func s2(b *Block) []prose.Fact {
	var out []prose.Fact
	for _, f := range b.facts {
		if f.Kind == prose.CountFact && !(f.First > 1 && (word(b, f.First-1) == "whom" || word(b, f.First-1) == "which") && word(b, f.First-2) == "of") {
			out = append(out, f)
		}
	}
	return out
}

func sentenceOf(b *Block, tok int) prose.Sentence {
	for _, s := range b.sentences {
		if tok >= s.First && tok < s.End {
			return s
		}
	}
	return prose.Sentence{First: 0, End: len(b.toks)}
}

func (d *Report) moneyRole(f Figure) string {
	b := f.Block
	s := sentenceOf(b, f.Fact.First)
	best, where := "", 9
	for k := s.First; k < s.End; k++ {
		role := ""
		switch w := b.toks[k].S; {
		case w == "revenue" || w == "sales" || w == "turnover" || w == "profit":
			role = "revenue"
		case strings.HasPrefix(w, "refund") || strings.HasPrefix(w, "credit") || strings.HasPrefix(w, "compensat") || w == "penalties" || w == "penalty":
			role = "refunds"
		case strings.HasPrefix(w, "cost"):
			role = "cost"
		}
		far := k - f.Fact.End
		if k < f.Fact.First {
			far = f.Fact.First - k
		}
		if role != "" && far < where {
			best, where = role, far
		}
	}
	return best
}

// severities compares what is said of the severity.
func (l *linter) severities() {
	var first *Place
	level := ""
	say := func(n string, p Place) {
		if first == nil {
			level, first = n, &p
		} else if n != level {
			l.find(p, first, "severity %s here, %s on line %d", n, level, first.Line)
		}
	}
	for _, f := range l.Fields {
		if f.Kind == fieldSeverity && strings.HasPrefix(bare(f.Name), "sev") && !l.in(f.Block, ActionItems, Recommendations) {
			if n := digit(f.value()); n != "" {
				say(n, f.Place)
			}
		}
	}
	for _, b := range l.prosaic() {
		if l.in(b, ActionItems, Timeline) || b.Kind == Row {
			continue
		}
		for k := range b.toks {
			if w := b.toks[k].S; (w == "sev" || w == "severity") && k+1 < len(b.toks) {
				at := k + 1
				if b.toks[at].S == "-" {
					at++
				}
				if at < len(b.toks) && b.toks[at].Kind == prose.Number && len(b.toks[at].S) == 1 && !rerated(b) {
					say(b.toks[at].S, l.at(b, b.toks[k].Lo, b.toks[at].Hi))
				}
			}
		}
	}
}

// rerated reports whether a sentence tells of a change of severity.
func rerated(b *Block) bool {
	for _, t := range b.toks {
		if strings.HasPrefix(t.S, "raise") || strings.HasPrefix(t.S, "lower") || strings.HasPrefix(t.S, "upgrad") || strings.HasPrefix(t.S, "downgrad") || strings.HasPrefix(t.S, "escalat") || t.S == "to" || t.S == "initially" || t.S == "first" {
			return true
		}
	}
	return false
}

func digit(s string) string {
	for _, c := range s {
		if c >= '0' && c <= '9' {
			return string(c)
		}
	}
	return ""
}
