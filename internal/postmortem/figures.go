package postmortem

import "github.com/refloat-db/refloat/internal/postmortem/prose"

// readFigures gathers what was counted or paid for.
func (d *Report) readFigures() {
	for _, b := range d.prosaic() {
		if d.in(b, ActionItems, Recommendations, ObjectiveGroup, Timeline, Glossary, Before, Earlier) {
			continue
		}
		for _, f := range b.facts {
			switch f.Kind {
			case prose.CountFact, prose.PercentFact, prose.MoneyFact:
				d.Figures = append(d.Figures, Figure{Fact: f, Block: b, Place: d.at(b, f.Lo, f.Hi)})
			}
		}
	}
}
