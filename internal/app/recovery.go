package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/recovery"
)

// What pages and commands show of a guided recovery.
type (
	RecoveryWay    = recovery.Way
	RecoveryCard   = recovery.Card
	RecoveryFigure = recovery.Figure
	RecoveryReason = recovery.Reason
	RecoveryRun    = incident.Recovery
	RecoveryName   = recovery.Name

	RecoveryStanding = incident.RecoveryStanding
)

// Words that can be completed.
var (
	RecoveryWays    = recovery.Names
	RecoveryReasons = recovery.Reasons
)

// The questions that a way may ask; an answer is a reason in words.
const (
	AskFenced        = recovery.AskFenced
	AskSecondPrimary = recovery.AskSecondPrimary
	AskNotEmpty      = recovery.AskNotEmpty
)

// RecoveryAsk says what ways back are looked for.
type RecoveryAsk struct {
	Incident string
	Target   string            // needed only when the incident is about several
	Reason   RecoveryReason    // empty for what the watch saw
	To       string            // the point to restore to just before; empty for none
	Into     string            // the directory to restore into; empty for none yet
	Backup   string            // the base backup to begin with; empty picks the best
	Answers  map[string]string // by question
}

// RecoveryOffer is what there is to choose from, and which servers it is about.
type RecoveryOffer struct {
	Incident string         `json:"incident"`
	Target   string         `json:"target"`
	Reason   RecoveryReason `json:"reason"`
	Began    time.Time      `json:"began,omitzero"` // the first bad look
	At       time.Time      `json:"at"`
	Cards    []RecoveryCard `json:"servers"` // the target's own first, then its standby
	Ways     []RecoveryWay  `json:"ways"`    // the recommended one first
	Advice   string         `json:"advice"`
	Runs     []RecoveryRun  `json:"runs"` // those of the incident so far

	facts recovery.Facts
}

// RecoveryOffer looks at the servers, the repository and the last proof, and says
// which ways back there are. It changes nothing.
func (a *App) RecoveryOffer(ctx context.Context, q RecoveryAsk) (o RecoveryOffer, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := loadIncident(ctx, s, q.Incident)
	if err != nil {
		return o, err
	}
	return a.offerOf(ctx, s, x, q)
}

func (a *App) offerOf(ctx context.Context, s Store, x Incident, q RecoveryAsk) (RecoveryOffer, error) {
	if q.Target == "" {
		if len(x.Targets) != 1 {
			return RecoveryOffer{}, fmt.Errorf("%w: %s is about %d targets (%s): name one with --target", ErrUsage, x.ID, len(x.Targets), strings.Join(x.Targets, ", "))
		}
		q.Target = x.Targets[0]
	}
	if !x.About(q.Target) {
		return RecoveryOffer{}, fmt.Errorf("%w: %s is not about %s", ErrUsage, x.ID, q.Target)
	}
	if q.Reason != "" && !slices.Contains(recovery.Reasons(), q.Reason) {
		return RecoveryOffer{}, fmt.Errorf("%w: %q is no reason; it is one of %s", ErrUsage, q.Reason, join(recovery.Reasons()))
	}
	f, err := a.recoveryFacts(ctx, s, q)
	if err != nil {
		return RecoveryOffer{}, err
	}
	a.sinceWhen(ctx, s, x, q, &f)
	o := RecoveryOffer{Incident: x.ID, Target: q.Target, Reason: f.Reason, Began: f.Began, At: f.Now, Cards: []RecoveryCard{f.Server}, Ways: recovery.Ways(f), Runs: x.Recoveries, facts: f}
	if f.Standby != nil && f.Standby.DSN != "" {
		o.Cards = append(o.Cards, f.Standby.Card)
	}
	o.Advice = "nothing can be recommended as things stand: see what fails for each way, and mend that first"
	if len(o.Ways) > 0 && o.Ways[0].Recommended {
		o.Advice = fmt.Sprintf("%s (%s): %s", o.Ways[0].Title, o.Ways[0].Name, o.Ways[0].Why)
	}
	return o, nil
}

// sinceWhen finds the outage that the incident is about, its reason and its
// beginning.
func (a *App) sinceWhen(ctx context.Context, s Store, x Incident, q RecoveryAsk, f *recovery.Facts) {
	f.Reason = recovery.Unknown
	for _, c := range x.Causes {
		if c.Target != q.Target || c.Kind != incident.FromOutage {
			continue
		}
		if c.Open() || f.Began.IsZero() {
			f.Began = c.Started
		}
		if o, found := a.outageOf(ctx, s, c.Key); found {
			f.Reason = recovery.ReasonOf(o.Sees)
		}
	}
	if f.Began.IsZero() && q.To != "" {
		f.Reason = recovery.DataDeleted
	}
	if q.Reason != "" {
		f.Reason = q.Reason
	}
}

func (a *App) outageOf(ctx context.Context, s Store, key string) (monitor.Outage, bool) {
	open, err := s.OpenRecords(ctx, alert.KindOutage)
	if err != nil {
		return monitor.Outage{}, false
	}
	recent, err := s.RecentRecords(ctx, alert.KindOutage, recentOutages)
	if err != nil {
		return monitor.Outage{}, false
	}
	for _, r := range append(open, recent...) {
		var o monitor.Outage
		if r.Read(&o) == nil && outageCause(o).Key == key {
			return o, true
		}
	}
	return monitor.Outage{}, false
}
