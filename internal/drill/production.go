package drill

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target"
)

// production is what the live server said before the restore was planned, and
// what kept it from saying more.
type production struct {
	server    target.Server
	serverErr error
	schema    target.Schema
	schemaErr error
	slot      target.Slot
	slotErr   error
	beat      *target.Beat // its newest
	beatErr   error
	at        time.Time // production's clock, when it was asked
}

var errNoProduction = errors.New("production was not asked")

// lookAtProduction asks the live server. Its schema comes first: everything in
// it was there before the position that the copy must reach.
func (r *run) lookAtProduction(ctx context.Context) {
	p := &r.prod
	if r.o.Production == nil {
		err := errNoProduction
		if r.o.ProductionNote != "" {
			err = errors.New(r.o.ProductionNote)
		}
		p.serverErr, p.schemaErr, p.slotErr, p.beatErr = err, err, err, err
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p.schema, p.schemaErr = r.o.Production.Schema(ctx)
	if r.o.Heartbeat {
		var beats []target.Beat
		if beats, p.beatErr = r.o.Production.Beats(ctx, 1); len(beats) > 0 {
			p.beat = &beats[len(beats)-1]
		}
	}
	p.slot, p.slotErr = r.o.Production.Slot(ctx, r.o.Slot)
	p.server, p.serverErr = r.o.Production.Inspect(ctx)
	p.at = r.o.Now().Add(p.server.ClockOffset)
}

// settle gives the repository a moment to hold what production had when it was
// asked; what is not there afterwards is lost data, and is measured as such.
func (r *run) settle(ctx context.Context) {
	want := r.acknowledged()
	if r.prod.serverErr == nil && r.prod.server.Position > want.LSN {
		want.LSN = r.prod.server.Position
	}
	end := time.NewTimer(r.o.Settle)
	defer end.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		pos, err := r.o.Log.Position(ctx)
		if err == nil {
			r.pos = pos
		}
		// Only a log that moves is worth waiting for.
		if err != nil || pos.Position.LSN >= want.LSN || !r.prod.slot.Active {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// acknowledged is the furthest position that somebody other than the
// repository says it holds: the server's slot, or our own record.
func (r *run) acknowledged() target.Position {
	var p target.Position
	if r.o.Acknowledged != nil {
		p = *r.o.Acknowledged
	}
	if r.prod.slotErr == nil && r.prod.slot.Exists && r.prod.slot.RestartLSN > p.LSN {
		p = target.Position{Timeline: r.prod.server.Timeline, LSN: r.prod.slot.RestartLSN}
	}
	return p
}

// checkProduction holds what production said against what a backup of it is
// worth.
func (r *run) checkProduction() {
	r.add(r.sameCluster())
	r.add(r.safeSettings())
	r.add(r.unlogged())
	r.add(r.backupFindings())
}

func (r *run) sameCluster() proof.Check {
	c := proof.Check{Name: "same-cluster", Title: "The backup is of the cluster that runs in production"}
	switch {
	case r.o.Gone != nil:
		return r.notAsked(c)
	case r.prod.serverErr != nil:
		c.Outcome, c.Detail = proof.CouldNotRun, "production: "+r.prod.serverErr.Error()
	case r.prod.server.SystemID != r.plan.Backup.SystemID:
		c.Outcome, c.Detail = proof.CheckFailed, fmt.Sprintf("production is cluster %s, the backup is of cluster %s", r.prod.server.SystemID, r.plan.Backup.SystemID)
	default:
		c.Outcome, c.Detail = proof.Passed, "system identifier "+r.prod.server.SystemID.String()
	}
	return c
}

// safeSettings: settings under which a crash, or a backup taken meanwhile, may
// leave pages torn without anybody noticing.
func (r *run) safeSettings() proof.Check {
	c := proof.Check{Name: "settings", Title: "Production's settings let a backup be whole"}
	if r.o.Gone != nil {
		return r.notAsked(c)
	}
	if r.prod.serverErr != nil {
		c.Outcome, c.Detail = proof.CouldNotRun, "production: "+r.prod.serverErr.Error()
		return c
	}
	for name, why := range map[string]string{
		"fsync":            "what production calls written may never reach its disk",
		"full_page_writes": "a page that is half written at a crash cannot be repaired from the log",
	} {
		value, known := r.prod.server.Settings[name]
		switch {
		case !known:
			c.Outcome, c.Detail = proof.CouldNotRun, name+" cannot be read"
			return c
		case value != "on":
			c.Outcome = proof.CheckFailed
			c.Evidence = append(c.Evidence, fmt.Sprintf("%s = %s: %s; ALTER SYSTEM SET %s = on", name, value, why, name))
		}
	}
	if c.Outcome == proof.CheckFailed {
		c.Detail = strings.Join(c.Evidence, "; ")
		return c
	}
	c.Outcome, c.Detail = proof.Passed, "fsync and full_page_writes are on"
	return c
}

// unlogged: tables whose rows are in no log and in no backup.
func (r *run) unlogged() proof.Check {
	c := proof.Check{Name: "unlogged", Title: "No table is left out of every backup"}
	if r.o.Gone != nil {
		return r.notAsked(c)
	}
	if r.prod.schemaErr != nil {
		c.Outcome, c.Detail = proof.CouldNotRun, "production: "+r.prod.schemaErr.Error()
		return c
	}
	for _, d := range r.prod.schema.Databases {
		for _, rel := range d.Relations {
			// A standby has no rows of unlogged tables, whatever the primary has.
			if !rel.Unlogged || rel.Bytes == 0 && !r.prod.server.InRecovery {
				continue
			}
			name := d.Name + "." + rel.Name
			if accepted(r.o.AcceptUnlogged, name) {
				r.p.Accepted = append(r.p.Accepted, fmt.Sprintf("unlogged table %s (%d bytes) would be empty", name, rel.Bytes))
				continue
			}
			c.Evidence = append(c.Evidence, fmt.Sprintf("%s is unlogged: its %d bytes would be gone", name, rel.Bytes))
		}
	}
	if len(c.Evidence) > 0 {
		c.Outcome, c.Detail = proof.CheckFailed, c.Evidence[0]+"; ALTER TABLE … SET LOGGED, or accept it under drill.accept_unlogged"
		return c
	}
	c.Outcome, c.Detail = proof.Passed, "no unlogged table with rows, but for those accepted"
	return c
}

func accepted(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

func (r *run) backupFindings() proof.Check {
	c := proof.Check{Name: "backup-findings", Title: "The backup was taken of undamaged files"}
	for _, f := range r.plan.Backup.Findings {
		c.Evidence = append(c.Evidence, fmt.Sprintf("%s block %d: %s", f.File, f.Block, f.Detail))
	}
	if len(c.Evidence) > 0 {
		c.Outcome, c.Detail = proof.CheckFailed, fmt.Sprintf("%d damaged pages were seen when backup %s was taken", len(c.Evidence), r.plan.Backup.ID)
		return c
	}
	c.Outcome, c.Detail = proof.Passed, "none was found damaged"
	return c
}
