package webtest

import (
	"net/http"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web"
)

// Story is one page in one state, as somebody sees it.
type Story struct {
	Name  string // of a file, without its ending
	Says  string // what it shows
	World string
	Who   string // admin, viewer (of the team commerce), responder (of it), nobody
	Path  string
	Code  int // that the page answers; 0 for 200
}

// Stories are all of them.
func Stories() []Story {
	return []Story{
		{Name: "board-empty", Says: "No target is in care yet", World: "empty", Path: "/"},
		{Name: "board-healthy", Says: "A quiet night", World: "healthy", Path: "/"},
		{Name: "board-broken", Says: "A bad night", World: "broken", Path: "/"},
		{Name: "board-many", Says: "500 targets", World: "many", Path: "/"},
		{Name: "board-strange", Says: "Names as long and as strange as they come", World: "strange", Path: "/"},
		{Name: "board-one-team", Says: "Somebody who sees one team", World: "broken", Who: "viewer", Path: "/"},
		{Name: "board-no-rights", Says: "Somebody who may see nothing", World: "broken", Who: "nobody", Path: "/", Code: http.StatusForbidden},
		{Name: "board-failing", Says: "The state cannot be read", World: "failing", Path: "/", Code: http.StatusInternalServerError},
		{Name: "incidents", Says: "Open incidents", World: "broken", Path: "/incidents"},
		{Name: "incidents-none", Says: "No incident is open", World: "healthy", Path: "/incidents"},
		{Name: "incidents-all", Says: "All incidents", World: "broken", Path: "/incidents?all=1"},
		{Name: "incident-new", Says: "Opening an incident", World: "broken", Path: "/incidents/new?target=shop"},
		{Name: "incident", Says: "The incident room", World: "broken", Path: "/incidents/inc-7"},
		{Name: "incident-viewer", Says: "The incident room, for who only sees", World: "broken", Who: "viewer", Path: "/incidents/inc-7"},
		{Name: "incident-notes", Says: "Its notes", World: "broken", Path: "/incidents/inc-7?show=notes"},
		{Name: "incident-update", Says: "Writing an update", World: "broken", Path: "/incidents/inc-7/updates/new?to=clients"},
		{Name: "incident-resolve", Says: "Before it is resolved", World: "broken", Path: "/incidents/inc-7/resolve"},
		{Name: "incident-merge", Says: "Before it is merged", World: "broken", Path: "/incidents/inc-7/merge"},
		{Name: "incident-ways", Says: "Ways back, and which server it is", World: "broken", Path: "/incidents/inc-7/recovery"},
		{Name: "alerts", Says: "Open alerts", World: "broken", Path: "/alerts"},
		{Name: "alerts-none", Says: "No alert is open", World: "healthy", Path: "/alerts"},
		{Name: "alert", Says: "An alert, and who was told", World: "broken", Path: "/alerts/a-31"},
		{Name: "alert-silence", Says: "Silencing alerts", World: "broken", Path: "/silences/new?target=shop&code=outage"},
		{Name: "actions", Says: "Open action items", World: "broken", Path: "/actions"},
		{Name: "actions-all", Says: "All action items", World: "broken", Path: "/actions?show=all"},
		{Name: "actions-none", Says: "No action item is open", World: "healthy", Path: "/actions"},
		{Name: "actions-one-team", Says: "Action items, for somebody who sees one team", World: "broken", Who: "viewer", Path: "/actions?show=late"},
		{Name: "action", Says: "An action item with a check that fails", World: "broken", Path: "/actions/act-2"},
		{Name: "action-viewer", Says: "An action item that is late, for who only sees", World: "broken", Who: "viewer", Path: "/actions/act-1"},
		{Name: "action-done", Says: "An action item that is done", World: "broken", Path: "/actions/act-5"},
		{Name: "action-new", Says: "Adding an action item", World: "broken", Path: "/actions/new?incident=inc-7"},
		{Name: "oncall", Says: "Who is on call", World: "broken", Path: "/oncall"},
		{Name: "oncall-month", Says: "Who is on call in five weeks", World: "broken", Path: "/oncall?view=month"},
		{Name: "oncall-simulation", Says: "Who would be paged", World: "broken", Path: "/oncall?target=shop"},
		{Name: "target-healthy", Says: "A target with which all is well", World: "healthy", Path: "/targets/shop"},
		{Name: "target-down", Says: "A target that is down", World: "broken", Path: "/targets/shop"},
		{Name: "target-gap", Says: "A target with a gap in its coverage", World: "broken", Path: "/targets/analytics"},
		{Name: "target-stale", Says: "A target whose proof is too old, with findings", World: "broken", Path: "/targets/billing"},
		{Name: "target-never", Says: "A target that was never drilled, for somebody who may only look", World: "broken", Path: "/targets/warehouse"},
		{Name: "target-unread", Says: "A target whose repository cannot be read", World: "broken", Path: "/targets/wiki"},
		{Name: "target-strange", Says: "Strange words on a target's page", World: "strange", Path: "/targets/identity"},
		{Name: "proof-proven", Says: "A drill that proved it", World: "healthy", Path: "/proofs/shop-00000412-20261124T015512Z"},
		{Name: "proof-failed", Says: "A drill that failed", World: "broken", Path: "/proofs/search-index-00000412-20261124T015612Z"},
		{Name: "findings", Says: "What audits found", World: "broken", Path: "/findings"},
		{Name: "findings-none", Says: "Audits found nothing", World: "healthy", Path: "/findings"},
		{Name: "findings-strange", Says: "Strange words in a finding", World: "strange", Path: "/findings?target=identity"},
		{Name: "journal", Says: "The journal", World: "broken", Path: "/journal"},
		{Name: "journal-long", Says: "A journal of 100,000 entries, somewhere in it", World: "many", Path: "/journal?before=50000"},
		{Name: "journal-strange", Says: "Strange words in the journal", World: "strange", Path: "/journal"},
		{Name: "settings", Says: "The settings as read", World: "broken", Path: "/settings"},
		{Name: "settings-refused", Says: "Settings, for somebody who may not see them", World: "broken", Who: "viewer", Path: "/settings", Code: http.StatusForbidden},
		{Name: "zone", Says: "The time zone", World: "healthy", Path: "/zone"},
		{Name: "not-found", Says: "A page that is not there", World: "healthy", Path: "/nothing/here", Code: http.StatusNotFound},
	}
}

// Worlds are the desks that stories are told of, by name; each is made when it is
// asked for.
func Worlds() map[string]func() *Desk {
	return map[string]func() *Desk{
		"empty": Empty, "healthy": Healthy, "broken": Broken, "strange": Strange, "failing": Failing,
		"many": func() *Desk { return Long(Many(500), 100_000) },
	}
}

// Principal is somebody of the stories.
func Principal(who string) access.Principal {
	p := access.Principal{Kind: access.Session, ID: "s-1", Name: "Ada Byron"}
	switch who {
	case "", "admin":
		p.Everywhere = access.Admin
	case "viewer":
		p.Name, p.Teams = "Vic", map[string]access.Role{"commerce": access.Viewer}
	case "responder":
		p.Name, p.Teams = "Rae", map[string]access.Role{"commerce": access.Responder}
	default:
		p.Name = "Nobody in particular"
	}
	return p
}

// Book serves the stories. Each world is made once, and what is done in it lasts
// as long as the book.
type Book struct {
	mu    sync.Mutex
	desks map[string]*Desk
	sites map[string]http.Handler
}

// Cookies choose the world and who looks.
const (
	WorldCookie = "story-world"
	WhoCookie   = "story-who"
)

// ServeHTTP shows a page of the world that the cookies choose, to whom they say.
func (b *Book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.site(cookie(r, WorldCookie, "broken"), cookie(r, WhoCookie, "admin")).ServeHTTP(w, r)
}

func cookie(r *http.Request, name, or string) string {
	if c, err := r.Cookie(name); err == nil && c.Value != "" {
		return c.Value
	}
	return or
}

// Desk is the one of a world; nil when there is none of the name.
func (b *Book) Desk(world string) *Desk {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.desks == nil {
		b.desks = map[string]*Desk{}
	}
	if b.desks[world] == nil {
		if f, ok := Worlds()[world]; ok {
			b.desks[world] = f()
		}
	}
	return b.desks[world]
}

func (b *Book) site(world, who string) http.Handler {
	desk := b.Desk(world)
	if desk == nil {
		return http.NotFoundHandler()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sites == nil {
		b.sites = map[string]http.Handler{}
	}
	key := world + "/" + who
	if b.sites[key] == nil {
		b.sites[key] = Serve(desk, Principal(who))
	}
	return b.sites[key]
}

// Serve is the console over a desk as one principal sees it. Routes that they may
// not ask for are refused, as a gate would.
func Serve(desk *Desk, who access.Principal) http.Handler {
	site := web.New(desk, web.Options{Version: "0.9.0", Now: func() time.Time { return desk.Now }, SignOut: "/sign-out"})
	mux := http.NewServeMux()
	for _, r := range site.Routes() {
		mux.Handle(r.Pattern, guard(site, r, who))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			site.NotFound().ServeHTTP(w, r.WithContext(server.WithWho(r.Context(), who)))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func guard(site *web.Site, route server.Route, who access.Principal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(server.WithWho(r.Context(), who))
		if !who.Somewhere(route.Need) {
			site.Refused().ServeHTTP(w, r)
			return
		}
		route.Handler.ServeHTTP(w, r)
	})
}
