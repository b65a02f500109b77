package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/runbook"
)

// runbookWithin bounds how long a server that hangs holds up its runbook.
const runbookWithin = 30 * time.Second

// Runbook writes how to get a target back, as Markdown, from the configuration, its
// server and its last proof. What cannot be looked at is said to be so in it.
func (a *App) Runbook(ctx context.Context, name string) (_ string, err error) {
	ctx, cancel := context.WithTimeout(ctx, runbookWithin)
	defer cancel()
	_, t, err := a.target(name)
	if err != nil {
		return "", err
	}
	s, err := a.openStore(ctx, true)
	if err != nil && !noState(err) {
		return "", err
	}
	if s != nil {
		defer func() { err = errors.Join(err, s.Close()) }()
	}
	f := runbook.Facts{Shown: a.cfg.Incidents.Rules.Names[name], Team: t.Team}
	if f.Facts, err = a.recoveryFacts(ctx, s, RecoveryAsk{Target: name}); err != nil {
		return "", err
	}
	for _, shift := range a.cfg.Roster.OnCall(t.Team, f.Now) {
		if p := a.cfg.Roster.People[shift.Person].Shown(); !slices.Contains(f.OnCall, p) {
			f.OnCall = append(f.OnCall, p)
		}
	}
	k, err := a.Kit(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range k.Commands {
		if !strings.HasPrefix(c, "refloat restore ") || strings.HasPrefix(c, "refloat restore "+name+" ") {
			f.Kit = append(f.Kit, c)
		}
	}
	return runbook.Make(f), nil
}
