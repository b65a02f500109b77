package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
)

var _ access.Store = (*Store)(nil)

const accountColumns = `name, password, everywhere, teams, disabled, provider, coalesce(identity, ''), made, changed, rev`

// accountTo are where an account's columns are scanned to; made by finish.
type accountTo struct {
	a             access.Account
	teams         string
	made, changed int64
}

func (x *accountTo) dest() []any {
	return []any{&x.a.Name, &x.a.Password, &x.a.Everywhere, &x.teams, &x.a.Disabled, &x.a.Provider, &x.a.Identity, &x.made, &x.changed, &x.a.Rev}
}

func (x *accountTo) finish() (access.Account, error) {
	x.a.Made, x.a.Changed = time.UnixMicro(x.made).UTC(), time.UnixMicro(x.changed).UTC()
	return x.a, json.Unmarshal([]byte(x.teams), &x.a.Teams)
}

// Accounts lists all, by name.
func (s *Store) Accounts(ctx context.Context) ([]access.Account, error) {
	out, err := list(ctx, s, func(row pgx.CollectableRow) (access.Account, error) {
		var x accountTo
		if err := row.Scan(x.dest()...); err != nil {
			return access.Account{}, err
		}
		return x.finish()
	}, `SELECT `+accountColumns+` FROM refloat.account ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	if out == nil {
		out = []access.Account{}
	}
	return out, nil
}

// Account finds an account by its name.
func (s *Store) Account(ctx context.Context, name string) (access.Account, error) {
	return s.account(ctx, `name = $1`, name)
}

// AccountOf finds an account by its identity.
func (s *Store) AccountOf(ctx context.Context, identity string) (access.Account, error) {
	return s.account(ctx, `identity = $1`, identity)
}

func (s *Store) account(ctx context.Context, where, arg string) (access.Account, error) {
	var x accountTo
	err := s.one(ctx, "read an account", x.dest(), `SELECT `+accountColumns+` FROM refloat.account WHERE `+where, text(arg))
	if errors.Is(err, status.ErrNothing) {
		err = fmt.Errorf("read an account: %w", access.ErrNone)
	}
	if err != nil {
		return access.Account{}, err
	}
	return x.finish()
}

const (
	adminsQuery = `SELECT count(*) FROM refloat.account WHERE everywhere = 'admin' AND NOT disabled`
	// Accounts are changed by one at a time: two administrators who take each
	// other's role away must not both pass the look at who is left.
	lockAccounts = `SELECT pg_advisory_xact_lock(hashtext('refloat.account'))`
)

// PutAccount keeps an account; the looks and the writing are one transaction.
func (s *Store) PutAccount(ctx context.Context, a access.Account, all ...access.Event) (access.Account, error) {
	teams, err := json.Marshal(a.Teams)
	if err != nil {
		return a, fmt.Errorf("keep account %s: %w", a.Name, err)
	}
	kept := a
	kept.Rev++
	kept.Made, kept.Changed = a.Made.UTC().Truncate(time.Microsecond), a.Changed.UTC().Truncate(time.Microsecond)
	err = s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var before, after int
		if _, err := tx.Exec(ctx, lockAccounts); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, adminsQuery).Scan(&before); err != nil {
			return err
		}
		if err := putAccount(ctx, tx, a, string(teams)); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, adminsQuery).Scan(&after); err != nil {
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

func putAccount(ctx context.Context, tx pgx.Tx, a access.Account, teams string) error {
	var identity *string
	if a.Identity != "" {
		id := text(a.Identity)
		identity = &id
	}
	if a.Rev == 0 {
		_, err := tx.Exec(ctx, `INSERT INTO refloat.account (name, password, everywhere, teams, disabled, provider, identity, made, changed, rev) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)`,
			text(a.Name), a.Password, string(a.Everywhere), teams, a.Disabled, a.Provider, identity, a.Made.UnixMicro(), a.Changed.UnixMicro())
		return taken(err)
	}
	tag, err := tx.Exec(ctx, `UPDATE refloat.account SET password = $1, everywhere = $2, teams = $3, disabled = $4, provider = $5, identity = $6, changed = $7, rev = rev + 1 WHERE name = $8 AND rev = $9`,
		a.Password, string(a.Everywhere), teams, a.Disabled, a.Provider, identity, a.Changed.UnixMicro(), text(a.Name), a.Rev)
	if err == nil && tag.RowsAffected() == 0 {
		return access.ErrMoved
	}
	return taken(err)
}

// taken turns a name that is there already into the error that says so.
func taken(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23505" {
		return access.ErrTaken
	}
	return err
}

// note journals what people did in the transaction that does it.
func (s *Store) note(ctx context.Context, tx pgx.Tx, all []access.Event) error {
	if len(all) == 0 {
		return nil
	}
	events := make([]journal.Event, len(all))
	for i, e := range all {
		events[i] = journal.Event{Time: e.At, Actor: e.Actor, Subject: e.Subject, Kind: e.Kind, Body: e.Body}
	}
	if _, err := tx.Exec(ctx, lockJournal); err != nil {
		return err
	}
	_, err := s.append(ctx, tx, events...)
	return err
}

// Note journals what people did.
func (s *Store) Note(ctx context.Context, all ...access.Event) error {
	if err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error { return s.note(ctx, tx, all) }); err != nil {
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
	err = s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO refloat.pass (id, hash, kind, account, name, most, teams, by, made, until, used, "from") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			p.ID, p.Hash, string(p.Kind), text(p.Account), text(p.Name), string(p.Limit), string(teams), text(p.By), p.Made.UnixMicro(), p.Until.UnixMicro(), micros(p.Used), text(p.From)); err != nil {
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

// passTo are where a pass's columns are scanned to; made by finish.
type passTo struct {
	p                 access.Pass
	teams             string
	made, until, used int64
}

func (x *passTo) dest() []any {
	p := &x.p
	return []any{&p.ID, &p.Hash, &p.Kind, &p.Account, &p.Name, &p.Limit, &x.teams, &p.By, &x.made, &x.until, &x.used, &p.From}
}

func (x *passTo) finish() (access.Pass, error) {
	x.p.Made, x.p.Until = time.UnixMicro(x.made).UTC(), time.UnixMicro(x.until).UTC()
	if x.used != 0 {
		x.p.Used = time.UnixMicro(x.used).UTC()
	}
	return x.p, json.Unmarshal([]byte(x.teams), &x.p.Teams)
}

// Pass finds a pass by the hash of its secret.
func (s *Store) Pass(ctx context.Context, hash string) (access.Pass, error) {
	var x passTo
	err := s.one(ctx, "look who asks", x.dest(), `SELECT `+passColumns+` FROM refloat.pass WHERE hash = $1`, text(hash))
	if errors.Is(err, status.ErrNothing) {
		err = fmt.Errorf("look who asks: %w", access.ErrNone)
	}
	if err != nil {
		return access.Pass{}, err
	}
	return x.finish()
}

// meant is the condition that selects passes.
func meant(w access.Which) (string, []any) {
	var all []string
	var args []any
	add := func(c string, v any) {
		args = append(args, v)
		all = append(all, fmt.Sprintf("%s $%d", c, len(args)))
	}
	if w.ID != "" {
		add("id =", text(w.ID))
	}
	if w.Kind != "" {
		add("kind =", string(w.Kind))
	}
	if w.Account != "" {
		add("account =", text(w.Account))
	}
	if w.Except != "" {
		add("id <>", text(w.Except))
	}
	if !w.Over.IsZero() {
		add("until <=", w.Over.UnixMicro())
	}
	if len(all) == 0 {
		return "true", nil
	}
	return strings.Join(all, " AND "), args
}

// Passes lists those meant, newest first.
func (s *Store) Passes(ctx context.Context, w access.Which) ([]access.Pass, error) {
	where, args := meant(w)
	out, err := list(ctx, s, func(row pgx.CollectableRow) (access.Pass, error) {
		var x passTo
		if err := row.Scan(x.dest()...); err != nil {
			return access.Pass{}, err
		}
		return x.finish()
	}, `SELECT `+passColumns+` FROM refloat.pass WHERE `+where+` ORDER BY made DESC, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list sessions and tokens: %w", err)
	}
	if out == nil {
		out = []access.Pass{}
	}
	return out, nil
}

// UsePass notes the last use.
func (s *Store) UsePass(ctx context.Context, id string, at time.Time, from string) error {
	_, err := s.exec(ctx, "note the use of a session or token", `UPDATE refloat.pass SET used = greatest(used, $1), "from" = $2 WHERE id = $3`, at.UnixMicro(), text(from), text(id))
	return err
}

// EndPasses removes those meant.
func (s *Store) EndPasses(ctx context.Context, w access.Which, all ...access.Event) (int, error) {
	if w == (access.Which{}) || w == (access.Which{Except: w.Except}) {
		return 0, fmt.Errorf("end sessions and tokens: %w: all would be", access.ErrInvalid)
	}
	where, args := meant(w)
	var n int64
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM refloat.pass WHERE `+where, args...)
		if n = tag.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return s.note(ctx, tx, all)
	})
	if err != nil {
		return 0, fmt.Errorf("end sessions and tokens: %w", err)
	}
	return int(n), nil
}
