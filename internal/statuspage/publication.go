// Package statuspage is what clients are told: a publication holds what was
// published and nothing else, and pages, a feed and documents are made of it.
// Everything here is pure and takes the time as an argument; Write and Read are
// the two that touch a disk. docs/formats/status-page.md specifies the format.
package statuspage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// Format is the version of a publication's format.
const Format = 1

// State is how a service stands, as clients are told.
type State string

// The states.
const (
	Operational State = "operational"            // it was seen to serve, and nobody said otherwise
	Quiet       State = "no-disruption-reported" // nobody said otherwise; nobody looked either
	Maintenance State = "maintenance"            // planned work that was announced goes on
	Monitoring  State = "monitoring"             // it serves again, and is watched
	Disrupted   State = "disrupted"              // it does not serve as it should
	Unknown     State = "unknown"                // it should have been seen, and was not
)

// worst orders states from the best to the worst.
func (s State) rank() int {
	switch s {
	case Disrupted:
		return 5
	case Monitoring:
		return 4
	case Maintenance:
		return 3
	case Unknown:
		return 2
	case Quiet:
		return 1
	}
	return 0
}

// Publication is all that is on the page. What is not in it cannot get out.
type Publication struct {
	Format    int       `json:"format"`
	Title     string    `json:"title"`
	URL       string    `json:"url,omitempty"` // where the page is; no slash at its end
	Zone      string    `json:"zone"`          // of days, and of times as they are shown
	WrittenAt time.Time `json:"written_at"`
	// ValidUntil is when a new one is due: what is older says how it was.
	ValidUntil time.Time  `json:"valid_until"`
	State      State      `json:"state"` // the worst of all
	Services   []Service  `json:"services"`
	Incidents  []Incident `json:"incidents"` // the newest first
	Planned    []Planned  `json:"planned"`   // what comes first, first
	// Ways are those in which somebody can subscribe beside the feed: email,
	// webhook.
	Ways []string `json:"ways"`
}

// Service is something that clients use.
type Service struct {
	Name        string `json:"name"`
	Group       string `json:"group,omitempty"`
	Description string `json:"description,omitempty"`
	State       State  `json:"state"`
	Days        []Day  `json:"days"`    // the oldest first; today last
	Outages     []Span `json:"outages"` // confirmed, within those days, the oldest first
}

// Day is what is known of a day: of its seconds so many were watched, and of
// these so many it was down.
type Day struct {
	Date    string `json:"date"`    // as 2026-11-27, in the page's zone
	Seconds int64  `json:"seconds"` // that it had so far: a day is not always 24 hours
	Watched int64  `json:"watched"`
	Down    int64  `json:"down"`
}

// Span is a stretch of time; Until is empty while it goes on.
type Span struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"`
}

// Incident is what clients were told of a disruption.
type Incident struct {
	ID       string   `json:"id"`
	Also     []string `json:"also,omitempty"` // IDs under which parts of it were told first
	Title    string   `json:"title"`
	Services []string `json:"services"`
	Status   string   `json:"status"` // of the last update
	// Updates are those for clients, the oldest first; there is one at least.
	Updates []Update `json:"updates"`
}

// Update is one thing that clients were told.
type Update struct {
	ID     string    `json:"id"` // unique on the page
	Status string    `json:"status"`
	Text   string    `json:"text"`
	At     time.Time `json:"at"`
	Next   time.Time `json:"next,omitzero"` // when the next one was promised
}

// Planned is planned work that was announced.
type Planned struct {
	Services []string  `json:"services"`
	Text     string    `json:"text"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
}

// Resolved is the status of an incident that is over.
const Resolved = "resolved"

// Current reports that clients were not told that it is over.
func (i Incident) Current() bool { return i.Status != Resolved }

// Began is when clients were first told.
func (i Incident) Began() time.Time { return i.Updates[0].At }

// Last is what clients were told last.
func (i Incident) Last() Update { return i.Updates[len(i.Updates)-1] }

// Stale reports that a publication should have been replaced by a newer one.
func (p Publication) Stale(now time.Time) bool { return now.After(p.ValidUntil) }

// Place is the page's time zone; UTC when this machine does not know it.
func (p Publication) Place() *time.Location {
	if l, err := time.LoadLocation(p.Zone); err == nil {
		return l
	}
	return time.UTC
}

// ErrUnreadable means that a file holds no publication that this program can
// read.
var ErrUnreadable = errors.New("this is no publication of a status page that can be read")

// Encode is a publication as it is kept, and as status.json shows it.
func (p Publication) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the status page: %w", err)
	}
	return append(text, '\n'), nil
}

// Decode reads what Encode wrote, and refuses what pages cannot be made of.
func Decode(text []byte) (Publication, error) {
	var p Publication
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if p.Format != Format {
		return p, fmt.Errorf("%w: it has format %d, this program reads %d", ErrUnreadable, p.Format, Format)
	}
	for _, i := range p.Incidents {
		if len(i.Updates) == 0 || !plainID(i.ID) {
			return p, fmt.Errorf("%w: incident %q", ErrUnreadable, i.ID)
		}
		for _, id := range i.Also {
			if !plainID(id) {
				return p, fmt.Errorf("%w: incident %q", ErrUnreadable, id)
			}
		}
	}
	return p, nil
}

// plainID tells an ID that can be a part of a file's name.
func plainID(id string) bool {
	for _, r := range id {
		if (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 40
}

// Load reads a publication from a file.
func Load(path string) (Publication, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Publication{}, fmt.Errorf("read the status page: %w", err)
	}
	p, err := Decode(text)
	if err != nil {
		return p, fmt.Errorf("read %s: %w", path, err)
	}
	return p, nil
}
