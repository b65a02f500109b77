package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// desk is what pages and the API stand on. It answers from memory wherever it
// can: incidents from the followed journal, alerts from the pager, targets from
// their watches, the repository from what was read last. On a node that does not
// lead it answers from the store, and says that it does.
type desk struct {
	o      DaemonOptions
	log    *slog.Logger
	state  Store
	lead   func() *running // the work of this node; nil while another leads
	follow *follower
	life   context.Context // ends with the node: reads that a page began outlive its request
	reads  sync.WaitGroup  // of the repository
	places map[string]int  // of targets in o.Targets

	mu      sync.Mutex
	kept    map[string]*keptFacts // by target
	asked   map[string]bool       // targets of which something was added since
	shelves map[string]*shelf     // by target
	lag     map[string][]server.LagPoint
	homes   map[string]string // team by alert
}

var _ server.Desk = (*desk)(nil)
var _ server.Recoverer = (*desk)(nil)

func newDesk(o DaemonOptions, log *slog.Logger, state Store, lead func() *running) *desk {
	d := &desk{
		o: o, log: log, state: state, lead: lead, kept: map[string]*keptFacts{}, asked: map[string]bool{},
		shelves: map[string]*shelf{}, lag: map[string][]server.LagPoint{}, homes: map[string]string{}, places: map[string]int{},
	}
	for i, c := range o.Targets {
		d.places[string(c.Target)] = i
	}
	d.follow = newFollower(state, log, d.touched)
	return d
}

// start reads what the desk shows, keeps up with it, and returns what ends that.
func (d *desk) start(ctx context.Context) (func(context.Context) error, error) {
	if err := d.follow.load(ctx); err != nil {
		return nil, fmt.Errorf("read the incidents: %w", err)
	}
	var end func()
	d.life, end = context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { d.follow.run(d.life) })
	parts.Go(func() { every(d.life, factsEvery, d.freshen) })
	parts.Go(func() { every(d.life, lagEvery, d.sampleLag) })
	return func(context.Context) error {
		end()
		parts.Wait()
		d.reads.Wait()
		return nil
	}, nil
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

func (d *desk) teamOf(target string) string { return d.o.Paging.Charges[target].Team }

// roleOn is what somebody may do with a target; nothing for one that is not in
// care.
func (d *desk) roleOn(who access.Principal, name string) access.Role {
	if d.careOf(name) == nil {
		return ""
	}
	return roleIn(who, []string{d.teamOf(name)})
}

// careOf is a target by its name; nil for none.
func (d *desk) careOf(name string) *Care {
	i, known := d.places[name]
	if !known {
		return nil
	}
	return &d.o.Targets[i]
}

// roleAt is what somebody may do in an incident: as much as for its team, or for
// that of any of its targets.
func (d *desk) roleAt(who access.Principal, s *incident.State) access.Role {
	teams := make([]string, 0, 1+len(s.Targets))
	for _, t := range s.Targets {
		if d.careOf(t) != nil { // one that is not in care makes it no business of every team
			teams = append(teams, d.teamOf(t))
		}
	}
	if s.Team != "" || len(s.Targets) == 0 {
		teams = append(teams, s.Team)
	}
	if len(teams) == 0 && who.Everywhere != "" {
		teams = append(teams, "") // of nobody any more
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
	b := server.Board{At: now, Targets: []server.TargetRow{}, Incidents: []server.IncidentView{}, Alerts: []server.AlertView{}, OnCall: []alert.Shift{}, Seq: d.follow.seq(), Node: d.node(), Leads: d.lead() != nil}
	for i := range d.o.Targets {
		c := &d.o.Targets[i]
		if d.roleOn(who, string(c.Target)) == "" {
			continue
		}
		row, err := d.row(ctx, c, now)
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
	for _, team := range slices.Sorted(maps.Keys(d.o.Paging.Roster.Teams)) {
		if who.Has(access.View, team) {
			b.OnCall = append(b.OnCall, d.o.Paging.Roster.OnCall(team, now)...)
		}
	}
	return b, nil
}

// node is the name of this machine.
func (d *desk) node() string {
	if s, is := sharedStore(d.state); is && s.Node() != "" {
		return s.Node()
	}
	name, err := os.Hostname()
	if err != nil {
		return "this node"
	}
	return name
}

// row is a target on the board.
func (d *desk) row(ctx context.Context, c *Care, now time.Time) (server.TargetRow, error) {
	k, err := d.facts(ctx, c)
	if err != nil {
		return server.TargetRow{}, err
	}
	f := d.live(c, now)
	f.Alarms, f.Audit, f.Detection, f.Work = k.alarms, k.audit, k.detection, k.work
	name := string(c.Target)
	charge := d.o.Paging.Charges[name]
	return server.TargetRow{Report: status.Evaluate(f, now), Team: charge.Team, Tier: string(charge.Tier), Shown: d.o.Incidents.Rules.Names[name]}, nil
}

// live is what the node that does the work sees of a target now.
func (d *desk) live(c *Care, now time.Time) status.Facts {
	if r := d.lead(); r != nil {
		if i := d.places[string(c.Target)]; i < len(r.targets) { // in the same order
			return r.targets[i].live(now)
		}
	}
	f := status.Facts{Target: c.Target, Objectives: c.Objectives, Server: status.Server{Running: true, SeenAt: now}}
	for _, what := range []string{status.UnreadBackup, status.UnreadLog, status.UnreadProof} {
		f.Unread = append(f.Unread, status.Unread{What: what, Error: "another node does the work: its pages show it"})
	}
	return f
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
