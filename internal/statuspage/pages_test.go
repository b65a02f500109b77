package statuspage

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

const day = 24 * time.Hour

// sample is a page on which everything happens.
func sample() Input {
	return Input{
		Title: "Acme status", URL: "https://status.acme.example", Automatic: true, Ways: []string{ByEmail, ByWebhook},
		Services: []Offer{
			{Name: "Web shop", Description: "Browse, order and pay", Targets: []string{"shop"}},
			{Name: "Public API", Group: "For developers", Description: "api.acme.example", Targets: []string{"api", "shop"}},
			{Name: "Reports", Group: "For developers", Targets: []string{"reports"}},
		},
		Seen: map[string]Seen{
			"shop":    {Now: Up, Watched: []Span{{From: ago(200 * day)}}, Down: []Span{{ago(40 * day), ago(40*day - 9*time.Minute)}, {ago(12 * day), ago(12*day - 3*time.Hour)}}},
			"api":     {Now: Up, Watched: []Span{{From: ago(200 * day)}}},
			"reports": {Now: Down, Watched: []Span{{From: ago(20 * day)}}, Down: []Span{{From: ago(50 * time.Minute)}}},
		},
		Told: []Told{
			{Key: "inc-1", Targets: []string{"shop"}, Updates: []Update{
				{Status: "investigating", Text: "Orders are refused at the moment.\nWe are finding out why.", At: ago(12*day - 5*time.Minute)},
				{Status: "resolved", Text: "Orders are taken again since 15:00 UTC. No order was lost.", At: ago(12*day - 3*time.Hour)},
			}},
			{Key: "inc-4", Targets: []string{"reports"}, Updates: []Update{
				{Status: "investigating", Text: "Reports cannot be opened at the moment. We are finding out why.", At: ago(45 * time.Minute), Next: ago(15 * time.Minute)},
				{Status: "identified", Text: "We know what is wrong, and are preparing the way back.\n\nReports that were ordered meanwhile will be made; you need not order them again.", At: ago(20 * time.Minute), Next: noon.Add(10 * time.Minute)},
			}},
		},
		Planned: []Announced{{Targets: []string{"api"}, Text: "We move the database of the API to faster disks. It may be interrupted for up to ten minutes.", From: noon.Add(2 * day), Until: noon.Add(2*day + 2*time.Hour)}},
	}
}

func files(t *testing.T, p Publication, now time.Time) map[string]string {
	t.Helper()
	g, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	all, err := g.Files(p, now)
	if err != nil {
		t.Fatal(err)
	}
	if all[len(all)-1].Name != "index.html" {
		t.Errorf("the last file is %s: it would lead to what is not there yet", all[len(all)-1].Name)
	}
	out := map[string]string{}
	for _, f := range all {
		if !Ours(f.Name) || out[f.Name] != "" {
			t.Errorf("file %s: not known as ours, or there twice", f.Name)
		}
		out[f.Name] = string(f.Body)
	}
	return out
}

// TestShow writes the sample to a folder, to be looked at.
func TestShow(t *testing.T) {
	dir := os.Getenv("REFLOAT_SHOW_STATUS_PAGE")
	if dir == "" {
		t.Skip("REFLOAT_SHOW_STATUS_PAGE=DIR writes the sample page there")
	}
	quiet := sample()
	quiet.Automatic, quiet.Told, quiet.Planned = false, quiet.Told[:1], nil
	fine := sample()
	fine.Told, fine.Seen["reports"] = fine.Told[:1], Seen{Now: Up, Watched: []Span{{From: ago(20 * day)}}}
	for name, all := range map[string]map[string]string{"busy": files(t, Make(sample(), noon), noon), "quiet": files(t, Make(quiet, noon), noon), "fine": files(t, Make(fine, noon), noon), "old": files(t, Make(sample(), noon), noon.Add(3*time.Hour)), "empty": files(t, Make(Input{Title: "Acme"}, noon), noon)} {
		for file, body := range all {
			path := filepath.Join(dir, name, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// doc is a parsed page with what every page must have checked.
func doc(t *testing.T, name, text string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	ids, headings, level := map[string]bool{}, 0, 0
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			if slices.Contains([]string{"script", "iframe", "object", "style", "img"}, n.Data) {
				t.Errorf("%s: a %s", name, n.Data)
			}
			if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
				l := int(n.Data[1] - '0')
				if l == 1 {
					headings++
				}
				if l > level+1 {
					t.Errorf("%s: a heading h%d follows an h%d: %s", name, l, level, words(n))
				}
				level = l
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
					t.Errorf("%s: attribute %s", name, a.Key)
				case a.Key == "id" && ids[a.Val]:
					t.Errorf("%s: id %s is there twice", name, a.Val)
				case a.Key == "id":
					ids[a.Val] = true
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	if headings != 1 {
		t.Errorf("%s: %d headings of the first level", name, headings)
	}
	if lang := attr(find(root, "html")[0], "lang"); lang != "en" {
		t.Errorf("%s: language %q", name, lang)
	}
	return root
}

func find(n *html.Node, tag string) (out []*html.Node) {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == tag {
			out = append(out, c)
		}
	}
	return out
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func words(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestPages(t *testing.T) {
	all := files(t, Make(sample(), noon), noon)
	for name, text := range all {
		if !strings.HasSuffix(name, ".html") {
			continue
		}
		root := doc(t, name, text)
		for _, a := range find(root, "a") {
			to, _, _ := strings.Cut(attr(a, "href"), "#")
			if to != "" && !strings.Contains(to, "://") && all[to] == "" {
				t.Errorf("%s leads to %s, which is not there", name, to)
			}
		}
		if len(text) > 100<<10 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	index := doc(t, "index", all["index.html"])
	if h := words(find(index, "h1")[0]); h != "Disrupted: Reports" {
		t.Errorf("headline %q", h)
	}
	text := words(index)
	for _, want := range []string{
		"As of 27 Nov 2026, 12:00 UTC", "Written 27 Nov 2026, 12:00 UTC", "it is out of date", "Disruption: Reports", "Cause found", "The next update was promised by 27 Nov 2026, 12:10 UTC",
		"you need not order them again", "Web shop", "99.85 % available", "100 % in 21 measured days", "15 Nov 2026 3 h", "18 Oct 2026 9 min", "We move the database", "29 Nov 2026, 12:00 UTC to 14:00 UTC",
		"15 November 2026", "Resolved", "No order was lost", "reported from 15 Nov 2026, 12:05 to 15:00 UTC, 2 h 55 min",
	} {
		if want == "100 % in 21 measured days" {
			want = "99.82 % in 21 measured days"
		}
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	bars := find(index, "svg")
	labelled := 0
	for _, b := range bars {
		switch {
		case attr(b, "role") == "img" && strings.Contains(attr(b, "aria-label"), "in the last 90 days"):
			labelled++
		case attr(b, "aria-hidden") != "true":
			t.Error("a picture without words")
		}
	}
	if labelled != 3 {
		t.Errorf("%d bars with words", labelled)
	}
	if strings.Contains(text, "inc-") {
		t.Error("the page shows the number of an incident")
	}
}

func TestHostileText(t *testing.T) {
	in := sample()
	in.Title = `<b>"A&B"</b>`
	in.Services[0].Name = `"><script>alert(1)</script>`
	in.Services[0].Group = `'>`
	in.Told[1].Targets = []string{"shop"}
	in.Told[1].Updates[0].Text = "<img src=x onerror=alert(1)>\u202egnp\x00\x1b[2J"
	for name, text := range files(t, Make(in, noon), noon) {
		if strings.HasSuffix(name, ".html") {
			doc(t, name, text)
		}
		if strings.HasSuffix(name, ".atom") {
			readFeed(t, text)
		}
		if strings.ContainsAny(text, "\x00\x1b\u202e") {
			t.Errorf("%s holds what steers a screen", name)
		}
	}
}

type readEntry struct {
	ID      string `xml:"id"`
	Title   string `xml:"title"`
	Updated string `xml:"updated"`
	Link    []struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	} `xml:"link"`
	Content struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"content"`
}

func readFeed(t *testing.T, text string) (id string, entries []readEntry) {
	t.Helper()
	var f struct {
		XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
		readEntry
		Author []struct {
			Name string `xml:"name"`
		} `xml:"author"`
		Entries []readEntry `xml:"entry"`
	}
	if err := xml.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range append(f.Entries, f.readEntry) {
		if _, err := time.Parse(time.RFC3339, e.Updated); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(e.ID, "urn:uuid:") || seen[e.ID] || e.Title == "" || len(e.Link) == 0 {
			t.Errorf("entry %+v", e)
		}
		seen[e.ID] = true
	}
	if len(f.Author) != 1 || f.Author[0].Name == "" {
		t.Error("no author")
	}
	return f.ID, f.Entries
}

func TestFeed(t *testing.T) {
	p := Make(sample(), noon)
	text, err := p.Feed()
	if err != nil {
		t.Fatal(err)
	}
	id, entries := readFeed(t, string(text))
	if len(entries) != 4 || entries[0].Title != "Disruption: Reports – Cause found" || !strings.Contains(entries[0].Content.Text, "you need not order") {
		t.Errorf("%+v", entries)
	}
	if to := entries[0].Link[0].Href; !strings.HasPrefix(to, "https://status.acme.example/incident-20261127-111500.html#") {
		t.Errorf("entry leads to %s", to)
	}
	in := sample() // another title, one more update, later: what was read stays read
	in.Title = "Another"
	in.Told[1].Updates = append(in.Told[1].Updates, Update{Status: "resolved", Text: "Over.", At: noon})
	text, err = Make(in, noon.Add(time.Hour)).Feed()
	if err != nil {
		t.Fatal(err)
	}
	id2, more := readFeed(t, string(text))
	if id2 != id || len(more) != 5 {
		t.Fatalf("the feed is another one: %s %s %d", id, id2, len(more))
	}
	for i := range entries {
		if entries[i].ID != more[i+1].ID || entries[i].Updated != more[i+1].Updated {
			t.Errorf("entry %d is another one", i)
		}
	}
}

func TestOldPageSaysSo(t *testing.T) {
	p := Make(sample(), noon)
	for now, old := range map[time.Time]bool{noon: false, p.ValidUntil: false, p.ValidUntil.Add(time.Second): true, noon.Add(50 * time.Hour): true} {
		text := words(doc(t, "index", files(t, p, now)["index.html"]))
		if got := strings.Contains(text, "This page is old."); got != old {
			t.Errorf("at %s: told to be old: %v", now, got)
		}
		if got := strings.Contains(text, "Last known: Disrupted: Reports"); got != old {
			t.Errorf("at %s: last known: %v: %s", now, got, text)
		}
		if !strings.Contains(text, "27 Nov 2026, 12:00 UTC") {
			t.Errorf("at %s: no time", now)
		}
	}
}
