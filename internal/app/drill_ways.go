package app

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/target"
)

// rehearseWithin bounds the dry run of all ways back.
const rehearseWithin = 2 * time.Minute

// rehearse looks at what each way back needs now. Nothing of it is tried.
func (a *App) rehearse(ctx context.Context, name string) []proof.Way {
	ctx, cancel := context.WithTimeout(ctx, rehearseWithin)
	defer cancel()
	s, err := a.openStore(ctx, true)
	if err == nil {
		defer func() { _ = s.Close() }() // read only
	} else {
		s = nil
	}
	f, err := a.recoveryFacts(ctx, s, RecoveryAsk{Target: name})
	if err != nil {
		return []proof.Way{{Name: "all", Title: "Every way back", Checks: []proof.Check{{Name: "looked-at", Title: "They could be looked at", Outcome: proof.CouldNotRun, Detail: err.Error()}}}}
	}
	t := a.cfg.Targets[name]
	f.Place.Dir = filepath.Join(os.TempDir(), "refloat-recovery")
	if t.Drill.ScratchDir != "" {
		f.Place.Dir = filepath.Join(t.Drill.ScratchDir, "refloat-recovery")
	}
	if f.Server.Here.Seen && f.Server.Here.Value && f.Server.Directory.Seen {
		f.Place.Dir = filepath.Join(filepath.Dir(f.Server.Directory.Value), "refloat-recovery")
	}
	f.Place.Holds, f.Place.Free = target.Seen(recovery.HoldsNothing), freeAt(f.Place.Dir)
	standing := recovery.Standing{Programs: map[string]string{}, MaxLag: t.Watch.MaxLag.Std()}
	for step, words := range map[string][]string{recovery.StepRestart: t.Recovery.RestartWords, recovery.StepStart: t.Recovery.StartWords, recovery.StepPromote: t.Recovery.PromoteWords} {
		if len(words) > 0 {
			if _, err := exec.LookPath(words[0]); err != nil {
				standing.Programs[step] = err.Error()
			}
		}
	}
	if c, err := a.cluster(name, "refloat drill"); err != nil {
		standing.Why = err.Error()
	} else if server, err := c.Inspect(ctx); err != nil {
		standing.Why = "the server: " + oneLine(err)
	} else {
		standing.Settings = server.Settings
	}
	var out []proof.Way
	for _, r := range recovery.Rehearse(f, standing) {
		w := proof.Way{Name: string(r.Name), Title: r.Title}
		for _, p := range r.Preconditions {
			w.Checks = append(w.Checks, proof.Check{Name: p.Name, Title: p.Title, Outcome: outcomeOf(p.Met), Detail: p.Detail})
		}
		out = append(out, w)
	}
	return out
}

func outcomeOf(m recovery.Met) proof.Outcome {
	switch m {
	case recovery.Holds:
		return proof.Passed
	case recovery.Fails:
		return proof.CheckFailed
	}
	return proof.CouldNotRun
}
