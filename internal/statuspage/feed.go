package statuspage

import (
	"encoding/xml"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The elements of an Atom feed (RFC 4287) that are used.
type (
	atomFeed struct {
		XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
		Lang    string      `xml:"xml:lang,attr"`
		ID      string      `xml:"id"`
		Title   string      `xml:"title"`
		Updated string      `xml:"updated"`
		Author  atomAuthor  `xml:"author"`
		Links   []atomLink  `xml:"link"`
		Entries []atomEntry `xml:"entry"`
	}
	atomAuthor struct {
		Name string `xml:"name"`
	}
	atomLink struct {
		Rel  string `xml:"rel,attr"`
		Type string `xml:"type,attr"`
		Href string `xml:"href,attr"`
	}
	atomEntry struct {
		ID        string   `xml:"id"`
		Title     string   `xml:"title"`
		Updated   string   `xml:"updated"`
		Published string   `xml:"published"`
		Link      atomLink `xml:"link"`
		Content   atomText `xml:"content"`
	}
	atomText struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	}
)

const feedMost = 100 // entries

// Feed is the page as an Atom feed: an entry for each update, the newest first.
// Entries keep their IDs whatever else changes on the page.
func (p Publication) Feed() ([]byte, error) {
	base := ""
	if p.URL != "" {
		base = p.URL + "/"
	}
	origin := p.URL
	if origin == "" {
		origin = p.name()
	}
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("refloat-status-page "+origin))
	id := func(what string) string { return "urn:uuid:" + uuid.NewSHA1(space, []byte(what)).String() }
	f := atomFeed{
		Lang: "en", ID: id("feed"), Title: plainText(p.name()), Author: atomAuthor{plainText(p.name())}, Updated: p.WrittenAt.UTC().Format(time.RFC3339),
		Links: []atomLink{{"alternate", "text/html", base + "index.html"}},
	}
	if base != "" {
		f.Links = append(f.Links, atomLink{"self", "application/atom+xml", base + "feed.atom"})
	}
	type entry struct {
		at time.Time
		atomEntry
	}
	var all []entry
	for _, i := range p.Incidents {
		for _, u := range i.Updates {
			when := u.At.UTC().Format(time.RFC3339)
			all = append(all, entry{u.At, atomEntry{
				ID: id(u.ID), Title: plainText(i.Title + " – " + statusWords(u.Status)), Updated: when, Published: when,
				Link: atomLink{"alternate", "text/html", base + incidentFile(i.ID) + "#" + u.ID}, Content: atomText{"text", plainText(u.Text)},
			}})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return b.at.Compare(a.at) })
	for i, e := range all[:min(len(all), feedMost)] {
		if i == 0 {
			f.Updated = e.Updated
		}
		f.Entries = append(f.Entries, e.atomEntry)
	}
	if len(all) == 0 { // else the feed would seem to change with each writing
		f.Updated = p.WrittenAt.UTC().Truncate(24 * time.Hour).Format(time.RFC3339)
	}
	text, err := xml.MarshalIndent(f, "", " ")
	if err != nil {
		return nil, fmt.Errorf("make the feed of the status page: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

// name is the title, which a feed must have.
func (p Publication) name() string {
	if p.Title == "" {
		return "Status"
	}
	return p.Title
}
