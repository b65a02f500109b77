package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	factsEvery  = time.Second      // facts of targets of which something was added are read again
	factsOld    = 15 * time.Second // and those of others
	lagEvery    = 10 * time.Second
	lagHolds    = 720 // points: two hours
	shelfOld    = time.Minute
	shelfWaits  = 2 * time.Second // that a page waits for what was never read
	shelfProofs = 100
	shelfHolds  = 50 // targets
)

// keptFacts are what the store says of a target.
type keptFacts struct {
	at        time.Time
	alarms    []status.Alarm
	audit     *status.Audit
	report    *audit.Report // nil for none yet
	detection *status.Detection
	work      []status.Work
}

// touched notes that something was added about a target.
func (d *desk) touched(subject string) {
	kind, name, _ := strings.Cut(subject, "/")
	if kind != "target" && kind != "job" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[name] = true
	delete(d.asked, repositorySubject)
}

// facts are those of a target, read again when something was added since.
func (d *desk) facts(ctx context.Context, c *Care) (*keptFacts, error) {
	name := string(c.Target)
	d.mu.Lock()
	k, stale := d.kept[name], d.asked[name]
	d.mu.Unlock()
	if k != nil && !stale {
		return k, nil
	}
	return d.readFacts(ctx, c)
}

func (d *desk) readFacts(ctx context.Context, c *Care) (*keptFacts, error) {
	name, now := string(c.Target), time.Now()
	d.mu.Lock()
	delete(d.asked, name) // what is added from here on asks again
	d.mu.Unlock()
	k, err := d.storeFacts(ctx, c.Target, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.asked[name] = true
		return nil, err
	}
	d.kept[name] = k
	return k, nil
}

// storeFacts reads what the store says of a target.
func (d *desk) storeFacts(ctx context.Context, id target.ID, now time.Time) (*keptFacts, error) {
	k := &keptFacts{at: now}
	var err error
	if k.alarms, err = d.state.Alarms(ctx, id); err != nil {
		return nil, err
	}
	var last auditRecord
	switch _, err := d.state.Kept(ctx, id, status.FactAudit, &last); {
	case err == nil:
		k.report = &last.Report
		k.audit = ofAudit(last.Report)
	case !errors.Is(err, status.ErrNothing):
		return nil, err
	}
	if k.detection, err = detection(ctx, d.state, id); err != nil {
		return nil, err
	}
	if r := d.lead(); r != nil {
		k.work, err = r.workOf(ctx, id, now)
	}
	return k, err
}

// workOf is how a target's scheduled work goes.
func (r *running) workOf(ctx context.Context, id target.ID, now time.Time) ([]status.Work, error) {
	var out []status.Work
	for _, kind := range []string{JobBackup, JobDrill, JobRetain, JobCheck} {
		st, err := r.jobs.State(ctx, kind, string(id), now)
		if err != nil {
			return nil, err
		}
		if !st.Next.IsZero() || !st.Started.IsZero() {
			out = append(out, status.Work{Kind: kind, Next: st.Next, Running: st.Running, Succeeded: st.Succeeded, Error: st.Error, Failures: st.Failures})
		}
	}
	return out, nil
}

// freshen reads again what something was added about, and what is old, a few at
// a time: a board of many targets then finds all at hand.
func (d *desk) freshen(ctx context.Context) {
	old := 0
	few := 1 + 2*len(d.o.Targets)*int(factsEvery)/int(factsOld)
	for i := range d.o.Targets {
		c := &d.o.Targets[i]
		name := string(c.Target)
		d.mu.Lock()
		k, stale := d.kept[name], d.asked[name]
		d.mu.Unlock()
		aged := k != nil && time.Since(k.at) > factsOld
		if k != nil && !stale && (!aged || old >= few) {
			continue
		}
		if aged && !stale {
			old++
		}
		if _, err := d.readFacts(ctx, c); err != nil {
			return // the next look tries again, and a page says why
		}
	}
}

// sampleLag notes how far the stored log is behind.
func (d *desk) sampleLag(context.Context) {
	now := time.Now().UTC()
	for i := range d.o.Targets {
		f := d.live(&d.o.Targets[i], now)
		if f.Log == nil {
			continue
		}
		name := string(f.Target)
		d.mu.Lock()
		all := append(d.lag[name], server.LagPoint{At: now, Lag: max(0, now.Sub(f.Log.Restorable)), Bytes: f.Log.LagBytes})
		if len(all) > 2*lagHolds {
			all = slices.Clone(all[len(all)-lagHolds:])
		}
		d.lag[name] = all
		d.mu.Unlock()
	}
}

// shelf is what the repository holds of a target, as it was read last.
type shelf struct {
	at      time.Time
	reading chan struct{} // closed when the read that is under way has ended; nil for none

	backups  []backup.Backup // newest first
	coverage *backup.CoverageReport
	proofs   []proof.Proof // newest first
	runbook  string
	missing  map[string]string
}

// shelfOf is what the repository holds of a target: at once as it was read last,
// and meanwhile it is read again. What was never read is waited for a little.
func (d *desk) shelfOf(ctx context.Context, c *Care) shelf {
	name := string(c.Target)
	d.mu.Lock()
	s := d.shelves[name]
	if s == nil {
		d.makeRoom()
		s = &shelf{}
		d.shelves[name] = s
	}
	if s.reading == nil && time.Since(s.at) > shelfOld {
		s.reading = make(chan struct{})
		d.reads.Go(func() { d.fillShelf(c, s) })
	}
	here, reading := *s, s.reading
	d.mu.Unlock()
	if !here.at.IsZero() || reading == nil {
		return here
	}
	select {
	case <-reading:
	case <-time.After(shelfWaits):
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.at.IsZero() {
		why := "the repository is still being read: look again in a moment"
		return shelf{missing: map[string]string{"backups": why, "coverage": why, "proofs": why, "runbook": why}}
	}
	return *s
}

// makeRoom forgets the shelf that was read longest ago. Call with mu held.
func (d *desk) makeRoom() {
	oldest := ""
	for name, s := range d.shelves {
		if s.reading == nil && (oldest == "" || s.at.Before(d.shelves[oldest].at)) {
			oldest = name
		}
	}
	if len(d.shelves) >= shelfHolds && oldest != "" {
		delete(d.shelves, oldest)
	}
}

// fillShelf reads the repository for a target.
func (d *desk) fillShelf(care *Care, s *shelf) {
	ctx, cancel := context.WithTimeout(d.life, time.Minute)
	defer cancel()
	x := shelf{missing: map[string]string{}}
	read := func(part string, known bool, f func() error) {
		if !known {
			x.missing[part] = "this server does not read it"
			return
		}
		if err := f(); err != nil {
			x.missing[part] = err.Error()
		}
	}
	f := care.Facts
	read("backups", f.Backups != nil, func() (err error) {
		x.backups, err = f.Backups(ctx)
		x.backups = slices.Clone(x.backups)
		slices.Reverse(x.backups)
		return err
	})
	read("coverage", f.Report != nil, func() error {
		c, err := f.Report(ctx)
		if err == nil {
			c.Spans, c.Gaps, c.Damaged = orEmpty(c.Spans), orEmpty(c.Gaps), orEmpty(c.Damaged)
			x.coverage = &c
		}
		return err
	})
	read("proofs", f.Proofs != nil, func() (err error) {
		x.proofs, err = f.Proofs(ctx)
		x.proofs = slices.Clone(x.proofs)
		slices.Reverse(x.proofs)
		x.proofs = x.proofs[:min(len(x.proofs), shelfProofs)]
		return err
	})
	read("runbook", f.Runbook != nil, func() (err error) {
		x.runbook, err = f.Runbook(ctx)
		return err
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	x.at = time.Now()
	close(s.reading)
	*s = x
}

// Target implements server.Reader.
func (d *desk) Target(ctx context.Context, who access.Principal, name string) (server.TargetView, error) {
	v := server.TargetView{Engine: "PostgreSQL", Missing: map[string]string{}}
	if err := allowed(d.roleOn(who, name), access.View, "target", name); err != nil {
		return v, err
	}
	c, now := d.careOf(name), time.Now().UTC()
	d.follow.catchUp(ctx)
	var err error
	if v.TargetRow, err = d.row(ctx, c, now); err != nil {
		return v, err
	}
	k, err := d.facts(ctx, c)
	if err != nil {
		return v, err
	}
	v.Findings = k.report
	s := d.shelfOf(ctx, c)
	v.Backups, v.Coverage, v.Proofs, v.Runbook = orEmpty(s.backups), s.coverage, orEmpty(s.proofs), s.runbook
	for part, why := range s.missing {
		v.Missing[part] = why
	}
	if v.Outages, err = d.outages(ctx, name); err != nil {
		v.Missing["outages"] = err.Error()
	}
	v.Maintenance = []alert.Silence{}
	silences, err := d.silences(ctx, now)
	if err != nil {
		return v, err
	}
	for _, x := range silences {
		if x.Target == name {
			v.Maintenance = append(v.Maintenance, x)
		}
	}
	if v.Incidents, err = d.Incidents(ctx, who, server.IncidentQuery{All: true, Target: name, Limit: 20}); err != nil {
		return v, err
	}
	d.mu.Lock()
	v.Lag = append([]server.LagPoint{}, d.lag[name]...)
	d.mu.Unlock()
	return v, nil
}

// outages are a target's last, newest first.
func (d *desk) outages(ctx context.Context, name string) ([]monitor.Outage, error) {
	out := []monitor.Outage{}
	records, err := d.state.RecentRecords(ctx, alert.KindOutage, recentAlerts)
	if err != nil {
		return out, err
	}
	for _, r := range records {
		var o monitor.Outage
		if r.Target != name || len(out) == 100 {
			continue
		}
		if err := r.Read(&o); err != nil {
			return out, err
		}
		out = append(out, o)
	}
	return out, nil
}

// Proof implements server.Reader.
func (d *desk) Proof(ctx context.Context, who access.Principal, id string) (proof.Proof, error) {
	none := fmt.Errorf("%w: there is no proof %s", server.ErrNotFound, id)
	for i := range d.o.Targets {
		c := &d.o.Targets[i]
		name := string(c.Target)
		if !strings.HasPrefix(id, name) || d.roleOn(who, name) == "" || c.Facts.OneProof == nil {
			continue
		}
		d.mu.Lock()
		if s := d.shelves[name]; s != nil {
			if i := slices.IndexFunc(s.proofs, func(p proof.Proof) bool { return p.ID == id }); i >= 0 {
				defer d.mu.Unlock()
				return s.proofs[i], nil
			}
		}
		d.mu.Unlock()
		p, err := c.Facts.OneProof(ctx, id)
		if err == nil && p.Target == c.Target {
			return p, nil
		}
		if err != nil && !errors.Is(err, proof.ErrNoProof) {
			return p, err
		}
	}
	return proof.Proof{}, none
}

// Findings implements server.Reader.
func (d *desk) Findings(ctx context.Context, who access.Principal) ([]server.TargetFindings, error) {
	d.follow.catchUp(ctx)
	out := []server.TargetFindings{}
	for i := range d.o.Targets {
		c := &d.o.Targets[i]
		if d.roleOn(who, string(c.Target)) == "" {
			continue
		}
		k, err := d.facts(ctx, c)
		if err != nil {
			return nil, err
		}
		if k.report != nil {
			out = append(out, server.TargetFindings{Target: string(c.Target), Team: d.teamOf(string(c.Target)), Report: *k.report})
		}
	}
	return out, nil
}

// Ask implements server.Actor.
func (d *desk) Ask(ctx context.Context, who access.Principal, name, work string) (bool, error) {
	if err := allowed(d.roleOn(who, name), access.Respond, "target", name); err != nil {
		return false, err
	}
	if !slices.Contains([]string{JobBackup, JobDrill, JobCheck}, work) {
		return false, fmt.Errorf("%w: %q is no work to ask for: it is backup, drill or check", server.ErrRefused, work)
	}
	r := d.lead()
	if r == nil {
		return false, fmt.Errorf("%w: %w: ask on the one that does", server.ErrRefused, errNotLeading)
	}
	fresh, err := r.jobs.Enqueue(ctx, work, name, "asked by "+who.Name)
	if err == nil && fresh {
		d.note(ctx, who, "target/"+name, work+".asked", map[string]string{"reason": "asked by " + who.Name})
	}
	return fresh, err
}
