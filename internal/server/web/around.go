package web

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// around is what the frame shows beside a page.
type around struct {
	view
	path    string // of this page, to come back to
	who     string
	signOut string
	account bool // there is a page of one's own access
	people  bool // and one of everybody's
	version string
	zone    string // the viewer's; empty when it is not known
	glance  []glimpse
	node    string
	leads   bool
	said    string // what came of what was just done
	saidAs  component.Tone
}

// glimpse is one part of how everything stands.
type glimpse struct {
	tone component.Tone
	text string
	to   string
}

type entry struct{ to, text string }

// entries are the pages in the navigation.
func entries() []entry {
	return []entry{
		{"/", "Board"}, {"/incidents", "Incidents"}, {"/alerts", "Alerts"}, {"/oncall", "On call"}, {"/actions", "Actions"},
		{"/findings", "Findings"}, {"/journal", "Journal"}, {"/settings", "Settings"},
	}
}

func (s *Site) around(q asked, v view) around {
	a := around{view: v, path: q.URL.RequestURI(), who: q.who.Name, signOut: s.o.SignOut, version: s.o.Version, leads: true}
	if q.Method != http.MethodGet {
		a.path = "/"
	}
	a.account = s.o.Access != nil && q.who.Kind == access.Session
	a.people = a.account && q.who.Has(access.Administer, "")
	if z := component.ViewerOf(q.Context()).Zone; z != nil {
		a.zone = z.String()
	}
	a.said, a.saidAs = said(q.URL.Query().Get("done"))
	if !q.who.Known() {
		return a
	}
	b, err := v.board, error(nil)
	if b == nil {
		var fresh server.Board
		fresh, err = s.desk.Board(q.Context(), q.who)
		b = &fresh
	}
	if err != nil {
		s.log.ErrorContext(q.Context(), "board for the frame of a page", "error", err)
		a.glance = []glimpse{{component.Warn, "State unknown", "/"}}
		return a
	}
	a.glance, a.node, a.leads = glance(*b), b.Node, b.Leads
	if a.seq == 0 {
		a.seq = b.Seq
	}
	return a
}

// glance is how everything stands in a few words: what is worst comes first, and
// all is well only where all is proven.
func glance(b server.Board) []glimpse {
	var out []glimpse
	if n := len(b.Incidents); n > 0 {
		out = append(out, glimpse{component.Bad, component.Plural(n, "incident", "incidents") + " open", "/incidents"})
	}
	if n := len(b.Alerts); n > 0 {
		out = append(out, glimpse{component.Bad, component.Plural(n, "alert", "alerts") + " not acknowledged", "/alerts"})
	}
	count := map[component.Tone]int{}
	for _, t := range b.Targets {
		count[toneOf(t.Report)]++
	}
	switch {
	case len(b.Targets) == 0:
		out = append(out, glimpse{component.Quiet, "No targets", "/"})
	case count[component.Bad] > 0:
		out = append(out, glimpse{component.Bad, component.Count(int64(count[component.Bad])) + " of " + component.Plural(len(b.Targets), "target", "targets") + " not well", "/"})
	case count[component.Warn] > 0:
		out = append(out, glimpse{component.Warn, component.Count(int64(count[component.Warn])) + " of " + component.Plural(len(b.Targets), "target", "targets") + " uncertain", "/"})
	case len(b.Targets) == 1:
		out = append(out, glimpse{component.Good, "The target is proven", "/"})
	default:
		out = append(out, glimpse{component.Good, "All " + component.Count(int64(len(b.Targets))) + " targets proven", "/"})
	}
	return out
}

// sentence makes an error's message one.
func sentence(err error) string { return sentenceOf(err.Error()) }

// sentenceOf begins with a capital letter and ends with a full stop.
func sentenceOf(s string) string {
	s = strings.TrimSpace(s)
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	if first, _, _ := strings.Cut(s, " "); !strings.ContainsAny(first, "_/=") { // a setting or a path stays as it is written
		s = string(unicode.ToUpper(r)) + s[n:]
	}
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// said is what a page says of what was just done, by the code that the act led
// on with (?done=CODE): words of ours only, since anybody can write an address.
func said(code string) (string, component.Tone) {
	switch code {
	case "":
		return "", ""
	case "zone":
		return "Times are shown in your zone too.", component.Good
	case "asked-backup":
		return "A base backup was asked for. It shows here when it has ended.", component.Good
	case "asked-drill":
		return "A drill was asked for. Its proof shows here when it has ended.", component.Good
	case "asked-check":
		return "An audit was asked for. What it finds shows here when it has ended.", component.Good
	case "asked-already":
		return "It was asked for already, and has not ended.", component.Busy
	case "zone-none":
		return "Times are shown in UTC only.", component.Good
	}
	if text := saidOfAccess(code); text != "" {
		return text, component.Good
	}
	if text, tone := saidInRoom(code); text != "" {
		return text, tone
	}
	return "", ""
}
