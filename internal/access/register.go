package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Rules are what a Register is given. The zero value of a field is its default.
type Rules struct {
	Idle     time.Duration // a session that is not used ends after; default 12 h
	Absolute time.Duration // and each ends after; default 7 days
	Password bool          // people may sign in with a password
	Cost     Cost          // of a password; default DefaultCost
	Teams    []string      // that there are, for messages and checks
}

// Life of what is not a session.
const (
	FirstLinkLasts = time.Hour      // of the link of the first set-up
	LinkLasts      = 24 * time.Hour // of one that an admin makes for somebody
	TokenLasts     = 90 * 24 * time.Hour
	TokenMost      = 366 * 24 * time.Hour
	DeviceLasts    = 180 * 24 * time.Hour // for so long a browser is known again
	usedEvery      = time.Minute          // last use is noted at most so often
)

// TokenPrefix begins every API token, so that scanners of leaked secrets know
// one.
const TokenPrefix = "rft_"

// Register knows who may come in. Safe for concurrent use; several registers may
// share a store.
type Register struct {
	store Store
	rules Rules
	log   *slog.Logger

	brake  brake
	failed failures
	trying chan struct{} // passwords that are tried at once, each with its memory
	queue  chan struct{} // and that wait for it
	nobody func() string // hash of no password, tried for accounts that are not there
}

// NewRegister makes one over a store. A nil logger discards.
func NewRegister(s Store, r Rules, log *slog.Logger) *Register {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if r.Idle == 0 {
		r.Idle = 12 * time.Hour
	}
	if r.Absolute == 0 {
		r.Absolute = 7 * 24 * time.Hour
	}
	if r.Cost == (Cost{}) {
		r.Cost = DefaultCost()
	}
	return &Register{
		store: s, rules: r, log: log, trying: make(chan struct{}, 2), queue: make(chan struct{}, 32),
		nobody: sync.OnceValue(func() string { return r.Cost.hash(secretText()) }),
	}
}

// Rules are those in force.
func (g *Register) Rules() Rules { return g.rules }

// secretText is 256 bits that nobody guesses.
func secretText() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// tokenText is such a secret as an API token.
func tokenText() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return TokenPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// shortID names a pass where its secret must not show.
func shortID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return hex.EncodeToString(b)
}

func hashOf(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

// wellFormed saves a look into the store for what cannot be a secret of a kind.
func wellFormed(k Kind, secret string) bool {
	if k == Token {
		return len(secret) == len(TokenPrefix)+52 && strings.HasPrefix(secret, TokenPrefix)
	}
	return len(secret) == 43
}

// find is the pass of a kind that a secret is for, with its account.
func (g *Register) find(ctx context.Context, k Kind, secret string, now time.Time) (Pass, Account, error) {
	if !wellFormed(k, secret) {
		return Pass{}, Account{}, ErrDenied
	}
	p, err := g.store.Pass(ctx, hashOf(secret))
	switch {
	case errors.Is(err, ErrNone):
		return Pass{}, Account{}, ErrDenied
	case err != nil:
		return Pass{}, Account{}, err
	case p.Kind != k || !now.Before(p.Until) || k == Session && now.Sub(p.Used) > g.rules.Idle:
		return Pass{}, Account{}, ErrDenied
	case p.Account == "":
		return p, Account{}, nil
	}
	a, err := g.store.Account(ctx, p.Account)
	if errors.Is(err, ErrNone) || err == nil && a.Disabled {
		return Pass{}, Account{}, ErrDenied
	}
	return p, a, err
}

// Resume is who holds the secret of a session; ErrDenied when there is no such
// session any more.
func (g *Register) Resume(ctx context.Context, secret, from string, now time.Time) (Principal, error) {
	p, a, err := g.find(ctx, Session, secret, now)
	if err != nil {
		return Principal{}, err
	}
	g.used(ctx, p, from, now)
	return Principal{Kind: Session, ID: p.ID, Name: a.Name, Everywhere: a.Everywhere, Teams: a.Teams}, nil
}

// Bearer is who holds an API token; ErrDenied when it is none that is good.
func (g *Register) Bearer(ctx context.Context, secret, from string, now time.Time) (Principal, error) {
	p, a, err := g.find(ctx, Token, secret, now)
	if err != nil {
		return Principal{}, err
	}
	g.used(ctx, p, from, now)
	w := Principal{Kind: Token, ID: p.ID, Name: a.Name, Everywhere: a.Everywhere, Teams: a.Teams, Limit: p.Limit}
	if len(p.Teams) > 0 {
		w.Everywhere, w.Teams = "", map[string]Role{}
		for _, t := range p.Teams {
			if r := Higher(a.Everywhere, a.Teams[t]); r != "" {
				w.Teams[t] = r
			}
		}
	}
	return w, nil
}

// Higher is the role of two that may more.
func Higher(a, b Role) Role {
	if slices.Index(Roles(), a) >= slices.Index(Roles(), b) {
		return a
	}
	return b
}

// used notes a use. That it cannot be noted keeps nobody out.
func (g *Register) used(ctx context.Context, p Pass, from string, now time.Time) {
	if now.Sub(p.Used) < usedEvery && p.From == from {
		return
	}
	if err := g.store.UsePass(ctx, p.ID, now, from); err != nil && ctx.Err() == nil {
		g.log.WarnContext(ctx, "note the use of a session or token", "id", p.ID, "error", err)
	}
}

// Begun is a session that was begun, with what its browser is to keep.
type Begun struct {
	Secret string // of the session
	Device string // of the browser; empty when it has one that is good
	Pass   Pass
	Name   string // of the account
}

// begin begins a session for an account, in place of the one that the browser
// had.
func (g *Register) begin(ctx context.Context, a Account, how string, v Visit, now time.Time) (Begun, error) {
	b := Begun{Secret: secretText(), Name: a.Name}
	b.Pass = Pass{
		ID: shortID(), Kind: Session, Account: a.Name, Name: clip(v.Agent, 200), By: a.Name, Made: now, Until: now.Add(g.rules.Absolute), Used: now, From: v.From, Hash: hashOf(b.Secret),
	}
	e := g.event(now, a.Name, a.Name, "access.signed-in", map[string]any{"session": b.Pass.ID, "by": how, "from": v.From})
	if err := g.store.PutPass(ctx, b.Pass, e); err != nil {
		return Begun{}, err
	}
	if v.Session != "" && wellFormed(Session, v.Session) {
		old, err := g.store.Pass(ctx, hashOf(v.Session))
		if err == nil && old.Kind == Session {
			_, err = g.store.EndPasses(ctx, Which{ID: old.ID, Kind: Session})
		}
		if err != nil && !errors.Is(err, ErrNone) {
			g.log.WarnContext(ctx, "end the session before", "error", err)
		}
	}
	return b, nil
}

// Visit is what a browser brings along.
type Visit struct {
	From, Agent     string // address, and what it calls itself
	Session, Device string // secrets that it has
}

// event is an act about an account.
func (g *Register) event(now time.Time, actor, account, kind string, body any) Event {
	return Event{At: now, Actor: actor, Subject: "account/" + account, Kind: kind, Body: body}
}

func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	for len(s) > n {
		s = s[:len(s)-1]
		s = strings.ToValidUTF8(s, "")
	}
	return s
}

// checkRoles refuses roles and teams that there are not.
func (g *Register) checkRoles(everywhere Role, teams map[string]Role) error {
	for _, r := range append(slices.Collect(maps.Values(teams)), everywhere) {
		if r != "" && !slices.Contains(Roles(), r) {
			return fmt.Errorf("%w: %q is no role: it is one of viewer, responder, admin", ErrInvalid, r)
		}
	}
	for t := range teams {
		if !slices.Contains(g.rules.Teams, t) {
			return fmt.Errorf("%w: there is no team %q in the configuration", ErrInvalid, t)
		}
	}
	return nil
}

// SignOut ends the session that somebody uses.
func (g *Register) SignOut(ctx context.Context, who Principal, now time.Time) error {
	if who.Kind != Session {
		return ErrDenied
	}
	_, err := g.store.EndPasses(ctx, Which{ID: who.ID, Kind: Session}, g.event(now, who.Name, who.Name, "access.signed-out", map[string]any{"session": who.ID}))
	return err
}

// Tidy removes what is over, and journals failed sign-ins that were only counted.
func (g *Register) Tidy(ctx context.Context, now time.Time) error {
	_, err := g.store.EndPasses(ctx, Which{Over: now})
	return errors.Join(err, g.failed.flush(ctx, g, now))
}
