package statuspage

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

//go:embed page
var sources embed.FS

// File is one file of the page.
type File struct {
	Name string // without a folder
	Type string // media type
	Body []byte
}

// Pages makes files of a publication.
type Pages struct {
	t           *template.Template
	style, icon []byte
}

// NewPages reads the templates.
func NewPages() (*Pages, error) {
	t, err := template.ParseFS(sources, "page/*.html")
	if err != nil {
		return nil, fmt.Errorf("read the templates of the status page: %w", err)
	}
	p := &Pages{t: t}
	if p.style, err = sources.ReadFile("page/style.css"); err != nil {
		return nil, err
	}
	if p.icon, err = sources.ReadFile("page/icon.svg"); err != nil {
		return nil, err
	}
	return p, nil
}

// Policy is what a browser may load and send for these pages: nothing but their
// own style and picture, and forms to themselves.
const Policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"

// Media types of the files.
const (
	TypeHTML = "text/html; charset=utf-8"
	TypeAtom = "application/atom+xml; charset=utf-8"
	TypeJSON = "application/json"
	TypeCSS  = "text/css; charset=utf-8"
	TypeSVG  = "image/svg+xml"
)

// How much is on the first page.
const (
	pastDays   = 14
	newestMost = 3 // updates of an incident that goes on
)

// Files are all files of a publication as they are at now; index.html is last,
// so that it never leads to what is not there yet.
func (g *Pages) Files(p Publication, now time.Time) ([]File, error) {
	status, err := p.Encode()
	if err != nil {
		return nil, err
	}
	feed, err := p.Feed()
	if err != nil {
		return nil, err
	}
	out := []File{{"style.css", TypeCSS, g.style}, {"icon.svg", TypeSVG, g.icon}, {"status.json", TypeJSON, status}, {"feed.atom", TypeAtom, feed}}
	add := func(name, page string, s sheet) {
		var body []byte
		if body, err = g.page(page, s); err == nil {
			out = append(out, File{name, TypeHTML, body})
		}
	}
	for _, i := range p.Incidents {
		s := newSheet(p, now, "incident", i.Title+" – "+p.Title)
		s.One = newIncident(i, p.Place())
		s.Timeless = !i.Current()
		for _, id := range append([]string{i.ID}, i.Also...) {
			if err == nil {
				add(incidentFile(id), "incident", s)
			}
		}
	}
	all := newSheet(p, now, "history", "History – "+p.Title)
	all.Headline, all.Months = "History", months(p.Incidents, p.Place())
	for _, m := range all.Months {
		one := newSheet(p, now, "month", m.Name+" – "+p.Title)
		one.Headline, one.Months = "Incidents of "+m.Name, []month{{Name: m.Name, Days: m.Days}}
		one.Timeless = m.over()
		if err == nil {
			add(m.File, "history", one)
		}
	}
	if err == nil {
		add("history.html", "history", all)
	}
	if err == nil {
		add("subscribe.html", "subscribe", subscribeSheet(p, now))
	}
	if err == nil {
		add("index.html", "index", indexSheet(p, now))
	}
	return out, err
}

func (g *Pages) page(name string, s sheet) ([]byte, error) {
	var b bytes.Buffer
	if err := g.t.ExecuteTemplate(&b, name, s); err != nil {
		return nil, fmt.Errorf("make the status page: %w", err)
	}
	return b.Bytes(), nil
}

func incidentFile(id string) string { return "incident-" + id + ".html" }

// Ours reports whether a file of this name is one that Files makes for some
// publication, so that old ones can be told from what is somebody else's.
func Ours(name string) bool {
	for _, prefix := range []string{"incident-", "history-"} {
		if id, is := strings.CutPrefix(name, prefix); is {
			id, is = strings.CutSuffix(id, ".html")
			return is && plainID(id)
		}
	}
	return slices.Contains([]string{"style.css", "icon.svg", "status.json", "feed.atom", "history.html", "subscribe.html", "index.html"}, name)
}

// sheet is what a template is given.
type sheet struct {
	P                Publication
	Here, Name, Base string
	Policy           string
	Stale            bool
	Age, ZoneName    string
	Written, Until   moment

	Class, Headline, Basis string
	Current                []incidentView
	Running, Coming        []plannedView
	Groups                 []group
	Past                   []daySheet
	Months                 []month
	One                    incidentView

	Live, Closed, Email, Webhook bool
	By, Trouble                  string
	Words                        []string
	Secret, Button               string

	// Timeless is for what is history: it says no time of writing, and so needs no
	// writing again.
	Timeless bool
}

func newSheet(p Publication, now time.Time, here, name string) sheet {
	zone := p.Place()
	s := sheet{
		P: p, Here: here, Name: name, Policy: Policy, Stale: p.Stale(now), Age: spanWords(now.Sub(p.WrittenAt)),
		Written: at(p.WrittenAt, zone), Until: at(p.ValidUntil, zone), ZoneName: "in UTC",
	}
	s.P.Title = plainText(p.Title)
	if zone != time.UTC {
		s.ZoneName = "those of " + zone.String()
	}
	return s
}

func indexSheet(p Publication, now time.Time) sheet {
	zone := p.Place()
	s := newSheet(p, now, "index", p.Title)
	s.Class, s.Headline, s.Basis = p.State.class(), p.headline(), p.basis()
	if s.Stale {
		s.Class, s.Headline, s.Basis = "blind", "Last known: "+s.Headline, ""
	}
	s.Name = s.Headline + " – " + p.Title
	for _, i := range p.Incidents {
		if i.Current() {
			s.Current = append(s.Current, newIncident(i, zone))
		}
	}
	slices.SortStableFunc(s.Current, func(a, b incidentView) int { return boolRank(a.Class != "bad") - boolRank(b.Class != "bad") })
	for _, w := range p.Planned {
		v := newPlanned(w, zone)
		if now.Before(w.From) {
			s.Coming = append(s.Coming, v)
		} else {
			s.Running = append(s.Running, v)
		}
	}
	s.Groups = groups(p.Services, s.Stale)
	for _, m := range months(slices.DeleteFunc(slices.Clone(p.Incidents), func(i Incident) bool {
		return i.Current() || now.Sub(i.Began()) > pastDays*24*time.Hour
	}), zone) {
		s.Past = append(s.Past, m.Days...)
	}
	return s
}
