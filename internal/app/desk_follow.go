package app

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
)

const (
	followEvery = 250 * time.Millisecond // what other processes write is looked for
	followPage  = 500
	ringHolds   = 4096 // entries at hand for who looks on; older ones are read again
)

// follower keeps up with the journal, whoever writes it: incidents as they
// stand, and the last entries. All who look on share it.
type follower struct {
	store Store
	log   *slog.Logger
	told  func(subject string) // of each entry; nil for nobody

	reading sync.Mutex // held while the journal is read on
	failed  bool

	mu        sync.Mutex
	incidents map[string]*incident.State // none is changed once it is here: it is replaced
	order     []string                   // as they were opened
	ring      []journal.Entry            // the last, in order and without holes; only ever added to
	actions   actionStates
	last      int64
	news      chan struct{} // closed when something was added
}

func newFollower(store Store, log *slog.Logger, told func(string)) *follower {
	return &follower{store: store, log: log, told: told, incidents: map[string]*incident.State{}, news: make(chan struct{})}
}

// load reads all incidents, and begins to follow at the journal's end.
func (f *follower) load(ctx context.Context) error {
	f.reading.Lock()
	defer f.reading.Unlock()
	head, err := f.store.Head(ctx)
	if err != nil {
		return err
	}
	entries, err := f.store.ReadScope(ctx, incidentScope, 0)
	if err != nil {
		return err
	}
	acts, err := f.store.ReadScope(ctx, actionScope, 0)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(append(entries, acts...), func(e journal.Entry) bool { return e.Seq > head.Seq })
	tail, err := f.store.Read(ctx, max(0, head.Seq-followPage), followPage)
	if err != nil {
		return err
	}
	tail = slices.DeleteFunc(tail, func(e journal.Entry) bool { return e.Seq > head.Seq })
	f.fold(entries)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring, f.last = tail, head.Seq
	return nil
}

// fold takes entries into the incidents and the action items.
func (f *follower) fold(entries []journal.Entry) {
	f.actions.fold(entries)
	fresh := map[string]*incident.State{}
	var opened []string
	for _, e := range incidentEvents(entries) {
		s := fresh[e.Incident]
		if s == nil {
			s = &incident.State{}
			f.mu.Lock()
			old := f.incidents[e.Incident]
			f.mu.Unlock()
			if old == nil {
				opened = append(opened, e.Incident)
			} else {
				*s = old.Clone()
			}
			fresh[e.Incident] = s
		}
		if e.Seq > s.Last {
			*s = s.With(e)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.order = append(f.order, opened...)
	for id, s := range fresh {
		f.incidents[id] = s
	}
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	changed := f.store.Changed(ctx)
	for {
		f.catchUp(ctx)
		select {
		case <-ctx.Done():
			return
		case _, open := <-changed:
			if !open {
				changed = nil
			}
		case <-tick.C: // whatever happens
		}
	}
}

// catchUp takes in what was added since, by anyone. When the store does not
// answer, what is at hand stands, and the next look tries again.
func (f *follower) catchUp(ctx context.Context) {
	f.reading.Lock()
	defer f.reading.Unlock()
	for {
		limited, cancel := context.WithTimeout(ctx, saveWithin)
		entries, err := f.store.Read(limited, f.last, followPage)
		cancel()
		if err != nil && !f.failed && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "follow the journal; trying again", "error", err)
		}
		f.failed = err != nil && ctx.Err() == nil
		if err != nil || len(entries) == 0 {
			return
		}
		f.take(entries)
		if len(entries) < followPage {
			return
		}
	}
}

func (f *follower) take(entries []journal.Entry) {
	f.fold(entries)
	f.mu.Lock()
	f.ring = append(f.ring, entries...)
	if n := len(f.ring); n > 2*ringHolds {
		f.ring = slices.Clone(f.ring[n-ringHolds:]) // what was handed out stays as it is
	}
	f.last = entries[len(entries)-1].Seq
	close(f.news)
	f.news = make(chan struct{})
	f.mu.Unlock()
	if f.told != nil {
		for _, e := range entries {
			f.told(e.Subject)
		}
	}
}

// after are entries with a sequence number above seq, as far as they are at
// hand; whole is false when older ones must be read first. news is closed when
// more comes.
func (f *follower) after(seq int64) (entries []journal.Entry, whole bool, news <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq >= f.last {
		return nil, true, f.news
	}
	if len(f.ring) == 0 || f.ring[0].Seq > seq+1 {
		return nil, false, f.news
	}
	return f.ring[int(seq+1-f.ring[0].Seq):len(f.ring):len(f.ring)], true, f.news
}

// stream tells entries above after, in order, until ctx ends or tell fails.
func (f *follower) stream(ctx context.Context, after int64, tell func(journal.Entry) error) error {
	for {
		entries, whole, news := f.after(after)
		if !whole {
			var err error
			if entries, err = f.store.Read(ctx, after, followPage); err != nil {
				return err
			}
		}
		for _, e := range entries {
			if err := tell(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(entries) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// all are the incidents in the order in which they were opened.
func (f *follower) all() []*incident.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*incident.State, 0, len(f.order))
	for _, id := range f.order {
		out = append(out, f.incidents[id])
	}
	return out
}

func (f *follower) incident(name string) *incident.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.incidents[incidentID(strings.TrimSpace(name))]
}

func (f *follower) seq() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
