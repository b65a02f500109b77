package postmortem

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
)

// source names an entry of the journal.
func source(seq int64) string { return fmt.Sprintf("journal %d", seq) }

// teller writes the timeline of an incident. Its own words are chosen so that only
// the five moments are read as such; what people and machines said is quoted.
type teller struct {
	events []Event
	seqs   []int64
}

func (t *teller) at(at time.Time, seq int64, format string, args ...any) {
	if at.IsZero() {
		return
	}
	t.events = append(t.events, Event{At: seconds(at), Text: fmt.Sprintf(format, args...), Source: source(seq)})
	t.seqs = append(t.seqs, seq)
}

// seconds cuts a time to what a document holds.
func seconds(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.UTC().Truncate(time.Second)
}

// since is the entry that set each clock to what it is.
type since struct {
	clocks Clocks
	seq    [5]int64
}

func (s *since) look(x incident.State) {
	now := clocksOf(x)
	for i, m := range now.moments() {
		if was := s.clocks.moments()[i]; !was.at.Equal(m.at) {
			s.seq[i] = x.Last
		}
	}
	s.clocks = now
}

func clocksOf(x incident.State) Clocks {
	return Clocks{Started: seconds(x.Started), Detected: seconds(x.Detected), Acknowledged: seconds(x.Acknowledged), Mitigated: seconds(x.Mitigated), Resolved: seconds(x.Resolved)}
}

// timeline tells an incident's events in the order of their times.
func timeline(x incident.State) []Event {
	t, clocks := &teller{}, since{}
	state := incident.State{}
	for _, e := range x.Timeline {
		state = state.With(e)
		clocks.look(state)
		t.event(state, e)
	}
	for i, m := range clocks.clocks.moments() {
		text := [...]string{
			"The incident began: the first bad observation of " + affected(x), "Detected: it was confirmed", "Acknowledged by " + name(x.AcknowledgedBy), "Mitigated: service was back", "The incident was resolved: it was closed",
		}[i]
		if !m.at.IsZero() {
			t.at(m.at, clocks.seq[i], "%s", text)
		}
	}
	sort.Stable(t)
	return t.events
}

// A timeline is in the order of its seconds, and within one in that of the journal.
func (t *teller) Len() int { return len(t.events) }
func (t *teller) Less(i, j int) bool {
	if a, b := t.events[i].At, t.events[j].At; !a.Equal(b) {
		return a.Before(b)
	}
	return t.seqs[i] < t.seqs[j]
}
func (t *teller) Swap(i, j int) {
	t.events[i], t.events[j] = t.events[j], t.events[i]
	t.seqs[i], t.seqs[j] = t.seqs[j], t.seqs[i]
}

func affected(x incident.State) string {
	if len(x.Targets) == 0 {
		return "the service"
	}
	return strings.Join(x.Targets, ", ")
}

// name is who did something; a name that could be read as something else is quoted.
func name(actor string) string {
	if actor == "" {
		return "nobody who is named"
	}
	for _, r := range actor {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '@') {
			return quote(actor)
		}
	}
	return actor
}

// event tells one entry. Those that only say that a message went its way are left
// to the sections that count them.
func (t *teller) event(s incident.State, e incident.Event) {
	if tell := tellings[e.Kind]; tell != nil {
		if text, at := tell(s, e); text != "" {
			if at.IsZero() {
				at = e.Time
			}
			t.at(at, e.Seq, "%s", text)
		}
		return
	}
	if !slices.Contains(untold, e.Kind) {
		t.at(e.Time, e.Seq, "%s: %s", name(e.Actor), quote(e.Kind))
	}
}

// untold are kinds that have no line of their own.
var untold = []string{
	incident.KindDelivered, incident.KindAcknowledged, incident.KindReminded, incident.KindOffered, incident.KindAlertAcked, incident.KindAlertEnded, incident.KindStepProgress, incident.KindMissed, incident.KindWarned, incident.KindProposed,
}

type telling func(incident.State, incident.Event) (string, time.Time)

func says[T any](f func(e incident.Event, b T) string) telling {
	return func(_ incident.State, e incident.Event) (string, time.Time) {
		var b T
		if json.Unmarshal(e.Body, &b) != nil {
			return quote(e.Kind), time.Time{}
		}
		return f(e, b), time.Time{}
	}
}

// because adds what somebody said, where they said something.
func because(text, why string) string {
	if strings.TrimSpace(why) == "" {
		return text
	}
	return text + ": " + quote(why)
}

// tellings are what each kind of entry is told as.
var tellings = map[string]telling{
	incident.KindOpened: says(func(e incident.Event, b incident.Opened) string {
		return because(fmt.Sprintf("%s opened it as %s: %s", name(e.Actor), b.Severity, quote(b.Title)), b.Cause.Reason)
	}),
	incident.KindJoined: says(func(_ incident.Event, b incident.Cause) string {
		return because("More trouble of "+orService(b.Target)+" was added to it", b.Reason)
	}),
	incident.KindChanged: says(func(_ incident.Event, b incident.CauseChanged) string {
		return because("The watch saw another reason", b.Reason)
	}),
	incident.KindEnded: func(s incident.State, e incident.Event) (string, time.Time) {
		var b incident.CauseChanged
		if json.Unmarshal(e.Body, &b) != nil {
			return quote(e.Kind), time.Time{}
		}
		target := ""
		for _, c := range s.Causes {
			if c.Key == b.Key {
				target = c.Target
			}
		}
		return "The watch saw " + orService(target) + " serve", b.At
	},
	incident.KindAlert: says(func(_ incident.Event, b incident.GatheredAlert) string {
		return "To it belongs: " + quote(b.Summary)
	}),
	incident.KindPaged: func(_ incident.State, e incident.Event) (string, time.Time) {
		var b incident.Page
		if json.Unmarshal(e.Body, &b) != nil {
			return quote(e.Kind), time.Time{}
		}
		return "A message went to " + name(orElse(b.Person, b.Contact)), b.At
	},
	incident.KindPageFailed: func(_ incident.State, e incident.Event) (string, time.Time) {
		var b incident.Page
		if json.Unmarshal(e.Body, &b) != nil {
			return quote(e.Kind), time.Time{}
		}
		return because("A message to "+name(orElse(b.Person, b.Contact))+" did not arrive", b.Error), b.At
	},
	incident.KindSeverity: says(func(e incident.Event, b incident.SeveritySet) string {
		return because(fmt.Sprintf("%s set its gravity from %s to %s", name(e.Actor), b.From, b.To), b.Why)
	}),
	incident.KindStatus: says(func(e incident.Event, b incident.StatusSet) string {
		return because(name(e.Actor)+" set its status to "+quote(string(b.To)), b.Why)
	}),
	incident.KindTaken: says(func(_ incident.Event, b incident.RoleTaken) string {
		return because(fmt.Sprintf("%s took the role of %s", name(b.To), quote(string(b.Role))), b.Why)
	}),
	incident.KindHanded: says(func(e incident.Event, b incident.RoleTaken) string {
		return because(fmt.Sprintf("%s gave the role of %s to %s", name(e.Actor), quote(string(b.Role)), name(b.To)), b.Why)
	}),
	incident.KindReleased: says(func(e incident.Event, b incident.RoleTaken) string {
		return fmt.Sprintf("%s laid down the role of %s", name(e.Actor), quote(string(b.Role)))
	}),
	incident.KindTask: says(func(e incident.Event, b incident.TaskAdded) string {
		return name(e.Actor) + " gave a task: " + quote(b.Text)
	}),
	incident.KindTaskDone: says(func(e incident.Event, b incident.TaskClosed) string {
		return because(fmt.Sprintf("%s did task %s", name(e.Actor), b.ID), b.Result)
	}),
	incident.KindNote: says(func(e incident.Event, b incident.NoteAdded) string { return name(e.Actor) + " wrote: " + quote(b.Text) }),
	incident.KindLink: says(func(e incident.Event, b incident.LinkAdded) string {
		return name(e.Actor) + " linked " + quote(orElse(b.Title, b.URL))
	}),
	incident.KindAttached: says(func(e incident.Event, b incident.Attached) string {
		return name(e.Actor) + " attached " + quote(b.Name)
	}),
	incident.KindPublished: says(func(e incident.Event, b incident.Published) string {
		return fmt.Sprintf("%s told %s: %s", name(e.Actor), b.Audience, quote(b.Text))
	}),
	incident.KindUndelivered: says(func(_ incident.Event, b incident.Delivered) string {
		return because(fmt.Sprintf("Update %s did not arrive at one contact", b.Update), b.Error)
	}),
	incident.KindLate: says(func(_ incident.Event, b incident.Reminded) string {
		return fmt.Sprintf("The update to %s was overdue", b.Audience)
	}),
	incident.KindDataLoss: says(func(e incident.Event, b incident.Measured) string {
		return because(fmt.Sprintf("%s measured the loss as %s", name(e.Actor), quote(Span(b.Loss))), b.Source)
	}),
	incident.KindMerged: says(func(_ incident.Event, b incident.MergedInto) string {
		return because("It was merged into "+name(b.Into), b.Why)
	}),
	incident.KindAbsorbed: says(func(_ incident.Event, b incident.Absorbed) string {
		return name(b.From) + " was merged into it: " + quote(b.Title)
	}),
	incident.KindReopened: says(func(e incident.Event, b incident.ResolvedBody) string {
		return because(name(e.Actor)+" took it up once more", b.Summary)
	}),
	incident.KindResolved: says(func(e incident.Event, b incident.ResolvedBody) string {
		return because(because(name(e.Actor)+" set its status to “resolved”", b.Summary), b.Despite)
	}),
	incident.KindChosen: says(func(e incident.Event, b incident.RecoveryChosen) string {
		return fmt.Sprintf("%s chose the way %s for %s", name(e.Actor), quote(b.Title), orService(b.Target))
	}),
	incident.KindConfirmed: says(func(e incident.Event, b incident.RecoveryConfirmed) string {
		return because(fmt.Sprintf("%s agreed to run %s", name(e.Actor), b.Run), b.How)
	}),
	incident.KindStepStarted: says(func(e incident.Event, b incident.RecoveryStep) string {
		return fmt.Sprintf("Run %s, step %s: under way", b.Run, quote(b.Step))
	}),
	incident.KindStepDone: says(func(e incident.Event, b incident.RecoveryStep) string {
		return because(fmt.Sprintf("Run %s, step %s: finished", b.Run, quote(b.Step)), b.Detail)
	}),
	incident.KindStepFailed: says(func(e incident.Event, b incident.RecoveryStep) string {
		return because(fmt.Sprintf("Run %s, step %s: not done", b.Run, quote(b.Step)), b.Error)
	}),
	incident.KindVerified: says(func(_ incident.Event, b incident.RecoveryVerified) string {
		return because(fmt.Sprintf("Run %s was looked at", b.Run), b.Verdict+", "+b.Summary)
	}),
	incident.KindRecoveryEnded: says(func(e incident.Event, b incident.RecoveryEnded) string {
		return because(because(fmt.Sprintf("Run %s is over", b.Run), b.Outcome), b.Why)
	}),
}

func orService(target string) string {
	if target == "" {
		return "the service"
	}
	return target
}
