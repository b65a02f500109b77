package statuspage

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Input is what a publication is made of. It has no place for what is internal:
// reasons, notes, titles and names of people are not among its fields.
type Input struct {
	Title, URL string
	Zone       *time.Location // nil for UTC
	Ways       []string
	// Automatic lets the watch say that a service is disrupted, before a person
	// did; else only what a person published is told.
	Automatic bool
	Services  []Offer
	Seen      map[string]Seen // by target
	Told      []Told
	Planned   []Announced
}

// Offer is a service and the targets that it needs.
type Offer struct {
	Name, Group, Description string
	Targets                  []string
}

// Seen is what the watch saw of a target.
type Seen struct {
	Down    []Span // confirmed outages
	Watched []Span // in which it was looked at
	Now     Sight
}

// Sight is what the watch sees now.
type Sight int

// What it can see.
const (
	Blind Sight = iota // nothing
	Up
	Down
)

// Told is what clients were told in one incident.
type Told struct {
	Key     string // of the incident; it is not published
	Into    string // key of the one in which it goes on, if it was merged
	Targets []string
	Updates []Update // for clients, the oldest first; their ID is not looked at
}

// Announced is planned work with the words for clients.
type Announced struct {
	Targets     []string
	Text        string
	From, Until time.Time
}

// How long things stay on the page, and how soon a publication is old.
const (
	keepIncidents = 400 * 24 * time.Hour
	showPlanned   = 30 * 24 * time.Hour
	// Every is how often a publication is made anew although nothing changed.
	Every = 5 * time.Minute
	// Valid is how long one is good for: two may be missed.
	Valid = 3 * Every
)

// Make makes the publication of a moment.
func Make(in Input, now time.Time) Publication {
	zone := in.Zone
	if zone == nil {
		zone = time.UTC
	}
	now = now.UTC().Truncate(time.Second)
	p := Publication{
		Format: Format, Title: plainText(in.Title), URL: strings.TrimRight(in.URL, "/"), Zone: zone.String(), WrittenAt: now, ValidUntil: now.Add(Valid),
		State: Operational, Services: []Service{}, Incidents: in.incidents(now), Planned: in.planned(now), Ways: append([]string{}, in.Ways...),
	}
	for _, o := range in.Services {
		p.Services = append(p.Services, in.service(o, p, now, zone))
	}
	for _, s := range p.Services {
		if s.State.rank() > p.State.rank() {
			p.State = s.State
		}
	}
	for _, i := range p.Incidents {
		if s := stateOf(i); i.Current() && s.rank() > p.State.rank() {
			p.State = s
		}
	}
	return p
}

// stateOf is what the last update of an incident says of the services in it.
func stateOf(i Incident) State {
	if i.Status == "monitoring" {
		return Monitoring
	}
	return Disrupted
}

func (in Input) service(o Offer, p Publication, now time.Time, zone *time.Location) Service {
	starts, _ := dayStarts(now, zone)
	var down, watched []stretch
	sight := Up
	for i, t := range o.Targets {
		seen := in.Seen[t]
		down = union(down, closed(seen.Down, starts[0], now))
		w := closed(seen.Watched, starts[0], now)
		if i > 0 {
			w = both(watched, w) // it is known when all of it was looked at
		}
		watched = w
		switch {
		case seen.Now == Down:
			sight = Down
		case seen.Now == Blind && sight == Up:
			sight = Blind
		}
	}
	s := Service{Name: plainText(o.Name), Group: plainText(o.Group), Description: plainText(o.Description), Days: history(down, watched, now, zone), Outages: []Span{}}
	for _, x := range down {
		if len(watched) > 0 && x.until.After(watched[0].from) {
			span := Span{From: x.from.UTC().Truncate(time.Second), Until: x.until.UTC().Truncate(time.Second)}
			if x.until.Equal(now) && sight == Down {
				span.Until = time.Time{}
			}
			s.Outages = append(s.Outages, span)
		}
	}
	s.State = in.standing(s, p, sight, now)
	return s
}

// standing is the state of a service: what people said comes before what was
// announced, and that before what was seen.
func (in Input) standing(s Service, p Publication, sight Sight, now time.Time) State {
	told := State("")
	for _, i := range p.Incidents {
		if x := stateOf(i); i.Current() && slices.Contains(i.Services, s.Name) && (told == "" || x.rank() > told.rank()) {
			told = x
		}
	}
	planned := slices.ContainsFunc(p.Planned, func(w Planned) bool { return slices.Contains(w.Services, s.Name) && !now.Before(w.From) })
	switch {
	case told == Disrupted:
		return Disrupted
	case planned:
		return Maintenance
	case in.Automatic && sight == Down:
		return Disrupted
	case told != "":
		return told
	case !in.Automatic:
		return Quiet
	case sight == Blind:
		return Unknown
	}
	return Operational
}

// names are the services that need one of some targets, in the page's order.
func (in Input) names(targets []string) []string {
	out := []string{}
	for _, o := range in.Services {
		if slices.ContainsFunc(o.Targets, func(t string) bool { return slices.Contains(targets, t) }) {
			out = append(out, plainText(o.Name))
		}
	}
	return out
}

// incidents are those of which clients were told, the newest first. One that was
// merged is a part of the one in which it goes on.
func (in Input) incidents(now time.Time) []Incident {
	byKey := map[string]*Told{}
	for i := range in.Told {
		byKey[in.Told[i].Key] = &in.Told[i]
	}
	root := func(t *Told) *Told {
		for range in.Told { // no longer than there are any: a ring ends
			next := byKey[t.Into]
			if next == nil {
				break
			}
			t = next
		}
		return t
	}
	groups := map[string][]Told{}
	var keys []string
	for i := range in.Told {
		k := root(&in.Told[i]).Key
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], in.Told[i])
	}
	ids := in.ids()
	out := []Incident{}
	for _, k := range keys {
		if i, told := in.incident(groups[k], ids); told && (i.Current() || now.Sub(i.Last().At) < keepIncidents) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b Incident) int {
		if c := b.Began().Compare(a.Began()); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return out
}

// incident is what was told in incidents that are one by now.
func (in Input) incident(parts []Told, ids map[string]string) (Incident, bool) {
	var i Incident
	var targets []string
	for _, t := range parts {
		targets = append(targets, t.Targets...)
		for n, u := range t.Updates {
			u.ID = ids[t.Key] + "-u" + strconv.Itoa(n+1)
			u.Text, u.At = strings.TrimSpace(plainText(u.Text)), u.At.UTC()
			i.Updates = append(i.Updates, u)
		}
		if len(t.Updates) > 0 {
			i.Also = append(i.Also, ids[t.Key])
		}
	}
	if len(i.Updates) == 0 {
		return i, false
	}
	slices.SortStableFunc(i.Updates, func(a, b Update) int { return a.At.Compare(b.At) })
	slices.Sort(i.Also)
	i.ID, i.Also = i.Also[0], slices.Clone(i.Also[1:])
	if len(i.Also) == 0 {
		i.Also = nil
	}
	i.Services, i.Status = in.names(targets), i.Last().Status
	i.Title = "Disruption"
	if len(i.Services) > 0 {
		i.Title += ": " + strings.Join(i.Services, ", ")
	}
	return i, true
}

// ids are what incidents are called in public, by key: when clients were first
// told. An incident's own number would tell how many there are of which they
// were not.
func (in Input) ids() map[string]string {
	var told []Told
	for _, t := range in.Told {
		if len(t.Updates) > 0 {
			told = append(told, t)
		}
	}
	slices.SortStableFunc(told, func(a, b Told) int { return a.Updates[0].At.Compare(b.Updates[0].At) })
	out, taken := map[string]string{}, map[string]int{}
	for _, t := range told {
		id := t.Updates[0].At.UTC().Format("20060102-150405")
		taken[id]++
		if n := taken[id]; n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		out[t.Key] = id
	}
	return out
}

// planned is announced work that goes on or comes soon.
func (in Input) planned(now time.Time) []Planned {
	out := []Planned{}
	for _, a := range in.Planned {
		text := strings.TrimSpace(plainText(a.Text))
		if text == "" || !now.Before(a.Until) || a.From.Sub(now) > showPlanned {
			continue
		}
		w := Planned{Services: in.names(a.Targets), Text: text, From: a.From.UTC(), Until: a.Until.UTC()}
		same := func(x Planned) bool { return x.Text == w.Text && x.From.Equal(w.From) && x.Until.Equal(w.Until) }
		if i := slices.IndexFunc(out, same); i >= 0 { // one piece of work on several targets
			for _, n := range w.Services {
				if !slices.Contains(out[i].Services, n) {
					out[i].Services = append(out[i].Services, n)
				}
			}
			continue
		}
		if len(w.Services) > 0 {
			out = append(out, w)
		}
	}
	slices.SortStableFunc(out, func(a, b Planned) int { return a.From.Compare(b.From) })
	return out
}

// Same reports whether two publications say the same of how things stand, apart
// from when they were made and from what grows by the second.
func Same(a, b Publication) bool {
	return reflect.DeepEqual(standing(a), standing(b))
}

func standing(p Publication) Publication {
	p.WrittenAt, p.ValidUntil = time.Time{}, time.Time{}
	p.Services = slices.Clone(p.Services)
	for i := range p.Services {
		p.Services[i].Days = nil
	}
	return p
}
