package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
)

func act(kind string) access.Event {
	return access.Event{At: noon, Actor: "ada", Subject: "account/ada", Kind: kind, Body: map[string]int{"n": 1}}
}

// kinds are what the journal holds.
func kinds(t *testing.T, s Store) []string {
	t.Helper()
	all, err := s.Read(context.Background(), 0, 1000)
	must(t, err)
	out := []string{}
	for _, e := range all {
		out = append(out, e.Kind)
	}
	r, err := s.Verify(context.Background())
	must(t, err)
	if len(r.Findings) > 0 {
		t.Errorf("the journal: %+v", r.Findings)
	}
	return out
}

func testAccounts(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	if _, err := s.Account(ctx, "ada"); !errors.Is(err, access.ErrNone) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := s.AccountOf(ctx, "x"); !errors.Is(err, access.ErrNone) {
		t.Errorf("nobody: %v", err)
	}
	made := noon.Add(1234 * time.Microsecond)
	ada := access.Account{Name: "ada", Password: "$argon2id$ü", Everywhere: access.Admin, Teams: map[string]access.Role{"db": access.Viewer}, Made: made, Changed: made}
	ada, err := s.PutAccount(ctx, ada, act("added"), act("again"))
	must(t, err)
	if ada.Rev != 1 {
		t.Errorf("the first: %+v", ada)
	}
	if _, err := s.PutAccount(ctx, access.Account{Name: "ada", Made: noon, Changed: noon}, act("never")); !errors.Is(err, access.ErrTaken) {
		t.Errorf("a name twice: %v", err)
	}
	_, err = s.PutAccount(ctx, access.Account{Name: "ben", Provider: true, Identity: "https://id ü", Made: noon, Changed: noon})
	must(t, err)
	if _, err := s.PutAccount(ctx, access.Account{Name: "eve", Identity: "https://id ü", Made: noon, Changed: noon}, act("never")); !errors.Is(err, access.ErrTaken) {
		t.Errorf("an identity twice: %v", err)
	}
	_, err = s.PutAccount(ctx, access.Account{Name: "cleo", Made: noon, Changed: noon}) // without an identity, like ada
	must(t, err)

	s = reopen()
	got, err := s.Account(ctx, "ada")
	must(t, err)
	if got.Name != "ada" || got.Password != ada.Password || got.Everywhere != access.Admin || !maps.Equal(got.Teams, ada.Teams) || !got.Made.Equal(made) || got.Rev != 1 || got.Disabled || got.Provider {
		t.Errorf("kept: %+v", got)
	}
	if b, err := s.AccountOf(ctx, "https://id ü"); err != nil || b.Name != "ben" || !b.Provider {
		t.Errorf("by identity: %+v %v", b, err)
	}
	all, err := s.Accounts(ctx)
	must(t, err)
	if len(all) != 3 || all[0].Name != "ada" || all[1].Name != "ben" || all[2].Name != "cleo" {
		t.Errorf("all: %+v", all)
	}

	got.Disabled = true
	if _, err := s.PutAccount(ctx, got, act("never")); !errors.Is(err, access.ErrLastAdmin) {
		t.Errorf("the last admin disabled: %v", err)
	}
	got.Disabled, got.Everywhere = false, access.Responder
	if _, err := s.PutAccount(ctx, got, act("never")); !errors.Is(err, access.ErrLastAdmin) {
		t.Errorf("the last admin made less: %v", err)
	}
	ben := all[1]
	ben.Everywhere, ben.Changed = access.Admin, noon.Add(time.Hour)
	ben, err = s.PutAccount(ctx, ben, act("role"))
	must(t, err)
	if ben.Rev != 2 {
		t.Errorf("changed: %+v", ben)
	}
	if got, err = s.PutAccount(ctx, got, act("less")); err != nil || got.Rev != 2 {
		t.Errorf("one of two admins made less: %+v %v", got, err)
	}
	got.Rev = 1
	if _, err := s.PutAccount(ctx, got, act("never")); !errors.Is(err, access.ErrMoved) {
		t.Errorf("an old one: %v", err)
	}
	if k := kinds(t, s); !slices.Equal(k, []string{"added", "again", "role", "less"}) {
		t.Errorf("the journal holds %v", k)
	}
	must(t, s.Note(ctx, act("noted")))
	if k := kinds(t, s); k[len(k)-1] != "noted" {
		t.Errorf("the journal holds %v", k)
	}
}

// Of many who change an account at once each sees what the one before did.
func testAccountsOfMany(t *testing.T, s Store, _ func() Store) {
	ctx := context.Background()
	_, err := s.PutAccount(ctx, access.Account{Name: "ada", Made: noon, Changed: noon})
	must(t, err)
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 8 {
		wg.Go(func() {
			for done.Load() < 40 {
				a, err := s.Account(ctx, "ada")
				if err == nil {
					_, err = s.PutAccount(ctx, a, act("changed"))
				}
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, access.ErrMoved):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	a, err := s.Account(ctx, "ada")
	must(t, err)
	if a.Rev != 1+done.Load() || len(kinds(t, s)) != int(done.Load()) {
		t.Errorf("%d changes made revision %d and %d entries", done.Load(), a.Rev, len(kinds(t, s)))
	}
}

func testPasses(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	if _, err := s.Pass(ctx, "h"); !errors.Is(err, access.ErrNone) {
		t.Errorf("none: %v", err)
	}
	p := access.Pass{ID: "1", Hash: "h1", Kind: access.Token, Account: "ada", Name: "ci ü", Limit: access.Viewer, Teams: []string{"db", "web"}, By: "ada", Made: noon, Until: noon.Add(time.Hour), From: "192.0.2.1"}
	must(t, s.PutPass(ctx, p, act("made")))
	for _, x := range []access.Pass{{ID: "1", Hash: "other"}, {ID: "other", Hash: "h1"}} {
		x.Kind, x.Made, x.Until = access.Token, noon, noon
		if err := s.PutPass(ctx, x, act("never")); !errors.Is(err, access.ErrTaken) {
			t.Errorf("%s twice: %v", x.ID, err)
		}
	}
	for i, k := range []access.Kind{access.Session, access.Session, access.Session, access.Link} {
		id := fmt.Sprint(i + 2)
		account := "ada"
		if k == access.Link {
			account = ""
		}
		must(t, s.PutPass(ctx, access.Pass{ID: id, Hash: "h" + id, Kind: k, Account: account, Made: noon.Add(time.Duration(i) * time.Second), Until: noon.Add(time.Duration(i) * time.Hour), Used: noon}))
	}
	s = reopen()
	got, err := s.Pass(ctx, "h1")
	must(t, err)
	if got.Hash != "h1" || !slices.Equal(got.Teams, p.Teams) || got.Limit != p.Limit || got.Name != p.Name || got.By != "ada" || !got.Until.Equal(p.Until) || !got.Used.IsZero() || got.From != p.From {
		t.Errorf("kept: %+v", got)
	}
	must(t, s.UsePass(ctx, "1", noon.Add(time.Minute), "192.0.2.2"))
	must(t, s.UsePass(ctx, "1", noon, "192.0.2.3")) // late
	must(t, s.UsePass(ctx, "none", noon, ""))
	if got, err = s.Pass(ctx, "h1"); err != nil || !got.Used.Equal(noon.Add(time.Minute)) || got.From != "192.0.2.3" {
		t.Errorf("used: %+v %v", got, err)
	}
	list := func(w access.Which) string {
		all, err := s.Passes(ctx, w)
		must(t, err)
		out := ""
		for _, p := range all {
			out += p.ID
		}
		return out
	}
	for _, x := range []struct {
		w    access.Which
		want string
	}{
		{access.Which{}, "54312"}, // of two made at once by ID
		{access.Which{Kind: access.Session}, "432"},
		{access.Which{Kind: access.Session, Except: "3"}, "42"},
		{access.Which{Account: "ada", Kind: access.Token}, "1"},
		{access.Which{ID: "4"}, "4"},
		{access.Which{Over: noon.Add(time.Hour)}, "312"},
		{access.Which{Account: "ben"}, ""},
	} {
		if got := list(x.w); got != x.want {
			t.Errorf("%+v: %q, want %q", x.w, got, x.want)
		}
	}
	for _, w := range []access.Which{{}, {Except: "1"}} {
		if _, err := s.EndPasses(ctx, w, act("never")); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("all ended: %v", err)
		}
	}
	end := func(w access.Which, want int, events ...access.Event) {
		t.Helper()
		if n, err := s.EndPasses(ctx, w, events...); err != nil || n != want {
			t.Errorf("%+v ended %d (%v), want %d", w, n, err, want)
		}
	}
	end(access.Which{ID: "1", Kind: access.Session}, 0, act("never"))
	end(access.Which{ID: "1", Kind: access.Token}, 1, act("ended"))
	end(access.Which{ID: "1", Kind: access.Token}, 0, act("never"))
	end(access.Which{Over: noon}, 1)
	end(access.Which{Account: "ada", Kind: access.Session, Except: "4"}, 1)
	if got := list(access.Which{}); got != "54" {
		t.Errorf("left: %q", got)
	}
	if k := kinds(t, s); !slices.Equal(k, []string{"made", "ended"}) {
		t.Errorf("the journal holds %v", k)
	}
	// A link is good once, however many use it at once.
	var wg sync.WaitGroup
	var won atomic.Int64
	for range 8 {
		wg.Go(func() {
			n, err := s.EndPasses(ctx, access.Which{ID: "5", Kind: access.Link}, act("used"))
			if err != nil {
				t.Error(err)
			}
			won.Add(int64(n))
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d used the same link", won.Load())
	}
}
