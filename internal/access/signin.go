package access

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"
)

// SignIn begins a session for whoever knows the password of an account. A wrong
// name and a wrong password are the same, in words and in time. SlowDown after
// too many attempts.
func (g *Register) SignIn(ctx context.Context, name, password string, v Visit, now time.Time) (Begun, error) {
	if !g.rules.Password {
		return Begun{}, errors.Join(ErrForbidden, errors.New("passwords are turned off in the configuration: sign in through the identity provider"))
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if len(password) > mostPassword {
		password = ""
	}
	device, known := g.device(ctx, v.Device, name, now)
	keys := map[string]pace{"account/" + clip(name, 64): accountPace, "address/" + v.From: addressPace}
	if known {
		// Whoever is paged at night must get in whatever strangers do to the name.
		keys = map[string]pace{"device/" + device.ID: devicePace}
	}
	if err := g.brake.try(now, keys); err != nil {
		return Begun{}, err
	}
	a, err := g.store.Account(ctx, name)
	if err != nil && !errors.Is(err, ErrNone) {
		return Begun{}, err
	}
	there := err == nil
	usable := there && !a.Disabled && a.Password != ""
	hash := a.Password
	if !usable {
		hash = g.nobody()
	}
	right, cost, err := g.verify(ctx, hash, password)
	if err != nil {
		return Begun{}, err
	}
	if !usable || !right {
		who := ""
		if there {
			who = name
		}
		if err := g.failed.add(ctx, g, who, v.From, now); err != nil {
			g.log.ErrorContext(ctx, "journal a failed sign-in", "error", err)
		}
		return Begun{}, ErrWrong
	}
	for k := range keys {
		if strings.HasPrefix(k, "address/") {
			g.brake.refund(k)
		} else {
			g.brake.clear(k)
		}
	}
	if cost != g.rules.Cost {
		g.rehash(ctx, a, password, now)
	}
	b, err := g.begin(ctx, a, "password", v, now)
	if err != nil || known {
		return b, err
	}
	b.Device = g.newDevice(ctx, a, v, now)
	return b, nil
}

// verify tries a password when there is room for it.
func (g *Register) verify(ctx context.Context, hash, password string) (bool, Cost, error) {
	done, err := g.turn(ctx)
	if err != nil {
		return false, Cost{}, err
	}
	defer done()
	return verify(hash, password)
}

// turn waits for room to try or make a hash: each takes much memory.
func (g *Register) turn(ctx context.Context) (func(), error) {
	select {
	case g.queue <- struct{}{}:
	default:
		return nil, SlowDown{time.Second}
	}
	defer func() { <-g.queue }()
	select {
	case g.trying <- struct{}{}:
		return func() { <-g.trying }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *Register) hash(ctx context.Context, password string) (string, error) {
	done, err := g.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return g.rules.Cost.hash(password), nil
}

// rehash keeps a password at the cost that is wanted now. The next sign-in tries
// again when it fails.
func (g *Register) rehash(ctx context.Context, a Account, password string, now time.Time) {
	h, err := g.hash(ctx, password)
	if err == nil {
		a.Password = h
		_, err = g.store.PutAccount(ctx, a)
	}
	if err != nil && !errors.Is(err, ErrMoved) {
		g.log.WarnContext(ctx, "keep a password at its new cost", "account", a.Name, "error", err)
	}
}

// device reports whether a browser is one from which this account signed in.
func (g *Register) device(ctx context.Context, secret, name string, now time.Time) (Pass, bool) {
	p, _, err := g.find(ctx, Device, secret, now)
	return p, err == nil && p.Account == name
}

func (g *Register) newDevice(ctx context.Context, a Account, v Visit, now time.Time) string {
	secret := secretText()
	p := Pass{ID: shortID(), Kind: Device, Account: a.Name, Name: clip(v.Agent, 200), By: a.Name, Made: now, Until: now.Add(DeviceLasts), Used: now, From: v.From, Hash: hashOf(secret)}
	if err := g.store.PutPass(ctx, p); err != nil {
		g.log.WarnContext(ctx, "remember a browser", "error", err)
		return "" // it is then counted with strangers
	}
	return secret
}

// failures journals failed sign-ins: the first at once, the next after a while
// with how many there were, so that no stranger fills the journal.
type failures struct {
	mu  sync.Mutex
	all map[string]*failure // by account; "" for names that are none
}

type failure struct {
	n    int
	from string
	told time.Time
}

const failuresEvery = 10 * time.Minute

func (f *failures) add(ctx context.Context, g *Register, account, from string, now time.Time) error {
	f.mu.Lock()
	if f.all == nil {
		f.all = map[string]*failure{}
	}
	x := f.all[account]
	if x == nil {
		x = &failure{}
		f.all[account] = x
	}
	x.n++
	x.from = from
	e, due := x.due(g, account, now)
	f.mu.Unlock()
	if !due {
		return nil
	}
	return g.store.Note(context.WithoutCancel(ctx), e)
}

// due is the entry that is to be written now.
func (x *failure) due(g *Register, account string, now time.Time) (Event, bool) {
	if x.n == 0 || now.Sub(x.told) < failuresEvery {
		return Event{}, false
	}
	subject := account
	if subject == "" {
		subject = "unknown" // what was typed may be a password
	}
	e := g.event(now, "stranger", subject, "access.refused", map[string]any{"attempts": x.n, "from": x.from})
	x.n, x.told = 0, now
	return e, true
}

func (f *failures) flush(ctx context.Context, g *Register, now time.Time) error {
	f.mu.Lock()
	var all []Event
	for account, x := range f.all {
		if e, due := x.due(g, account, now); due {
			all = append(all, e)
		}
	}
	maps.DeleteFunc(f.all, func(_ string, x *failure) bool { return now.Sub(x.told) >= failuresEvery })
	f.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	return g.store.Note(ctx, all...)
}

// Claim is what an identity provider says of somebody who signed in there.
type Claim struct {
	Identity string // issuer and subject, which never change
	Name     string // wished for the account
	// Mapped says that roles come from the provider, at every sign-in.
	Mapped     bool
	Everywhere Role
	Teams      map[string]Role
	Create     bool // make an account for one who has none
}

// Enter begins a session for whom an identity provider vouches. A name alone
// binds no account: an admin says that one belongs to the provider.
func (g *Register) Enter(ctx context.Context, c Claim, v Visit, now time.Time) (Begun, error) {
	a, err := g.store.AccountOf(ctx, c.Identity)
	if errors.Is(err, ErrNone) {
		a, err = g.claimed(ctx, c, now)
	}
	if err != nil {
		return Begun{}, err
	}
	if a.Disabled {
		return Begun{}, refusef(ErrForbidden, "the account %s is disabled", a.Name)
	}
	if c.Mapped {
		if c.Everywhere == "" && len(c.Teams) == 0 {
			return Begun{}, refusef(ErrForbidden, "the identity provider names no group that has a role here: ask an admin")
		}
		if a.Everywhere != c.Everywhere || !maps.Equal(a.Teams, c.Teams) {
			a.Everywhere, a.Teams, a.Changed = c.Everywhere, c.Teams, now
			if a, err = g.store.PutAccount(ctx, a, g.event(now, a.Name, a.Name, "access.role", roleBody(a, "identity provider"))); err != nil {
				return Begun{}, err
			}
		}
	}
	return g.begin(ctx, a, "identity provider", v, now)
}

// claimed is the account that waits for this identity, or a new one.
func (g *Register) claimed(ctx context.Context, c Claim, now time.Time) (Account, error) {
	if !ValidName(c.Name) {
		return Account{}, refusef(ErrForbidden, "the identity provider calls you %q, which is no name of an account: an admin can set oidc.name_claim", clip(c.Name, 64))
	}
	a, err := g.store.Account(ctx, c.Name)
	switch {
	case err == nil && a.Provider && a.Identity == "":
		a.Identity, a.Changed = c.Identity, now
		return g.store.PutAccount(ctx, a, g.event(now, a.Name, a.Name, "access.identity", map[string]any{"identity": c.Identity}))
	case err == nil:
		return Account{}, refusef(ErrForbidden, "the account %s is not one of the identity provider's: an admin can say that it is with refloat user add %s --provider", c.Name, c.Name)
	case !errors.Is(err, ErrNone):
		return Account{}, err
	case !c.Create:
		return Account{}, refusef(ErrForbidden, "there is no account %s here: an admin can add it with refloat user add %s --provider", c.Name, c.Name)
	case c.Everywhere == "" && len(c.Teams) == 0:
		return Account{}, refusef(ErrForbidden, "the identity provider names no group that has a role here: ask an admin")
	}
	a = Account{Name: c.Name, Provider: true, Identity: c.Identity, Everywhere: c.Everywhere, Teams: c.Teams, Made: now, Changed: now}
	return g.store.PutAccount(ctx, a, g.event(now, a.Name, a.Name, "access.added", roleBody(a, "identity provider")))
}
