package status

import (
	"fmt"
	"slices"
	"time"
)

// Audit is what the last audit of a target found, as far as a status needs it.
type Audit struct {
	At       time.Time      `json:"at"`
	Findings map[string]int `json:"findings"` // that nobody accepted, by severity
	Worst    string         `json:"worst"`    // of those, in words; empty when there are none
	Unknown  int            `json:"unknown"`  // rules that could not look
}

// Letter is a recoverability grade, A to F; there is no E.
type Letter string

// The letters, best first.
const (
	GradeA Letter = "A" // proven lately, every promise kept, nothing found
	GradeB Letter = "B" // proven; something small
	GradeC Letter = "C" // proven; something promised does not hold, or a grave risk
	GradeD Letter = "D" // not certain to be recoverable
	GradeF Letter = "F" // not shown to be recoverable
)

// Grade is how recoverable a target is, and why: the worst of its parts. It
// answers nothing of its own: the answer is the last proof's, and no grade is
// better than that.
type Grade struct {
	Letter Letter      `json:"letter"`
	Parts  []GradePart `json:"parts"`
}

// GradePart is one part of a grade.
type GradePart struct {
	Name   string `json:"name"`
	Letter Letter `json:"letter"`
	Why    string `json:"why"`
}

const auditAge = 50 * time.Hour // one a day, and one may be missed

// grade works the grade out from a report that is otherwise whole.
func (r *Report) grade(now time.Time) {
	g := Grade{Letter: GradeA}
	for _, p := range []GradePart{r.gradeProof(), r.gradeObjectives(), r.gradeCoverage(), r.gradeFindings(now)} {
		g.Parts = append(g.Parts, p)
		g.Letter = max(g.Letter, p.Letter)
	}
	r.Grade = g
}

func (r *Report) gradeProof() GradePart {
	p := GradePart{Name: "proof", Letter: GradeF, Why: r.Headline}
	switch {
	case r.Answer == Proven && !r.Stale:
		p.Letter = GradeA
	case r.Answer == Proven, r.Answer == Inconclusive:
		p.Letter = GradeD
	}
	return p
}

func (r *Report) gradeObjectives() GradePart {
	p := GradePart{Name: "objectives", Letter: GradeA, Why: "every objective that could be measured is met"}
	measured := 0
	for _, m := range r.Measurements {
		switch {
		case m.Measured == nil:
			p.Letter = max(p.Letter, GradeB)
			p.Why = m.Name + " was not measured"
		case !m.Met:
			return GradePart{p.Name, GradeC, fmt.Sprintf("%s: %s promised, %s measured", m.Name, Age(m.Promised), Age(*m.Measured))}
		default:
			measured++
		}
	}
	if measured == 0 {
		p.Letter, p.Why = GradeC, "no objective could be measured"
	}
	return p
}

func (r *Report) gradeCoverage() GradePart {
	p := GradePart{Name: "coverage", Letter: GradeA, Why: "every moment from the first to the newest can be restored"}
	switch {
	case !r.could(UnreadCoverage) || !r.could(UnreadLog):
		p.Letter, p.Why = GradeD, "what can be restored could not be read"
	case r.Coverage == nil:
		p.Letter, p.Why = GradeF, "no moment can be restored"
	case r.Log == nil:
		p.Letter, p.Why = GradeC, "no log is kept: only the ends of base backups can be restored"
	case slices.ContainsFunc(r.Problems, func(x Problem) bool { return x.Code == "log-quiet" || x.Code == AlarmLogStopped }):
		p.Letter, p.Why = GradeD, "no log arrives: each moment from now on is lost"
	case r.Coverage.Gaps > 0:
		p.Letter, p.Why = GradeB, gapWords(r.Coverage.Gaps)
	}
	return p
}

func (r *Report) gradeFindings(now time.Time) GradePart {
	p := GradePart{Name: "findings", Letter: GradeA, Why: "nothing above info was found"}
	a := r.Audit
	if a == nil {
		p.Letter, p.Why = GradeB, "never looked: run refloat check, or let refloat server do it daily"
		return p
	}
	for _, x := range []struct {
		severity string
		letter   Letter
	}{{"critical", GradeD}, {"high", GradeC}, {"medium", GradeB}, {"low", GradeA}} {
		if n := a.Findings[x.severity]; n > 0 {
			p.Letter, p.Why = x.letter, fmt.Sprintf("%d %s: %s", n, x.severity, a.Worst)
			break
		}
	}
	if age := now.Sub(a.At); age > auditAge {
		p.Letter, p.Why = max(p.Letter, GradeB), fmt.Sprintf("last looked %s ago; %s", Age(age), p.Why)
	} else if a.Unknown > 0 && p.Letter == GradeA {
		p.Letter, p.Why = GradeB, fmt.Sprintf("%s, but %d rule(s) could not look", p.Why, a.Unknown)
	}
	return p
}
