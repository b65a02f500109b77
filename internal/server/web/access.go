package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
)

// Access is how people sign in.
type Access struct {
	Register *access.Register
	Provider Provider // nil for none
	Label    string   // of the provider
	People   []string // of the configuration, offered as names
	// Link makes the whole address of a path here, to be handed on.
	Link func(path string) string
}

// Provider is an identity provider. What it refuses is access.ErrForbidden with
// words for whoever signs in.
type Provider interface {
	// Begin answers where to send somebody, and what their browser is to keep
	// until they come back.
	Begin(ctx context.Context, next string, now time.Time) (to, keep string, err error)
	// Finish reads what they come back with.
	Finish(ctx context.Context, keep string, answer url.Values, now time.Time) (access.Claim, string, error)
}

// Paths of sign-in.
const (
	SignOutPath  = "/sign-out"
	SetupPath    = "/setup/"
	providerPath = server.SignInPath + "/oidc"
	CallbackPath = providerPath + "/callback"
	flowCookie   = "refloat-flow"
	flowLasts    = 10 * time.Minute
)

// accessRoutes are the pages on which people sign in and give access.
func (s *Site) accessRoutes() []server.Route {
	if s.o.Access == nil {
		return nil
	}
	return []server.Route{
		s.show("GET "+server.SignInPath, access.Nobody, s.signInPage),
		s.act("POST "+server.SignInPath, access.Nobody, s.signIn),
		s.act("GET "+providerPath, access.Nobody, s.toProvider),
		s.act("GET "+CallbackPath, access.Nobody, s.fromProvider),
		s.act("POST "+SignOutPath, access.SignedIn, s.signOut),
		s.show("GET "+SetupPath+"{token}", access.Nobody, s.setupPage),
		s.act("POST "+SetupPath+"{token}", access.Nobody, s.setup),
		s.show("GET /account", access.SignedIn, s.accountPage),
		s.act("POST /account/password", access.SignedIn, s.setPassword),
		s.show("POST /account/tokens", access.SignedIn, s.makeToken),
		s.act("POST /account/tokens/{id}/revoke", access.SignedIn, s.revoke(access.Token, "/account")),
		s.act("POST /account/sessions/{id}/revoke", access.SignedIn, s.revoke(access.Session, "/account")),
		s.show("GET /people", access.Administer, s.peoplePage),
		s.show("POST /people", access.Administer, s.addPerson),
		s.show("GET /people/{name}", access.Administer, s.personPage),
		s.act("POST /people/{name}/roles", access.Administer, s.setRoles),
		s.act("POST /people/{name}/disable", access.Administer, s.setDisabled(true)),
		s.act("POST /people/{name}/enable", access.Administer, s.setDisabled(false)),
		s.show("POST /people/{name}/link", access.Administer, s.invite),
		s.act("POST /people/{name}/tokens/{id}/revoke", access.Administer, s.revokeOf(access.Token)),
		s.act("POST /people/{name}/sessions/{id}/revoke", access.Administer, s.revokeOf(access.Session)),
	}
}

func (s *Site) visit(q asked) access.Visit {
	return access.Visit{From: server.OriginOf(q.Context()).Bucket(), Agent: q.UserAgent(), Session: server.SessionSecret(q.Request), Device: server.DeviceSecret(q.Request)}
}

// entered keeps a session in the browser.
func (s *Site) entered(q asked, b access.Begun) {
	server.SetSession(q.w, q.Request, b.Secret, s.o.Access.Register.Rules().Absolute)
	if b.Device != "" {
		server.SetDevice(q.w, q.Request, b.Device, access.DeviceLasts)
	}
}

// signInForm is what the page of sign-in shows.
type signInForm struct {
	next, name, wrong string
	password          bool
	provider          string // its label; empty for none
}

func (s *Site) signInView(next, name, wrong string) view {
	f := signInForm{next: server.Local(next), name: name, wrong: wrong, password: s.o.Access.Register.Rules().Password}
	if s.o.Access.Provider != nil {
		f.provider = s.o.Access.Label
	}
	return view{title: "Sign in", body: signInBody(f)}
}

func (s *Site) signInPage(q asked) (view, error) {
	next := q.URL.Query().Get("next")
	if q.who.Known() {
		return view{code: http.StatusSeeOther, title: server.Local(next)}, nil
	}
	return s.signInView(next, "", ""), nil
}

func (s *Site) signIn(q asked) (string, error) {
	next, name := q.PostFormValue("next"), q.PostFormValue("name")
	b, err := s.o.Access.Register.SignIn(q.Context(), name, q.PostFormValue("password"), s.visit(q), q.now)
	var slow access.SlowDown
	switch {
	case errors.As(err, &slow):
		v := s.signInView(next, name, sentence(err))
		v.code = http.StatusTooManyRequests
		q.w.Header().Set("Retry-After", fmt.Sprint(max(1, int(slow.Wait/time.Second))))
		return "", instead{v}
	case errors.Is(err, access.ErrWrong):
		return "", again{s.signInView(next, name, "The name or the password is wrong.")}
	case err != nil:
		return "", err
	}
	s.entered(q, b)
	return server.Local(next), nil
}

// instead is a view that is shown in place of what an act leads on to.
type instead struct{ view }

func (instead) Error() string { return "not done" }

func (s *Site) toProvider(q asked) (string, error) {
	if s.o.Access.Provider == nil {
		return "", server.ErrNotFound
	}
	to, keep, err := s.o.Access.Provider.Begin(q.Context(), server.Local(q.URL.Query().Get("next")), q.now)
	if err != nil {
		s.log.ErrorContext(q.Context(), "ask the identity provider", "error", err)
		return "", wrong{http.StatusBadGateway, "The identity provider does not answer", "Nobody can sign in through it at the moment.", "Sign in with a password, or look at the server's log."}
	}
	server.SetCookie(q.w, q.Request, flowCookie, keep, flowLasts, false)
	return to, nil
}

func (s *Site) fromProvider(q asked) (string, error) {
	if s.o.Access.Provider == nil {
		return "", server.ErrNotFound
	}
	keep := server.Cookie(q.Request, flowCookie)
	server.SetCookie(q.w, q.Request, flowCookie, "", 0, false)
	claim, next, err := s.o.Access.Provider.Finish(q.Context(), keep, q.URL.Query(), q.now)
	if err != nil {
		if errors.Is(err, access.ErrForbidden) || errors.Is(err, access.ErrDenied) {
			return "", wrong{http.StatusForbidden, "Not signed in", sentence(err), "Begin again on the page of sign-in."}
		}
		s.log.ErrorContext(q.Context(), "sign in through the identity provider", "error", err)
		return "", wrong{http.StatusBadGateway, "Not signed in", "What the identity provider answered cannot be used.", "Begin again on the page of sign-in; the server's log says more."}
	}
	b, err := s.o.Access.Register.Enter(q.Context(), claim, s.visit(q), q.now)
	if err != nil {
		return "", err
	}
	s.entered(q, b)
	return server.Local(next), nil
}

func (s *Site) signOut(q asked) (string, error) {
	if err := s.o.Access.Register.SignOut(q.Context(), q.who, q.now); err != nil {
		return "", err
	}
	server.SetSession(q.w, q.Request, "", 0)
	return server.SignInPath, nil
}

// setupForm is what a link's page shows.
type setupForm struct {
	path, account string // empty for the first
	name          string
	wrongName     string
	wrongPassword string
	people        []string
}

func (s *Site) setupView(q asked, f setupForm) view {
	f.path, f.people = q.URL.EscapedPath(), s.o.Access.People
	title := "Set a password"
	if f.account == "" {
		title = "Set up Refloat"
	}
	return view{title: title, body: setupBody(f)}
}

func (s *Site) setupPage(q asked) (view, error) {
	account, err := s.o.Access.Register.ShowLink(q.Context(), q.PathValue("token"), q.now)
	if err != nil {
		return view{}, err
	}
	q.w.Header().Set("Referrer-Policy", "no-referrer") // the address is a capability
	return s.setupView(q, setupForm{account: account}), nil
}

func (s *Site) setup(q asked) (string, error) {
	token, name, password := q.PathValue("token"), strings.TrimSpace(q.PostFormValue("name")), q.PostFormValue("password")
	account, err := s.o.Access.Register.ShowLink(q.Context(), token, q.now)
	if err != nil {
		return "", err
	}
	f := setupForm{account: account, name: name}
	if password != q.PostFormValue("again") {
		f.wrongPassword = "The two are not the same."
		return "", again{s.setupView(q, f)}
	}
	b, err := s.o.Access.Register.Redeem(q.Context(), token, name, password, s.visit(q), q.now)
	switch {
	case errors.Is(err, access.ErrWeak):
		f.wrongPassword = sentence(err)
		return "", again{s.setupView(q, f)}
	case errors.Is(err, access.ErrInvalid):
		f.wrongName = sentence(err)
		return "", again{s.setupView(q, f)}
	case err != nil:
		return "", err
	}
	s.entered(q, b)
	return "/", nil
}

// accountView is what somebody sees of their own access.
type accountView struct {
	who       access.Principal
	account   access.Account
	sessions  []access.Pass
	tokens    []access.Pass
	roles     []access.Role // that their tokens may have at most
	teams     []string
	wrong     string // why a password was not taken
	wrongName string // why a token was not made
	secret    string // of a token that was just made
	made      access.Pass
}

func (s *Site) ofAccount(q asked) (accountView, error) {
	g, v := s.o.Access.Register, accountView{who: q.who, teams: s.o.Access.Register.Rules().Teams}
	var err error
	if v.account, err = g.Account(q.Context(), q.who, q.who.Name); err != nil {
		return v, err
	}
	if v.sessions, err = g.Passes(q.Context(), q.who, access.Session, q.who.Name, q.now); err != nil {
		return v, err
	}
	if v.tokens, err = g.Passes(q.Context(), q.who, access.Token, q.who.Name, q.now); err != nil {
		return v, err
	}
	for _, r := range access.Roles() {
		if q.who.Somewhere(access.Need(r)) {
			v.roles = append(v.roles, r)
		}
	}
	return v, nil
}

func (s *Site) accountPage(q asked) (view, error) {
	v, err := s.ofAccount(q)
	return view{title: "Your account", here: "/account", body: accountBody(v)}, err
}

func (s *Site) setPassword(q asked) (string, error) {
	var err error
	if q.PostFormValue("password") != q.PostFormValue("again") {
		err = fmt.Errorf("%w: the two new ones are not the same", access.ErrWeak)
	} else {
		err = s.o.Access.Register.ChangePassword(q.Context(), q.who, q.PostFormValue("old"), q.PostFormValue("password"), q.now)
	}
	switch {
	case err == nil:
		return withDone("/account", "password"), nil
	case errors.Is(err, access.ErrWrong):
		err = errors.New("your present password is another")
	case !errors.Is(err, access.ErrWeak):
		return "", err
	}
	v, verr := s.ofAccount(q)
	if verr != nil {
		return "", verr
	}
	v.wrong = sentence(err)
	return "", again{view{title: "Your account", here: "/account", body: accountBody(v)}}
}

func (s *Site) makeToken(q asked) (view, error) {
	n := access.NewToken{Name: q.PostFormValue("token"), Limit: access.Role(q.PostFormValue("limit"))}
	if t := q.PostFormValue("team"); t != "" {
		n.Teams = []string{t}
	}
	var err error
	if n.Lasts, err = days(q.PostFormValue("days")); err == nil {
		var p access.Pass
		var secret string
		if p, secret, err = s.o.Access.Register.MakeToken(q.Context(), q.who, n, q.now); err == nil {
			v, err := s.ofAccount(q)
			v.secret, v.made = secret, p
			return view{title: "Your account", here: "/account", body: accountBody(v)}, err
		}
	}
	if !errors.Is(err, access.ErrInvalid) {
		return view{}, err
	}
	v, verr := s.ofAccount(q)
	v.wrongName = sentence(err)
	return view{title: "Your account", here: "/account", code: http.StatusUnprocessableEntity, body: accountBody(v)}, verr
}

// days reads how long a token lasts.
func days(text string) (time.Duration, error) {
	n, most := 0, int(access.TokenMost/(24*time.Hour))
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%w: a token lasts from 1 to %d days", access.ErrInvalid, most)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

func (s *Site) revoke(k access.Kind, to string) func(asked) (string, error) {
	return func(q asked) (string, error) {
		if err := s.o.Access.Register.Revoke(q.Context(), q.who, k, q.PathValue("id"), q.now); err != nil {
			return "", err
		}
		if k == access.Session && q.PathValue("id") == q.who.ID {
			server.SetSession(q.w, q.Request, "", 0)
			return server.SignInPath, nil
		}
		return withDone(to, "revoked"), nil
	}
}

func (s *Site) revokeOf(k access.Kind) func(asked) (string, error) {
	return func(q asked) (string, error) {
		return s.revoke(k, "/people/"+url.PathEscape(q.PathValue("name")))(q)
	}
}

// personRow is an account with what its people see of it.
type personRow struct {
	access.Account
	seen   time.Time // last use of a session or a token
	tokens int
}

// peopleView is who has access.
type peopleView struct {
	all    []personRow
	names  []string // of people who have no account
	teams  []string
	wrong  string
	name   string
	link   string // one that was just made, for whom
	linkOf string
}

func (s *Site) ofPeople(q asked) (peopleView, error) {
	g, v := s.o.Access.Register, peopleView{teams: s.o.Access.Register.Rules().Teams}
	all, err := g.Accounts(q.Context(), q.who)
	if err != nil {
		return v, err
	}
	passes := map[access.Kind][]access.Pass{}
	for _, k := range []access.Kind{access.Session, access.Token} {
		if passes[k], err = g.Passes(q.Context(), q.who, k, "", q.now); err != nil {
			return v, err
		}
	}
	for _, a := range all {
		r := personRow{Account: a}
		for k, list := range passes {
			for _, p := range list {
				if p.Account != a.Name {
					continue
				}
				if p.Used.After(r.seen) {
					r.seen = p.Used
				}
				if k == access.Token {
					r.tokens++
				}
			}
		}
		v.all = append(v.all, r)
	}
	for _, n := range s.o.Access.People {
		if !slices.ContainsFunc(all, func(a access.Account) bool { return a.Name == n }) {
			v.names = append(v.names, n)
		}
	}
	return v, nil
}

func (s *Site) peoplePage(q asked) (view, error) {
	v, err := s.ofPeople(q)
	return view{title: "People", here: "/people", body: peopleBody(v)}, err
}

func (s *Site) addPerson(q asked) (view, error) {
	g := s.o.Access.Register
	everywhere, teams := rolesOf(q, g.Rules().Teams)
	a := access.Account{Name: strings.TrimSpace(q.PostFormValue("name")), Everywhere: everywhere, Teams: teams, Provider: q.PostFormValue("by") == "provider"}
	_, err := g.Add(q.Context(), q.who, a, "", q.now)
	if err != nil && !errors.Is(err, access.ErrInvalid) && !errors.Is(err, access.ErrTaken) {
		return view{}, err
	}
	var secret string
	if err == nil && !a.Provider {
		if secret, err = g.Invite(q.Context(), q.who, a.Name, q.now); err != nil {
			return view{}, err
		}
	}
	v, verr := s.ofPeople(q)
	out := view{title: "People", here: "/people"}
	if err != nil {
		out.code, v.wrong, v.name = http.StatusUnprocessableEntity, sentence(err), a.Name
	} else if secret != "" {
		v.link, v.linkOf = s.o.Access.Link(SetupPath+secret), a.Name
	}
	out.body = peopleBody(v)
	return out, verr
}

// rolesOf reads the roles of a form: one for every team, and one for each.
func rolesOf(q asked, teams []string) (access.Role, map[string]access.Role) {
	out := map[string]access.Role{}
	for _, t := range teams {
		if r := access.Role(q.PostFormValue("team-" + t)); r != "" {
			out[t] = r
		}
	}
	return access.Role(q.PostFormValue("everywhere")), out
}

// personView is one account for who gives access.
type personView struct {
	access.Account
	sessions, tokens []access.Pass
	teams            []string
	self             bool
	password         bool   // links can be made
	link             string // one that was just made
}

func (s *Site) ofPerson(q asked) (personView, error) {
	g, name := s.o.Access.Register, q.PathValue("name")
	v := personView{teams: g.Rules().Teams, self: name == q.who.Name, password: g.Rules().Password}
	// Whoever may not give access learns nothing of who has it, not even of themselves.
	all, err := g.Accounts(q.Context(), q.who)
	if err != nil {
		return v, err
	}
	i := slices.IndexFunc(all, func(a access.Account) bool { return a.Name == name })
	if i < 0 {
		return v, server.ErrNotFound
	}
	v.Account = all[i]
	if v.sessions, err = g.Passes(q.Context(), q.who, access.Session, name, q.now); err != nil {
		return v, err
	}
	v.tokens, err = g.Passes(q.Context(), q.who, access.Token, name, q.now)
	return v, err
}

func (s *Site) personPage(q asked) (view, error) {
	v, err := s.ofPerson(q)
	return view{title: v.Name, here: "/people", body: personBody(v)}, err
}

func (s *Site) setRoles(q asked) (string, error) {
	everywhere, teams := rolesOf(q, s.o.Access.Register.Rules().Teams)
	name := q.PathValue("name")
	_, err := s.o.Access.Register.SetRoles(q.Context(), q.who, name, everywhere, teams, q.now)
	return withDone("/people/"+url.PathEscape(name), "roles"), err
}

func (s *Site) setDisabled(disabled bool) func(asked) (string, error) {
	return func(q asked) (string, error) {
		name, done := q.PathValue("name"), "enabled"
		if disabled {
			done = "disabled"
		}
		_, err := s.o.Access.Register.SetDisabled(q.Context(), q.who, name, disabled, q.now)
		return withDone("/people/"+url.PathEscape(name), done), err
	}
}

func (s *Site) invite(q asked) (view, error) {
	secret, err := s.o.Access.Register.Invite(q.Context(), q.who, q.PathValue("name"), q.now)
	if err != nil {
		return view{}, err
	}
	v, err := s.ofPerson(q)
	v.link = s.o.Access.Link(SetupPath + secret)
	return view{title: v.Name, here: "/people", body: personBody(v)}, err
}

// saidOfAccess is what acts here lead on with; empty for a code that is none of
// theirs.
func saidOfAccess(code string) string {
	switch code {
	case "password":
		return "Your password is changed. Your other sessions have ended."
	case "revoked":
		return "It is revoked, and lets nobody in from now on."
	case "roles":
		return "The roles are changed. They count from the next request on."
	case "disabled":
		return "The account is disabled. Its sessions, tokens and links have ended."
	case "enabled":
		return "The account is enabled again."
	}
	return ""
}

// accessFailure is the page for an error of sign-in and access.
func accessFailure(err error) (wrong, bool) {
	var slow access.SlowDown
	switch {
	case errors.As(err, &slow):
		return wrong{http.StatusTooManyRequests, "Wait a little", sentence(err), ""}, true
	case errors.Is(err, access.ErrLink):
		return wrong{http.StatusNotFound, "This link is not valid", sentence(err), "An admin makes another on the page of people; on the server, refloat user setup-link does."}, true
	case errors.Is(err, access.ErrForbidden):
		return wrong{http.StatusForbidden, "Not allowed", sentence(err), "An administrator can give you another role."}, true
	case errors.Is(err, access.ErrDenied):
		return wrong{http.StatusForbidden, "Not allowed", "This takes a session in a browser.", "Sign in."}, true
	case errors.Is(err, access.ErrNone):
		return wrong{http.StatusNotFound, "Not found", sentence(err), ""}, true
	case errors.Is(err, access.ErrLastAdmin), errors.Is(err, access.ErrTaken), errors.Is(err, access.ErrMoved):
		return wrong{http.StatusConflict, "Not done", sentence(err), "Nothing was changed."}, true
	case errors.Is(err, access.ErrInvalid), errors.Is(err, access.ErrWeak):
		return wrong{http.StatusUnprocessableEntity, "Not accepted", sentence(err), "Nothing was changed."}, true
	}
	return wrong{}, false
}
