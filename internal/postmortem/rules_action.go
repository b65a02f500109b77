package postmortem

import (
	"strings"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

func actionRules() []Rule {
	return []Rule{
		{ID: "report-action-no-owner", Severity: Warning, Title: "An action without an owner", Why: "What everybody should do, nobody does.", Fix: "name one person or one team", check: actionOwner},
		{ID: "report-action-no-due", Severity: Warning, Title: "An action without a due day", Why: "It cannot be late, so it never comes.", Fix: "give the day by which it is done", check: actionDue},
		{ID: "report-action-no-check", Severity: Note, Title: "An action without a way to tell that it is done", Why: "It will be closed when somebody is tired of it. A check that a machine makes keeps it closed.", Fix: "say how one can tell: a test that passes, a drill, a figure (\"done when …\")", check: actionCheck},
		{ID: "report-action-due-before-report", Severity: Error, Title: "An action was due before the report was written", Why: "It is either done, and the report does not say so, or late from the start.", Fix: "say that it is done, or give a day that lies ahead", check: dueBefore},
		{ID: "report-action-due-before-incident", Severity: Error, Title: "An action was due before the incident", Why: "The year or the month is wrong.", Fix: "correct the day", check: dueBeforeIncident},
		{ID: "report-action-vague", Severity: Warning, Title: "An action without an outcome", Why: "\"Improve\" and \"consider\" are never done, or done at once.", Fix: "say what will be different, so that two people agree whether it is", check: vagueAction},
		{ID: "report-action-duplicate", Severity: Warning, Title: "The same action twice", Why: "Two owners wait for each other, or one closes both.", Fix: "keep one", check: duplicateAction},
		{ID: "report-actions-training-only", Severity: Error, Title: "All actions are training and documents", Why: "People forget and leave; the system stays as it was.", Fix: "add an action that makes the failure impossible, harmless or visible without anyone remembering", check: trainingOnly},
		{ID: "report-actions-no-prevention", Severity: Warning, Title: "No action detects or prevents", Why: "All of them put things back as they were before it happened.", Fix: "add one that would have prevented this, or shown it earlier", check: noPrevention},
		{ID: "report-recurring-no-cadence", Severity: Warning, Title: "A recurring duty without a cadence", Why: "\"Regular\" is every day to one and never to another.", Fix: "say how often: every month, each quarter", check: recurringCadence},
		{ID: "report-recurring-no-end", Severity: Warning, Title: "A recurring duty without an end or a check", Why: "It fades away and nobody notices.", Fix: "say until when, or which check fails when it was left out", check: recurringEnd},
	}
}

func actionOwner(l *linter) {
	for i := range l.Actions {
		if a := &l.Actions[i]; a.Owner == "" && !a.Done {
			l.find(a.Place, nil, "nobody owns %q", short(a.Text))
		}
	}
}

func short(s string) string {
	s = oneLine(s)
	if len(s) > 90 {
		cut := strings.LastIndexByte(s[:90], ' ')
		if cut < 40 {
			cut = 90
		}
		return strings.ToValidUTF8(s[:cut], "") + " …"
	}
	return s
}

func actionDue(l *linter) {
	for i := range l.Actions {
		if a := &l.Actions[i]; !a.Dated && !a.Done {
			l.find(a.Place, nil, "no day is given for %q", short(a.Text))
		}
	}
}

func actionCheck(l *linter) {
	for i := range l.Actions {
		if a := &l.Actions[i]; a.Check == "" && !a.Done && !l.measurable(a) {
			l.find(a.Place, nil, "nothing says how one can tell that this is done: %q", short(a.Text))
		}
	}
}

// measurable reports whether an action's words hold a limit that one can look at:
// "alert when a WAL segment waits for more than 10 minutes".
func (d *Report) measurable(a *Action) bool {
	for _, p := range a.parts {
		if !p.matter {
			continue
		}
		for _, f := range p.block.facts {
			if f.First < p.first || f.End > p.end {
				continue
			}
			switch f.Kind {
			case prose.DurationFact:
				if f.Bound != prose.Exactly && !f.PerTime && !d.dueBefore(p.block, f) {
					return true
				}
			case prose.PercentFact:
				return true
			}
		}
	}
	return false
}

func dueBefore(l *linter) {
	if l.Written == nil {
		return
	}
	for i := range l.Actions {
		a := &l.Actions[i]
		if a.Due.IsZero() || a.Done || !a.Due.Before(l.Written.At) || !l.began.IsZero() && a.Due.Before(l.began) {
			continue
		}
		p := l.Written.Place
		l.find(a.DueAt, &p, "due on %s, and the report was written on %s (line %d)", a.Due.Format("2006-01-02"), l.Written.At.Format("2006-01-02"), p.Line)
	}
}

func dueBeforeIncident(l *linter) {
	if l.began.IsZero() {
		return
	}
	for i := range l.Actions {
		if a := &l.Actions[i]; !a.Due.IsZero() && !a.Done && a.Due.Before(l.began) {
			l.find(a.DueAt, nil, "due on %s, before the incident on %s", a.Due.Format("2006-01-02"), l.began.Format("2006-01-02"))
		}
	}
}

func vagueAction(l *linter) {
	for i := range l.Actions {
		a := &l.Actions[i]
		if len(a.parts) == 0 || a.Check != "" || a.Done {
			continue
		}
		p := a.parts[0]
		b := p.block
		from := p.first
		if f, _ := l.tokens(b, b.LabelAt, len(b.Text)); b.Label != "" && f < p.end && (fieldName(b.Label) == fieldAction || fieldName(b.Label) == noField) {
			from = max(from, f)
		}
		var hit *prose.Hit
		for _, h := range l.within(b, from, min(p.end, from+9), vagueVerb) {
			if h.First-from <= 1 || leadsVerb(b, h.First) {
				hit = &h
				break
			}
		}
		if hit == nil || l.concrete(b, hit.End, p.end) || l.measurable(a) {
			continue
		}
		l.find(a.Place, nil, "%q leaves open what will be different: %q", b.Text[b.toks[hit.First].Lo:b.toks[hit.End-1].Hi], short(a.Text))
	}
}

func leadsVerb(b *Block, k int) bool {
	switch word(b, k-1) {
	case "to", "will", ":", "must", "shall", ")", "]", "—", "–", "should", ".", "be":
		return true
	}
	return false
}

// concrete reports whether a clause says what is done: "by adding …", "so that …",
// or a verb of work.
func (d *Report) concrete(b *Block, first, end int) bool {
	for k := first; k < end; k++ {
		switch w := b.toks[k].S; {
		case w == "by" && strings.HasSuffix(word(b, k+1), "ing"), w == "so" && word(b, k+1) == "that":
			return true
		}
	}
	for _, h := range d.within(b, first, end, buildWord) {
		if w := word(b, h.First-1); w == "and" || w == "to" || w == "then" || w == "," {
			return true
		}
	}
	return false
}

func duplicateAction(l *linter) {
	seen := make([]map[string]bool, 0, len(l.Actions))
	for i := range l.Actions[:min(len(l.Actions), mostClaims)] {
		a := &l.Actions[i]
		stems := map[string]bool{}
		for _, x := range l.deeds(a) {
			for s := range x.stems {
				stems[s] = true
			}
		}
		for n, o := range seen {
			if len(stems) < 3 || len(o) < 3 {
				continue
			}
			shared := 0
			for s := range stems {
				if o[s] {
					shared++
				}
			}
			if shared*5 >= (len(stems)+len(o)-shared)*4 {
				p := l.Actions[n].Place
				l.find(a.Place, &p, "this is the action on line %d again", p.Line)
				break
			}
		}
		seen = append(seen, stems)
	}
}

// kinds gathers what the actions do, and the kinds that the report gives them.
func (l *linter) kinds() (w work, stated []string) {
	for i := range l.Actions {
		for _, x := range l.deeds(&l.Actions[i]) {
			w |= x.work
		}
		if k := l.Actions[i].Kind; k != "" {
			stated = append(stated, k)
		}
	}
	return w, stated
}

func trainingOnly(l *linter) {
	if w, _ := l.kinds(); len(l.Actions) > 0 && w != 0 && w&^(documenting|training|talking) == 0 && w&(documenting|training) != 0 {
		l.find(l.heading(ActionItems), nil, "none of the %d actions changes anything but papers and people", len(l.Actions))
	}
}

func noPrevention(l *linter) {
	w, stated := l.kinds()
	if len(l.Actions) == 0 || w == 0 || w&^(documenting|training|talking) == 0 && w&(documenting|training) != 0 {
		return
	}
	told := len(stated) == len(l.Actions) && len(stated) > 1
	for _, k := range stated {
		if strings.Contains(k, "prevent") || strings.Contains(k, "detect") || strings.Contains(k, "corrective") || len(k) < 3 || !kindWord(k) {
			told = false
		}
	}
	if told || w&(engineering|watching|proving) == 0 {
		l.find(l.heading(ActionItems), nil, "none of the %d actions would have prevented this, or shown it earlier", len(l.Actions))
	}
}

// kindWord reports whether a column's word is a kind of action at all, and not a
// priority.
func kindWord(k string) bool {
	for _, w := range []string{"mitigat", "process", "recover", "clean", "repair", "restor", "follow", "document", "train", "communicat", "other", "respon"} {
		if strings.Contains(k, w) {
			return true
		}
	}
	return false
}

func recurringCadence(l *linter) {
	for i := range l.Actions {
		if a := &l.Actions[i]; a.Recurs && !a.Cadence && !a.Done {
			l.find(a.Place, nil, "how often? %q", short(a.Text))
		}
	}
}

func recurringEnd(l *linter) {
	for i := range l.Actions {
		a := &l.Actions[i]
		if !a.Recurs || !a.Cadence || a.Check != "" || a.Done || l.ends(a) {
			continue
		}
		l.find(a.Place, nil, "nothing says until when, or what notices when it is left out: %q", short(a.Text))
	}
}

// ends reports whether a duty has an end, a number of times or somebody who asks.
func (d *Report) ends(a *Action) bool {
	for _, p := range a.parts {
		b := p.block
		for k := p.first; k < p.end; k++ {
			switch b.toks[k].S {
			case "until", "through", "till", "ends", "ending", "alert", "alerts", "alarm", "fails", "page", "pages", "reviewed", "reported", "recorded", "expires", "automated", "automatic", "automatically", "ci", "scheduled", "tracked", "attendance":
				return true
			case "for":
				for _, f := range b.facts {
					if f.First == k+1 && (f.Kind == prose.DurationFact || f.Kind == prose.CountFact) {
						return true
					}
				}
			}
		}
	}
	return false
}
