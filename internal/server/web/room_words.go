package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

func tab(here bool) string {
	if here {
		return "page"
	}
	return "false"
}

func recipient(r incident.Recipient) string {
	if r.Person != "" {
		return r.Person + ", " + r.Address
	}
	return r.Address
}

func sendWords(u update) string {
	switch n := len(u.To); n {
	case 0:
		return "Keep it"
	case 1:
		return "Send it to one contact"
	default:
		return "Send it to " + component.Count(int64(n)) + " contacts"
	}
}

func clockOf(v server.IncidentView, name incident.ClockName) incident.Clock {
	i := slices.IndexFunc(v.Clocks, func(c incident.Clock) bool { return c.Name == name })
	if i < 0 {
		return incident.Clock{Name: name, State: incident.Unknown}
	}
	return v.Clocks[i]
}

func clockTone(c incident.Clock) component.Tone {
	switch c.State {
	case incident.Met:
		return component.Good
	case incident.Missed:
		return component.Bad
	case incident.Warned:
		return component.Warn
	case incident.Running:
		return component.Busy
	}
	if c.Risk > c.Objective && c.Objective > 0 {
		return component.Warn
	}
	return component.Quiet
}

func clockState(c incident.Clock) string {
	switch {
	case c.State == incident.Met:
		return "Met"
	case c.State == incident.Missed && c.Runs():
		return "Missed, and still running"
	case c.State == incident.Missed:
		return "Missed"
	case c.Runs() && c.Objective > 0:
		return component.Span(c.Left) + " left"
	case c.Runs():
		return "Running"
	case c.Name == incident.Loss && c.Risk > 0:
		return "Not measured: a restore would lose " + component.Span(c.Risk)
	case c.State == incident.Unknown && c.Name == incident.Loss:
		return "Not measured"
	case c.State == incident.Unknown:
		return "Not known"
	}
	return "No objective"
}

// bar is a clock on the axis that all clocks of an incident share.
type bar struct {
	incident.Clock
	x, width, goal float64 // of 1000; goal is -1 for none
}

// bars place clocks on one axis, from the beginning to the latest end or goal.
func bars(v server.IncidentView, now time.Time) []bar {
	end := now
	for _, c := range v.Clocks {
		if c.Objective > 0 && !c.From.IsZero() && c.From.Add(c.Objective).After(end) && (c.Runs() || c.Name == incident.Resolution) {
			end = c.From.Add(c.Objective)
		}
	}
	if !v.Resolved.IsZero() && v.Mitigated.Before(v.Resolved) {
		end = v.Resolved
	}
	whole := max(end.Sub(v.Started).Seconds(), 1)
	at := func(t time.Time) float64 { return min(max(t.Sub(v.Started).Seconds()/whole, 0), 1) * 1000 }
	out := []bar{}
	for _, c := range v.Clocks {
		b := bar{Clock: c, goal: -1}
		if !c.From.IsZero() {
			until := c.Until
			if until.IsZero() {
				until = now
			}
			b.x = at(c.From)
			b.width = max(at(until)-b.x, 4)
			if c.Objective > 0 && !c.From.Add(c.Objective).After(end) {
				b.goal = at(c.From.Add(c.Objective))
			}
		}
		out = append(out, b)
	}
	return out
}

func num(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// group is the part of a timeline that an event belongs to.
func group(kind string) string {
	switch kind {
	case incident.KindNote, incident.KindLink, incident.KindAttached, incident.KindTask, incident.KindTaskDone:
		return "notes"
	case incident.KindPublished, incident.KindDelivered, incident.KindUndelivered, incident.KindAcknowledged, incident.KindReminded, incident.KindLate:
		return "updates"
	case incident.KindPaged, incident.KindPageFailed, incident.KindAlert, incident.KindAlertAcked, incident.KindAlertEnded:
		return "pages"
	}
	return "course"
}

// parts of a timeline, in the order of its filter.
func parts() [][2]string {
	return [][2]string{{"", "All"}, {"course", "Course"}, {"notes", "Notes and tasks"}, {"updates", "Updates"}, {"pages", "Alerts and pages"}}
}

// moment is one line of a timeline.
type moment struct {
	incident.Event
	tone component.Tone
	text string
	more string // what was written, in their own words
}

// story is the timeline, newest first.
func (r room) story() []moment {
	var out []moment
	for _, e := range slices.Backward(r.Timeline) {
		if r.show != "" && group(e.Kind) != r.show || e.Kind == incident.KindProposed || e.Kind == incident.KindStepProgress { // the panel shows these
			continue
		}
		out = append(out, told(e))
	}
	return out
}

func who(e incident.Event) string {
	if e.Actor == incident.Server {
		return "Refloat"
	}
	return e.Actor
}

// told is an event in words.
func told(e incident.Event) moment {
	m := moment{Event: e, tone: component.Quiet, text: strings.TrimPrefix(e.Kind, "incident.")}
	var b body
	_ = json.Unmarshal(e.Body, &b) // what cannot be read is shown by its kind
	tell := func(t component.Tone, format string, args ...any) { m.tone, m.text = t, fmt.Sprintf(format, args...) }
	switch e.Kind {
	case incident.KindOpened:
		tell(component.Bad, "opened it: %s (%s)", b.Title, severityWords(incident.Severity(b.Severity)))
	case incident.KindJoined:
		tell(component.Bad, "joined another cause: %s", b.Reason)
	case incident.KindChanged:
		tell(component.Warn, "sees another reason: %s", b.Reason)
	case incident.KindEnded:
		tell(component.Good, "sees it serve again")
	case incident.KindSeverity:
		tell(component.Warn, "changed the severity from %s to %s", severityWords(incident.Severity(b.From)), severityWords(incident.Severity(b.one())))
		m.more = b.Why
	case incident.KindStatus:
		tell(component.Busy, "changed the status from %s to %s", b.From, b.one())
		m.more = b.Why
	case incident.KindTaken, incident.KindHanded, incident.KindReleased:
		m.tone, m.text = component.Busy, roleTold(e.Kind, b)
		m.more = b.Why
	case incident.KindOffered:
		tell(component.Quiet, "offered %s to %s", b.Role, strings.Join(b.list(), ", "))
	case incident.KindNote:
		tell(component.Quiet, "wrote")
		m.more = b.Text
	case incident.KindTask:
		tell(component.Quiet, "added task %s: %s", b.ID, b.Text)
	case incident.KindTaskDone:
		tell(component.Good, "closed task %s", b.ID)
		m.more = b.Result
	case incident.KindLink:
		tell(component.Quiet, "added a link: %s", b.URL)
	case incident.KindAttached:
		tell(component.Quiet, "added the file %s", b.Name)
	case incident.KindPublished:
		tell(component.Busy, "told %s (%s): %s", b.Audience, b.ID, b.Subject)
		m.more = b.Text
	case incident.KindDelivered:
		tell(component.Good, "delivered %s to %s", b.Update, b.reached())
	case incident.KindUndelivered:
		tell(component.Bad, "could not deliver %s to %s", b.Update, b.reached())
		m.more = b.Error
	case incident.KindAcknowledged:
		tell(component.Good, "has read %s", b.Update)
	case incident.KindReminded:
		tell(component.Warn, "reminded of the update to %s", b.Audience)
	case incident.KindLate:
		tell(component.Bad, "says that the update to %s is late", b.Audience)
	case incident.KindWarned:
		tell(component.Warn, "warns: %d %% of the time for %s are used", b.Percent, clockWords(incident.ClockName(b.Clock)))
	case incident.KindMissed:
		tell(component.Bad, "says that the objective for %s is missed", clockWords(incident.ClockName(b.Clock)))
	case incident.KindDataLoss:
		tell(component.Bad, "measured the data loss: %s, by %s", component.Span(b.Loss), b.Source)
	case incident.KindAlert:
		tell(component.Bad, "gathered an alert: %s", b.Summary)
	case incident.KindAlertAcked:
		tell(component.Good, "saw an alert acknowledged by %s", b.By)
	case incident.KindAlertEnded:
		tell(component.Good, "saw an alert end")
	case incident.KindPaged:
		tell(component.Good, "paged %s", b.reached())
		if b.Kind == "notice" {
			tell(component.Quiet, "told %s that there is nothing more to do", b.reached())
		}
		m.more = b.Said
	case incident.KindPageFailed:
		tell(component.Bad, "could not page %s", b.reached())
		m.more = b.Error
	case incident.KindChosen:
		tell(component.Busy, "chose a way back (%s): %s", b.Run, b.Title)
	case incident.KindConfirmed:
		tell(component.Busy, "confirmed %s", b.Run)
	case incident.KindStepStarted:
		tell(component.Busy, "began step %s of %s", b.Step, b.Run)
	case incident.KindStepDone:
		tell(component.Good, "ended step %s of %s", b.Step, b.Run)
		m.more = b.Detail
	case incident.KindStepFailed:
		tell(component.Bad, "could not do step %s of %s", b.Step, b.Run)
		m.more = b.Error
	case incident.KindVerified:
		tell(verifiedTone(incident.RecoveryVerified{Verdict: b.Verdict}), "verified %s: %s", b.Run, b.Verdict)
		m.more = b.Summary
	case incident.KindRecoveryEnded:
		tell(component.Good, "ended %s: %s", b.Run, b.Outcome)
		if b.Outcome != incident.RecoveryRecovered {
			m.tone = component.Warn
		}
		m.more = b.Why
	case incident.KindMerged:
		tell(component.Quiet, "merged it into %s", b.Into)
		m.more = b.Why
	case incident.KindAbsorbed:
		tell(component.Warn, "took in %s: %s", b.From, b.Title)
	case incident.KindReopened:
		tell(component.Bad, "opened it again")
		m.more = b.Summary
	case incident.KindResolved:
		tell(component.Good, "resolved it")
		m.more = strings.TrimSpace(b.Summary + "\n" + b.Despite)
	}
	return m
}

// body holds the fields of all bodies that are told.
type body struct {
	Title, Severity, Reason, From, Why, Role, ID, Text, Result, URL, Name, Audience, Subject, Update, Person, Contact, Error, Clock, Source, Summary, By, Said, Into, Despite, Kind, Run, Step, Outcome, Verdict, Detail, Way string

	To      json.RawMessage
	Percent int
	Loss    time.Duration
}

func (b body) list() []string {
	var out []string
	_ = json.Unmarshal(b.To, &out) // of an offer it is a list
	return out
}

func (b body) one() string {
	var out string
	_ = json.Unmarshal(b.To, &out)
	return out
}

func (b body) reached() string {
	if b.Person != "" {
		return b.Person + " (" + b.Contact + ")"
	}
	return b.Contact
}

func roleTold(kind string, b body) string {
	role, to := strings.ToLower(roleWords(incident.Role(b.Role))), b.one()
	if b.Role == string(incident.Commander) {
		role = "command"
	}
	switch {
	case kind == incident.KindReleased:
		return "laid " + role + " down"
	case kind == incident.KindHanded:
		return "handed " + role + " to " + to
	case b.From != "":
		return "took " + role + " over from " + b.From
	}
	return "took " + role
}

// reads says who has read an update.
func reads(u incident.Update) string {
	var out []string
	for _, a := range u.Acks {
		out = append(out, a.By)
	}
	return strings.Join(out, ", ")
}

func hasRead(u incident.Update, me string) bool {
	return slices.ContainsFunc(u.Acks, func(a incident.Ack) bool { return a.By == me })
}

// image reports that a file is shown as a picture.
func image(a incident.Attachment) bool { return strings.HasPrefix(a.Type, "image/") }

func filePath(id string, a incident.Attachment) string {
	return roomPath(id) + "/files/" + a.SHA256
}

// next are the statuses that somebody may set now.
func nextStatuses(s incident.State) []component.Option {
	var out []component.Option
	for _, x := range incident.Statuses() {
		if x != incident.Resolved && (x != incident.Monitoring || s.Serves()) {
			out = append(out, component.Option{Value: string(x), Text: strings.ToUpper(string(x[:1])) + string(x[1:])})
		}
	}
	return out
}

func severities() []component.Option {
	var out []component.Option
	for _, x := range incident.Severities() {
		out = append(out, component.Option{Value: string(x), Text: severityWords(x)})
	}
	return out
}

// severityWords is a severity as every page writes it.
func severityWords(s incident.Severity) string { return strings.ToUpper(string(s)) }

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func list(names []string) string { return strings.Join(names, ", ") }

func newest(all []incident.Update) []incident.Update {
	out := slices.Clone(all)
	slices.Reverse(out)
	return out
}

func promised(r room, a incident.Audience) (incident.Promise, bool) {
	i := slices.IndexFunc(r.Promises, func(p incident.Promise) bool { return p.Audience == a })
	if i < 0 {
		return incident.Promise{}, false
	}
	return r.Promises[i], true
}

// reachWords says how many an update has reached.
func reachWords(u incident.Update) string {
	ok, failed := reached(u)
	switch {
	case len(u.To) == 0:
		return "Sent to nobody: none is configured"
	case failed > 0:
		return component.Count(int64(ok)) + " of " + component.Count(int64(len(u.To))) + " have it, " + component.Plural(failed, "failed", "failed")
	case ok == len(u.To):
		return "Taken over for all " + component.Count(int64(ok))
	}
	return component.Count(int64(ok)) + " of " + component.Count(int64(len(u.To))) + " have it so far"
}

func reached(u incident.Update) (ok, failed int) {
	for _, d := range u.Deliveries {
		if d.OK {
			ok++
		} else {
			failed++
		}
	}
	return ok, failed
}

func reachTone(u incident.Update) component.Tone {
	switch ok, failed := reached(u); {
	case failed > 0:
		return component.Bad
	case len(u.To) == 0:
		return component.Warn
	case ok == len(u.To):
		return component.Good
	}
	return component.Busy
}

// deliveryOf is what came of an update to one contact.
func deliveryOf(r room, u incident.Update, t incident.Recipient) (component.Tone, string) {
	for _, d := range u.Deliveries {
		if d.Contact == t.Contact {
			if d.OK {
				return component.Good, "Delivered"
			}
			return component.Bad, "Failed"
		}
	}
	for _, w := range r.Waiting {
		if w.Update == u.ID && w.D.Contact.ID == t.Contact && w.D.Error != "" {
			return component.Warn, "Tried " + component.Plural(w.D.Attempts, "time", "times")
		}
	}
	return component.Busy, "On its way"
}

// saidOf is what the other side answered, or what went wrong.
func saidOf(r room, u incident.Update, t incident.Recipient) string {
	for _, d := range u.Deliveries {
		if d.Contact == t.Contact {
			return d.Error + d.Said
		}
	}
	for _, w := range r.Waiting {
		if w.Update == u.ID && w.D.Contact.ID == t.Contact {
			return w.D.Error
		}
	}
	return ""
}

// byState are tasks with those that are open first.
func byState(all []incident.Task) []incident.Task {
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(a, b incident.Task) int {
		return closed(a) - closed(b)
	})
	return out
}

func closed(t incident.Task) int {
	if t.ClosedAt.IsZero() {
		return 0
	}
	return 1
}

func taskLine(t incident.Task) string {
	var out []string
	if t.Owner != "" {
		out = append(out, "for "+t.Owner)
	}
	out = append(out, t.ID+", added by "+t.AddedBy)
	if !t.ClosedAt.IsZero() {
		out = append(out, "closed by "+t.ClosedBy)
	}
	if t.Result != "" {
		out = append(out, t.Result)
	}
	return strings.Join(out, " · ")
}

func linkText(l incident.Link) string {
	if l.Title != "" {
		return l.Title
	}
	return l.URL
}

func causeState(c incident.Cause) (component.Tone, string) {
	switch {
	case c.Open():
		return component.Bad, "Goes on"
	case c.Kind == incident.FromOutage:
		return component.Good, "Over"
	case c.Kind == incident.FromAlert:
		return component.Warn, "Alert"
	}
	return component.Quiet, "Told by a person"
}

func gatheredState(a incident.GatheredAlert) (component.Tone, string) {
	switch {
	case !a.Ended.IsZero():
		return component.Good, "Over"
	case !a.Acknowledged.IsZero():
		return component.Busy, "Acknowledged by " + a.AcknowledgedBy
	}
	return component.Bad, "Not acknowledged"
}

func pageState(p incident.Page) (component.Tone, string) {
	if p.Error != "" {
		return component.Bad, "Failed"
	}
	return component.Good, "Taken over"
}

func pageTo(p incident.Page) string {
	if p.Person != "" {
		return p.Person + " (" + p.Contact + ")"
	}
	return p.Contact
}

func storyPath(id, show string) string {
	if show == "" {
		return roomPath(id) + "#story"
	}
	return roomPath(id) + "?show=" + show + "#story"
}
