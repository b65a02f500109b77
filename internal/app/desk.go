package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// desk is what pages and the API stand on, over a running server. It answers
// from memory wherever it can: incidents from the followed journal, alerts from
// the pager, targets from their watches, the repository from what was read last.
type desk struct {
	r      *running
	follow *follower

	mu      sync.Mutex
	kept    map[string]*keptFacts // by target
	asked   map[string]bool       // targets of which something was added since
	shelves map[string]*shelf     // by target
	lag     map[string][]server.LagPoint
	homes   map[string]string // team by alert, of those that the pager has forgotten
}

var _ server.Desk = (*desk)(nil)

// startDesk reads what the desk shows, and keeps up with it.
func (r *running) startDesk(ctx context.Context) error {
	d := &desk{r: r, kept: map[string]*keptFacts{}, asked: map[string]bool{}, shelves: map[string]*shelf{}, lag: map[string][]server.LagPoint{}, homes: map[string]string{}}
	d.follow = newFollower(r.state, r.log, d.touched)
	if err := d.follow.load(ctx); err != nil {
		return fmt.Errorf("read the incidents: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { d.follow.run(ctx) })
	parts.Go(func() { every(ctx, factsEvery, d.freshen) })
	parts.Go(func() { every(ctx, lagEvery, d.sampleLag) })
	r.desk = d
	r.later(func(context.Context) error {
		end()
		parts.Wait()
		return nil
	})
	return nil
}

// roleIn is the most that somebody may do for any of some teams.
func roleIn(who access.Principal, teams []string) access.Role {
	var best access.Role
	for _, role := range access.Roles() {
		if slices.ContainsFunc(teams, func(t string) bool { return who.Has(access.Need(role), t) }) {
			best = role
		}
	}
	return best
}

func may(role access.Role, n access.Need) bool {
	return slices.Index(access.Roles(), role) >= slices.Index(access.Roles(), access.Role(n)) && role != ""
}

// allowed is nil when a role meets a need. What may not be seen is not there.
func allowed(role access.Role, n access.Need, what, name string) error {
	switch {
	case role == "":
		return fmt.Errorf("%w: there is no %s %s", server.ErrNotFound, what, name)
	case !may(role, n):
		return fmt.Errorf("%w: %s %s needs the role %s, and yours is %s", server.ErrForbidden, what, name, n, role)
	}
	return nil
}

// everywhere is the most that somebody may do with what belongs to no team.
func everywhere(who access.Principal) access.Role { return roleIn(who, []string{""}) }

func (d *desk) teamOf(target string) string { return d.r.o.Paging.Charges[target].Team }

// roleOn is what somebody may do with a target; nothing for one that is not in
// care.
func (d *desk) roleOn(who access.Principal, name string) access.Role {
	if d.watchOf(name) == nil {
		return ""
	}
	return roleIn(who, []string{d.teamOf(name)})
}

func (d *desk) watchOf(name string) *watch {
	for _, w := range d.r.targets {
		if string(w.Target) == name {
			return w
		}
	}
	return nil
}

// roleAt is what somebody may do in an incident: as much as for its team, or for
// that of any of its targets.
func (d *desk) roleAt(who access.Principal, s *incident.State) access.Role {
	teams := make([]string, 0, 1+len(s.Targets))
	for _, t := range s.Targets {
		teams = append(teams, d.teamOf(t))
	}
	if s.Team != "" || len(teams) == 0 {
		teams = append(teams, s.Team)
	}
	return roleIn(who, teams)
}

// teamOfAlert is who answers for it.
func (d *desk) teamOfAlert(a alert.Alert) string {
	return cmp.Or(a.Signal.Team, d.teamOf(a.Signal.Target))
}

// Last implements server.Reader.
func (d *desk) Last(ctx context.Context) (int64, error) {
	d.follow.catchUp(ctx)
	return d.follow.seq(), nil
}

// Board implements server.Reader.
func (d *desk) Board(ctx context.Context, who access.Principal) (server.Board, error) {
	d.follow.catchUp(ctx)
	now := time.Now().UTC()
	b := server.Board{At: now, Targets: []server.TargetRow{}, Incidents: []server.IncidentView{}, Alerts: []server.AlertView{}, OnCall: []alert.Shift{}, Seq: d.follow.seq(), Node: d.node(), Leads: true}
	for _, w := range d.r.targets {
		if d.roleOn(who, string(w.Target)) == "" {
			continue
		}
		row, err := d.row(ctx, w, now)
		if err != nil {
			return b, err
		}
		b.Targets = append(b.Targets, row)
	}
	slices.SortStableFunc(b.Targets, worseFirst)
	waiting, err := d.waiting(ctx)
	if err != nil {
		return b, err
	}
	for _, s := range slices.Backward(d.follow.all()) {
		if role := d.roleAt(who, s); role != "" && s.Open() {
			b.Incidents = append(b.Incidents, d.view(who, s, waiting, now, false))
		}
	}
	open, err := d.Alerts(ctx, who, server.AlertQuery{})
	if err != nil {
		return b, err
	}
	for _, a := range open {
		if a.AcknowledgedAt.IsZero() {
			b.Alerts = append(b.Alerts, a)
		}
	}
	for _, team := range slices.Sorted(maps.Keys(d.r.o.Paging.Roster.Teams)) {
		if who.Has(access.View, team) {
			b.OnCall = append(b.OnCall, d.r.o.Paging.Roster.OnCall(team, now)...)
		}
	}
	return b, nil
}

// node is the name of this machine.
func (d *desk) node() string {
	name, err := os.Hostname()
	if err != nil {
		return "this node"
	}
	return name
}

// row is a target on the board.
func (d *desk) row(ctx context.Context, w *watch, now time.Time) (server.TargetRow, error) {
	k, err := d.facts(ctx, w)
	if err != nil {
		return server.TargetRow{}, err
	}
	f := w.live(now)
	f.Alarms, f.Audit, f.Detection, f.Work = k.alarms, k.audit, k.detection, k.work
	name := string(w.Target)
	charge := d.r.o.Paging.Charges[name]
	return server.TargetRow{Report: status.Evaluate(f, now), Team: charge.Team, Tier: string(charge.Tier), Shown: d.r.o.Incidents.Rules.Names[name]}, nil
}

// worseFirst orders targets: those that do not serve, then by how they stand,
// then by how many problems they have.
func worseFirst(a, b server.TargetRow) int {
	rank := func(r server.TargetRow) int {
		switch {
		case r.Watch != nil && (r.Watch.State == "down" || r.Watch.State == "suspect"):
			return 0
		case r.Class == status.Bad:
			return 1
		case r.Class == status.Uncertain:
			return 2
		}
		return 3
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(b.Problems), len(a.Problems)), cmp.Compare(a.Target, b.Target))
}

// errOfIncident turns the room's errors into those of the desk.
func errOfIncident(err error) error {
	if errors.Is(err, incident.ErrNone) {
		return fmt.Errorf("%w: %w", server.ErrNotFound, err)
	}
	return err
}

// Stream implements server.Reader.
func (d *desk) Stream(ctx context.Context, who access.Principal, after int64, tell func(journal.Entry) error) error {
	return d.follow.stream(ctx, after, func(e journal.Entry) error {
		if !d.sees(ctx, who, e) {
			return nil
		}
		return tell(e)
	})
}
