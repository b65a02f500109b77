package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert/email"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/schedule"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/slash"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/statuspage/site"
	"github.com/refloat-db/refloat/internal/store/pgstore"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/tracing"
)

// LogEvents are told by a log receiver as it works. The functions return at
// once and may be called from any goroutine.
type LogEvents struct {
	// Acknowledged tells how far the log is safely stored.
	Acknowledged func(status.LogMark)
	// Heard tells that log, or an idle server's word, arrived. Nil when
	// Acknowledged says so as well.
	Heard func(at time.Time)
	// Gap tells of a stretch of log that is lost for good. It is in the
	// repository already.
	Gap func(backup.Gap)
	// Trouble tells what a person must know of the log now; none clears it. May
	// be nil.
	Trouble func([]string)
}

// SlotView is a slot, and where the server's log ended when it was seen.
type SlotView struct {
	Slot   target.Slot
	Server target.LSN // 0 when unknown
}

// Care is what the daemon does for one target, each step as a function, so
// that the daemon knows neither driver nor configuration.
type Care struct {
	Target     target.ID
	Objectives proof.Objectives
	SlotBound  int64 // bytes retained on the server past which the slot is given up; 0 for never
	NoLog      bool  // the configuration does not want the log kept

	// Receive keeps the log until ctx ends, then stores what it still holds and
	// returns nil, within half a minute even when the repository cannot be
	// reached. Any error is retried.
	Receive func(ctx context.Context, e LogEvents) error
	// Slot looks at the slot on the server.
	Slot func(ctx context.Context) (SlotView, error)
	// GiveUp drops the slot and records the gap, so that NeedsBackup then asks
	// for a base backup. No Receive runs meanwhile. Nil when Receive bounds its
	// slot itself.
	GiveUp func(ctx context.Context, s target.Slot) error
	// Beat writes the next beat; nil when the heartbeat is not granted.
	Beat      func(ctx context.Context) (target.Beat, error)
	BeatEvery time.Duration // default 1 s

	// Eyes look at the target; nil for not watching it. Write says what a beat's
	// outcome means for the server.
	Eyes        monitor.Eyes
	WatchEvery  time.Duration // between looks; default 500 ms
	WatchRules  monitor.Rules
	Replication monitor.Replication                                // promised
	Headroom    func(ctx context.Context) (target.Headroom, error) // nil for not looking
	Write       func(began time.Time, took time.Duration, err error) target.Look

	// Backup takes a base backup.
	Backup func(ctx context.Context) (backup.Backup, error)
	// NeedsBackup says why a base backup is due whatever the schedule, from
	// what the repository holds; "" when none is. The same cause gives the same
	// words.
	NeedsBackup func(ctx context.Context) (string, error)
	// Drill restores into a scratch server and stores a signed proof.
	Drill func(ctx context.Context) (proof.Proof, error)
	// Retain applies the retention rules.
	Retain func(ctx context.Context) error
	// Audit looks for misconfigurations; nil for never. Stamp changes whenever
	// the configuration of the target or of its server does, and an audit is then
	// due whatever the schedule.
	Audit func(ctx context.Context) (audit.Report, error)
	Stamp func(ctx context.Context) (string, error)
	// Facts reads what the repository says of the target.
	Facts Sources

	BackupAt, DrillAt, RetainAt, CheckAt schedule.When // nil for not on a schedule
}

// RepositoryCare is the work on the repository as a whole.
type RepositoryCare struct {
	Maintain func(ctx context.Context) error
	// Verify reads the repository and returns what is damaged, in words.
	Verify               func(ctx context.Context) ([]string, error)
	MaintainAt, VerifyAt schedule.When
}

// DaemonOptions are what a Daemon is given.
type DaemonOptions struct {
	StateDir     string
	Store        storeOpener            // nil for the file in the state directory
	Opened       func(Store)            // is lent the open store while the daemon runs, then nil; nil for nobody
	LinkKey      func() ([]byte, error) // signs links; nil for a key in the state directory
	Listen       string                 // address of metrics and status; empty for the default, "off" for none
	ListenRemote bool                   // allow an address that is not loopback
	Front        Front
	Version      string
	Secrets      []secret.Value // never to be served
	Logger       *slog.Logger
	Targets      []Care
	Repository   RepositoryCare
	Paging       PagerOptions
	Incidents    IncidentOptions
	Watchdogs    []Watchdog
	Peers        []Peer         // other nodes that watch the same targets
	Sources      []Source       // who may post alerts
	Expected     []ExpectedBeat // signs of life that others give
	Replies      Replies
	Slash        []slash.Door       // who sends slash commands
	Trace        *tracing.Tracer    // of pages; nil for none
	Settings     server.Settings    // as they were read; without text they are not shown
	PublicURL    string             // how people reach the listener; empty for no links in pages
	WaysBack     waysBack           // guided recovery; nil for none
	StatusPage   *StatusPageOptions // nil for none
	StopTimeout  time.Duration      // for a graceful stop; default 60 s
}

// Daemon is `refloat server`: it keeps the log, beats, watches the slots, runs
// scheduled work and serves metrics. Start and Stop are idempotent, and it may
// be started again after a stop. A kill at any moment loses nothing that was
// acknowledged: all state that matters is in the repository or on the server.
type Daemon struct {
	o DaemonOptions

	mu      sync.Mutex
	node    *node    // nil while stopped
	running *running // the work of a node that always leads
}

// running is the work of a node that leads, with the way to end each part.
type running struct {
	o       DaemonOptions
	log     *slog.Logger
	state   Store
	jobs    *schedule.Scheduler
	targets []*watch
	pager   *pager
	notes   *line // what is written down after it was acted upon
	doors   *doors
	peers   *peers
	inbox   *email.Inbox // answers to pages; nil for none
	page    *site.Site   // nil for none

	requestsFail bool // used by one goroutine at a time
	undo         []func(context.Context) error
}

// NewDaemon makes a Daemon; nothing happens before Start.
func NewDaemon(o DaemonOptions) (*Daemon, error) {
	if o.StateDir == "" {
		return nil, errors.New("state_dir is not set: say where the server keeps its state")
	}
	if o.Store == nil {
		o.Store = storeIn(o.StateDir)
	}
	if o.LinkKey == nil {
		o.LinkKey = func() ([]byte, error) { return linkKey(filepath.Join(o.StateDir, "link.key")) }
	}
	if o.Opened == nil {
		o.Opened = func(Store) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = time.Minute
	}
	for i, c := range o.Targets {
		if slices.ContainsFunc(o.Targets[:i], func(b Care) bool { return b.Target == c.Target }) {
			return nil, fmt.Errorf("target %s is given twice", c.Target)
		}
		if c.Receive == nil || c.Slot == nil || c.Backup == nil || c.NeedsBackup == nil {
			return nil, fmt.Errorf("target %s: the daemon was not given all it must do", c.Target)
		}
	}
	return &Daemon{o: o}, nil
}

// Start starts everything, or nothing: what was made before a failure is
// undone. It does nothing on a running daemon.
func (d *Daemon) Start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.node != nil {
		return nil
	}
	n := &node{o: d.o, log: d.o.Logger}
	if err := n.start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start the server: %w", err), n.stop(context.WithoutCancel(ctx)))
	}
	d.node, d.running = n, n.leading()
	return nil
}

// Stop ends everything in the reverse order of the start: running work is
// cancelled and left for the next start, the log's last piece is stored. It
// does nothing on a stopped daemon.
func (d *Daemon) Stop(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.node == nil {
		return nil
	}
	n := d.node
	d.node, d.running = nil, nil
	return n.stop(ctx)
}

// Run starts, waits until ctx ends, and stops.
func (d *Daemon) Run(ctx context.Context) error {
	if err := d.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	d.o.Logger.Info("stopping")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.o.StopTimeout)
	defer cancel()
	return d.Stop(stop)
}

// Address is where metrics are served; empty when they are not.
func (d *Daemon) Address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.node == nil || d.node.http == nil {
		return ""
	}
	return d.node.http.Address()
}

// Enqueue asks a running daemon for work now, for example "drill".
func (d *Daemon) Enqueue(ctx context.Context, kind string, id target.ID, reason string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.node == nil {
		return false, errors.New("the server is not running")
	}
	r := d.node.leading()
	if r == nil {
		return false, errNotLeading
	}
	return r.jobs.Enqueue(ctx, kind, string(id), reason)
}

func (r *running) later(f func(context.Context) error) { r.undo = append(r.undo, f) }

func (r *running) stop(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(r.undo) {
		errs = append(errs, f(ctx))
	}
	r.undo = nil
	return errors.Join(errs...)
}

func (r *running) start(ctx context.Context) error {
	// Everything long-running lives until Stop, not until ctx ends: a signal
	// must not tear down the order of the stop.
	life := context.WithoutCancel(ctx)
	if err := r.startPaging(life); err != nil {
		return err
	}
	if err := r.startJobs(ctx); err != nil {
		return err
	}
	for _, c := range r.o.Targets {
		w := newWatch(c, r.state, r.log.With("target", string(c.Target)), r.record, r.enqueue)
		w.pager = r.pager
		r.targets = append(r.targets, w)
	}
	r.startWatching(life)
	box := r.startIncidents(life)
	r.startActions(life, box)
	r.startReviews(life, box)
	if err := r.startStatusPage(life); err != nil {
		return err
	}
	for _, w := range r.targets {
		r.later(w.start(life))
	}
	if err := r.jobs.Start(life); err != nil {
		return err
	}
	r.later(r.jobs.Stop)
	if err := r.openInbox(ctx); err != nil {
		return err
	}
	r.record(ctx, "server", "server.started", map[string]any{"version": r.o.Version, "targets": len(r.targets)})
	r.log.Info("server started", "targets", len(r.targets), "state_dir", r.o.StateDir)
	return nil
}

func (r *running) startJobs(ctx context.Context) error {
	o := schedule.Options{Logger: r.log, OnOutcome: r.outcome, OnMissed: r.missed}
	if shared, is := r.state.(*pgstore.Store); is {
		pool, err := shared.Queue(ctx)
		if err != nil {
			return err
		}
		r.later(func(context.Context) error {
			pool.Close()
			return nil
		})
		r.jobs, err = schedule.NewShared(ctx, pool, r.allJobs(), o)
		return err
	}
	db, err := sqlite.OpenQueue(ctx, r.o.StateDir)
	if err != nil {
		return err
	}
	r.later(func(context.Context) error { return db.Close() })
	r.jobs, err = schedule.New(ctx, db, r.allJobs(), o)
	return err
}

// ready names the first target whose log does not arrive.
func (r *running) ready() error {
	for _, w := range r.targets {
		if !w.NoLog && !w.streaming() {
			return fmt.Errorf("no log is arriving from %s", w.Target)
		}
	}
	return nil
}

func (r *running) enqueue(ctx context.Context, id target.ID, kind, reason string) {
	fresh, err := r.jobs.Enqueue(ctx, kind, string(id), reason)
	switch {
	case err != nil:
		r.log.ErrorContext(ctx, "ask for work", "target", string(id), "kind", kind, "error", err)
	case fresh:
		r.record(ctx, "target/"+string(id), kind+".asked", map[string]string{"reason": reason})
	}
}

// record appends to the journal. The journal tells what happened; that it
// cannot be written must not stop what happens.
func (r *running) record(ctx context.Context, subject, kind string, body any) {
	if _, err := r.state.Append(context.WithoutCancel(ctx), journal.Event{Time: time.Now(), Actor: "server", Subject: subject, Kind: kind, Body: body}); err != nil {
		r.log.ErrorContext(ctx, "write the journal", "kind", kind, "error", err)
	}
}
