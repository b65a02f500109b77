package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

func claimRules() []Rule {
	return []Rule{
		{ID: "report-objective-missed", Severity: Error, Title: "An objective was missed and is told as met", Why: "What was promised was not kept, and the report hides it; next time nobody will plan for it.", Fix: "say that it was missed, by how much, and which action brings it back within reach", check: objectiveMissed},
		{ID: "report-objective-no-figure", Severity: Warning, Title: "An objective without a figure", Why: "\"Minimal\" is always met.", Fix: "give a limit: minutes, rows, a percentage", check: objectiveFigure},
		{ID: "report-objective-not-evaluated", Severity: Warning, Title: "An objective that the report never evaluates", Why: "An objective that nobody holds against what happened is decoration.", Fix: "say whether it was met, with the measured figure", check: objectiveEvaluated},
		{ID: "report-praised-and-blamed", Severity: Error, Title: "The same thing is praised and blamed", Why: "One of the two is what people wished had happened. What is praised will not be mended.", Fix: "say what went well and what did not, at which time and with whom", check: praisedAndBlamed},
		{ID: "report-loss-method", Severity: Error, Title: "\"No data lost\" does not fit how it was recovered", Why: "A backup holds what was there when it was taken, and an asynchronous standby what had reached it; what came later is lost unless the log was replayed.", Fix: "say up to which moment data were recovered and how that was checked, or what was lost", check: lossMethod},
		{ID: "report-loss-differs", Severity: Error, Title: "No data lost in one place, data lost in another", Why: "Clients will ask which of the two it was.", Fix: "say what was lost, and what of it was recovered", check: lossDiffers},
		{ID: "report-availability", Severity: Error, Title: "An availability that does not fit the downtime", Why: "One of the two figures is wrong, and contracts depend on them.", Fix: "compute it: 1 − downtime ÷ period", check: availability},
		{ID: "report-conclusion-overclaims", Severity: Warning, Title: "The conclusion claims more than the body", Why: "Many read the conclusion only.", Fix: "let it say what the body shows, and what is still open", check: overclaims},
	}
}

// reached are the claims and spans that tell what became of an objective.
func (d *Report) reached(o *Objective) []Claim {
	if o.Actual != nil {
		return []Claim{*o.Actual}
	}
	switch o.Kind {
	case ResolveObjective:
		if c := d.spansOf(DowntimeClaim); len(c) > 0 {
			return c
		}
		if c := d.spansOf(ResolveClaim); len(c) > 0 {
			return c
		}
		return d.between(Started, Ended, ResolveClaim)
	case DetectObjective:
		if c := d.spansOf(DetectClaim); len(c) > 0 {
			return c
		}
		return d.between(Started, Detected, DetectClaim)
	case AcknowledgeObjective:
		if c := d.spansOf(AcknowledgeClaim); len(c) > 0 {
			return c
		}
		return d.between(Detected, Acknowledged, AcknowledgeClaim)
	case LossObjective:
		var out []Claim
		for _, c := range d.Claims {
			if c.Kind == LossClaim {
				out = append(out, c)
			}
		}
		return out
	}
	return nil
}

// between is a span from the timestamps.
func (d *Report) between(a, b MomentKind, kind ClaimKind) []Claim {
	from, to := d.times(a, true), d.times(b, true)
	if len(from) == 0 || len(to) == 0 || !to[0].At.After(from[0].At) {
		return nil
	}
	return []Claim{{Kind: kind, Span: to[0].At.Sub(from[0].At), Grain: time.Minute, Place: to[0].Place}}
}

func objectiveMissed(l *linter) {
	for i := range l.Objectives[:min(len(l.Objectives), mostClaims)] {
		o := &l.Objectives[i]
		missed, by := l.missed(o)
		if !missed {
			continue
		}
		switch {
		case o.Verdict == Met:
			p := by.Place
			at := o.Told
			if at.Line == 0 {
				at = o.Place
			}
			l.find(at, &p, "the objective of %s is told as met, but %s", limitText(o), reachedText(by))
		case o.Verdict == Untold:
			if told := l.toldAsSuccess(o); told.Line > 0 {
				p := by.Place
				l.find(told, &p, "told as a success, but the objective of %s (line %d) was missed: %s", limitText(o), o.Place.Line, reachedText(by))
			}
		}
	}
}

func limitText(o *Objective) string {
	if o.Limit > 0 {
		return dur(o.Limit) + " for " + string(o.Kind)
	}
	return string(o.Kind)
}

func reachedText(c Claim) string {
	if c.Span > 0 {
		return string(c.Kind) + " was " + c.String()
	}
	return "data were lost: " + c.Place.Text
}

// missed reports whether what was reached lies beyond an objective, and by what.
func (d *Report) missed(o *Objective) (bool, Claim) {
	if o.Kind == LossObjective {
		for _, c := range d.reached(o) {
			if c.Span > 0 && (o.Limit > 0 || o.limited && o.Actual != nil) && c.Span > o.Limit || o.Limit == 0 && o.Figure && c.Kind == LossClaim && !d.countedObjective(o) {
				return true, c
			}
		}
		return false, Claim{}
	}
	if o.Limit == 0 {
		return false, Claim{}
	}
	for _, c := range d.reached(o) {
		least, _ := c.limits()
		if c.Grain > 0 && c.Grain <= time.Second && c.Bound == prose.Exactly && !c.Approx { // told to the second
			least = c.Span
		} else if o.Actual != nil && c.Grain == time.Minute && c.Bound == prose.Exactly && !c.Approx { // set beside its limit, it was rounded at most
			least = c.Span - 30*time.Second
		}
		if least > o.Limit && c.Bound != prose.AtMost {
			return true, c
		}
	}
	return false, Claim{}
}

func (d *Report) countedObjective(o *Objective) bool {
	for _, f := range o.block.facts {
		if (f.Kind == prose.CountFact || f.Kind == prose.DurationFact || f.Kind == prose.PercentFact) && f.Value+float64(f.Span) > 0 {
			return true
		}
	}
	return false
}

// toldAsSuccess finds where a report claims success in what an objective limits.
func (d *Report) toldAsSuccess(o *Objective) Place {
	for _, b := range d.section(Successes, Conclusion, Summary, Lessons) {
		for _, s := range b.sentences {
			if d.speaks(b, s.First, s.End, negation) && !d.speaks(b, s.First, s.End, lossWord) || d.verdict(b, s.First, s.End) == Missed {
				continue
			}
			kind := d.objectiveKind(b, s.First, s.End)
			success := d.in(b, Successes)
			for k := s.First; k < s.End; k++ {
				w := b.toks[k].S
				success = success || strings.HasPrefix(w, "successful") || w == "success" || w == "promptly" || w == "quickly" || w == "swiftly"
			}
			if success && kind == o.Kind {
				return d.sentence(b, s)
			}
		}
	}
	return Place{}
}

func objectiveFigure(l *linter) {
	for i := range l.Objectives[:min(len(l.Objectives), mostClaims)] {
		if o := &l.Objectives[i]; !o.Figure {
			l.find(o.Place, nil, "no figure says when this is met: %q", o.Place.Text)
		}
	}
}

func objectiveEvaluated(l *linter) {
	for i := range l.Objectives[:min(len(l.Objectives), mostClaims)] {
		o := &l.Objectives[i]
		if o.Verdict != Untold || o.Told.Line > 0 || !o.Figure || o.Actual != nil || o.Kind == OtherObjective {
			continue
		}
		if o.Kind == LossObjective && o.Limit == 0 && l.lossTold(o) {
			continue // none was allowed, and the report says what was lost
		}
		l.find(o.Place, nil, "nothing in the report says whether this was met: %q", o.Place.Text)
	}
}

func (d *Report) lossTold(o *Objective) bool {
	for _, c := range d.Claims {
		if (c.Kind == NoLossClaim || c.Kind == LossClaim) && c.block != o.block {
			return true
		}
	}
	return false
}

// judged are the topics of which a report can hold two opinions.
var judged = []prose.Class{topicCommunication, topicDetection, topicDocumentation, topicTraining, topicHandover, topicStatusPage, topicFailover, topicBackup, topicRestore, topicRollback, topicOnCall}

// opinion is a sentence that praises or blames a topic.
type opinion struct {
	topic   prose.Class
	good    bool
	aspects map[string]bool
	strong  bool
	place   Place
	block   *Block
}

func praisedAndBlamed(l *linter) {
	var all []opinion
	for _, b := range l.section(Successes, Challenges, Conclusion, Summary, Response, Communications, Detection, Introduction, Luck, Lessons, Recovery) {
		if len(all) > 2*mostClaims {
			break
		}
		for _, s := range b.sentences {
			all = append(all, l.opinions(b, s)...)
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if a.topic != b.topic || a.good == b.good || a.block == b.block || !shares(a.aspects, b.aspects) {
				continue
			}
			if a.topic >= topicFailover && a.topic != topicCommunication && !(a.strong && b.strong) && !human(a.topic) {
				continue
			}
			good, bad := a, b
			if b.good {
				good, bad = b, a
			}
			p := bad.place
			l.find(good.place, &p, "%s is praised here and blamed on line %d", topicNames[a.topic], p.Line)
			break
		}
	}
}

// human reports whether a topic is something that people do, of which a general
// word in the list of successes or challenges is an opinion already.
func human(c prose.Class) bool {
	switch c {
	case topicCommunication, topicDetection, topicDocumentation, topicTraining, topicHandover, topicStatusPage:
		return true
	}
	return false
}

func shares(a, b map[string]bool) bool {
	if len(a) == 0 && len(b) == 0 {
		return true
	}
	for k := range a {
		if b[k] {
			return true
		}
	}
	return false
}

// opinions reads what a sentence thinks of its subject.
func (d *Report) opinions(b *Block, s prose.Sentence) []opinion {
	if s.First < s.End && d.speaks(b, s.First, s.End, beginWord) && b.entry {
		return nil
	}
	praise := d.within(b, s.First, s.End, praiseWord)
	blame := d.within(b, s.First, s.End, blameWord)
	negated := d.within(b, s.First, s.End, negation)
	var out []opinion
	for _, topic := range judged {
		hits := d.within(b, s.First, s.End, topic)
		if topic == topicCommunication {
			hits = append(hits, d.within(b, s.First, s.End, topicTeamwork)...)
		}
		if len(hits) == 0 {
			continue
		}
		h := hits[0]
		if h.First-s.First > 9 && !near2(hits, praise, 4) && !near2(hits, blame, 4) {
			continue
		}
		if later(b, s) {
			continue
		}
		o := opinion{topic: topic, place: d.sentence(b, s), block: b, aspects: d.aspects(b, s, topic)}
		nearPraise, nearBlame := near2(hits, praise, 5), near2(hits, blame, 5)
		switch {
		case d.in(b, Successes):
			if nearBlame && !nearPraise && len(praise) == 0 || len(negated) > 0 && len(praise) == 0 {
				continue
			}
			o.good, o.strong = true, nearPraise
		case d.in(b, Challenges):
			o.strong = nearBlame
		case nearPraise && !nearBlame && len(negated) == 0 && plainPraise(b, praise) && !d.wish(b, s):
			o.good, o.strong = true, true
		case nearBlame && !nearPraise && strongBlame(b, blame) && !d.wish(b, s):
			o.strong = true
		default:
			continue
		}
		out = append(out, o)
	}
	return out
}

// plainPraise asks for a word that can only praise.
func plainPraise(b *Block, hits []prose.Hit) bool {
	for _, h := range hits {
		switch w := b.toks[h.First].S; {
		case strings.HasPrefix(w, "excel"), w == "well", w == "good", w == "great", strings.HasPrefix(w, "exempl"), strings.HasPrefix(w, "effective"), strings.HasPrefix(w, "smooth"), strings.HasPrefix(w, "flawless"), strings.HasPrefix(w, "seamless"), w == "outstanding", w == "strong", strings.HasPrefix(w, "efficient"):
			return word(b, h.First+1) != "as" && word(b, h.First-1) != "as" && word(b, h.First-1) != "could"
		}
	}
	return false
}

func strongBlame(b *Block, hits []prose.Hit) bool {
	for _, h := range hits {
		switch w := b.toks[h.First].S; {
		case strings.HasPrefix(w, "poor"), strings.HasPrefix(w, "insufficient"), strings.HasPrefix(w, "inadequa"), strings.HasPrefix(w, "broke"), strings.HasPrefix(w, "break"), w == "bad", w == "badly", strings.HasPrefix(w, "confus"), strings.HasPrefix(w, "chao"), w == "outdated", strings.HasPrefix(w, "collaps"), strings.HasPrefix(w, "incomplete"), w == "fell", w == "weak", w == "unclear", strings.HasPrefix(w, "disjointed"), strings.HasPrefix(w, "suffer"), w == "lacking", w == "missing":
			return true
		}
	}
	return false
}

// wish tells "better monitoring is needed" from an opinion.
func (d *Report) wish(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "must", "need", "needs", "will", "better", "more", "if", "can", "require", "requires":
			return true
		}
	}
	return false
}

// later reports whether a sentence speaks of another phase than the first.
func later(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "once", "eventually", "later", "afterwards", "thereafter", "then":
			return true
		case "after":
			return word(b, k+1) == "the" || word(b, k+1) == "that"
		}
	}
	return false
}

// aspects narrow a topic down: with whom, or of what.
func (d *Report) aspects(b *Block, s prose.Sentence, topic prose.Class) map[string]bool {
	out := map[string]bool{}
	if topic == topicCommunication {
		for k := s.First; k < s.End; k++ {
			switch w := b.toks[k].S; {
			case strings.HasPrefix(w, "customer"), strings.HasPrefix(w, "client"), strings.HasPrefix(w, "user"), w == "public", w == "external", w == "status", w == "support", w == "sales", strings.HasPrefix(w, "stakeholder"), w == "management", strings.HasPrefix(w, "merchant"), w == "press", strings.HasPrefix(w, "partner"), strings.HasPrefix(w, "subscriber"):
				out["outside"] = true
			case strings.HasPrefix(w, "vendor"), strings.HasPrefix(w, "provider"), strings.HasPrefix(w, "supplier"):
				out["vendor"] = true
			case strings.HasPrefix(w, "shift"), strings.HasPrefix(w, "handover"), w == "hand":
				out["shift"] = true
			}
		}
		if len(out) == 0 {
			out["inside"] = true
		}
		return out
	}
	ignore := topicBit(topic) | topicBit(topicTeamwork) | topicBit(topicTest)
	switch topic {
	case topicDetection:
		ignore |= topicBit(topicOnCall) | topicBit(topicCommunication)
	case topicBackup, topicRestore:
		ignore |= topicBit(topicBackup) | topicBit(topicRestore)
	case topicTraining:
		ignore |= topicBit(topicOnCall)
	case topicStatusPage:
		ignore |= topicBit(topicCommunication) | topicBit(topicDetection)
	case topicOnCall:
		ignore |= topicBit(topicDetection)
	}
	for _, t := range (d.topics(b, s.First, s.End) &^ ignore).list() {
		out[topicNames[t]] = true
	}
	return out
}

func lossMethod(l *linter) {
	var no *Claim
	for i := range l.Claims {
		if c := &l.Claims[i]; c.Kind == NoLossClaim && !l.partOnly(c) {
			no = c
			break
		}
	}
	if no == nil {
		return
	}
	replayed := false
	var source, lagging *Place
	for _, b := range l.prosaic() {
		if l.in(b, ActionItems, Recommendations, ObjectiveGroup, Lessons) {
			continue
		}
		for _, s := range b.sentences {
			if l.speaks(b, s.First, s.End, replayWord) && !l.denied(b, s, replayWord) {
				replayed = true
			}
			if source == nil && l.speaks(b, s.First, s.End, restoreSource) && l.restores(b, s) {
				p := l.sentence(b, s)
				source = &p
			}
			if lagging == nil && l.speaks(b, s.First, s.End, standbyWord) && l.speaks(b, s.First, s.End, asyncWord) && !l.denied(b, s, asyncWord) && !caughtUp(b, s) {
				p := l.sentence(b, s)
				lagging = &p
			}
		}
	}
	switch {
	case source != nil && !replayed:
		l.find(no.Place, source, "no data lost, but line %d restores from a backup and nothing says that the log was replayed: what was written after the backup is gone", source.Line)
	case lagging != nil && !replayed && l.promoted():
		l.find(no.Place, lagging, "no data lost, but the standby that took over lagged (line %d): what had not reached it is gone", lagging.Line)
	}
}

// partOnly reports whether a claim speaks of a part of the data: "no committed
// data", "no data of clients in the EU".
func (d *Report) partOnly(c *Claim) bool {
	for _, t := range c.block.toks {
		switch t.S {
		case "further", "additional", "other", "more", "historical", "configuration":
			return true
		}
	}
	return false
}

// restores tells a restore that was done from one that was not.
func (d *Report) restores(b *Block, s prose.Sentence) bool {
	if d.speaks(b, s.First, s.End, hindsightWord) {
		return false
	}
	verb := false
	for k := s.First; k < s.End; k++ {
		switch w := b.toks[k].S; {
		case strings.HasPrefix(w, "restor"), strings.HasPrefix(w, "recover"), strings.HasPrefix(w, "rebuil"), strings.HasPrefix(w, "import"), w == "load", w == "loaded", w == "brought", w == "reload", w == "reloaded":
			verb = true
		case w == "test", w == "tests", w == "staging", w == "scratch", w == "failed", w == "could", w == "not", w == "cannot", w == "would", w == "drill", w == "considered", w == "instead", w == "without":
			return false
		}
	}
	return verb
}

// denied reports whether every phrase of a class is negated.
func (d *Report) denied(b *Block, s prose.Sentence, class prose.Class) bool {
	for _, h := range d.within(b, s.First, s.End, class) {
		if !d.speaks(b, max(s.First, h.First-3), h.First, negation) {
			return false
		}
	}
	return true
}

func caughtUp(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "caught", "zero", "0", "synchronous", "none", "nothing", "fully", "waited", "until", "once":
			return true
		}
	}
	return false
}

func (d *Report) promoted() bool {
	for _, b := range d.section(Timeline, Recovery, Response, Summary, Successes, Impact, Introduction) {
		for _, t := range b.toks {
			if strings.HasPrefix(t.S, "promot") || t.S == "failover" || t.S == "failed" || strings.HasPrefix(t.S, "switch") {
				return true
			}
		}
	}
	return false
}

func lossDiffers(l *linter) {
	losses := l.losses()
	for _, no := range l.Claims {
		if no.Kind != NoLossClaim || l.partOnly(&no) || qualified(no) {
			continue
		}
		for _, lost := range losses[:min(len(losses), mostClaims)] {
			if lost.block == no.block || qualified(lost) {
				continue
			}
			p := lost.Place
			l.find(no.Place, &p, "no data lost here, but line %d says %q", p.Line, p.Text)
			return
		}
	}
}

// losses are the claims that data were lost, with what a table of objectives says
// was.
func (d *Report) losses() []Claim {
	var out []Claim
	for _, c := range d.Claims {
		if c.Kind == LossClaim {
			out = append(out, c)
		}
	}
	for _, o := range d.Objectives {
		if o.Kind == LossObjective && o.Actual != nil && o.Actual.Span > 0 && o.block.Kind == Row {
			out = append(out, *o.Actual)
		}
	}
	return out
}

// qualified reports whether a claim says of which data it speaks, or that they
// came back.
func qualified(c Claim) bool {
	b := c.block
	toks := b.toks
	if c.end > c.first {
		toks = b.toks[c.first:c.end]
	}
	for _, t := range toks {
		switch t.S {
		case "committed", "uncommitted", "flight", "acknowledged", "unacknowledged", "temporarily", "cached", "cache", "session", "sessions", "derived", "recovered", "re", "reconstructed", "replayed", "resent", "regenerated", "reimported", "retried", "unsaved", "later":
			return true
		}
	}
	return false
}

var periods = map[string]time.Duration{
	"month": 30 * 24 * time.Hour, "monthly": 30 * 24 * time.Hour, "quarter": 91 * 24 * time.Hour, "quarterly": 91 * 24 * time.Hour, "year": 365 * 24 * time.Hour, "yearly": 365 * 24 * time.Hour, "annual": 365 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "day": 24 * time.Hour,
	"january": 31 * 24 * time.Hour, "february": 28 * 24 * time.Hour, "march": 31 * 24 * time.Hour, "april": 30 * 24 * time.Hour, "may": 31 * 24 * time.Hour, "june": 30 * 24 * time.Hour, "july": 31 * 24 * time.Hour, "august": 31 * 24 * time.Hour, "september": 30 * 24 * time.Hour, "october": 31 * 24 * time.Hour, "november": 30 * 24 * time.Hour, "december": 31 * 24 * time.Hour,
}

func availability(l *linter) {
	down := l.spansOf(DowntimeClaim)
	if len(down) == 0 {
		down = l.between(Started, Ended, DowntimeClaim)
	}
	if len(down) == 0 {
		return
	}
	for _, b := range l.prosaic() {
		if l.in(b, ActionItems, ObjectiveGroup, Recommendations) {
			continue
		}
		for _, s := range b.sentences {
			if l.speaks(b, s.First, s.End, objectiveWord) {
				continue
			}
			period, named := time.Duration(0), false
			for k := s.First; k < s.End; k++ {
				if p := periods[b.toks[k].S]; p != 0 {
					period = p
				}
				named = named || b.toks[k].S == "availability" || b.toks[k].S == "uptime" || b.toks[k].S == "available"
			}
			for _, f := range b.facts { // "over 30 days"
				if f.Kind == prose.DurationFact && !f.Vague && f.Grain >= 24*time.Hour && f.First >= s.First && f.End <= s.End {
					period = f.Span
				}
			}
			for _, f := range b.facts {
				if named && period > 0 && f.Kind == prose.PercentFact && f.First >= s.First && f.End <= s.End && f.Value > 50 {
					l.holdAvailability(b, f, period, down[0])
				}
			}
		}
	}
}

func (l *linter) holdAvailability(b *Block, f prose.Fact, period time.Duration, down Claim) {
	want := 100 * (1 - float64(down.Span)/float64(period))
	slack := max(0.1*(100-want), 0.006)
	if text := b.Text[f.Lo:f.Hi]; !strings.Contains(text, ".") && !strings.Contains(text, ",") {
		slack = max(slack, 0.5)
	} else if i := strings.IndexAny(text, ".,"); i >= 0 && len(text)-i <= 3 { // one decimal
		slack = max(slack, 0.051)
	}
	if diff := f.Value - want; diff > slack || diff < -slack {
		p := down.Place
		l.find(l.at(b, f.Lo, f.Hi), &p, "a downtime of %s (line %d) makes %.3f %%, not %s", down, p.Line, want, oneLine(b.Text[f.Lo:f.Hi]))
	}
}

// overclaimWords promise what nobody can.
var overclaimWords = [][]string{
	{"never", "happen", "again"}, {"not", "happen", "again"}, {"never", "again"}, {"cannot", "happen", "again"}, {"can", "not", "happen", "again"}, {"will", "not", "recur"}, {"cannot", "recur"}, {"impossible"}, {"guarantee"}, {"guarantees"}, {"guaranteed"}, {"completely", "eliminated"}, {"permanently"}, {"for", "good"}, {"no", "longer", "possible"}, {"fully", "prevented"}, {"once", "and", "for", "all"}, {"can", "never"}, {"no", "risk"}, {"eliminated"}, {"will", "never"}, {"won't", "happen", "again"}, {"no", "longer", "occur"}, {"no", "longer", "happen"}, {"cannot", "occur", "again"}, {"will", "not", "occur", "again"},
}

func overclaims(l *linter) {
	open := 0
	for _, a := range l.Actions {
		if !a.Done {
			open++
		}
	}
	for _, b := range l.section(Conclusion) {
		for _, s := range b.sentences {
			if at, ok := phraseIn(b, s, overclaimWords); ok && open > 0 && !l.hedged(b, s) {
				p := l.Actions[0].Place
				l.find(l.sentence(b, s), &p, "%q is claimed while %d actions are still to be done", b.Text[b.toks[at].Lo:b.toks[min(at+3, s.End)-1].Hi], open)
				continue
			}
			l.successClaim(b, s)
			if open > 0 && allDone(b, s) {
				p := l.Actions[0].Place
				l.find(l.sentence(b, s), &p, "all is said to be done while %d actions are still open", open)
			}
		}
	}
}

func phraseIn(b *Block, s prose.Sentence, list [][]string) (int, bool) {
	for k := s.First; k < s.End; k++ {
		for _, p := range list {
			ok := true
			for i, w := range p {
				if k+i >= s.End || b.toks[k+i].S != w {
					ok = false
					break
				}
			}
			if ok {
				return k, true
			}
		}
	}
	return 0, false
}

func (d *Report) hedged(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "once", "until", "should", "aim", "intend", "hope", "unless", "if", "nobody", "nothing", "cannot":
			if b.toks[k].S == "cannot" && (word(b, k+1) == "happen" || word(b, k+1) == "recur" || word(b, k+1) == "occur") {
				continue
			}
			return true
		}
	}
	return false
}

func allDone(b *Block, s prose.Sentence) bool {
	_, ok := phraseIn(b, s, [][]string{{"all", "actions", "have", "been"}, {"all", "actions", "are", "done"}, {"all", "actions", "are", "complete"}, {"all", "action", "items", "have", "been"}, {"all", "action", "items", "are", "done"}, {"all", "action", "items", "are", "complete"}, {"all", "measures", "have", "been"}, {"all", "follow", "-", "ups", "are", "done"}, {"all", "gaps", "are", "closed"}, {"all", "gaps", "have", "been"}, {"all", "issues", "have", "been"}, {"everything", "has", "been", "fixed"}, {"everything", "is", "fixed"}, {"all", "improvements", "have", "been"}, {"all", "corrective", "actions", "have", "been"}, {"all", "corrective", "actions", "are"}, {"all", "problems", "have", "been"}})
	return ok
}

// successClaim holds "a successful resolution" against objectives and losses.
// allObjectives reports whether a sentence speaks of all objectives.
func allObjectives(b *Block, s prose.Sentence) bool {
	for k := s.First; k < s.End; k++ {
		if w := b.toks[k].S; w == "all" || w == "every" || w == "each" {
			for i := k + 1; i < min(k+4, s.End); i++ {
				if x := b.toks[i].S; strings.HasPrefix(x, "objective") || strings.HasPrefix(x, "target") || strings.HasPrefix(x, "goal") {
					return true
				}
			}
		}
	}
	return false
}

func (l *linter) successClaim(b *Block, s prose.Sentence) {
	praised := false
	for k := s.First; k < s.End; k++ {
		w := b.toks[k].S
		praised = praised || strings.HasPrefix(w, "successful") || w == "success" || strings.HasPrefix(w, "flawless") || w == "perfectly" || strings.HasPrefix(w, "exemplary")
	}
	all := allObjectives(b, s) && l.speaks(b, s.First, s.End, metWord)
	for i := range l.Objectives[:min(len(l.Objectives), mostClaims)] {
		if o := &l.Objectives[i]; all && o.Verdict == Missed {
			p := o.Place
			l.find(l.sentence(b, s), &p, "all objectives are said to be met, though line %d says that the one for %s was missed", p.Line, o.Kind)
			return
		}
	}
	if !praised || l.speaks(b, s.First, s.End, negation) {
		return
	}
	for i := range l.Objectives[:min(len(l.Objectives), mostClaims)] {
		if missed, by := l.missed(&l.Objectives[i]); missed {
			p := by.Place
			l.find(l.sentence(b, s), &p, "called a success, though the objective of %s was missed: %s", limitText(&l.Objectives[i]), reachedText(by))
			return
		}
	}
	for _, c := range l.section(Challenges) {
		p := l.whole(c)
		if w := l.within(b, s.First, s.End, topicCommunication, topicDetection); len(w) > 0 && l.says(c, w[0].Class) {
			l.find(l.sentence(b, s), &p, "called a success, though line %d says otherwise", p.Line)
			return
		}
	}
}
