package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const good = "correct horse battery"

// cheap keeps tests fast; what a password costs in earnest is checked apart.
var cheap = access.Cost{Memory: 64, Passes: 1, Lanes: 1}

// root is the command line on the server.
var root = access.Principal{Kind: access.Local, Name: "root", Everywhere: access.Admin}

type house struct {
	*access.Register
	store *sqlite.Store
}

func open(t *testing.T, r access.Rules) house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if r.Cost == (access.Cost{}) {
		r.Cost = cheap
	}
	r.Password, r.Teams = true, []string{"db", "web"}
	return house{access.NewRegister(s, r, nil), s}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h house) add(t *testing.T, name string, everywhere access.Role, teams map[string]access.Role) {
	t.Helper()
	_, err := h.Add(t.Context(), root, access.Account{Name: name, Everywhere: everywhere, Teams: teams}, good, noon)
	must(t, err)
}

func (h house) in(t *testing.T, name string, now time.Time) (access.Begun, access.Principal) {
	t.Helper()
	b, err := h.SignIn(t.Context(), name, good, access.Visit{From: "192.0.2.1", Agent: "test"}, now)
	must(t, err)
	p, err := h.Resume(t.Context(), b.Secret, "192.0.2.1", now)
	must(t, err)
	return b, p
}

// journalled are the kinds in the journal with their actors.
func (h house) journalled(t *testing.T) []string {
	t.Helper()
	all, err := h.store.Read(t.Context(), 0, 1000)
	must(t, err)
	out := []string{}
	for _, e := range all {
		out = append(out, e.Actor+" "+e.Kind+" "+e.Subject)
		if strings.Contains(string(e.Body), good) {
			t.Errorf("a password is in the journal: %s", e.Body)
		}
	}
	return out
}

func TestASessionEnds(t *testing.T) {
	h := open(t, access.Rules{Idle: time.Hour, Absolute: 3 * time.Hour})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	h.add(t, "ben", "", map[string]access.Role{"db": access.Viewer})
	b, p := h.in(t, "ada", noon)
	if p.Name != "ada" || p.Kind != access.Session || p.Everywhere != access.Admin || !p.Known() {
		t.Errorf("%+v", p)
	}
	still := func(secret string, at time.Duration) error {
		_, err := h.Resume(ctx, secret, "", noon.Add(at))
		return err
	}
	for _, at := range []time.Duration{50 * time.Minute, 100 * time.Minute, 150 * time.Minute} {
		must(t, still(b.Secret, at))
	}
	if err := still(b.Secret, 3*time.Hour); !errors.Is(err, access.ErrDenied) {
		t.Errorf("after its last moment: %v", err)
	}
	b, _ = h.in(t, "ada", noon)
	if err := still(b.Secret, 61*time.Minute); !errors.Is(err, access.ErrDenied) {
		t.Errorf("idle: %v", err)
	}
	for name, end := range map[string]func(access.Begun, access.Principal) error{
		"signed out": func(_ access.Begun, p access.Principal) error { return h.SignOut(ctx, p, noon) },
		"revoked by an admin": func(b access.Begun, _ access.Principal) error {
			return h.Revoke(ctx, root, access.Session, b.Pass.ID, noon)
		},
		"a new password": func(access.Begun, access.Principal) error {
			return h.SetPassword(ctx, root, "ben", good, noon)
		},
		"disabled": func(access.Begun, access.Principal) error {
			_, err := h.SetDisabled(ctx, root, "ben", true, noon)
			return err
		},
	} {
		if _, err := h.SetDisabled(ctx, root, "ben", false, noon); err != nil {
			t.Fatal(err)
		}
		b, p := h.in(t, "ben", noon)
		must(t, end(b, p))
		if err := still(b.Secret, 0); !errors.Is(err, access.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []string{"", "x", strings.Repeat("A", 43), b.Secret + "A", "rft_" + strings.Repeat("a", 52)} {
		if err := still(s, 0); !errors.Is(err, access.ErrDenied) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// A name that is not there and a password that is wrong look the same, and both
// cost as much.
func TestNamesCannotBeGuessed(t *testing.T) {
	h := open(t, access.Rules{Cost: access.Cost{Memory: 16 << 10, Passes: 2, Lanes: 1}})
	h.add(t, "ada", access.Admin, nil)
	h.add(t, "gone", access.Viewer, nil)
	_, err := h.SetDisabled(t.Context(), root, "gone", true, noon)
	must(t, err)
	_, err = h.Add(t.Context(), root, access.Account{Name: "idp", Provider: true}, "", noon)
	must(t, err)
	took := map[string]time.Duration{}
	for _, name := range []string{"warm-up", "ada", "nobody", "gone", "idp"} {
		best := time.Hour
		for i := range 3 {
			began := time.Now()
			_, err := h.SignIn(t.Context(), name, "wrong password "+name, access.Visit{From: fmt.Sprint(name, i)}, noon.Add(time.Duration(i)*time.Hour))
			best = min(best, time.Since(began))
			if !errors.Is(err, access.ErrWrong) || err.Error() != access.ErrWrong.Error() {
				t.Errorf("%s: %v", name, err)
			}
		}
		took[name] = best
	}
	for _, name := range []string{"nobody", "gone", "idp"} {
		if took[name] < took["ada"]/3 {
			t.Errorf("a look at %s takes %s, at an account %s", name, took[name], took["ada"])
		}
	}
	for _, e := range h.journalled(t) {
		if strings.Contains(e, "nobody") || strings.Contains(e, "warm-up") {
			t.Errorf("what a stranger typed is in the journal: %s", e)
		}
	}
}

// Guessing is slowed down by account and by address, many at once are no way
// around it, and whoever signed in from a browser before gets in all the same.
func TestGuessingIsSlow(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	known, _ := h.in(t, "ada", noon)
	if known.Device == "" {
		t.Fatal("the browser is not remembered")
	}
	var wrong, slowed atomic.Int64
	try := func(from, name string, now time.Time) error {
		_, err := h.SignIn(ctx, name, "wrong", access.Visit{From: from}, now)
		switch {
		case errors.As(err, &access.SlowDown{}):
			slowed.Add(1)
		case errors.Is(err, access.ErrWrong):
			wrong.Add(1)
		default:
			t.Errorf("%v", err)
		}
		return err
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { _ = try(fmt.Sprint("198.51.100.", i), "ada", noon) })
	}
	wg.Wait()
	if wrong.Load() != 5 || slowed.Load() != 15 {
		t.Errorf("at once %d were tried and %d put off", wrong.Load(), slowed.Load())
	}
	if _, err := h.SignIn(ctx, "ada", good, access.Visit{From: "203.0.113.1"}, noon); !errors.As(err, &access.SlowDown{}) {
		t.Errorf("a new browser during it: %v", err)
	}
	if _, err := h.SignIn(ctx, "ada", good, access.Visit{From: "203.0.113.1", Device: known.Device}, noon); err != nil {
		t.Errorf("a browser that is known: %v", err)
	}
	// Two hours of it: about one a minute.
	wrong.Store(0)
	for at := time.Duration(0); at < 2*time.Hour; at += time.Second {
		_ = try(fmt.Sprint("198.51.100.", int(at.Seconds())%200), "ada", noon.Add(time.Hour+at))
	}
	if n := wrong.Load(); n < 60 || n > 135 {
		t.Errorf("in two hours %d guesses were tried", n)
	}
	if n := len(slices.DeleteFunc(h.journalled(t), func(e string) bool { return !strings.Contains(e, "access.refused account/ada") })); n < 2 || n > 15 {
		t.Errorf("it made %d entries in the journal", n)
	}
	// Over many names from one address.
	wrong.Store(0)
	day := noon.Add(24 * time.Hour)
	for i := range 500 {
		_ = try("198.51.100.7", fmt.Sprint("user", i), day)
	}
	if n := wrong.Load(); n != 20 {
		t.Errorf("%d names were tried from one address", n)
	}
	// It passes.
	if _, err := h.SignIn(ctx, "ada", good, access.Visit{From: "198.51.100.7"}, day.Add(time.Hour)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	// A device that guesses is slowed down too, and the device of one is none of another.
	h.add(t, "ben", access.Viewer, nil)
	for range 30 {
		_, _ = h.SignIn(ctx, "ada", "wrong", access.Visit{From: "a", Device: known.Device}, day)
	}
	if _, err := h.SignIn(ctx, "ada", good, access.Visit{From: "a", Device: known.Device}, day); !errors.As(err, &access.SlowDown{}) {
		t.Errorf("a known browser that guessed: %v", err)
	}
}

func TestAPasswordIsKeptAtTheCostOfToday(t *testing.T) {
	h := open(t, access.Rules{})
	h.add(t, "ada", access.Admin, nil)
	before, err := h.store.Account(t.Context(), "ada")
	must(t, err)
	if !strings.HasPrefix(before.Password, "$argon2id$v=19$m=64,t=1,p=1$") || strings.Contains(before.Password, "horse") {
		t.Fatal(before.Password)
	}
	dear := house{access.NewRegister(h.store, access.Rules{Password: true, Cost: access.Cost{Memory: 128, Passes: 2, Lanes: 1}}, nil), h.store}
	dear.in(t, "ada", noon)
	after, err := h.store.Account(t.Context(), "ada")
	must(t, err)
	if !strings.HasPrefix(after.Password, "$argon2id$v=19$m=128,t=2,p=1$") {
		t.Error(after.Password)
	}
	dear.in(t, "ada", noon)
	if again, err := h.store.Account(t.Context(), "ada"); err != nil || again.Password != after.Password {
		t.Errorf("it was made anew without need: %v", err)
	}
	// Accents typed in two ways are the same password.
	must(t, h.SetPassword(t.Context(), root, "ada", "Zu\u0308rich am See", noon))
	if _, err := h.SignIn(t.Context(), "ada", "Z\u00fcrich am See", access.Visit{}, noon); err != nil {
		t.Errorf("composed and decomposed: %v", err)
	}
}

func TestWeakPasswords(t *testing.T) {
	for _, p := range []string{"", "short", "aaaaaaaaaaaaaaaa", "refloat-ada", "ada-lovelace-ada-lovelace", strings.Repeat("x1y2z", 200), "not text \xff\xfe at all"} {
		if err := access.CheckPassword("ada-lovelace", p); !errors.Is(err, access.ErrWeak) {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{good, "Üben macht den Meister", "пароль пароль"} {
		if err := access.CheckPassword("ada", p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestTheFirstLinkIsGoodOnce(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	old, err := h.FirstLink(ctx, "server", noon)
	must(t, err)
	link, err := h.FirstLink(ctx, "server", noon)
	must(t, err)
	redeem := func(link, name, password string, now time.Time) error {
		_, err := h.Redeem(ctx, link, name, password, access.Visit{From: "192.0.2.1"}, now)
		return err
	}
	if err := redeem(old, "eve", good, noon); !errors.Is(err, access.ErrLink) {
		t.Errorf("the link before: %v", err)
	}
	if err := redeem(link, "ada", good, noon.Add(time.Hour)); !errors.Is(err, access.ErrLink) {
		t.Errorf("an hour later: %v", err)
	}
	for range 3 { // looking does not use it up
		if _, err := h.ShowLink(ctx, link, noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := redeem(link, "Not A Name", good, noon); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("a bad name: %v", err)
	}
	if err := redeem(link, "server", good, noon); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("the name that the journal has for Refloat: %v", err)
	}
	if err := redeem(link, "ada", "weak", noon); !errors.Is(err, access.ErrWeak) {
		t.Errorf("a weak password: %v", err)
	}
	var wg sync.WaitGroup
	var won atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			switch err := redeem(link, fmt.Sprint("ada", i), good, noon); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, access.ErrLink) && !errors.As(err, &access.SlowDown{}):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := h.Accounts(ctx, root)
	must(t, err)
	if won.Load() != 1 || len(all) != 1 || all[0].Everywhere != access.Admin {
		t.Errorf("%d used it and made %+v", won.Load(), all)
	}
	if _, err := h.FirstLink(ctx, "server", noon); !errors.Is(err, access.ErrTaken) {
		t.Errorf("a first link with an account: %v", err)
	}
	must(t, h.store.PutPass(ctx, access.Pass{ID: "stale", Kind: access.Link, Hash: "x", Made: noon, Until: noon.Add(time.Hour)}))
}

func TestAnInvitation(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	_, err := h.Add(ctx, root, access.Account{Name: "ben", Teams: map[string]access.Role{"db": access.Responder}}, "", noon)
	must(t, err)
	if _, err := h.SignIn(ctx, "ben", "", access.Visit{}, noon); !errors.Is(err, access.ErrWrong) {
		t.Errorf("without a password: %v", err)
	}
	link, err := h.Invite(ctx, root, "ben", noon)
	must(t, err)
	if name, err := h.ShowLink(ctx, link, noon); err != nil || name != "ben" {
		t.Errorf("%q %v", name, err)
	}
	b, err := h.Redeem(ctx, link, "ada", good, access.Visit{}, noon) // the name is the link's
	must(t, err)
	if b.Name != "ben" {
		t.Errorf("%+v", b)
	}
	h.in(t, "ben", noon)
	if _, err := h.ShowLink(ctx, link, noon); !errors.Is(err, access.ErrLink) {
		t.Errorf("used: %v", err)
	}
	link, err = h.Invite(ctx, root, "ben", noon)
	must(t, err)
	_, err = h.SetDisabled(ctx, root, "ben", true, noon)
	must(t, err)
	if _, err := h.Redeem(ctx, link, "", good, access.Visit{}, noon); !errors.Is(err, access.ErrLink) {
		t.Errorf("of a disabled account: %v", err)
	}
}

func TestTokens(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	h.add(t, "ben", access.Viewer, map[string]access.Role{"db": access.Responder})
	_, ben := h.in(t, "ben", noon)
	_, ada := h.in(t, "ada", noon)
	for why, n := range map[string]access.NewToken{
		"no name":       {Limit: access.Viewer},
		"no limit":      {Name: "ci"},
		"too long":      {Name: "ci", Limit: access.Viewer, Lasts: 367 * 24 * time.Hour},
		"too short":     {Name: "ci", Limit: access.Viewer, Lasts: time.Second},
		"no such role":  {Name: "ci", Limit: "god"},
		"no such team":  {Name: "ci", Limit: access.Viewer, Teams: []string{"ops"}},
		"not their own": {Name: "ci", Limit: access.Viewer, Account: "ada"},
	} {
		if _, s, err := h.MakeToken(ctx, ben, n, noon); err == nil || s != "" {
			t.Errorf("%s: made", why)
		}
	}
	p, secret, err := h.MakeToken(ctx, ben, access.NewToken{Name: "ci", Limit: access.Viewer, Teams: []string{"db"}, Lasts: time.Hour}, noon)
	must(t, err)
	if !strings.HasPrefix(secret, "rft_") || len(secret) != 56 {
		t.Errorf("%q", secret)
	}
	w, err := h.Bearer(ctx, secret, "192.0.2.9", noon.Add(time.Minute))
	must(t, err)
	if w.Kind != access.Token || w.Name != "ben" || !w.Has(access.View, "db") || w.Has(access.Respond, "db") || w.Has(access.View, "web") || w.Has(access.Administer, "") {
		t.Errorf("%+v", w)
	}
	if _, err := h.Resume(ctx, secret, "", noon); !errors.Is(err, access.ErrDenied) {
		t.Errorf("a token as a session: %v", err)
	}
	if _, _, err := h.MakeToken(ctx, w, access.NewToken{Name: "heir", Limit: access.Viewer}, noon); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("a token made a token: %v", err)
	}
	list, err := h.Passes(ctx, ben, access.Token, "ben", noon.Add(2*time.Minute))
	must(t, err)
	if len(list) != 1 || !list[0].Used.Equal(noon.Add(time.Minute)) || list[0].From != "192.0.2.9" {
		t.Errorf("%+v", list)
	}
	if _, err := h.Bearer(ctx, secret, "", noon.Add(time.Hour)); !errors.Is(err, access.ErrDenied) {
		t.Errorf("expired: %v", err)
	}
	// What the account loses, its tokens lose.
	_, wide, err := h.MakeToken(ctx, ada, access.NewToken{Name: "all", Limit: access.Admin}, noon)
	must(t, err)
	if w, err := h.Bearer(ctx, wide, "", noon); err != nil || !w.Has(access.Administer, "") {
		t.Errorf("%+v %v", w, err)
	}
	h.add(t, "eve", access.Admin, nil)
	_, err = h.SetRoles(ctx, root, "ada", access.Viewer, nil, noon)
	must(t, err)
	if w, err := h.Bearer(ctx, wide, "", noon); err != nil || w.Has(access.Respond, "") || !w.Has(access.View, "web") {
		t.Errorf("after the role was taken: %+v %v", w, err)
	}
	must(t, h.Revoke(ctx, ben, access.Token, p.ID, noon))
	if _, err := h.Bearer(ctx, secret, "", noon); !errors.Is(err, access.ErrDenied) {
		t.Errorf("revoked: %v", err)
	}
	if err := h.Revoke(ctx, ben, access.Token, p.ID, noon); !errors.Is(err, access.ErrNone) {
		t.Errorf("revoked twice: %v", err)
	}
	all, err := h.Passes(ctx, root, access.Token, "ada", noon)
	must(t, err)
	if err := h.Revoke(ctx, ben, access.Token, all[0].ID, noon); !errors.Is(err, access.ErrNone) {
		t.Errorf("another's: %v", err)
	}
}

// Who is no admin everywhere gives no access, nor does a token, and the last
// admin stays.
func TestOnlyAdminsGiveAccess(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	h.add(t, "ben", access.Responder, map[string]access.Role{"db": access.Admin})
	_, ada := h.in(t, "ada", noon)
	_, ben := h.in(t, "ben", noon)
	_, secret, err := h.MakeToken(ctx, ada, access.NewToken{Name: "t", Limit: access.Admin}, noon)
	must(t, err)
	token, err := h.Bearer(ctx, secret, "", noon)
	must(t, err)
	for who, p := range map[string]access.Principal{"stranger": {}, "admin of one team": ben, "token": token} {
		for what, f := range map[string]func() error{
			"list":     func() error { _, err := h.Accounts(ctx, p); return err },
			"look":     func() error { _, err := h.Account(ctx, p, "eve"); return err },
			"add":      func() error { _, err := h.Add(ctx, p, access.Account{Name: "x"}, good, noon); return err },
			"roles":    func() error { _, err := h.SetRoles(ctx, p, "ben", access.Admin, nil, noon); return err },
			"disable":  func() error { _, err := h.SetDisabled(ctx, p, "ada", true, noon); return err },
			"invite":   func() error { _, err := h.Invite(ctx, p, "ada", noon); return err },
			"password": func() error { return h.SetPassword(ctx, p, "ada", good, noon) },
			"sessions": func() error { _, err := h.Passes(ctx, p, access.Session, "", noon); return err },
			"token for": func() error {
				_, _, err := h.MakeToken(ctx, p, access.NewToken{Account: "eve", Name: "x", Limit: access.Viewer}, noon)
				return err
			},
		} {
			if err := f(); !errors.Is(err, access.ErrForbidden) {
				t.Errorf("%s may %s: %v", who, what, err)
			}
		}
	}
	if err := h.SetPassword(ctx, ada, "ben", good, noon); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("an admin knows another's password: %v", err)
	}
	if _, err := h.SetRoles(ctx, ada, "ada", access.Viewer, nil, noon); !errors.Is(err, access.ErrLastAdmin) {
		t.Errorf("the last admin: %v", err)
	}
	if _, err := h.SetRoles(ctx, ada, "ben", "", map[string]access.Role{"nowhere": access.Viewer}, noon); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("a team that is not there: %v", err)
	}
}

func TestOnesOwnPassword(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	here, ada := h.in(t, "ada", noon)
	other, _ := h.in(t, "ada", noon)
	if err := h.ChangePassword(ctx, ada, "wrong", "another good password", noon); !errors.Is(err, access.ErrWrong) {
		t.Errorf("%v", err)
	}
	must(t, h.ChangePassword(ctx, ada, good, "another good password", noon))
	if _, err := h.Resume(ctx, here.Secret, "", noon); err != nil {
		t.Errorf("the session in which it was changed: %v", err)
	}
	if _, err := h.Resume(ctx, other.Secret, "", noon); !errors.Is(err, access.ErrDenied) {
		t.Errorf("another session: %v", err)
	}
	if _, err := h.SignIn(ctx, "ada", good, access.Visit{}, noon); !errors.Is(err, access.ErrWrong) {
		t.Errorf("the old password: %v", err)
	}
}

func TestWhoComesFromTheProvider(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	enter := func(c access.Claim) (access.Begun, error) { return h.Enter(ctx, c, access.Visit{}, noon) }
	claim := access.Claim{Identity: "https://id 1", Name: "ada", Create: true, Everywhere: access.Admin, Mapped: true}
	if _, err := enter(claim); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("an account of that name is taken over: %v", err)
	}
	claim.Name, claim.Create = "cleo", false
	if _, err := enter(claim); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("an account is made unasked: %v", err)
	}
	claim.Create, claim.Everywhere = true, ""
	if _, err := enter(claim); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("an account without any role: %v", err)
	}
	claim.Teams = map[string]access.Role{"db": access.Responder}
	b, err := enter(claim)
	must(t, err)
	p, err := h.Resume(ctx, b.Secret, "", noon)
	must(t, err)
	if p.Name != "cleo" || !p.Has(access.Respond, "db") || p.Has(access.View, "web") {
		t.Errorf("%+v", p)
	}
	claim.Name, claim.Teams = "renamed", map[string]access.Role{"db": access.Viewer}
	if b, err = enter(claim); err != nil || b.Name != "cleo" {
		t.Errorf("renamed at the provider: %+v %v", b, err)
	}
	if p, err := h.Resume(ctx, b.Secret, "", noon); err != nil || p.Has(access.Respond, "db") {
		t.Errorf("roles follow the provider: %+v %v", p, err)
	}
	claim.Teams = nil
	if _, err := enter(claim); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("out of every group: %v", err)
	}
	claim.Teams = map[string]access.Role{"db": access.Viewer}
	_, err = h.SetDisabled(ctx, root, "cleo", true, noon)
	must(t, err)
	if _, err := enter(claim); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("disabled here: %v", err)
	}
	// An account that an admin opened to the provider.
	if _, err := h.Add(ctx, root, access.Account{Name: "ada", Provider: true}, "", noon); err != nil {
		t.Fatal(err)
	}
	b, err = enter(access.Claim{Identity: "https://id 2", Name: "ada"})
	must(t, err)
	if p, err := h.Resume(ctx, b.Secret, "", noon); err != nil || p.Name != "ada" || p.Everywhere != access.Admin {
		t.Errorf("its own roles: %+v %v", p, err)
	}
	if _, err := enter(access.Claim{Identity: "https://id 3", Name: "ada"}); !errors.Is(err, access.ErrForbidden) {
		t.Errorf("a second identity: %v", err)
	}
}

// Every act is in the journal with who did it.
func TestActsAreJournalled(t *testing.T) {
	h := open(t, access.Rules{})
	ctx := t.Context()
	h.add(t, "ada", access.Admin, nil)
	b, ada := h.in(t, "ada", noon)
	_, _ = h.SignIn(ctx, "ada", "wrong", access.Visit{}, noon)
	_, err := h.Add(ctx, ada, access.Account{Name: "ben"}, "", noon)
	must(t, err)
	_, err = h.SetRoles(ctx, ada, "ben", access.Viewer, nil, noon)
	must(t, err)
	p, _, err := h.MakeToken(ctx, ada, access.NewToken{Name: "x", Limit: access.Viewer}, noon)
	must(t, err)
	must(t, h.Revoke(ctx, ada, access.Token, p.ID, noon))
	must(t, h.Revoke(ctx, ada, access.Session, b.Pass.ID, noon))
	want := []string{
		"root access.added account/ada", "ada access.signed-in account/ada", "stranger access.refused account/ada", "ada access.added account/ben", "ada access.role account/ben",
		"ada access.token-made account/ada", "ada access.token-revoked account/ada", "ada access.session-revoked account/ada",
	}
	if got := h.journalled(t); !slices.Equal(got, want) {
		t.Errorf("journal:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var _ journal.Log = h.store
}

func TestTidy(t *testing.T) {
	h := open(t, access.Rules{})
	h.add(t, "ada", access.Admin, nil)
	h.in(t, "ada", noon)
	for range 3 {
		_, _ = h.SignIn(t.Context(), "ada", "wrong", access.Visit{}, noon)
	}
	must(t, h.Tidy(context.Background(), noon.Add(8*24*time.Hour)))
	all, err := h.store.Passes(t.Context(), access.Which{Kind: access.Session})
	must(t, err)
	if len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if n := len(slices.DeleteFunc(h.journalled(t), func(e string) bool { return !strings.Contains(e, "access.refused") })); n != 2 {
		t.Errorf("%d entries of failed sign-ins", n)
	}
}

// The default takes long enough to make guessing dear, and not longer than a
// person waits.
func TestTheDefaultCost(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	h := open(t, access.Rules{Cost: access.DefaultCost()})
	h.add(t, "ada", access.Admin, nil)
	began := time.Now()
	h.in(t, "ada", noon)
	t.Logf("a sign-in takes %s", time.Since(began))
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("a guess takes %s", took)
	}
}

// Whatever is sent as a token, nobody gets in by it, and nothing breaks.
func FuzzSecrets(f *testing.F) {
	for _, s := range []string{"", "rft_", "rft_" + strings.Repeat("a", 52), strings.Repeat("A", 43), "rft_\x00", "Bearer x"} {
		f.Add(s)
	}
	s, err := sqlite.Open(f.Context(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	g := access.NewRegister(s, access.Rules{Password: true, Cost: cheap}, nil)
	if _, err := g.Add(f.Context(), root, access.Account{Name: "ada", Everywhere: access.Admin}, good, noon); err != nil {
		f.Fatal(err)
	}
	_, real, err := g.MakeToken(f.Context(), access.Principal{Kind: access.Session, Name: "ada", Everywhere: access.Admin}, access.NewToken{Name: "x", Limit: access.Viewer}, noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(real[:len(real)-1])
	f.Add(strings.ToUpper(real))
	f.Fuzz(func(t *testing.T, secret string) {
		if secret == real {
			t.Skip()
		}
		for what, ask := range map[string]func(context.Context, string, string, time.Time) (access.Principal, error){"session": g.Resume, "token": g.Bearer} {
			if p, err := ask(t.Context(), secret, "", noon); !errors.Is(err, access.ErrDenied) || p.Known() {
				t.Errorf("%q as a %s: %+v %v", secret, what, p, err)
			}
		}
		if _, err := g.ShowLink(t.Context(), secret, noon); !errors.Is(err, access.ErrLink) {
			t.Errorf("%q as a link: %v", secret, err)
		}
	})
}
