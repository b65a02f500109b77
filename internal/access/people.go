package access

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// refusal is an error of a kind with words of its own.
type refusal struct {
	kind error
	text string
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.kind }

func refusef(kind error, format string, args ...any) error {
	return refusal{kind, fmt.Sprintf(format, args...)}
}

// mayGive refuses who is no admin everywhere, and tokens: a token that leaked
// must not make itself successors.
func mayGive(who Principal) error {
	if who.Kind == Token {
		return refusef(ErrForbidden, "a token gives no access: sign in, or use the command line on the server")
	}
	if !who.Has(Administer, "") {
		return refusef(ErrForbidden, "only who is admin everywhere gives access")
	}
	return nil
}

func roleBody(a Account, by string) map[string]any {
	b := map[string]any{"everywhere": a.Everywhere, "teams": a.Teams}
	if by != "" {
		b["by"] = by
	}
	if a.Teams == nil {
		b["teams"] = map[string]Role{}
	}
	return b
}

// Accounts lists all, for who gives access.
func (g *Register) Accounts(ctx context.Context, who Principal) ([]Account, error) {
	if err := mayGive(who); err != nil {
		return nil, err
	}
	return g.store.Accounts(ctx)
}

// Account is one, for who gives access and for itself.
func (g *Register) Account(ctx context.Context, who Principal, name string) (Account, error) {
	if !who.Known() || name != who.Name {
		if err := mayGive(who); err != nil {
			return Account{}, err
		}
	}
	return g.store.Account(ctx, name)
}

// Add adds an account. Without a password, and not of the provider, it waits for
// a link: see Invite. An account that is there already, with provider set, is
// opened to the provider.
func (g *Register) Add(ctx context.Context, who Principal, a Account, password string, now time.Time) (Account, error) {
	if err := mayGive(who); err != nil {
		return a, err
	}
	if !ValidName(a.Name) {
		return a, refusef(ErrInvalid, "%q is no name of an account: lower-case letters, digits and inner hyphens, at most 63, and not %s", a.Name, reserved)
	}
	if err := g.checkRoles(a.Everywhere, a.Teams); err != nil {
		return a, err
	}
	if old, err := g.store.Account(ctx, a.Name); err == nil && a.Provider && !old.Provider && password == "" {
		old.Provider, old.Changed = true, now
		return g.store.PutAccount(ctx, old, g.event(now, who.Name, a.Name, "access.provider", nil))
	}
	kept := Account{Name: a.Name, Everywhere: a.Everywhere, Teams: a.Teams, Provider: a.Provider, Made: now, Changed: now}
	if password != "" {
		if err := CheckPassword(a.Name, password); err != nil {
			return a, err
		}
		h, err := g.hash(ctx, password)
		if err != nil {
			return a, err
		}
		kept.Password = h
	}
	out, err := g.store.PutAccount(ctx, kept, g.event(now, who.Name, a.Name, "access.added", roleBody(kept, "")))
	if errors.Is(err, ErrTaken) {
		return a, refusef(ErrTaken, "there is an account %s already", a.Name)
	}
	return out, err
}

// change changes an account that is there.
func (g *Register) change(ctx context.Context, name string, f func(*Account) (Event, bool), now time.Time) (Account, error) {
	for range 5 {
		a, err := g.store.Account(ctx, name)
		if errors.Is(err, ErrNone) {
			return a, refusef(ErrNone, "there is no account %s", name)
		}
		if err != nil {
			return a, err
		}
		e, changed := f(&a)
		if !changed {
			return a, nil
		}
		a.Changed = now
		out, err := g.store.PutAccount(ctx, a, e)
		if errors.Is(err, ErrLastAdmin) {
			return a, refusef(ErrLastAdmin, "%s is the last who is admin everywhere: make somebody else that first", name)
		}
		if !errors.Is(err, ErrMoved) {
			return out, err
		}
	}
	return Account{}, ErrMoved
}

// SetRoles gives an account its roles. They count from the next request on.
func (g *Register) SetRoles(ctx context.Context, who Principal, name string, everywhere Role, teams map[string]Role, now time.Time) (Account, error) {
	if err := mayGive(who); err != nil {
		return Account{}, err
	}
	if err := g.checkRoles(everywhere, teams); err != nil {
		return Account{}, err
	}
	return g.change(ctx, name, func(a *Account) (Event, bool) {
		a.Everywhere, a.Teams = everywhere, teams
		return g.event(now, who.Name, name, "access.role", roleBody(*a, "")), true
	}, now)
}

// SetDisabled disables an account, whose sessions, tokens and links then end, or
// enables it again.
func (g *Register) SetDisabled(ctx context.Context, who Principal, name string, disabled bool, now time.Time) (Account, error) {
	if err := mayGive(who); err != nil {
		return Account{}, err
	}
	kind := "access.enabled"
	if disabled {
		kind = "access.disabled"
	}
	a, err := g.change(ctx, name, func(a *Account) (Event, bool) {
		was := a.Disabled
		a.Disabled = disabled
		return g.event(now, who.Name, name, kind, nil), was != disabled
	}, now)
	if err != nil || !disabled {
		return a, err
	}
	_, err = g.store.EndPasses(ctx, Which{Account: name})
	return a, err
}

// SetPassword sets an account's password without the old one, and ends its
// sessions. It is for the command line: in the console a link is made instead, so
// that nobody knows another's password.
func (g *Register) SetPassword(ctx context.Context, who Principal, name, password string, now time.Time) error {
	if who.Kind != Local {
		return refusef(ErrForbidden, "only the command line on the server sets another's password")
	}
	return g.setPassword(ctx, who.Name, name, password, "", now)
}

func (g *Register) setPassword(ctx context.Context, by, name, password, except string, now time.Time) error {
	if err := CheckPassword(name, password); err != nil {
		return err
	}
	h, err := g.hash(ctx, password)
	if err != nil {
		return err
	}
	if _, err := g.change(ctx, name, func(a *Account) (Event, bool) {
		a.Password = h
		return g.event(now, by, name, "access.password", nil), true
	}, now); err != nil {
		return err
	}
	g.brake.clear("account/" + name)
	for _, k := range []Kind{Session, Link, Device} {
		if _, err := g.store.EndPasses(ctx, Which{Account: name, Kind: k, Except: except}); err != nil {
			return err
		}
	}
	return nil
}

// ChangePassword changes one's own password; the other sessions end. It is slowed
// down as signing in is.
func (g *Register) ChangePassword(ctx context.Context, who Principal, old, password string, now time.Time) error {
	if who.Kind != Session {
		return ErrDenied
	}
	key := map[string]pace{"change/" + who.Name: devicePace}
	if err := g.brake.try(now, key); err != nil {
		return err
	}
	a, err := g.store.Account(ctx, who.Name)
	if err != nil {
		return err
	}
	if a.Password == "" {
		return refusef(ErrForbidden, "this account has no password: it signs in through the identity provider, or by a link that an admin makes")
	}
	right, _, err := g.verify(ctx, a.Password, old)
	if err != nil {
		return err
	}
	if !right {
		return ErrWrong
	}
	g.brake.clear("change/" + who.Name)
	return g.setPassword(ctx, who.Name, who.Name, password, who.ID, now)
}

// Passes lists the sessions or tokens of an account, for itself and for who
// gives access; empty for all. Those whose time is over are left out, but tokens.
func (g *Register) Passes(ctx context.Context, who Principal, k Kind, account string, now time.Time) ([]Pass, error) {
	if !who.Known() || account != who.Name || who.Kind == Token {
		if err := mayGive(who); err != nil {
			return nil, err
		}
	}
	all, err := g.store.Passes(ctx, Which{Kind: k, Account: account})
	if err != nil {
		return nil, err
	}
	out := []Pass{}
	for _, p := range all {
		if now.Before(p.Until) && (k != Session || now.Sub(p.Used) <= g.rules.Idle) {
			out = append(out, p)
		}
	}
	return out, nil
}

// Revoke ends a session or a token, one's own or, for who gives access, anybody's.
func (g *Register) Revoke(ctx context.Context, who Principal, k Kind, id string, now time.Time) error {
	if k != Session && k != Token || id == "" {
		return refusef(ErrInvalid, "only sessions and tokens are revoked")
	}
	all, err := g.store.Passes(ctx, Which{ID: id, Kind: k})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return refusef(ErrNone, "there is no %s %s", k, id)
	}
	p := all[0]
	if p.Account != who.Name || who.Kind == Token {
		if err := mayGive(who); err != nil {
			return refusef(ErrNone, "there is no %s %s", k, id) // nor is it told whether there is
		}
	}
	kind := map[Kind]string{Session: "access.session-revoked", Token: "access.token-revoked"}[k]
	n, err := g.store.EndPasses(ctx, Which{ID: id, Kind: k}, g.event(now, who.Name, p.Account, kind, map[string]any{string(k): id, "name": p.Name}))
	if err == nil && n == 0 {
		return refusef(ErrNone, "there is no %s %s", k, id)
	}
	return err
}
