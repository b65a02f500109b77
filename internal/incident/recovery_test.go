package incident

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func someWay() ChooseRecovery {
	return ChooseRecovery{
		Proposed: RecoveryProposed{Reason: "crash", Ways: []OfferedWay{{Way: "restore-latest", Possible: true, Recommended: true}}},
		Chosen: RecoveryChosen{Target: "shop", Way: "restore-latest", Title: "Restore to the latest point", Into: "/srv/new", Steps: []PlannedStep{
			{ID: "restore", Title: "Restore"}, {ID: "start", Title: "Start it", ByHand: true},
		}},
	}
}

func tell(kind, step string, more ...func(*RecoveryStep)) TellStep {
	c := TellStep{RecoveryStep: RecoveryStep{Run: "r1", Step: step}, Kind: kind}
	for _, f := range more {
		f(&c.RecoveryStep)
	}
	return c
}

func byHand(s *RecoveryStep) { s.ByHand = true }

func TestNothingRunsUnconfirmed(t *testing.T) {
	r := newRoom(t)
	m := time.Minute
	r.do(m, "ada", someWay())
	if got := r.Recoveries[0].Standing(after(m)); got != RecoveryUnconfirmed || r.Status != Investigating {
		t.Fatal(got, r.Status)
	}
	for name, c := range map[string]struct {
		who  string
		do   Command
		says string
	}{
		"unconfirmed step":    {"ada", tell(KindStepStarted, "restore"), "was not confirmed"},
		"unconfirmed verdict": {"ada", VerifyRecovery{RecoveryVerified{Run: "r1", Verdict: "proven", Checks: []RecoveryCheck{{}}}}, "was not confirmed"},
		"the same person":     {"ada", ConfirmRecovery{Run: "r1"}, "cannot be the second person too"},
		"the same, shouting":  {" ADA ", ConfirmRecovery{Run: "r1"}, "cannot be the second person too"},
		"the wrong name":      {"ada", ConfirmRecovery{"r1", "Shop"}, "is not the name of the target"},
		"the server":          {Server, ConfirmRecovery{Run: "r1"}, "a person confirms"},
		"another run":         {"ben", ConfirmRecovery{Run: "r2"}, "there is no run r2"},
		"a second run":        {"ben", someWay(), "r1 (restore-latest) is under way"},
		"done without a run":  {"ada", EndRecovery{RecoveryEnded{Run: "r1", Outcome: RecoveryRecovered}}, "step restore of r1 is not done"},
		"given up, no reason": {"ada", EndRecovery{RecoveryEnded{Run: "r1", Outcome: RecoveryAbandoned}}, "say why"},
	} {
		if err := r.try(2*m, c.who, c.do); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.do(3*m, "ben", ConfirmRecovery{Run: "r1"})
	if x := r.Recoveries[0]; x.Confirmed != "second person" || x.ConfirmedBy != "ben" || x.Standing(after(3*m)) != RecoveryReady {
		t.Errorf("%+v", x)
	}
}

func TestWhatWasCutOffIsNeverDone(t *testing.T) {
	r := newRoom(t)
	m := time.Minute
	r.do(m, "ada", someWay())
	r.do(m, "ada", ConfirmRecovery{"r1", "shop"})
	if err := r.try(m, "ada", tell(KindStepStarted, "start")); err == nil || !strings.Contains(err.Error(), "step restore comes first") {
		t.Error(err)
	}
	r.do(2*m, "ada", tell(KindStepStarted, "restore"))
	if r.Status != Recovering {
		t.Error(r.Status)
	}
	r.do(2*m+10*time.Second, "ada", tell(KindStepProgress, "restore", func(s *RecoveryStep) { s.Done, s.Total, s.Left = 43, 100, 2*m }))
	x := func() *Recovery { return &r.Recoveries[0] }
	if got := x().Standing(after(2*m + 20*time.Second)); got != RecoveryRunning {
		t.Error(got)
	}
	if words := strings.Join(r.Summary(after(2*m+20*time.Second), DefaultCadence(), DefaultWarnAt(), nil), "\n"); !strings.Contains(words, "step 1 of 2, Restore, 43 %, about 2 min left") {
		t.Error(words)
	}
	if err := r.try(2*m+20*time.Second, "ben", tell(KindStepStarted, "restore")); err == nil || !strings.Contains(err.Error(), "step restore runs on") {
		t.Error(err)
	}
	late := 2*m + 10*time.Second + RecoverySilence + time.Second
	if got := x().Standing(after(late)); got != RecoveryInterrupted || x().Current() != 0 {
		t.Error(got)
	}
	r.do(late, "ben", tell(KindStepStarted, "restore")) // again
	r.do(late, "ben", tell(KindStepFailed, "restore", func(s *RecoveryStep) { s.Error = "no room" }))
	if got := x().Standing(after(late)); got != RecoveryFailed {
		t.Error(got)
	}
	r.do(late, "ben", tell(KindStepStarted, "restore"))
	r.do(late, "ben", tell(KindStepDone, "restore"))
	if p := x().Progress[0]; p.State != StepDone || p.Tries != 3 || p.Error != "" {
		t.Errorf("%+v", p)
	}
	if got := x().Standing(after(late)); got != RecoveryByHand {
		t.Error(got)
	}
	if err := r.try(late, "ben", tell(KindStepDone, "start")); err == nil {
		t.Error("a step by hand was done without anybody saying so")
	}
	r.do(late, "ben", tell(KindStepDone, "start", byHand))
	if err := r.try(late, "ben", EndRecovery{RecoveryEnded{Run: "r1", Outcome: RecoveryRecovered}}); err == nil || !strings.Contains(err.Error(), "not verified") {
		t.Error(err)
	}
	r.do(late, "ben", VerifyRecovery{RecoveryVerified{Run: "r1", Verdict: "inconclusive", Checks: []RecoveryCheck{{Name: "x"}}}})
	if err := r.try(late, "ben", EndRecovery{RecoveryEnded{Run: "r1", Outcome: RecoveryRecovered}}); err == nil {
		t.Error("recovered although not every check passed")
	}
	r.do(late, "ben", VerifyRecovery{RecoveryVerified{Run: "r1", Verdict: "proven", Checks: []RecoveryCheck{{Name: "x"}}}})
	r.do(late, "ben", EndRecovery{RecoveryEnded{Run: "r1", Outcome: RecoveryRecovered}})
	if x().Standing(after(late)) != RecoveryOver || !slices.ContainsFunc(r.Timeline, func(e Event) bool { return e.Kind == KindRecoveryEnded }) {
		t.Errorf("%+v", x())
	}
	r.do(late, "ben", someWay()) // another may begin
	if r.Recoveries[1].Run != "r2" {
		t.Error(r.Recoveries[1].Run)
	}
}
