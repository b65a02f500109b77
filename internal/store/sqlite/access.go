package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/journal"
)

var _ access.Store = (*Store)(nil)

const accountColumns = `name, password, everywhere, teams, disabled, provider, coalesce(identity, ''), made, changed, rev`

type scanner interface{ Scan(dest ...any) error }

func scanAccount(row scanner) (access.Account, error) {
	var a access.Account
	var teams string
	var made, changed int64
	err := row.Scan(&a.Name, &a.Password, &a.Everywhere, &teams, &a.Disabled, &a.Provider, &a.Identity, &made, &changed, &a.Rev)
	if errors.Is(err, sql.ErrNoRows) {
		return a, access.ErrNone
	}
	if err != nil {
		return a, err
	}
	a.Made, a.Changed = time.UnixMicro(made).UTC(), time.UnixMicro(changed).UTC()
	return a, json.Unmarshal([]byte(teams), &a.Teams)
}

// Accounts lists all, by name.
func (s *Store) Accounts(ctx context.Context) ([]access.Account, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+accountColumns+` FROM account ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	out := []access.Account{}
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("list accounts: %w", err)
		}
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return out, nil
}

// Account finds an account by its name.
func (s *Store) Account(ctx context.Context, name string) (access.Account, error) {
	a, err := scanAccount(s.read.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM account WHERE name = ?`, name))
	if err != nil {
		return access.Account{}, fmt.Errorf("read an account: %w", err)
	}
	return a, nil
}

// AccountOf finds an account by its identity.
func (s *Store) AccountOf(ctx context.Context, identity string) (access.Account, error) {
	a, err := scanAccount(s.read.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM account WHERE identity = ?`, identity))
	if err != nil {
		return access.Account{}, fmt.Errorf("read an account: %w", err)
	}
	return a, nil
}

const adminsQuery = `SELECT count(*) FROM account WHERE everywhere = 'admin' AND disabled = 0`

// PutAccount keeps an account; the looks and the writing are one transaction.
func (s *Store) PutAccount(ctx context.Context, a access.Account, all ...access.Event) (access.Account, error) {
	teams, err := json.Marshal(a.Teams)
	if err != nil {
		return a, fmt.Errorf("keep account %s: %w", a.Name, err)
	}
	kept := a
	kept.Rev++
	kept.Made, kept.Changed = a.Made.UTC().Truncate(time.Microsecond), a.Changed.UTC().Truncate(time.Microsecond)
	identity := sql.NullString{String: a.Identity, Valid: a.Identity != ""}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		var before, after int
		if err := tx.QueryRowContext(ctx, adminsQuery).Scan(&before); err != nil {
			return err
		}
		if a.Rev == 0 {
			if _, err := tx.ExecContext(ctx, `INSERT INTO account (name, password, everywhere, teams, disabled, provider, identity, made, changed, rev) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`,
				a.Name, a.Password, a.Everywhere, string(teams), a.Disabled, a.Provider, identity, a.Made.UnixMicro(), a.Changed.UnixMicro()); err != nil {
				return taken(err)
			}
		} else {
			res, err := tx.ExecContext(ctx, `UPDATE account SET password = ?, everywhere = ?, teams = ?, disabled = ?, provider = ?, identity = ?, changed = ?, rev = rev + 1 WHERE name = ? AND rev = ?`,
				a.Password, a.Everywhere, string(teams), a.Disabled, a.Provider, identity, a.Changed.UnixMicro(), a.Name, a.Rev)
			if err != nil {
				return taken(err)
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return errors.Join(err, access.ErrMoved)
			}
		}
		if err := tx.QueryRowContext(ctx, adminsQuery).Scan(&after); err != nil {
			return err
		}
		if before > 0 && after == 0 {
			return access.ErrLastAdmin
		}
		return s.note(ctx, tx, all)
	})
	if err != nil {
		return a, fmt.Errorf("keep account %s: %w", a.Name, err)
	}
	return kept, nil
}

// taken turns a name that is there already into the error that says so.
func taken(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
		return access.ErrTaken
	}
	return err
}

// note journals what people did in the transaction that does it.
func (s *Store) note(ctx context.Context, tx *sql.Tx, all []access.Event) error {
	for _, e := range all {
		if _, err := s.append(ctx, tx, journal.Event{Time: e.At, Actor: e.Actor, Subject: e.Subject, Kind: e.Kind, Body: e.Body}); err != nil {
			return err
		}
	}
	return nil
}

// Note journals what people did.
func (s *Store) Note(ctx context.Context, all ...access.Event) error {
	if err := s.tx(ctx, func(tx *sql.Tx) error { return s.note(ctx, tx, all) }); err != nil {
		return fmt.Errorf("append to the journal: %w", err)
	}
	return nil
}

// PutPass keeps a new pass.
func (s *Store) PutPass(ctx context.Context, p access.Pass, all ...access.Event) error {
	teams, err := json.Marshal(p.Teams)
	if err != nil {
		return fmt.Errorf("keep a %s: %w", p.Kind, err)
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO pass (id, hash, kind, account, name, most, teams, by, made, until, used, "from") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.ID, p.Hash, p.Kind, p.Account, p.Name, p.Limit, string(teams), p.By, p.Made.UnixMicro(), p.Until.UnixMicro(), micros(p.Used), p.From); err != nil {
			return taken(err)
		}
		return s.note(ctx, tx, all)
	})
	if err != nil {
		return fmt.Errorf("keep a %s: %w", p.Kind, err)
	}
	return nil
}

// micros is a time as it is kept; 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

const passColumns = `id, hash, kind, account, name, most, teams, by, made, until, used, "from"`

func scanPass(row scanner) (access.Pass, error) {
	var p access.Pass
	var teams string
	var made, until, used int64
	err := row.Scan(&p.ID, &p.Hash, &p.Kind, &p.Account, &p.Name, &p.Limit, &teams, &p.By, &made, &until, &used, &p.From)
	if errors.Is(err, sql.ErrNoRows) {
		return p, access.ErrNone
	}
	if err != nil {
		return p, err
	}
	p.Made, p.Until = time.UnixMicro(made).UTC(), time.UnixMicro(until).UTC()
	if used != 0 {
		p.Used = time.UnixMicro(used).UTC()
	}
	return p, json.Unmarshal([]byte(teams), &p.Teams)
}

// Pass finds a pass by the hash of its secret.
func (s *Store) Pass(ctx context.Context, hash string) (access.Pass, error) {
	p, err := scanPass(s.read.QueryRowContext(ctx, `SELECT `+passColumns+` FROM pass WHERE hash = ?`, hash))
	if err != nil {
		return access.Pass{}, fmt.Errorf("look who asks: %w", err)
	}
	return p, nil
}

// meant is the condition that selects passes.
func meant(w access.Which) (string, []any) {
	var all []string
	var args []any
	add := func(c string, v any) { all, args = append(all, c), append(args, v) }
	if w.ID != "" {
		add("id = ?", w.ID)
	}
	if w.Kind != "" {
		add("kind = ?", w.Kind)
	}
	if w.Account != "" {
		add("account = ?", w.Account)
	}
	if w.Except != "" {
		add("id <> ?", w.Except)
	}
	if !w.Over.IsZero() {
		add("until <= ?", w.Over.UnixMicro())
	}
	if len(all) == 0 {
		return "1", nil
	}
	return strings.Join(all, " AND "), args
}

// Passes lists those meant, newest first.
func (s *Store) Passes(ctx context.Context, w access.Which) ([]access.Pass, error) {
	where, args := meant(w)
	rows, err := s.read.QueryContext(ctx, `SELECT `+passColumns+` FROM pass WHERE `+where+` ORDER BY made DESC, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list sessions and tokens: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	out := []access.Pass{}
	for rows.Next() {
		p, err := scanPass(rows)
		if err != nil {
			return nil, fmt.Errorf("list sessions and tokens: %w", err)
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list sessions and tokens: %w", err)
	}
	return out, nil
}

// UsePass notes the last use.
func (s *Store) UsePass(ctx context.Context, id string, at time.Time, from string) error {
	_, err := s.exec(ctx, "note the use of a session or token", `UPDATE pass SET used = max(used, ?), "from" = ? WHERE id = ?`, at.UnixMicro(), from, id)
	return err
}

// EndPasses removes those meant.
func (s *Store) EndPasses(ctx context.Context, w access.Which, all ...access.Event) (int, error) {
	if w == (access.Which{}) || w == (access.Which{Except: w.Except}) {
		return 0, fmt.Errorf("end sessions and tokens: %w: all would be", access.ErrInvalid)
	}
	where, args := meant(w)
	var n int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM pass WHERE `+where, args...)
		if err != nil {
			return err
		}
		if n, err = res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return s.note(ctx, tx, all)
	})
	if err != nil {
		return 0, fmt.Errorf("end sessions and tokens: %w", err)
	}
	return int(n), nil
}
