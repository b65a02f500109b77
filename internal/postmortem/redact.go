package postmortem

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/refloat-db/refloat/internal/incident"
)

// Inside is what clients must not read.
type Inside struct {
	Words []string // names of people, systems, teams, rules, contacts
	Texts []string // what people and machines wrote: of more than a few words of it none gets out
}

// InsideOf is all that an incident's record holds and that is not for clients.
func InsideOf(f Facts) Inside {
	x := f.Incident
	in := Inside{}
	word := func(all ...string) { in.Words = append(in.Words, all...) }
	text := func(all ...string) { in.Texts = append(in.Texts, all...) }
	word(x.Targets...)
	word(x.Team, x.AcknowledgedBy, x.OpenedBy)
	text(x.Title, x.Outcome)
	for _, e := range x.Timeline {
		if e.Actor != incident.Server {
			word(e.Actor)
		}
	}
	for _, h := range x.Roles {
		word(h.Person, h.By)
	}
	for _, c := range x.Causes {
		word(c.Target)
		text(c.Reason)
	}
	for _, t := range x.Tasks {
		word(t.Owner, t.AddedBy, t.ClosedBy)
		text(t.Text, t.Result)
	}
	for _, n := range x.Notes {
		word(n.By)
		text(n.Text)
	}
	for _, l := range x.Links {
		word(l.URL)
		text(l.Title)
	}
	for _, a := range x.Attachments {
		word(a.Name)
	}
	for _, a := range x.Alerts {
		word(a.Target, a.AcknowledgedBy)
		text(a.Summary)
	}
	for _, p := range x.Pages {
		word(p.Person, p.Contact)
		text(p.Said, p.Error)
	}
	for _, u := range x.Updates {
		for _, r := range u.To {
			word(r.Person, r.Contact, r.Address)
		}
		if u.Audience != incident.Clients {
			text(u.Text)
		}
	}
	for _, c := range x.Changes {
		text(c.Why)
	}
	if x.DataLoss != nil {
		text(x.DataLoss.Source)
	}
	for _, r := range x.Recoveries {
		word(r.Target, r.ChosenBy, r.ConfirmedBy, r.Into)
		word(r.Server...)
		text(r.Title, r.Why)
		for _, s := range r.Steps {
			text(s.Title)
			text(s.Commands...)
		}
		for _, p := range r.Progress {
			text(p.Detail, p.Output, p.Error, p.Next)
		}
	}
	for _, k := range f.Findings {
		word(k.Rule, k.Object)
		text(k.Evidence)
	}
	for _, p := range f.Proofs {
		word(p.ID)
		text(p.Summary)
	}
	return in
}

// Dropped is a passage that clients are not given, and why.
type Dropped struct {
	Section string `json:"section"`
	Text    string `json:"text"`
	Why     string `json:"why"`
}

// ForClients makes the version of a report that clients are given. It is built of
// what may be known: clocks, downtime, availability, what was lost, updates that
// were published to clients, and of what people wrote only passages that name
// nothing from inside; those that do are left out and returned. names are what
// clients know systems by.
func ForClients(d Document, f Facts, names map[string]string) (Document, []Dropped) {
	in := InsideOf(f)
	in.Words = append(append(in.Words, d.Systems...), d.Team)
	in.Words = append(in.Words, d.Authors...)
	for _, a := range d.Actions {
		in.Words = append(in.Words, a.Owner)
	}
	r := &redactor{watch: newWatch(in)}
	c := d.Clocks
	known := clientNames(f.Incident.Targets, names)
	out := Document{Incident: "", Written: d.Written, Zone: d.Zone, Clocks: Clocks{Started: c.Started, Detected: c.Detected, Mitigated: c.Mitigated}}
	out.Title = fmt.Sprintf("Disruption of %s on %s", known, out.local(c.Started).Format("2 January 2006"))
	summary := fmt.Sprintf("%s was disrupted from %s on", upperFirst(known), out.moment(c.Started))
	if !c.Mitigated.IsZero() {
		summary += fmt.Sprintf(", for %s", Span(c.Mitigated.Sub(c.Started)))
	}
	out.Summary = Text{{Text: summary + "."}}
	for _, a := range d.Impact {
		switch a.Kind {
		case Downtime, Availability:
			out.Impact = append(out.Impact, a)
		case DataLost:
			if a.Span > 0 {
				out.Impact = append(out.Impact, Amount{Kind: DataLost, Text: "the work of " + Span(a.Span), Span: a.Span})
			} else if strings.HasPrefix(a.Text, "none") {
				out.Impact = append(out.Impact, Amount{Kind: DataLost, Text: "none"})
			}
		}
	}
	out.Timeline = clientTimeline(c, f.Incident)
	kept := out.texts()
	for _, s := range []struct {
		kind SectionKind
		from Text
	}{{RootCause, d.RootCause}, {Contributing, d.Contributing}, {Lessons, d.Lessons}, {Conclusion, d.Conclusion}} {
		for _, p := range s.from {
			if why := r.refuses(p); why != "" {
				r.dropped = append(r.dropped, Dropped{string(s.kind), p.Text, why})
				continue
			}
			*kept[s.kind] = append(*kept[s.kind], p)
		}
	}
	for _, a := range d.Actions {
		if why := r.refuses(Passage{Text: a.Text, Code: a.Code}); why != "" {
			r.dropped = append(r.dropped, Dropped{string(ActionItems), a.Text, why})
			continue
		}
		x := Duty{Text: a.Text, State: a.State}
		if _, err := time.Parse(time.DateOnly, a.Due); err == nil {
			x.Due = a.Due
		}
		if x.State != "done" {
			x.State = "open"
		}
		out.Actions = append(out.Actions, x)
	}
	out.Terms = []Term{{"Times", "All times are by the clock of " + d.Zone + "."}}
	return out, r.dropped
}

// clientNames is what clients know the systems by; one that they know by no name is
// the service.
func clientNames(targets []string, names map[string]string) string {
	var out []string
	for _, t := range targets {
		n := orElse(names[t], "the service")
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return "the service"
	}
	return strings.Join(out, ", ")
}

func upperFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// clientTimeline is the clocks that clients may know, and what they were told.
func clientTimeline(c Clocks, x incident.State) []Event {
	out := []Event{{At: c.Started, Text: "The disruption began"}}
	if !c.Detected.IsZero() {
		out = append(out, Event{At: c.Detected, Text: "It was detected"})
	}
	for _, u := range x.Updates {
		if u.Audience == incident.Clients {
			out = append(out, Event{At: seconds(u.At), Text: "We wrote: " + quote(u.Text)})
		}
	}
	if !c.Mitigated.IsZero() {
		out = append(out, Event{At: c.Mitigated, Text: "Service was restored"})
	}
	slices.SortStableFunc(out, func(a, b Event) int { return a.At.Compare(b.At) })
	return out
}

type redactor struct {
	watch   *watchWords
	dropped []Dropped
}

// watchWords finds what is from inside.
type watchWords struct {
	words map[string]bool // of names, in lower case
	runs  map[string]bool // runs of words of texts
}

const runLength = 4 // words of a text that are more than chance

func newWatch(in Inside) *watchWords {
	w := &watchWords{words: map[string]bool{}, runs: map[string]bool{}}
	for _, name := range in.Words {
		for _, p := range append(plainWords(name), strings.ToLower(strings.TrimSpace(name))) {
			if len([]rune(p)) >= 2 && !everyday[p] {
				w.words[p] = true
			}
		}
	}
	for _, t := range in.Texts {
		all := plainWords(t)
		for i, p := range all {
			if strings.ContainsAny(p, "0123456789-_") && strings.ContainsFunc(p, unicode.IsLetter) && len(p) > 2 { // db7, pg-backup: a name
				w.words[p] = true
			}
			if end := i + min(runLength, len(all)); end <= len(all) && (len(all) >= 2 || len(all[i]) >= 6) {
				w.runs[strings.Join(all[i:end], " ")] = true
			}
		}
	}
	return w
}

// everyday are words that a name may hold and that say nothing.
var everyday = setOf("the a an and or of in on at to for by is was team db the service data operations support engineering page email")

// plainWords are a text's words in lower case; a name with inner marks is one word,
// and its parts are words, too.
func plainWords(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' })
}

// technical are words that name a machine, a file, a setting or a command.
var technical = regexp.MustCompile(`(?i)\b\d{1,3}(\.\d{1,3}){3}\b|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]+|\b[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}\b|\w+_\w+|\w+=\S|(^|\s)--?[a-z]|(^|\s)~?/\S|\w+@\w|\w+://|\$\w|(^|\s)(select|insert into|update|delete from|alter|drop table|sudo|kubectl|psql|rm|systemctl|journalctl|docker|podman|ssh|scp|rsync|curl|wget|chmod|chown|grep|refloat|patronictl|pgbackrest|barman|repmgr|mysql|apt-get|terraform|ansible|helm)\s`)

// refuses says why clients are not given a passage; nothing when they may be.
func (r *redactor) refuses(p Passage) string {
	switch {
	case p.Code:
		return "it holds a command or a name marked as code"
	case strings.Contains(p.Text, fillMark):
		return "it is not filled in"
	case sourced(p.Text) || strings.ContainsAny(p.Text, "“”"):
		return "it quotes the record"
	}
	if m := technical.FindString(p.Text); m != "" {
		return fmt.Sprintf("%q names a machine, a file, a setting or a command", strings.TrimSpace(m))
	}
	all := plainWords(p.Text)
	low := strings.ToLower(p.Text)
	for _, w := range all {
		if r.watch.words[w] {
			return fmt.Sprintf("%q is a name from inside", w)
		}
		for _, part := range strings.FieldsFunc(w, func(c rune) bool { return c == '-' || c == '_' }) {
			if r.watch.words[part] {
				return fmt.Sprintf("%q is a name from inside", part)
			}
		}
	}
	for name := range r.watch.words {
		if strings.ContainsFunc(name, func(c rune) bool { return c == ' ' || c == '.' || c == '@' || c == '/' || c == '\'' }) && strings.Contains(low, name) {
			return fmt.Sprintf("%q is a name from inside", name)
		}
	}
	for i := range all {
		for n := 1; n <= runLength && i+n <= len(all); n++ {
			if run := strings.Join(all[i:i+n], " "); r.watch.runs[run] {
				return fmt.Sprintf("%q is from the record", run)
			}
		}
	}
	return ""
}
