package postmortem

import (
	"strings"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

func coverageRules() []Rule {
	return []Rule{
		{ID: "report-cause-no-action", Severity: Error, Title: "No action mends the root cause", Why: "Documents, training and alarms leave the cause where it was; it will fail again, better watched.", Fix: "add an action that changes what failed: the configuration, the code, the process' enforcement, a test that would have failed", check: causeCovered},
		{ID: "report-challenge-no-action", Severity: Warning, Title: "Nothing is done about a challenge", Why: "What went badly this time goes badly next time.", Fix: "add an action for it, or say why none is needed", check: covers("challenge", Challenges)},
		{ID: "report-lesson-no-action", Severity: Warning, Title: "A lesson that leads to no action", Why: "A lesson is learned when something is different afterwards.", Fix: "add the action that makes it so", check: covers("lesson", Lessons)},
		{ID: "report-recommendation-no-action", Severity: Warning, Title: "A recommendation that nobody takes up", Why: "Without an owner and a day it stays advice.", Fix: "make it an action, or say who declined it and why", check: covers("recommendation", Recommendations)},
	}
}

func causeCovered(l *linter) {
	causes := l.causes()
	if len(l.Actions) == 0 || len(causes) == 0 {
		return
	}
	whole := subject{stems: map[string]bool{}, rare: map[string]bool{}}
	for n, c := range causes {
		if n > 40 {
			break
		}
		if c.block.unfilled() {
			return // that it is missing is told already
		}
		whole.join(l.subjectOf(c.block, c.first, c.end))
	}
	counts := engineering | proving
	if len(whole.topics.list()) > 0 && whole.topics&^(topicBit(topicDetection)|generic) == 0 && whole.topics.has(topicDetection) {
		counts |= watching // what failed was the watch itself
	}
	for _, c := range causes {
		if l.unwatched(c) { // by watching that very thing, not by watching anything
			counts |= watching
			if rest := whole.topics &^ topicBit(topicDetection); rest&^generic != 0 || len(whole.stems) > 1 {
				whole.topics = rest
			}
		}
	}
	if l.covered(whole, counts) {
		return
	}
	for i := range l.Actions { // an action that names the cause by its title
		if src := prose.Lower(l.Actions[i].Source); strings.Contains(src, "root cause") || src == "cause" {
			for _, x := range l.deeds(&l.Actions[i]) {
				if x.work&counts != 0 {
					return
				}
			}
		}
	}
	c := causes[0]
	at := l.at(c.block, c.block.toks[c.first].Lo, c.block.toks[c.end-1].Hi)
	p := l.Actions[0].Place
	l.find(at, &p, "none of the %d actions changes what caused it: %q", len(l.Actions), at.Text)
}

// unwatched reports whether a cause is that something was not seen or not told:
// "nothing tells us when the archive falls behind". Watching mends that.
func (d *Report) unwatched(c cause) bool {
	for _, h := range d.within(c.block, c.first, c.end, topicDetection, watchWord, topicCommunication) {
		if d.speaks(c.block, max(c.first, h.First-4), min(c.end, h.End+3), negation) {
			return true
		}
	}
	return false
}

// covers holds every point of a section against the actions.
func covers(name string, kind SectionKind) func(*linter) {
	return func(l *linter) {
		if len(l.Actions) == 0 {
			return
		}
		for n, b := range l.section(kind) {
			if n > 2*mostClaims {
				return
			}
			if l.point(b) || b.unfilled() {
				continue
			}
			first := 0
			if b.Labels == kind && b.Label != "" {
				first, _ = l.tokens(b, b.LabelAt, len(b.Text))
			}
			if first >= len(b.toks) {
				continue
			}
			s := l.subjectOf(b, first, len(b.toks))
			if s.topics&^generic == 0 && len(s.stems) < 2 || l.covered(s, 0) && !l.unwritten(b, first) || l.answered(b) {
				continue
			}
			at := l.whole(b)
			l.find(at, nil, "no action is about this %s: %q", name, at.Text)
		}
	}
}

// unwritten reports whether a point is that something was never written down, and
// no action writes it, nor is about the same thing by two words: "we had no runbook for
// a blocked queue" is not mended by whatever else speaks of queues.
func (l *linter) unwritten(b *Block, first int) bool {
	lacks := false
	for _, h := range l.within(b, first, len(b.toks), topicDocumentation) {
		lacks = lacks || word(b, h.First-1) == "no"
	}
	if !lacks {
		return false
	}
	s := l.subjectOf(b, first, len(b.toks))
	for i := range l.Actions {
		for _, x := range l.deeds(&l.Actions[i]) {
			if x.topics.has(topicDocumentation) || x.work&(documenting|training) != 0 && s.meets(x.subject) {
				return false
			}
			shared := 0
			for k := range s.stems {
				if x.like(k) != "" {
					shared++
				}
			}
			if shared >= 2 {
				return false
			}
		}
	}
	return true
}

// point reports whether a block is not a point of its own: the name of a list, an
// introduction to it, or a heading's words.
func (d *Report) point(b *Block) bool {
	t := strings.TrimSpace(b.Text)
	if strings.HasSuffix(t, ":") || len(b.toks) < 4 {
		return true
	}
	if b.Kind == Paragraph && b.Section >= 0 {
		for _, o := range d.Blocks[d.Sections[b.Section].Block+1:] {
			if o.Section != b.Section {
				break
			}
			if o.Kind == Item || o.Kind == Row {
				return o.Labels == b.Labels // a paragraph beside a list introduces it
			}
		}
	}
	for k := range b.toks {
		if w := b.toks[k].S; k < 2 && (w == "none" || w == "nothing") {
			return true
		}
	}
	return false
}

// answered reports whether a point itself names what is done about it, or why
// nothing is.
func (d *Report) answered(b *Block) bool {
	low := prose.Lower(b.Text)
	for _, w := range []string{"no action", "accepted", "see action", "action item", "action #", "addressed by", "→ a", "-> a", "(ai", "(action", "will not be changed", "not worth", "tracked in", "(a1", "(a2", "(a3", "(a4", "(a5", "(a6", "is mended", "already fixed", "since fixed", "fixed since", "already done"} {
		if strings.Contains(low, w) {
			return true
		}
	}
	return false
}
