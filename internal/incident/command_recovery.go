package incident

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ChooseRecovery chooses a way back: what there was to choose from, and what
// will be done. Nothing runs before it is confirmed. Its run is numbered here.
type ChooseRecovery struct {
	Proposed RecoveryProposed
	Chosen   RecoveryChosen
}

func (c ChooseRecovery) decide(d *decision) error {
	if err := d.open(); err != nil {
		return err
	}
	switch {
	case d.actor == Server:
		return refuse("a person chooses the way back")
	case c.Chosen.Target == "" || c.Chosen.Way == "" || len(c.Chosen.Steps) == 0:
		return refuse("the way back has no target, no name or no steps")
	case !d.About(c.Chosen.Target):
		return refuse("%s is not about %s", d.ID, c.Chosen.Target)
	}
	for i, p := range c.Chosen.Steps {
		if p.ID == "" || slices.ContainsFunc(c.Chosen.Steps[:i], func(x PlannedStep) bool { return x.ID == p.ID }) {
			return refuse("step %d of the way back has no name of its own", i+1)
		}
	}
	for _, r := range d.Recoveries {
		if r.Target == c.Chosen.Target && !r.Over() {
			return refuse("%s (%s) is under way for %s and %s: go on with it (--run %s), or give it up first (--abandon %s --why …)", r.Run, r.Way, r.Target, r.Standing(d.now), r.Run, r.Run)
		}
	}
	run := "r" + strconv.Itoa(len(d.Recoveries)+1)
	c.Proposed.Run, c.Chosen.Run = run, run
	c.Proposed.Target = c.Chosen.Target
	d.add(KindProposed, c.Proposed)
	d.add(KindChosen, c.Chosen)
	return nil
}

// run finds a run that goes on.
func (d *decision) run(id string) (*Recovery, error) {
	r := d.Recovery(id)
	switch {
	case r == nil:
		return nil, refuse("there is no run %s in %s: refloat incident show %s lists them", id, d.ID, d.ID)
	case r.Over():
		return nil, refuse("%s of %s is over: %s", id, d.ID, r.Outcome)
	}
	return r, nil
}

// ConfirmRecovery lets a run begin: a second person does, or whoever chose it
// types the name of the target. Typed is empty for a second person.
type ConfirmRecovery struct{ Run, Typed string }

func (c ConfirmRecovery) decide(d *decision) error {
	if err := d.open(); err != nil {
		return err
	}
	r, err := d.run(c.Run)
	if err != nil {
		return err
	}
	how := "second person"
	switch {
	case !r.ConfirmedAt.IsZero():
		return fmt.Errorf("%w: %s confirmed it before", ErrNothing, r.ConfirmedBy)
	case d.actor == Server:
		return refuse("a person confirms the way back")
	case c.Typed != "":
		how = "typed name"
		if c.Typed != r.Target {
			return refuse("%q is not the name of the target, which is %q: nothing was begun", c.Typed, r.Target)
		}
	case strings.EqualFold(strings.TrimSpace(d.actor), strings.TrimSpace(r.ChosenBy)):
		return refuse("%s chose %s and cannot be the second person too: somebody else confirms it, or %s types the target's name (--confirm-target)", r.ChosenBy, r.Run, r.ChosenBy)
	}
	d.add(KindConfirmed, RecoveryConfirmed{c.Run, how})
	return nil
}

// TellStep says what becomes of a step. Begin starts it, again too, when it was
// cut off or failed; each one waits for those before it.
type TellStep struct {
	RecoveryStep
	Kind string // KindStepStarted, KindStepProgress, KindStepDone or KindStepFailed
	Gone bool   // whoever ran the step before is known to be gone
}

func (c TellStep) decide(d *decision) error {
	r, err := d.run(c.Run)
	if err != nil {
		return err
	}
	p := r.step(c.Step)
	i := r.Current()
	switch {
	case p == nil:
		return refuse("%s has no step %s", c.Run, c.Step)
	case p.State == StepDone:
		return fmt.Errorf("%w: step %s is done", ErrNothing, c.Step)
	case r.ConfirmedAt.IsZero():
		return refuse("%s was not confirmed: nothing of it may run", c.Run)
	case r.Steps[i].ID != c.Step:
		return refuse("step %s comes first", r.Steps[i].ID)
	case c.ByHand && !r.Steps[i].ByHand:
		return refuse("step %s is not one that a person does by hand", c.Step)
	case c.Kind == KindStepStarted && r.Standing(d.now) == RecoveryRunning && !c.Gone:
		return refuse("step %s runs on %s, which gave a sign of life at %s", c.Step, orUnknown(p.Host), r.LastSeen.UTC().Format("15:04:05 UTC"))
	case c.Kind == KindStepStarted:
		if err := d.open(); err != nil {
			return err
		}
		d.add(KindStepStarted, c.RecoveryStep)
		if d.Status == Investigating || d.Status == Identified {
			d.add(KindStatus, StatusSet{d.Status, Recovering, fmt.Sprintf("%s: %s", r.Run, r.Title)})
		}
		return nil
	case c.Kind == KindStepFailed && strings.TrimSpace(c.Error) == "":
		return refuse("say why step %s failed", c.Step)
	case c.Kind != KindStepDone && c.Kind != KindStepFailed && c.Kind != KindStepProgress:
		return refuse("%q says nothing of a step", c.Kind)
	case p.State != StepRunning && !(r.Steps[i].ByHand && c.ByHand && c.Kind == KindStepDone):
		return refuse("step %s does not run", c.Step)
	}
	d.add(c.Kind, c.RecoveryStep)
	return nil
}

func orUnknown(host string) string {
	if host == "" {
		return "a host that it did not name"
	}
	return host
}

// VerifyRecovery says what came of the checks.
type VerifyRecovery struct{ RecoveryVerified }

func (c VerifyRecovery) decide(d *decision) error {
	r, err := d.run(c.Run)
	switch {
	case err != nil:
		return err
	case r.ConfirmedAt.IsZero():
		return refuse("%s was not confirmed: nothing of it can be verified", c.Run)
	case c.Verdict == "" || len(c.Checks) == 0:
		return refuse("without checks there is no verdict")
	}
	d.add(KindVerified, c.RecoveryVerified)
	return nil
}

// EndRecovery ends a run. It is recovered only when each of its steps is done
// and the last verdict is proven.
type EndRecovery struct{ RecoveryEnded }

func (c EndRecovery) decide(d *decision) error {
	r, err := d.run(c.Run)
	if err != nil {
		return err
	}
	proven := r.Verification != nil && r.Verification.Verdict == "proven"
	switch {
	case !slices.Contains([]string{RecoveryRecovered, RecoveryNotVerified, RecoveryAbandoned}, c.Outcome):
		return refuse("%q is no end of a run", c.Outcome)
	case c.Outcome == RecoveryAbandoned && strings.TrimSpace(c.Why) == "":
		return refuse("say why it is given up")
	case c.Outcome == RecoveryAbandoned && r.Standing(d.now) == RecoveryRunning:
		return refuse("%s runs: stop it first", c.Run)
	case c.Outcome != RecoveryAbandoned && r.Current() >= 0:
		return refuse("step %s of %s is not done", r.Steps[r.Current()].ID, c.Run)
	case c.Outcome == RecoveryRecovered && !proven:
		return refuse("%s was not verified: not every check passed", c.Run)
	}
	d.add(KindRecoveryEnded, c.RecoveryEnded)
	return nil
}
