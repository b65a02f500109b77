package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// NewToken is a token to be made.
type NewToken struct {
	Account string        // empty for who makes it
	Name    string        // what it is for
	Limit   Role          // the most that it may
	Teams   []string      // that it is good for; none for all of its account's
	Lasts   time.Duration // 0 for TokenLasts; at most TokenMost
}

// MakeToken makes an API token and returns its secret, which is shown this once.
// It may what its account may, within its limit: who loses a role, loses it for
// their tokens too.
func (g *Register) MakeToken(ctx context.Context, who Principal, n NewToken, now time.Time) (Pass, string, error) {
	if n.Account == "" {
		n.Account = who.Name
	}
	if n.Account != who.Name || who.Kind == Token {
		if err := mayGive(who); err != nil {
			return Pass{}, "", err
		}
	}
	if n.Lasts == 0 {
		n.Lasts = TokenLasts
	}
	n.Name = strings.TrimSpace(n.Name)
	a, err := g.store.Account(ctx, n.Account)
	switch {
	case errors.Is(err, ErrNone):
		return Pass{}, "", refusef(ErrNone, "there is no account %s", n.Account)
	case err != nil:
		return Pass{}, "", err
	case !who.Known():
		return Pass{}, "", ErrDenied
	case a.Disabled:
		return Pass{}, "", refusef(ErrInvalid, "the account %s is disabled", a.Name)
	case n.Name == "" || len(n.Name) > 100:
		return Pass{}, "", refusef(ErrInvalid, "say what the token is for, in at most 100 characters")
	case n.Lasts < time.Minute || n.Lasts > TokenMost:
		return Pass{}, "", refusef(ErrInvalid, "a token lasts between a minute and %d days", TokenMost/(24*time.Hour))
	case !slices.Contains(Roles(), n.Limit):
		return Pass{}, "", refusef(ErrInvalid, "say the most that the token may: viewer, responder or admin")
	}
	for _, t := range n.Teams {
		if !slices.Contains(g.rules.Teams, t) {
			return Pass{}, "", refusef(ErrInvalid, "there is no team %q in the configuration", t)
		}
	}
	secret := tokenText()
	p := Pass{ID: shortID(), Kind: Token, Account: a.Name, Name: n.Name, Limit: n.Limit, Teams: n.Teams, By: who.Name, Made: now, Until: now.Add(n.Lasts), Hash: hashOf(secret)}
	body := map[string]any{"token": p.ID, "name": p.Name, "limit": p.Limit, "teams": append([]string{}, p.Teams...), "until": p.Until.UTC()}
	if err := g.store.PutPass(ctx, p, g.event(now, who.Name, a.Name, "access.token-made", body)); err != nil {
		return Pass{}, "", err
	}
	return p, secret, nil
}
