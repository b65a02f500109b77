package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Observer is told what the owner of a receiver must act on. Its methods must
// not block.
type Observer interface {
	// Gap reports log that is lost for good: a new base backup is needed.
	Gap(Gap)
}

// ReceiverOptions say how to receive a target's log.
type ReceiverOptions struct {
	Target      target.ID
	Source      LogSource
	Repo        SealedStore // *repository.Repository
	SpoolDir    string      // of this target alone
	Slot        string      // default refloat_TARGET, hyphens as underscores
	Application string      // application_name on the server; default is the slot's name
	// SystemID is the cluster that the target's backups belong to; 0 when there
	// are none yet.
	SystemID target.SystemID
	// Synchronous reports log as flushed when it is synced to the spool, so
	// that the server can wait for it on commit; otherwise when it is in the
	// repository.
	Synchronous  bool
	PartialEvery time.Duration // how often the beginning of a segment is stored; default 10 s
	WatchEvery   time.Duration // how often the slot is looked at; default 10 s
	MaxRetained  int64         // bytes that the slot may hold on the server; default 16 GiB, negative for no bound
	MaxSpool     int64         // bytes that the spool may hold; default 8 GiB
	Logger       *slog.Logger
	Now          func() time.Time
	Observer     Observer
}

// ReceiverState is what a receiver is doing.
type ReceiverState struct {
	Connected  bool            `json:"connected"`
	SystemID   target.SystemID `json:"system_id"`
	Received   target.Position `json:"received"`    // written to the spool
	Spooled    target.Position `json:"spooled"`     // synced in the spool
	Repository target.Position `json:"repository"`  // durable in the repository
	ServerEnd  target.LSN      `json:"server_end"`  // end of the server's log when it last said so
	ServerTime time.Time       `json:"server_time"` // its clock then
	HeardAt    time.Time       `json:"heard_at"`    // our clock then
	LagBytes   int64           `json:"lag_bytes"`   // of log that the repository lacks
	Lag        time.Duration   `json:"lag"`         // age of the newest restorable moment; -1 when unknown
	SpoolBytes int64           `json:"spool_bytes"`
	Slot       target.Slot     `json:"slot"`
	Gap        *Gap            `json:"gap,omitempty"` // the newest one since the receiver began
	Alarms     []string        `json:"alarms"`        // what a person must know now, sorted
	LastError  string          `json:"last_error,omitempty"`
}

// Receiver keeps a target's log: from the server into the spool and from there
// into the repository. Make it with NewReceiver, call Run once.
type Receiver struct {
	o     ReceiverOptions
	log   *Log
	spool *spool
	up    *uploader

	wake     chan struct{} // progress should be reported to the server
	syncWake chan struct{} // the syncer has something to do
	space    chan struct{} // the spool shrank
	taken    chan struct{} // a prepared spool file was taken

	syncing  sync.Mutex // held while the spool is synced; taken before mu
	mu       sync.Mutex
	st       ReceiverState
	alarms   map[string]string
	sys      target.SystemID
	size     int64
	have     target.Position // held without a hole on this timeline, in repository and spool
	synced   target.LSN      // of it, synced
	stored   target.Position // durable in the repository
	relaying target.Timeline // the timeline being streamed; 0 when none
	expect   target.LSN      // where the next bytes must begin
	cur      *spoolFile
	pending  []*spoolFile // whole, to be synced and handed to the uploader
	clock    serverClock
	relieve  bool // report the spool as flushed, though not synchronous: the slot holds too much
	givenUp  bool // the slot was dropped because it held too much
	cut      context.CancelCauseFunc
}

// Defaults of ReceiverOptions.
const (
	DefaultPartialEvery = 10 * time.Second
	DefaultMaxRetained  = 16 << 30
	DefaultMaxSpool     = 8 << 30
	slotWatchEvery      = 10 * time.Second
	syncEvery           = time.Second // of the spool, when nobody waits for it
	putAwayWithin       = 10 * time.Second
)

// NewReceiver checks the options and makes a receiver. It does no I/O.
func NewReceiver(o ReceiverOptions) (*Receiver, error) {
	if _, err := target.ParseID(string(o.Target)); err != nil {
		return nil, err
	}
	if o.Source == nil || o.Repo == nil || o.SpoolDir == "" {
		return nil, errors.New("log receiver: source, repository and spool directory are required")
	}
	if o.Slot == "" {
		o.Slot = SlotName(o.Target)
	}
	if o.Application == "" {
		o.Application = o.Slot
	}
	if o.PartialEvery <= 0 {
		o.PartialEvery = DefaultPartialEvery
	}
	if o.WatchEvery <= 0 {
		o.WatchEvery = slotWatchEvery
	}
	if o.MaxRetained == 0 {
		o.MaxRetained = DefaultMaxRetained
	}
	if o.MaxSpool <= 0 {
		o.MaxSpool = DefaultMaxSpool
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Logger = o.Logger.With("target", string(o.Target))
	return &Receiver{
		o: o, log: &Log{Repo: o.Repo, Target: o.Target}, alarms: map[string]string{},
		wake: make(chan struct{}, 1), syncWake: make(chan struct{}, 1), space: make(chan struct{}, 1),
		taken: make(chan struct{}, 1),
	}, nil
}

// SlotName is the replication slot that a target's receiver uses unless told
// otherwise.
func SlotName(id target.ID) string {
	b := []byte("refloat_" + string(id))
	for i, c := range b {
		if c == '-' {
			b[i] = '_'
		}
	}
	return string(b)
}

// Run receives the log until ctx ends (nil) or something is wrong that only a
// person can put right: ErrWrongCluster, ErrDiverged, or a log in the
// repository that cannot be read (ErrLogBroken). Everything else is alarmed in
// State and tried again.
func (r *Receiver) Run(ctx context.Context) error {
	wait := 250 * time.Millisecond
	for {
		began := r.o.Now()
		err := r.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		if fatal(err) {
			r.alarm("receiver", err.Error())
			return fmt.Errorf("receive the log of %s: %w", r.o.Target, err)
		}
		r.fail(err)
		r.o.Logger.Warn("receiving the log was interrupted", "error", err, "wait", wait)
		if r.o.Now().Sub(began) > time.Minute {
			wait = 250 * time.Millisecond
		}
		pause(ctx, wait)
		wait = min(2*wait, 15*time.Second)
	}
}

func fatal(err error) bool {
	return errors.Is(err, ErrWrongCluster) || errors.Is(err, ErrDiverged) || errors.Is(err, ErrLogBroken)
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// once runs from what is on disk and in the repository until an error of ours
// (not of the connection) ends it.
func (r *Receiver) once(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	var wg sync.WaitGroup
	defer func() {
		cancel(context.Canceled)
		wg.Wait()
		if parent.Err() != nil {
			r.putAway(context.WithoutCancel(parent))
		}
		r.closeFiles()
	}()
	if err := r.load(ctx); err != nil {
		return err
	}
	run := func(f func(context.Context) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(ctx); err != nil {
				cancel(err)
			}
		}()
	}
	started := r.up != nil
	if started {
		run(r.up.run)
	}
	run(r.syncer)
	if r.o.Synchronous {
		run(r.preparer)
	}
	run(r.watchSlot)
	for wait := 100 * time.Millisecond; ; {
		moved, err := r.session(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.up != nil && !started {
			started = true
			run(r.up.run)
			continue
		}
		if fatal(err) || errors.Is(err, errSpool) {
			return err
		}
		if err != nil {
			r.fail(err)
			r.o.Logger.Warn("the connection for the log ended", "error", err)
		}
		if moved {
			wait = 100 * time.Millisecond
		}
		if !pause(ctx, wait) {
			return context.Cause(ctx)
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// putAway stores what arrived before an orderly stop, as far as a short time
// allows. The rest waits in the spool, and on the server.
func (r *Receiver) putAway(ctx context.Context) {
	if r.up == nil || r.have.Timeline == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, putAwayWithin)
	defer cancel()
	err := r.syncOnce(true)
	if err == nil {
		err = r.up.drain(ctx)
	}
	if err != nil {
		r.o.Logger.Warn("the newest log stays in the spool until the next start", "error", err)
	}
}

func (r *Receiver) closeFiles() {
	r.mu.Lock()
	defer r.mu.Unlock()
	files := r.pending
	if r.cur != nil {
		files = append(files, r.cur)
	}
	for _, f := range files {
		if err := f.close(); err != nil {
			r.o.Logger.Warn("close spool file", "error", err)
		}
	}
	r.cur, r.pending, r.up, r.have, r.relaying = nil, nil, nil, target.Position{}, 0
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
