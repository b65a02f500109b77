package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// ObjectiveKind is what an objective limits.
type ObjectiveKind string

// The kinds of objectives.
const (
	ResolveObjective      ObjectiveKind = "resolution"
	DetectObjective       ObjectiveKind = "detection"
	AcknowledgeObjective  ObjectiveKind = "acknowledgement"
	LossObjective         ObjectiveKind = "data loss"
	AvailabilityObjective ObjectiveKind = "availability"
	OtherObjective        ObjectiveKind = "other"
)

// Verdict is what a report says of an objective.
type Verdict string

// Verdicts.
const (
	Untold Verdict = "untold"
	Met    Verdict = "met"
	Missed Verdict = "missed"
)

// Objective is what was promised, and what the report says became of it.
type Objective struct {
	Kind    ObjectiveKind `json:"kind"`
	Limit   time.Duration `json:"limit,omitempty"`
	Figure  bool          `json:"figure"`
	Verdict Verdict       `json:"verdict"`
	Place   Place         `json:"place"`
	Told    Place         `json:"told"` // where the verdict stands
	Actual  *Claim        `json:"-"`    // what the same row says was reached
	block   *Block
	limited bool // a limit was given; it may be nothing at all
}

type column uint8

const (
	noColumn column = iota
	limitColumn
	actualColumn
	verdictColumn
)

// objectiveColumn is what a column of a table of objectives holds.
func objectiveColumn(head string) column {
	switch h := bare(head); {
	case h == "":
		return noColumn
	case strings.Contains(h, "actual") || strings.Contains(h, "achieved") || strings.Contains(h, "measured") || strings.Contains(h, "reached") || h == "result" || h == "value" || h == "this incident" || strings.Contains(h, "observed"):
		return actualColumn
	case h == "met" || strings.HasPrefix(h, "met ") || strings.Contains(h, "verdict") || strings.Contains(h, "outcome") || strings.Contains(h, "evaluation") || h == "status" || strings.Contains(h, "kept") || strings.Contains(h, "assessment") || h == "ok":
		return verdictColumn
	case h == "target" || h == "objective" || h == "goal" || h == "limit" || h == "slo" || h == "sla" || strings.Contains(h, "promised") || h == "indicator" || strings.Contains(h, "target") || strings.Contains(h, "threshold") || h == "agreed" || strings.HasPrefix(h, "objective"):
		return limitColumn
	}
	return noColumn
}

// readObjectives gathers objectives from their section, from tables that set them
// beside what was reached, and from sentences that name one with its figure.
func (d *Report) readObjectives() {
	for _, b := range d.prosaic() {
		switch {
		case d.objectiveRow(b):
		case d.in(b, ActionItems, Recommendations, Timeline, Lessons, Glossary, Before, Earlier):
		case d.in(b, ObjectiveGroup):
			d.objectiveBlock(b)
		default:
			for _, s := range b.sentences {
				if d.speaks(b, s.First, s.End, objectiveWord) {
					d.objectiveSentence(b, s)
				}
			}
		}
	}
	d.judgedElsewhere()
}

func (d *Report) objectiveRow(b *Block) bool {
	if b.Kind != Row || b.Head || len(b.Cells) < 2 || d.in(b, ActionItems) {
		return false
	}
	var actual, verdict, limit *Cell
	for i := range b.Cells {
		switch objectiveColumn(b.Cells[i].Head) {
		case actualColumn:
			actual = &b.Cells[i]
		case verdictColumn:
			verdict = &b.Cells[i]
		case limitColumn:
			limit = &b.Cells[i]
		}
	}
	if limit == nil || actual == nil && verdict == nil && !d.in(b, ObjectiveGroup) {
		return false
	}
	o := Objective{block: b, Verdict: Untold, Place: d.whole(b)}
	first, end := d.tokens(b, 0, len(b.Text))
	o.Kind = d.objectiveKind(b, first, end)
	for _, x := range b.facts {
		inActual := actual != nil && x.Lo >= actual.Lo && x.Hi <= actual.Hi
		switch {
		case x.Kind == prose.DurationFact && inActual && o.Actual == nil:
			c := d.claim(objectiveClaims[o.Kind], b, x, true)
			o.Actual = &c
		case x.Kind == prose.DurationFact && !inActual && o.Limit == 0:
			o.Limit, o.Figure = x.Span, true
		case !inActual && (x.Kind == prose.CountFact || x.Kind == prose.PercentFact):
			o.Figure = true
		}
	}
	if lf, le := d.tokens(b, limit.Lo, limit.Hi); d.speaks(b, lf, le, negation) {
		o.Figure = true
	}
	if verdict != nil {
		vf, ve := d.tokens(b, verdict.Lo, verdict.Hi)
		o.Verdict, o.Told = d.verdict(b, vf, ve), d.at(b, verdict.Lo, verdict.Hi)
	} else if actual != nil {
		vf, ve := d.tokens(b, actual.Lo, actual.Hi)
		if v := d.verdict(b, vf, ve); v != Untold {
			o.Verdict, o.Told = v, d.at(b, actual.Lo, actual.Hi)
		} else if strings.TrimSpace(b.Text[actual.Lo:actual.Hi]) != "" {
			o.Told = d.at(b, actual.Lo, actual.Hi) // set beside what was reached: evaluated
		}
	}
	d.Objectives = append(d.Objectives, o)
	return true
}

var objectiveClaims = map[ObjectiveKind]ClaimKind{
	ResolveObjective: ResolveClaim, DetectObjective: DetectClaim, AcknowledgeObjective: AcknowledgeClaim, LossObjective: LossClaim,
}

// objectiveKind is what words limit.
func (d *Report) objectiveKind(b *Block, first, end int) ObjectiveKind {
	for k := first; k < end; k++ {
		switch w := b.toks[k].S; {
		case w == "rpo" || w == "loss" || w == "lost" || w == "lose":
			return LossObjective
		case w == "availability" || w == "uptime":
			return AvailabilityObjective
		}
	}
	for k := first; k < end; k++ {
		switch w := b.toks[k].S; {
		case strings.HasPrefix(w, "detect") || strings.HasPrefix(w, "notic") || w == "ttd" || w == "mttd" || w == "discover":
			return DetectObjective
		case strings.HasPrefix(w, "acknowl") || w == "ack" || w == "mtta" || w == "tta" || w == "respond" || w == "response":
			return AcknowledgeObjective
		case w == "rto" || strings.HasPrefix(w, "resol") || strings.HasPrefix(w, "restor") || strings.HasPrefix(w, "recover") || w == "downtime" || w == "outage" || w == "repair" || w == "mttr" || w == "ttr" || w == "back" || w == "fix":
			return ResolveObjective
		}
	}
	return OtherObjective
}

// objectiveBlock reads an item of the objectives' section, one sentence after the
// other.
func (d *Report) objectiveBlock(b *Block) {
	if b.Head || strings.HasSuffix(strings.TrimSpace(b.Text), ":") {
		return
	}
	for n, s := range b.sentences {
		kind := d.objectiveKind(b, s.First, s.End)
		v := d.verdict(b, s.First, s.End)
		if n > 0 && v != Untold && len(d.Objectives) > 0 && d.Objectives[len(d.Objectives)-1].block == b {
			o := &d.Objectives[len(d.Objectives)-1]
			if o.Verdict == Untold {
				o.Verdict, o.Told = v, d.sentence(b, s)
			}
			d.actual(o, b, s)
			continue
		}
		if kind == OtherObjective {
			if n == 0 && d.speaks(b, s.First, s.End, loosely) && d.speaks(b, s.First, s.End, objectiveWord) {
				d.Objectives = append(d.Objectives, Objective{Kind: kind, Verdict: v, Place: d.sentence(b, s), Told: d.sentence(b, s), block: b})
			}
			continue
		}
		if n > 0 && !d.figure(b, s, nil) && !d.speaks(b, s.First, s.End, loosely) {
			continue
		}
		d.addObjective(b, s, kind, v)
	}
}

// actual keeps the length of time that a sentence gives as reached.
func (d *Report) actual(o *Objective, b *Block, s prose.Sentence) {
	for _, x := range b.facts {
		if x.Kind == prose.DurationFact && !x.Vague && x.First >= s.First && x.End <= s.End && o.Actual == nil && objectiveClaims[o.Kind] != "" {
			c := d.claim(objectiveClaims[o.Kind], b, x, true)
			o.Actual = &c
		}
	}
}

func (d *Report) addObjective(b *Block, s prose.Sentence, kind ObjectiveKind, v Verdict) {
	o := Objective{Kind: kind, Verdict: v, Place: d.sentence(b, s), block: b}
	o.Figure = d.figure(b, s, &o)
	if kind == LossObjective && d.speaks(b, s.First, s.End, negation) && v == Untold {
		o.Figure = true
	}
	if v != Untold {
		o.Told = o.Place
	}
	// Without a figure and without a word such as "minimal", restoring is a task.
	if !o.Figure && !d.speaks(b, s.First, s.End, loosely) && kind != LossObjective {
		return
	}
	d.Objectives = append(d.Objectives, o)
}

// figure reports whether a sentence holds a limit, and keeps it.
func (d *Report) figure(b *Block, s prose.Sentence, o *Objective) bool {
	found := false
	for _, x := range b.facts {
		if x.First < s.First || x.End > s.End {
			continue
		}
		switch x.Kind {
		case prose.DurationFact:
			if x.Vague {
				continue
			}
			if o != nil && !o.limited {
				o.Limit, o.limited = x.Span, true
			} else if o != nil && o.Actual == nil && o.Kind != OtherObjective {
				c := d.claim(objectiveClaims[o.Kind], b, x, true)
				o.Actual = &c
			}
			found = true
		case prose.PercentFact, prose.CountFact:
			found = true
		}
	}
	return found
}

// objectiveSentence reads "our objective of four hours was missed".
func (d *Report) objectiveSentence(b *Block, s prose.Sentence) {
	kind := d.objectiveKind(b, s.First, s.End)
	named := d.within(b, s.First, s.End, objectiveWord)
	for _, x := range b.facts {
		if x.Kind != prose.DurationFact || x.First < s.First || x.End > s.End || x.Vague {
			continue
		}
		for _, h := range named {
			w := b.toks[h.First].S
			if word(b, h.First-1) == "than" || word(b, h.First-1) == "as" {
				continue // "later than promised"
			}
			if w == "threshold" || w == "budget" || strings.HasPrefix(w, "requir") || strings.HasPrefix(w, "commit") || w == "allowed" {
				continue
			}
			if comma(b, h.End, x.First) {
				continue
			}
			if h.First-x.End >= -1 && h.First-x.End <= 4 || x.First-h.End >= 0 && x.First-h.End <= 5 {
				if kind == OtherObjective {
					kind = ResolveObjective
					if d.speaks(b, s.First, s.End, topicBackup, topicReplication) {
						return
					}
				}
				v := d.verdict(b, s.First, s.End)
				o := Objective{Kind: kind, Limit: x.Span, Figure: true, Verdict: v, Place: d.sentence(b, s), block: b}
				if v != Untold {
					o.Told = o.Place
				}
				d.mergeObjective(o)
				return
			}
		}
	}
}

// comma reports whether a comma parts two places.
func comma(b *Block, first, end int) bool {
	for k := first; k < end; k++ {
		if b.toks[k].S == "," {
			return true
		}
	}
	return false
}

// mergeObjective adds an objective, or its verdict to one that was read before.
func (d *Report) mergeObjective(o Objective) {
	for i := range d.Objectives {
		p := &d.Objectives[i]
		if p.Kind == o.Kind && (p.Limit == o.Limit || o.Limit == 0) {
			if p.Verdict == Untold && o.Verdict != Untold {
				p.Verdict, p.Told = o.Verdict, o.Told
			}
			return
		}
	}
	d.Objectives = append(d.Objectives, o)
}

// verdict reads met and missed among tokens.
func (d *Report) verdict(b *Block, first, end int) Verdict {
	missed := d.within(b, first, end, missedWord)
	met := d.within(b, first, end, metWord)
	for _, h := range missed {
		switch w := b.toks[h.First].S; w {
		case "no", "was", "were", "wasn't", "failed", "fail", "exceeded", "outside", "broken":
			alone := end-first <= 3 || h.First == first && w == "no" && end-first <= 4 && len(met) == 0
			if w == "exceeded" || w == "outside" && d.speaks(b, first, end, objectiveWord) || alone {
				return Missed
			}
			if (w == "was" || w == "were" || w == "wasn't" || w == "failed") && len(met) > 0 && d.speaks(b, h.First, end, negation) {
				return Missed
			}
		default:
			return Missed
		}
	}
	for _, h := range met {
		w := b.toks[h.First].S
		if d.speaks(b, max(first, h.First-4), h.First, negation) {
			return Missed
		}
		switch w {
		case "hit", "kept", "reached", "pass", "passed", "successful", "successfully":
			alone := h.First > first && b.toks[h.First-1].Kind == prose.Mark && b.toks[h.First-1].S != "(" // "… — kept"
			if end-first > 4 && !alone && !d.speaks(b, first, end, objectiveWord) {
				continue
			}
		case "yes", "ok":
			if h.First > first+1 {
				continue
			}
		}
		return Met
	}
	return Untold
}

// judgedElsewhere looks for sentences that judge objectives by name or by figure.
func (d *Report) judgedElsewhere() {
	if len(d.Objectives) == 0 {
		return
	}
	for _, b := range d.prosaic() {
		if d.in(b, ActionItems, Recommendations, Before, Earlier) {
			continue
		}
		for _, s := range b.sentences {
			if !d.speaks(b, s.First, s.End, objectiveWord) {
				continue
			}
			v := d.verdict(b, s.First, s.End)
			if v == Untold && !d.in(b, ObjectiveGroup) {
				v = d.compared(b, s)
			}
			if v != Untold {
				d.judge(b, s, v)
			}
		}
	}
}

// compared reads "later than promised" and "well inside the four hours we
// promise".
func (d *Report) compared(b *Block, s prose.Sentence) Verdict {
	for k := s.First; k < s.End; k++ {
		switch b.toks[k].S {
		case "longer", "later", "slower", "more", "beyond", "above", "over", "exceeding", "worse", "late":
			return Missed
		case "within", "inside", "below", "under", "shorter", "sooner", "faster", "better", "less":
			if d.speaks(b, max(s.First, k-3), k, negation) {
				return Missed
			}
			return Met
		}
	}
	return Untold
}

func (d *Report) judge(b *Block, s prose.Sentence, v Verdict) {
	const most = 64 // objectives that a person can have written
	kind := d.objectiveKind(b, s.First, s.End)
	for i := range d.Objectives[:min(most, len(d.Objectives))] {
		o := &d.Objectives[i]
		if o.Verdict != Untold || o.block == b {
			continue
		}
		same, other := kind == o.Kind, false
		for _, x := range b.facts {
			if x.Kind == prose.DurationFact && x.First >= s.First && x.End <= s.End && o.Limit != 0 {
				same = same || x.Span == o.Limit
				other = true
			}
		}
		if same || kind == OtherObjective && !other {
			o.Verdict, o.Told = v, d.sentence(b, s)
		}
	}
}
