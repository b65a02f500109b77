package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
func (d *desk) facts(ctx context.Context, w *watch) (*keptFacts, error) {
	name := string(w.Target)
	d.mu.Lock()
	k, stale := d.kept[name], d.asked[name]
	d.mu.Unlock()
	if k != nil && !stale {
		return k, nil
	}
	return d.readFacts(ctx, w)
}

func (d *desk) readFacts(ctx context.Context, w *watch) (*keptFacts, error) {
	name, now := string(w.Target), time.Now()
	d.mu.Lock()
	delete(d.asked, name) // what is added from here on asks again
	d.mu.Unlock()
	k, err := d.r.keptFacts(ctx, w, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.asked[name] = true
		return nil, err
	}
	d.kept[name] = k
	return k, nil
}

// keptFacts reads what the store says of a target.
func (r *running) keptFacts(ctx context.Context, w *watch, now time.Time) (*keptFacts, error) {
	k := &keptFacts{at: now}
	var err error
	if k.alarms, err = r.state.Alarms(ctx, w.Target); err != nil {
		return nil, err
	}
	var last auditRecord
	switch _, err := r.state.Kept(ctx, w.Target, status.FactAudit, &last); {
	case err == nil:
		k.report = &last.Report
		k.audit = ofAudit(last.Report)
	case !errors.Is(err, status.ErrNothing):
		return nil, err
	}
	if k.detection, err = detection(ctx, r.state, w.Target); err != nil {
		return nil, err
	}
	k.work, err = r.workOf(ctx, w.Target, now)
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
	few := 1 + 2*len(d.r.targets)*int(factsEvery)/int(factsOld)
	for _, w := range d.r.targets {
		name := string(w.Target)
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
		if _, err := d.readFacts(ctx, w); err != nil {
			return // the next look tries again, and a page says why
		}
	}
}

// sampleLag notes how far the stored log is behind.
func (d *desk) sampleLag(context.Context) {
	now := time.Now().UTC()
	for _, w := range d.r.targets {
		f := w.live(now)
		if f.Log == nil {
			continue
		}
		name := string(w.Target)
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
func (d *desk) shelfOf(ctx context.Context, w *watch) shelf {
	name := string(w.Target)
	d.mu.Lock()
	s := d.shelves[name]
	if s == nil {
		d.makeRoom()
		s = &shelf{}
		d.shelves[name] = s
	}
	if s.reading == nil && time.Since(s.at) > shelfOld {
		s.reading = make(chan struct{})
		d.r.reads.Go(func() { d.fillShelf(w, s) })
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
func (d *desk) fillShelf(w *watch, s *shelf) {
	ctx, cancel := context.WithTimeout(d.r.life, time.Minute)
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
	f := w.Facts
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
	w, now := d.watchOf(name), time.Now().UTC()
	d.follow.catchUp(ctx)
	var err error
	if v.TargetRow, err = d.row(ctx, w, now); err != nil {
		return v, err
	}
	k, err := d.facts(ctx, w)
	if err != nil {
		return v, err
	}
	v.Findings = k.report
	s := d.shelfOf(ctx, w)
	v.Backups, v.Coverage, v.Proofs, v.Runbook = orEmpty(s.backups), s.coverage, orEmpty(s.proofs), s.runbook
	for part, why := range s.missing {
		v.Missing[part] = why
	}
	if v.Outages, err = d.outages(ctx, name); err != nil {
		v.Missing["outages"] = err.Error()
	}
	v.Maintenance = []alert.Silence{}
	for _, x := range d.silences(now) {
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
	records, err := d.r.state.RecentRecords(ctx, alert.KindOutage, recentAlerts)
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
	// TARGET-SEQUENCE-TIME: the target may have hyphens of its own.
	for _, w := range d.r.targets {
		if !strings.HasPrefix(id, string(w.Target)) || d.roleOn(who, string(w.Target)) == "" || w.Facts.OneProof == nil {
			continue
		}
		d.mu.Lock()
		if s := d.shelves[string(w.Target)]; s != nil {
			if i := slices.IndexFunc(s.proofs, func(p proof.Proof) bool { return p.ID == id }); i >= 0 {
				defer d.mu.Unlock()
				return s.proofs[i], nil
			}
		}
		d.mu.Unlock()
		p, err := w.Facts.OneProof(ctx, id)
		if errors.Is(err, proof.ErrNoProof) {
			continue
		}
		if err == nil && p.Target != w.Target {
			continue
		}
		return p, err
	}
	return proof.Proof{}, none
}

// Findings implements server.Reader.
func (d *desk) Findings(ctx context.Context, who access.Principal) ([]server.TargetFindings, error) {
	d.follow.catchUp(ctx)
	out := []server.TargetFindings{}
	for _, w := range d.r.targets {
		if d.roleOn(who, string(w.Target)) == "" {
			continue
		}
		k, err := d.facts(ctx, w)
		if err != nil {
			return nil, err
		}
		if k.report != nil {
			out = append(out, server.TargetFindings{Target: string(w.Target), Team: d.teamOf(string(w.Target)), Report: *k.report})
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
	fresh, err := d.r.jobs.Enqueue(ctx, work, name, "asked by "+who.Name)
	if err == nil && fresh {
		d.note(ctx, who, "target/"+name, work+".asked", map[string]string{"reason": "asked by " + who.Name})
	}
	return fresh, err
}

