// Package sqlite keeps Refloat's own state in a SQLite file in the state
// directory: the journal, and what is remembered of targets. Restoring never
// needs it. Writes are durable when they return (WAL with synchronous=FULL).
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Names of the files in the state directory.
const (
	stateFile = "refloat.db"
	queueFile = "queue.db"
	keyFile   = "journal.key"
)

// Errors that callers tell apart.
var (
	ErrNoState = errors.New("there is no state directory of a Refloat server here")
	ErrNewer   = errors.New("the state was written by a newer Refloat")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open state file. It implements journal.Log and status.Memory,
// is safe for concurrent use, and other processes may have the same file open.
type Store struct {
	write *sql.DB // one connection: SQLite has one writer
	read  *sql.DB
	key   []byte

	changes changes
}

// Open opens the state in dir, making directory, key and tables where they
// are missing.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	key, err := makeKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	write, err := openWriter(ctx, filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	s := &Store{write: write, key: key}
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("state %s: %w", filepath.Join(dir, stateFile), err), s.Close())
	}
	if s.read, err = openReader(ctx, filepath.Join(dir, stateFile), false); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenReadOnly opens existing state for reading; writing methods fail.
// ErrNoState when there is none.
func OpenReadOnly(ctx context.Context, dir string) (*Store, error) {
	path := filepath.Join(dir, stateFile)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s (start refloat server, or set state_dir)", ErrNoState, dir)
		}
		return nil, fmt.Errorf("open state: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("read the journal's key: %w", err)
	}
	read, err := openReader(ctx, path, true)
	if err != nil {
		return nil, err
	}
	s := &Store{read: read, key: key}
	if err := tooNew(ctx, read); err != nil {
		return nil, errors.Join(fmt.Errorf("state %s: %w", path, err), s.Close())
	}
	return s, nil
}

// Close closes the file; idempotent.
func (s *Store) Close() error {
	s.changes.close()
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// OpenQueue opens the file beside the state in which due work is queued. It is
// a file of its own so that the queue's polling never waits for the journal.
// The caller closes it.
func OpenQueue(ctx context.Context, dir string) (*sql.DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	return openWriter(ctx, filepath.Join(dir, queueFile))
}

func openWriter(ctx context.Context, path string) (*sql.DB, error) {
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	db, err := sql.Open("sqlite", dsn(path, q))
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", path, err), db.Close())
	}
	return db, nil
}

func openReader(ctx context.Context, path string, only bool) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)"}}
	if only {
		q.Set("mode", "ro")
	}
	db, err := sql.Open("sqlite", dsn(path, q))
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, err)
	}
	db.SetMaxOpenConns(4)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", path, err), db.Close())
	}
	return db, nil
}

func dsn(path string, q url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func provider(db *sql.DB) (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithDisableGlobalRegistry(true))
}

func migrate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	if known := latest(p); have > known {
		return fmt.Errorf("%w: version %d, this program knows %d; use the newer program", ErrNewer, have, known)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// tooNew asks without goose, which would try to make its table.
func tooNew(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	var have int64
	if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&have); err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	switch known := latest(p); {
	case have > known:
		return fmt.Errorf("%w: version %d, this program knows %d; use the newer program", ErrNewer, have, known)
	case have < known:
		return fmt.Errorf("state of version %d, this program wants %d; start refloat server once to bring it up to date", have, known)
	}
	return nil
}

func latest(p *goose.Provider) int64 {
	var n int64
	for _, s := range p.ListSources() {
		n = max(n, s.Version)
	}
	return n
}

// makeKey reads the key that authenticates the journal's end, or makes one.
// Two processes that make it at once end up with the same.
func makeKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil {
		if len(key) != 32 {
			return nil, fmt.Errorf("the journal's key %s has %d bytes, not 32: put the original file back", path, len(key))
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the journal's key: %w", err)
	}
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails, crypto/rand
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return nil, fmt.Errorf("make the journal's key: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(key)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, fmt.Errorf("make the journal's key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return makeKey(path)
	} else if err != nil {
		return nil, fmt.Errorf("make the journal's key: %w", err)
	}
	return key, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make state durable: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("make state durable: %w", err)
	}
	return nil
}
