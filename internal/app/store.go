package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/scrypt"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/pgstore"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// Store is what commands and the server need of where Refloat keeps its own
// state. A file in the state directory is one; whoever opened it closes it.
type Store interface {
	journal.Log
	status.Memory
	pagingRecords
	attachments
	// Head is the end of the journal.
	Head(ctx context.Context) (journal.Head, error)
	access.Store
	// Changed returns a channel that receives each time that the journal may have
	// grown, whichever process or node wrote; several growths may be told at once.
	// It is closed when ctx ends.
	Changed(ctx context.Context) <-chan struct{}
	Close() error
}

// pagingRecords are what the paging room remembers.
type pagingRecords interface {
	pagingStore
	// RecentRecords lists the newest of a kind, open or not, newest first.
	RecentRecords(ctx context.Context, kind string, limit int) ([]alert.Record, error)
	// Forget deletes what began before a moment of a kind.
	Forget(ctx context.Context, kind string, before time.Time) (int, error)
}

// attachments are files that people attached to incidents.
type attachments interface {
	// PutAttachment keeps a file under its hash, which it returns.
	PutAttachment(ctx context.Context, data []byte) (string, error)
	// Attachment reads a file by its hash; status.ErrNothing when there is none.
	Attachment(ctx context.Context, hash string) ([]byte, error)
}

var (
	_ Store = (*sqlite.Store)(nil)
	_ Store = (*pgstore.Store)(nil)
)

// storeOpener opens a store, or fails with an error that noState knows when no
// server ever ran and it is for reading only.
type storeOpener func(ctx context.Context, readOnly bool) (Store, error)

// storeIn opens the file in a state directory.
func storeIn(dir string) storeOpener {
	return func(ctx context.Context, readOnly bool) (Store, error) {
		open := sqlite.Open
		if readOnly {
			open = sqlite.OpenReadOnly
		}
		s, err := open(ctx, dir)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// noState reports that no server has kept anything there yet.
func noState(err error) bool {
	return errors.Is(err, sqlite.ErrNoState) || errors.Is(err, pgstore.ErrNoState)
}

// storeAt opens the store of a configuration: a database that several nodes
// share, or the file in the state directory. Node and instance name a server
// among those that share it; empty for a command.
func storeAt(c config.Config, node, instance string) storeOpener {
	if c.Store.URL == "" {
		return storeIn(c.StateDir)
	}
	return func(ctx context.Context, readOnly bool) (Store, error) {
		s, err := pgstore.Open(ctx, pgstore.Options{
			URL: c.Store.URL, Password: c.Store.Password, RootCAFile: c.Store.RootCAFile, Node: node, Instance: instance, ReadOnly: readOnly,
			Key: func() ([]byte, error) { return sharedKey(c.Repository.Passphrase, "journal") },
		})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// sharedKey is a key that nodes on one store have in common without keeping it
// there: it comes of the repository's passphrase, which each of them has. It is
// slow to work out on purpose: what it authenticates must not help to guess the
// passphrase.
func sharedKey(passphrase secret.Value, purpose string) ([]byte, error) {
	return scrypt.Key([]byte(passphrase.Reveal()), []byte("refloat "+purpose+" 1"), 1<<15, 8, 1, 32)
}

// sharedStore is the database that nodes share, if a store is one.
func sharedStore(s Store) (*pgstore.Store, bool) {
	if l, is := s.(lent); is {
		s = l.Store
	}
	p, is := s.(*pgstore.Store)
	return p, is
}

// workIsDone reports whether a server does the work: on this machine, or on any
// of the nodes that share the store.
func workIsDone(ctx context.Context, s Store, stateDir string) (bool, error) {
	p, is := sharedStore(s)
	if !is {
		return ServerRuns(stateDir)
	}
	nodes, err := p.Nodes(ctx)
	return slices.ContainsFunc(nodes, func(n pgstore.Node) bool { return n.Leads }), err
}

// lent is a store that somebody else closes.
type lent struct{ Store }

func (lent) Close() error { return nil }

// attach lets every method of the App use a store that is open already, as that
// of the server that the App runs in, rather than open it for each call. Nil
// ends that; whoever attached it closes it after that.
func (a *App) attach(s Store) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.store = s
}

// openStore opens what Refloat remembers, for writing or for reading only. The
// caller closes it.
func (a *App) openStore(ctx context.Context, readOnly bool) (Store, error) {
	a.mu.Lock()
	s := a.store
	a.mu.Unlock()
	if s != nil {
		return lent{s}, nil
	}
	return storeAt(a.cfg, "", "")(ctx, readOnly)
}

// state opens what the server on this machine remembers, for reading.
func (a *App) state(ctx context.Context) (Store, error) {
	s, err := a.openStore(ctx, true)
	if errors.Is(err, pgstore.ErrNoState) {
		return nil, fmt.Errorf("no server has run with store.url: %w", err)
	}
	if noState(err) {
		return nil, fmt.Errorf("no server has run on this machine with state_dir %s: %w", a.cfg.StateDir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the server's state: %w", err)
	}
	return s, nil
}

// writable opens what the server on this machine remembers, for writing, while
// it runs too. Nothing is made where no server ever ran.
func (a *App) writable(ctx context.Context) (Store, error) {
	old, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	if err := old.Close(); err != nil {
		return nil, err
	}
	s, err := a.openStore(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("open the server's state: %w", err)
	}
	return s, nil
}
