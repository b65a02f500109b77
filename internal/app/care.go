package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/schedule"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// pollEvery is how often a receiver is asked how far it is.
const pollEvery = 500 * time.Millisecond

// Serve takes every target of the configuration into care until ctx ends.
func (a *App) Serve(ctx context.Context) error {
	if len(a.cfg.Targets) == 0 {
		return fmt.Errorf("%w: %s has no targets to take into care", ErrNoTarget, a.cfg.Path)
	}
	repo, err := a.open(ctx, false)
	if err != nil {
		return err
	}
	o := DaemonOptions{
		StateDir: a.cfg.StateDir, Listen: a.cfg.Server.Listen, ListenRemote: a.cfg.Server.Remote,
		Store: storeAt(a.cfg, a.cfg.Store.Node, newID()), LinkKey: a.linkKey, Opened: a.attach, Version: Version, Logger: a.log, Secrets: a.secrets(),
	}
	for _, name := range a.Targets() {
		c, done, err := a.care(repo, name)
		if err != nil {
			return err
		}
		defer done()
		o.Targets = append(o.Targets, c)
	}
	if o.Repository, err = a.repositoryCare(repo); err != nil {
		return err
	}
	o.PublicURL, o.WaysBack = a.cfg.Server.PublicURL, a
	if o.Front, err = a.front(); err != nil {
		return err
	}
	if o.Settings, err = a.settings(); err != nil {
		return err
	}
	o.Replies = Replies{Address: a.cfg.Email.Replies.Address, Listen: a.cfg.Email.Replies.Listen}
	o.Slash = a.slashDoors()
	for _, s := range a.cfg.Inbound.Sources {
		o.Sources = append(o.Sources, Source{Name: s.Name, Token: s.Token, Team: s.Team, Incidents: s.Incidents, Read: inboundReader(s.Kind)})
	}
	for _, h := range a.cfg.Inbound.Heartbeats {
		o.Expected = append(o.Expected, ExpectedBeat{Token: h.Token, Expected: alert.Expected{Name: h.Name, Every: h.Every.Std(), Grace: h.Grace.Std(), Team: h.Team, Severity: alert.Severity(h.Severity)}})
	}
	for _, w := range a.cfg.Watchdogs {
		o.Watchdogs = append(o.Watchdogs, Watchdog{Name: w.Name, URL: w.URL, Token: w.Token, Every: w.Every.Std()})
	}
	o.Incidents = a.circles()
	if o.Peers, err = a.peers(); err != nil {
		return err
	}
	if o.Trace, err = a.tracer(ctx); err != nil {
		return err
	}
	defer o.Trace.Close()
	if o.Paging, err = a.paging(); err != nil {
		return err
	}
	if o.StatusPage, err = a.statusPage(); err != nil {
		return err
	}
	d, err := NewDaemon(o)
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

func (a *App) secrets() []secret.Value {
	out := []secret.Value{a.cfg.Repository.Passphrase, a.cfg.Repository.S3.SecretAccessKey, a.cfg.Repository.S3.SessionToken, a.cfg.Repository.Azure.Key}
	for _, t := range a.cfg.Targets {
		out = append(out, t.Password, t.Recovery.StandbyPassword)
	}
	out = append(out, a.cfg.Email.Password, a.cfg.Store.Password, a.cfg.Server.Access.OIDC.ClientSecret, a.cfg.StatusPage.S3.SecretAccessKey, a.cfg.StatusPage.S3.SessionToken)
	for _, c := range a.cfg.Contacts() {
		out = append(out, c.URL, c.Secret)
	}
	for _, s := range a.cfg.Inbound.Sources {
		out = append(out, s.Token)
	}
	for _, h := range a.cfg.Inbound.Heartbeats {
		out = append(out, h.Token)
	}
	for _, s := range a.cfg.Chat.Slash {
		out = append(out, s.Secret)
	}
	for _, w := range a.cfg.Watchdogs {
		out = append(out, w.URL, w.Token)
	}
	for _, p := range a.cfg.Peers {
		out = append(out, p.Token)
	}
	out = append(out, a.cfg.Tracing.Token)
	return out
}

// settings are the configuration as it was read, without secrets.
func (a *App) settings() (server.Settings, error) {
	text, err := a.cfg.Text()
	if err != nil {
		return server.Settings{}, err
	}
	for _, v := range a.secrets() { // also where one was written into an address
		if len(v.Reveal()) >= 4 {
			text = strings.ReplaceAll(text, v.Reveal(), v.String())
		}
	}
	return server.Settings{Path: a.cfg.Path, Read: time.Now().UTC(), Text: text}, nil
}

func when(s config.Schedule) (schedule.When, error) {
	if s == "" {
		return nil, nil
	}
	return schedule.Cron(string(s), time.Local)
}

func (a *App) repositoryCare(repo *repository.Repository) (RepositoryCare, error) {
	maintain, err := when(a.cfg.Repository.Maintain)
	if err != nil {
		return RepositoryCare{}, err
	}
	verify, err := when(a.cfg.Repository.Verify)
	if err != nil {
		return RepositoryCare{}, err
	}
	return RepositoryCare{
		MaintainAt: maintain, VerifyAt: verify,
		Maintain: func(ctx context.Context) error {
			_, err := repo.Maintain(ctx, repository.MaintainOptions{})
			return err
		},
		Verify: func(ctx context.Context) ([]string, error) {
			r, err := repo.Verify(ctx, repository.VerifyOptions{})
			out := []string{}
			for _, d := range r.Damage {
				out = append(out, d.Object+": "+d.Detail)
			}
			if err != nil {
				return out, err
			}
			return out, putCareRecord(ctx, repo, recordVerified, careRecord{At: time.Now().UTC(), By: "refloat server", Damage: len(r.Damage)})
		},
	}, nil
}

// care joins a target with the repository. What it returns beside the care
// ends the heartbeat's connection.
func (a *App) care(repo *repository.Repository, name string) (Care, func(), error) {
	id, t, err := a.target(name)
	if err != nil {
		return Care{}, nil, err
	}
	source, err := a.cluster(name, "refloat")
	if err != nil {
		return Care{}, nil, err
	}
	k := &keeper{app: a, name: name, repo: repo}
	c := NewCare(CareOptions{
		Target: id, Objectives: objectives(t), Repository: repo, Source: source, LogSource: source, Slot: t.Log.Slot, SlotBound: int64(t.Log.MaxRetained),
		Coverage:  func(ctx context.Context) (*status.Coverage, error) { return statusCoverage(ctx, repo, id) },
		LastProof: a.lastProofIn(repo, id),
	})
	c.Facts.Report = func(ctx context.Context) (backup.CoverageReport, error) {
		return (&backup.Catalogue{Repo: repo}).Coverage(ctx, id, time.Now())
	}
	c.Facts.Proofs = func(ctx context.Context) ([]proof.Proof, error) { return a.proofs(ctx, repo, id) }
	c.Facts.OneProof = a.Proof
	c.Facts.Runbook = func(ctx context.Context) (string, error) { return a.Runbook(ctx, name) }
	// The receiver watches and bounds its own slot: nobody else does.
	c.Receive, c.Slot, c.GiveUp, c.NoLog = k.receive, k.slot, nil, !t.Log.Enabled
	c.Backup = func(ctx context.Context) (Backup, error) {
		o := takeOptions(id, t)
		o.Logger = a.log
		reason, err := c.NeedsBackup(ctx)
		o.FastStart = err == nil && reason != "" // nothing protects the target yet
		b, err := a.take(ctx, name, o)
		if err == nil {
			k.backedUp()
		}
		return b, err
	}
	c.Retain = func(ctx context.Context) error {
		_, err := a.Retention(ctx, name, true)
		return err
	}
	c.Drill = func(ctx context.Context) (Proof, error) {
		p, err := a.runDrill(ctx, repo, name, DrillRequest{}, nil)
		if err != nil {
			return p, err
		}
		identify(&p, repo)
		return a.keepProof(ctx, repo, p)
	}
	c.Audit = func(ctx context.Context) (AuditReport, error) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		return judge(a.auditFacts(ctx, name, t)), nil
	}
	if t.Watch.Enabled {
		eyes, err := a.cluster(name, "refloat watch")
		if err != nil {
			return Care{}, nil, err
		}
		c.Eyes, c.WatchEvery, c.WatchRules, c.Write = eyes.Watch(), t.Watch.Every.Std(), watchRules(t), postgres.WriteLook
		c.Headroom = source.Headroom
		c.Replication = monitor.Replication{Lag: t.Watch.MaxLag.Std(), Standbys: t.Watch.Standbys}
	}
	c.Stamp = func(ctx context.Context) (string, error) { return a.stamp(ctx, source, t) }
	done := func() {}
	if t.Heartbeat.Enabled {
		beats, err := a.cluster(name, "refloat heartbeat")
		if err != nil {
			return Care{}, nil, err
		}
		h := beats.Heartbeat(id)
		var prev target.Beat // used by one goroutine
		c.BeatEvery = t.Heartbeat.Every.Std()
		c.Beat = func(ctx context.Context) (target.Beat, error) {
			b, err := h.Beat(ctx, prev, time.Now())
			if err == nil {
				prev = b
			}
			return b, err
		}
		done = h.Close
	}
	for _, x := range []struct {
		at   *schedule.When
		from config.Schedule
	}{{&c.BackupAt, t.Backup.Schedule}, {&c.DrillAt, t.Drill.Schedule}, {&c.RetainAt, t.Retention.Schedule}, {&c.CheckAt, t.Check.Schedule}} {
		if *x.at, err = when(x.from); err != nil {
			return Care{}, nil, fmt.Errorf("target %s: %w", name, err)
		}
	}
	return c, done, nil
}

// statusCoverage is the span that reaches the newest restorable moment.
func statusCoverage(ctx context.Context, repo *repository.Repository, id target.ID) (*status.Coverage, error) {
	r, err := (&backup.Catalogue{Repo: repo}).Coverage(ctx, id, time.Now())
	if err != nil || r.Newest == nil {
		return nil, err
	}
	for _, s := range r.Spans {
		for _, p := range s.Parts {
			if p.Timeline == r.Newest.Position.Timeline && p.To == r.Newest.Position.LSN {
				return &status.Coverage{From: s.FromTime, To: r.Newest.Time, Gaps: len(r.Gaps)}, nil
			}
		}
	}
	return &status.Coverage{From: r.Newest.Time, To: r.Newest.Time, Gaps: len(r.Gaps)}, nil
}

// keeper runs a target's receiver and tells the daemon how it goes.
type keeper struct {
	app  *App
	name string
	repo *repository.Repository

	mu sync.Mutex
	r  *backup.Receiver
}

// gaps passes a receiver's gaps on.
type gaps func(backup.Gap)

// Gap implements backup.Observer.
func (f gaps) Gap(g backup.Gap) { f(g) }

// receiver makes a receiver of a target's log.
func (a *App) receiver(ctx context.Context, name string, repo *repository.Repository, o backup.Observer) (*backup.Receiver, error) {
	id, t, err := a.target(name)
	if err != nil {
		return nil, err
	}
	source, err := a.cluster(name, t.Log.Slot)
	if err != nil {
		return nil, err
	}
	known, err := (&backup.Catalogue{Repo: repo}).List(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list base backups of %s: %w", id, err)
	}
	var system target.SystemID
	if n := len(known); n > 0 {
		system = known[n-1].SystemID
	}
	return backup.NewReceiver(backup.ReceiverOptions{
		Target: id, Source: source, Repo: repo, SpoolDir: filepath.Join(a.cfg.StateDir, "spool", name), Slot: t.Log.Slot,
		// Named as the slot, so that synchronous_standby_names can name it.
		Application: t.Log.Slot, SystemID: system, Synchronous: t.Log.Synchronous, PartialEvery: t.Log.PartialEvery.Std(),
		MaxRetained: int64(t.Log.MaxRetained), MaxSpool: int64(t.Log.MaxSpool), Logger: a.log.With("target", name), Observer: o,
	})
}

func (k *keeper) receive(ctx context.Context, e LogEvents) error {
	if !k.app.cfg.Targets[k.name].Log.Enabled {
		<-ctx.Done()
		return nil
	}
	r, err := k.app.receiver(ctx, k.name, k.repo, gaps(e.Gap))
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.r = r
	k.mu.Unlock()
	polled, end := context.WithCancel(ctx)
	var poll sync.WaitGroup
	poll.Go(func() { k.poll(polled, r, e) })
	err = r.Run(ctx)
	end()
	poll.Wait()
	k.tell(r, e, time.Now()) // what was put away at the end
	return err
}

func (k *keeper) poll(ctx context.Context, r *backup.Receiver, e LogEvents) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			k.tell(r, e, now)
		}
	}
}

func (k *keeper) tell(r *backup.Receiver, e LogEvents, now time.Time) {
	st := r.State()
	if e.Heard != nil && st.Connected && !st.HeardAt.IsZero() {
		e.Heard(st.HeardAt)
	}
	if m, ok := markOf(st, now); ok {
		e.Acknowledged(m)
	}
	if e.Trouble != nil {
		e.Trouble(st.Alarms)
	}
}

// markOf is how far the repository's log reaches, in the server's time; false
// before that is known.
func markOf(st backup.ReceiverState, now time.Time) (status.LogMark, bool) {
	if st.Lag < 0 || st.HeardAt.IsZero() || st.Repository.LSN == 0 {
		return status.LogMark{}, false
	}
	server := st.ServerTime.Add(now.Sub(st.HeardAt))
	return status.LogMark{Position: st.Repository, ServerTime: server.Add(-st.Lag).UTC(), At: st.HeardAt.UTC()}, true
}

// slot shows what the receiver saw when it looked last.
func (k *keeper) slot(context.Context) (SlotView, error) {
	k.mu.Lock()
	r := k.r
	k.mu.Unlock()
	if r == nil {
		return SlotView{}, errors.New("the log is not being received yet")
	}
	st := r.State()
	if !st.Connected && st.LastError != "" {
		return SlotView{}, errors.New(st.LastError)
	}
	return SlotView{Slot: st.Slot, Server: st.ServerEnd}, nil
}

// backedUp takes the alarm of a gap back.
func (k *keeper) backedUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.r != nil {
		k.r.ClearGap()
	}
}
