package action

import (
	"fmt"
	"strings"
	"time"
)

// ParseCheck reads rule:ID@TARGET, drill@TARGET, probe@TARGET or page:PERSON.
func ParseCheck(s string) (Check, error) {
	head, target, at := strings.Cut(s, "@")
	kind, of, _ := strings.Cut(head, ":")
	c := Check{Kind: CheckKind(kind), Target: target}
	switch c.Kind {
	case CheckRule:
		c.Rule = of
	case CheckPage:
		c.Person = of
		if at {
			return c, refuse("a check of pages wants page:PERSON, not %s", s)
		}
	case CheckDrill, CheckProbe:
		if of != "" {
			return c, refuse("a check of that kind wants %s@TARGET, not %s", c.Kind, s)
		}
	case "runbook", "gameday":
		return c, refuse("checks of runbooks and of game days are not there yet: bind drill@TARGET, which restores by the steps of the runbook")
	}
	return c, c.valid()
}

func (c Check) valid() error {
	whole := strings.ContainsAny(c.Target+c.Rule+c.Person, " \t\r\n@:")
	switch {
	case whole:
	case c.Kind == CheckRule && c.Rule != "" && c.Target != "" && c.Person == "",
		(c.Kind == CheckDrill || c.Kind == CheckProbe) && c.Target != "" && c.Rule == "" && c.Person == "",
		c.Kind == CheckPage && c.Person != "" && c.Target == "" && c.Rule == "":
		return nil
	}
	return refuse("%q is no check: it is one of rule:ID@TARGET, drill@TARGET, probe@TARGET, page:PERSON", c.String())
}

// Facts are what a check can be judged by; nil for what is not known.
type Facts struct {
	Rule  *RuleFact
	Drill *DrillFact
	Probe *ProbeFact
	Page  *PageFact
}

// RuleFact is what the last audit of a target said of a rule.
type RuleFact struct {
	At       time.Time // of the audit
	Outcome  string    // passed, found, unknown or not_applicable
	Evidence string
}

// DrillFact is the last proof of a target.
type DrillFact struct {
	ID, Verdict, Summary string
	At                   time.Time
	Stale                bool
}

// ProbeFact is how the watch sees a target.
type ProbeFact struct {
	At    time.Time // of the last look
	State string
	Why   string
}

// PageFact is the last test page to a person.
type PageFact struct {
	Sent, Acknowledged time.Time
}

// How old what a check saw may be.
const (
	probeFresh = 5 * time.Minute
	ruleFresh  = 8 * 24 * time.Hour
	pageFresh  = 15 * 24 * time.Hour
	pagePause  = time.Hour // in which a test page is to be acknowledged
)

// Judge says what a check finds. What was seen before the check was bound says
// nothing of whether the action was done: that is unknown, except that trouble
// is trouble whenever it was seen.
func (c Check) Judge(f Facts, bound, now time.Time) Result {
	r := c.look(f, now)
	if r.Outcome == Passed && r.At.Before(bound) {
		return Result{Unknown, fmt.Sprintf("%s, but that was seen before this check was bound", r.Evidence), r.At}
	}
	return r
}

func (c Check) look(f Facts, now time.Time) Result {
	none := Result{Unknown, "nothing is known of it", now}
	switch c.Kind {
	case CheckRule:
		if f.Rule == nil {
			return Result{Unknown, c.Target + " was not audited", now}
		}
		return f.Rule.judge(c, now)
	case CheckDrill:
		if f.Drill == nil {
			return Result{Failed, c.Target + " was never drilled", now}
		}
		d := *f.Drill
		switch {
		case d.Verdict == "inconclusive" || d.Verdict == "unknown":
			return Result{Unknown, strings.TrimSpace(d.ID + " " + d.Verdict + ": " + d.Summary), d.At}
		case d.Verdict != "proven":
			return Result{Failed, fmt.Sprintf("proof %s: %s: %s", d.ID, d.Verdict, d.Summary), d.At}
		case d.Stale:
			return Result{Failed, fmt.Sprintf("proof %s of %s is older than promised", d.ID, d.At.UTC().Format(time.DateTime)), now}
		}
		return Result{Passed, fmt.Sprintf("proof %s: %s", d.ID, d.Summary), d.At}
	case CheckProbe:
		if f.Probe == nil || now.Sub(f.Probe.At) > probeFresh {
			return Result{Unknown, "no server has looked at " + c.Target + " lately", now}
		}
		switch p := *f.Probe; p.State {
		case "up":
			return Result{Passed, c.Target + " serves", p.At}
		case "down", "recovering":
			return Result{Failed, strings.TrimSpace(c.Target + " does not serve: " + p.Why), p.At}
		}
		return Result{Unknown, strings.TrimSpace("it cannot be seen whether " + c.Target + " serves: " + f.Probe.Why), f.Probe.At}
	case CheckPage:
		p := f.Page
		switch {
		case p == nil || p.Sent.IsZero():
			return Result{Unknown, "no test page was sent to " + c.Person, now}
		case p.Acknowledged.IsZero() && now.Sub(p.Sent) < pagePause:
			return Result{Unknown, "a test page to " + c.Person + " waits for an answer", p.Sent}
		case p.Acknowledged.IsZero():
			return Result{Failed, fmt.Sprintf("%s did not acknowledge the test page of %s", c.Person, p.Sent.UTC().Format(time.DateTime)), p.Sent}
		case now.Sub(p.Sent) > pageFresh:
			return Result{Failed, fmt.Sprintf("the last test page to %s was sent on %s", c.Person, p.Sent.UTC().Format(time.DateOnly)), now}
		}
		return Result{Passed, fmt.Sprintf("%s acknowledged the test page of %s", c.Person, p.Sent.UTC().Format(time.DateTime)), p.Sent}
	}
	return none
}

func (f RuleFact) judge(c Check, now time.Time) Result {
	switch {
	case f.Outcome == "found":
		return Result{Failed, c.Rule + ": " + f.Evidence, f.At}
	case now.Sub(f.At) > ruleFresh:
		return Result{Unknown, fmt.Sprintf("the last audit of %s was on %s", c.Target, f.At.UTC().Format(time.DateOnly)), now}
	case f.Outcome == "passed":
		return Result{Passed, c.Rule + " finds nothing at " + c.Target, f.At}
	case f.Outcome == "not_applicable":
		return Result{Unknown, c.Rule + " does not apply to " + c.Target, f.At}
	case f.Outcome == "":
		return Result{Unknown, "the last audit of " + c.Target + " did not ask " + c.Rule, f.At}
	}
	return Result{Unknown, strings.TrimSpace(c.Rule + " could not look: " + f.Evidence), f.At}
}

// Checked tells what a check found. One that passes closes an open action; one
// that fails opens a closed one again, unless a person closed it despite that.
// What changes nothing is not written down.
type Checked struct{ Result }

func (c Checked) decide(d *decision) error {
	if d.Check == nil || d.Status == Dropped {
		return ErrNothing
	}
	if r := d.Result; r != nil && r.Outcome != Unknown && c.Outcome != Unknown && c.At.Before(r.At) {
		return ErrNothing // something newer was seen before
	}
	known := d.Result != nil && d.Result.Outcome == c.Outcome
	if !known {
		d.add(d.ID, KindChecked, c.Result)
	}
	switch {
	case c.Outcome == Passed && d.Status == Open && !c.At.Before(d.BoundAt):
		d.add(d.ID, KindClosed, Ended{Result: c.Evidence, Check: &c.Result})
	case c.Outcome == Failed && d.Status == Done && (d.Despite == "" || !known):
		d.add(d.ID, KindReopened, Ended{Result: c.Evidence, Check: &c.Result})
	}
	if len(d.events) == 0 {
		return ErrNothing
	}
	return nil
}
