package access

import (
	"context"
	"errors"
	"strings"
	"time"
)

// FirstLink makes the secret of the link by which the first account is made, in
// place of any before. ErrTaken when there is an account already: whoever reads
// an old log must not become admin.
func (g *Register) FirstLink(ctx context.Context, by string, now time.Time) (string, error) {
	if err := g.unpeopled(ctx); err != nil {
		return "", err
	}
	return g.link(ctx, "", by, FirstLinkLasts, now)
}

func (g *Register) unpeopled(ctx context.Context) error {
	all, err := g.store.Accounts(ctx)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		return refusef(ErrTaken, "there are accounts already: refloat user setup-link NAME makes a link for one of them")
	}
	return nil
}

// Invite makes the secret of a link by which somebody sets a password for their
// account and is signed in, in place of any before.
func (g *Register) Invite(ctx context.Context, who Principal, account string, now time.Time) (string, error) {
	if err := mayGive(who); err != nil {
		return "", err
	}
	a, err := g.store.Account(ctx, account)
	switch {
	case errors.Is(err, ErrNone):
		return "", refusef(ErrNone, "there is no account %s", account)
	case err != nil:
		return "", err
	case a.Disabled:
		return "", refusef(ErrInvalid, "the account %s is disabled", account)
	case !g.rules.Password:
		return "", refusef(ErrInvalid, "passwords are turned off in the configuration")
	}
	return g.link(ctx, account, who.Name, LinkLasts, now)
}

func (g *Register) link(ctx context.Context, account, by string, lasts time.Duration, now time.Time) (string, error) {
	old, err := g.store.Passes(ctx, Which{Kind: Link})
	if err != nil {
		return "", err
	}
	for _, p := range old {
		if p.Account == account {
			if _, err := g.store.EndPasses(ctx, Which{ID: p.ID, Kind: Link}); err != nil {
				return "", err
			}
		}
	}
	secret, subject := secretText(), account
	if subject == "" {
		subject = "first"
	}
	p := Pass{ID: shortID(), Kind: Link, Account: account, By: by, Made: now, Until: now.Add(lasts), Hash: hashOf(secret)}
	e := g.event(now, by, subject, "access.link-made", map[string]any{"link": p.ID, "until": p.Until.UTC()})
	return secret, g.store.PutPass(ctx, p, e)
}

// ShowLink is whose account a link is for, empty for the first; ErrLink. Nothing
// is changed by looking.
func (g *Register) ShowLink(ctx context.Context, secret string, now time.Time) (string, error) {
	p, err := g.openLink(ctx, secret, now)
	return p.Account, err
}

func (g *Register) openLink(ctx context.Context, secret string, now time.Time) (Pass, error) {
	p, _, err := g.find(ctx, Link, secret, now)
	if errors.Is(err, ErrDenied) {
		return Pass{}, ErrLink
	}
	if err == nil && p.Account == "" {
		if err := g.unpeopled(ctx); errors.Is(err, ErrTaken) {
			return Pass{}, ErrLink
		} else if err != nil {
			return Pass{}, err
		}
	}
	return p, err
}

// Redeem uses a link: the account gets the password, and with the first link it
// is made, admin everywhere. A link is good once; a name or password that is not
// accepted does not use it up.
func (g *Register) Redeem(ctx context.Context, secret, name, password string, v Visit, now time.Time) (Begun, error) {
	p, err := g.openLink(ctx, secret, now)
	if err != nil {
		return Begun{}, err
	}
	first := p.Account == ""
	if !first {
		name = p.Account
	}
	name = strings.TrimSpace(name)
	if !ValidName(name) {
		return Begun{}, refusef(ErrInvalid, "%q is no name of an account: lower-case letters, digits and inner hyphens, at most 63, and not %s", clip(name, 64), reserved)
	}
	if err := CheckPassword(name, password); err != nil {
		return Begun{}, err
	}
	h, err := g.hash(ctx, password)
	if err != nil {
		return Begun{}, err
	}
	n, err := g.store.EndPasses(ctx, Which{ID: p.ID, Kind: Link}, g.event(now, name, name, "access.link-used", map[string]any{"link": p.ID, "from": v.From}))
	if err != nil {
		return Begun{}, err
	}
	if n == 0 {
		return Begun{}, ErrLink // somebody else was faster
	}
	var a Account
	if first {
		a = Account{Name: name, Everywhere: Admin, Password: h, Made: now, Changed: now}
		a, err = g.store.PutAccount(ctx, a, g.event(now, name, name, "access.added", roleBody(a, "the first set-up")))
	} else {
		if a, err = g.change(ctx, name, func(a *Account) (Event, bool) {
			a.Password = h
			return g.event(now, name, name, "access.password", nil), true
		}, now); err == nil {
			_, err = g.store.EndPasses(ctx, Which{Account: name, Kind: Session})
		}
	}
	if err != nil {
		return Begun{}, err
	}
	g.brake.clear("account/" + name)
	b, err := g.begin(ctx, a, "link", v, now)
	if err == nil {
		b.Device = g.newDevice(ctx, a, v, now)
	}
	return b, err
}
