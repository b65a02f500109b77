package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/client"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
)

// Room is what people work with in an outage: here, or on a server elsewhere.
type Room interface {
	Status(ctx context.Context, name string) ([]StatusReport, error)
	Incidents(ctx context.Context, all bool) ([]IncidentView, error)
	Incident(ctx context.Context, name string) (IncidentView, error)
	IncidentSummary(ctx context.Context, name, person string) ([]string, error)
	ActOnIncident(ctx context.Context, name string, c IncidentCommand, by string) (Incident, error)
	OpenIncident(ctx context.Context, q IncidentRequest) (Incident, error)
	MergeIncidents(ctx context.Context, name, into, why, by string) (Incident, error)
	AttachToIncident(ctx context.Context, name, file string, data []byte, by string) (Incident, error)
	IncidentAttachment(ctx context.Context, name, file string) ([]byte, error)
	DraftUpdate(ctx context.Context, q UpdateRequest) (IncidentDraft, error)
	SendUpdate(ctx context.Context, q UpdateRequest) (IncidentDraft, error)
	Alerts(ctx context.Context, name string, all bool) ([]AlertView, error)
	Acknowledge(ctx context.Context, id, by string) (string, error)
	Silence(ctx context.Context, r SilenceRequest) (AlertSilence, error)
	Silences(ctx context.Context) ([]AlertSilence, error)
	EndSilence(ctx context.Context, id, by string) error
	OnCall(team string, at time.Time, days int) (OnCallReport, error)
	JournalList(ctx context.Context, f JournalFilter) ([]JournalEntry, error)
}

var (
	_ Room = (*App)(nil)
	_ Room = (*Remote)(nil)
)

// Remote is a server elsewhere, asked over its API.
type Remote struct {
	desk *client.Client
	url  string
}

// RemoteOptions say which server, and who asks.
type RemoteOptions struct{ URL, TokenFile, CAFile string }

// NewRemote reads the token. It does not connect.
func NewRemote(o RemoteOptions) (*Remote, error) {
	if o.TokenFile == "" {
		return nil, fmt.Errorf("%w: --server wants --token-file: a file that holds an API token of that server", ErrUsage)
	}
	info, err := os.Stat(o.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("%w: read the token: %w", ErrUsage, err)
	}
	if info.Mode().Perm()&0o077 != 0 && info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: others can read %s: chmod 600 %s", ErrUsage, o.TokenFile, o.TokenFile)
	}
	text, err := os.ReadFile(o.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("%w: read the token: %w", ErrUsage, err)
	}
	c, err := client.New(client.Options{URL: o.URL, Token: secret.New(strings.TrimSpace(string(text))), CAFile: o.CAFile, Version: Version})
	if err != nil {
		return nil, fmt.Errorf("%w: --server %s: %w", ErrUsage, o.URL, err)
	}
	return &Remote{desk: c, url: o.URL}, nil
}

var nobody access.Principal // who asks is whoever the token belongs to

// themselves refuses a name: over the API nobody acts as somebody else.
func themselves(by string) error {
	if by != "" {
		return fmt.Errorf("%w: with --server you are whoever the token belongs to: leave the name out", ErrUsage)
	}
	return nil
}

// Status asks how targets stand.
func (r *Remote) Status(ctx context.Context, name string) ([]StatusReport, error) {
	rows, err := r.desk.Targets(ctx)
	if err != nil {
		return nil, err
	}
	out := []StatusReport{}
	for _, t := range rows {
		if name == "" || string(t.Target) == name {
			out = append(out, t.Report)
		}
	}
	if name != "" && len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no target %s on %s that you may see", ErrNoTarget, name, r.url)
	}
	return out, nil
}

func viewOf(v server.IncidentView) IncidentView {
	out := IncidentView{Incident: v.State, Clocks: v.Clocks, Promises: v.Promises, Deliveries: []UpdateDelivery{}}
	for _, w := range v.Waiting {
		out.Deliveries = append(out.Deliveries, UpdateDelivery{AlertDelivery: w.D, Incident: v.ID, Update: w.Update, All: []alert.Attempt{}})
	}
	return out
}

// remoteIncidents bounds a list.
const remoteIncidents = 1000

// Incidents lists incidents.
func (r *Remote) Incidents(ctx context.Context, all bool) ([]IncidentView, error) {
	list, err := r.desk.Incidents(ctx, nobody, server.IncidentQuery{All: all, Limit: remoteIncidents})
	out := []IncidentView{}
	for _, v := range list {
		out = append(out, viewOf(v))
	}
	return out, err
}

// Incident shows one.
func (r *Remote) Incident(ctx context.Context, name string) (IncidentView, error) {
	v, err := r.desk.Incident(ctx, nobody, incidentID(name))
	return viewOf(v), err
}

// IncidentSummary is the hand-over for who joins late.
func (r *Remote) IncidentSummary(ctx context.Context, name, person string) ([]string, error) {
	if err := themselves(person); err != nil {
		return nil, err
	}
	v, err := r.desk.Incident(ctx, nobody, incidentID(name))
	return v.Summary, err
}

// ActOnIncident does one thing.
func (r *Remote) ActOnIncident(ctx context.Context, name string, c IncidentCommand, by string) (Incident, error) {
	if err := themselves(by); err != nil {
		return Incident{}, err
	}
	v, err := r.desk.Act(ctx, nobody, incidentID(name), c)
	return v.State, err
}

// OpenIncident opens one.
func (r *Remote) OpenIncident(ctx context.Context, q IncidentRequest) (Incident, error) {
	if err := themselves(q.By); err != nil {
		return Incident{}, err
	}
	v, err := r.desk.OpenIncident(ctx, nobody, server.NewIncident{Title: q.Title, Severity: incident.Severity(q.Severity), Target: q.Target, Since: q.Since, Another: q.Another})
	return v.State, err
}

// MergeIncidents ends one as a part of another.
func (r *Remote) MergeIncidents(ctx context.Context, name, into, why, by string) (Incident, error) {
	if err := themselves(by); err != nil {
		return Incident{}, err
	}
	v, err := r.desk.Merge(ctx, nobody, incidentID(name), incidentID(into), why)
	return v.State, err
}

// AttachToIncident keeps a file.
func (r *Remote) AttachToIncident(ctx context.Context, name, file string, data []byte, by string) (Incident, error) {
	if err := themselves(by); err != nil {
		return Incident{}, err
	}
	if _, err := incident.Sniff(data); err != nil {
		return Incident{}, err
	}
	v, err := r.desk.Attach(ctx, nobody, incidentID(name), file, data)
	return v.State, err
}

// IncidentAttachment reads a file by its name, the last of that name.
func (r *Remote) IncidentAttachment(ctx context.Context, name, file string) ([]byte, error) {
	v, err := r.desk.Incident(ctx, nobody, incidentID(name))
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Backward(v.Attachments) {
		if f.Name == file {
			_, data, err := r.desk.Attachment(ctx, nobody, v.ID, f.SHA256)
			return data, err
		}
	}
	return nil, fmt.Errorf("%w: %s has no attachment %s; refloat incident show %s lists them", ErrUsage, v.ID, file, v.ID)
}

// draft is what the server prepared, with what is said instead.
func (r *Remote) draft(ctx context.Context, q UpdateRequest) (server.Draft, error) {
	if !slices.Contains(incident.Audiences(), incident.Audience(q.Audience)) {
		return server.Draft{}, fmt.Errorf("%w: say who is told: --audience responders, teams or clients", ErrUsage)
	}
	d, err := r.desk.Draft(ctx, nobody, incidentID(q.Incident), incident.Audience(q.Audience))
	if err != nil {
		return d, err
	}
	if t := strings.TrimSpace(q.Text); t != "" {
		d.Text = t
	}
	switch {
	case q.NoNext:
		d.Next = time.Time{}
	case q.Next > 0:
		d.Next = time.Now().Add(q.Next).UTC().Truncate(time.Minute).Add(time.Minute)
	}
	return d, nil
}

func draftOf(id string, d server.Draft) IncidentDraft {
	return IncidentDraft{Incident: id, Audience: d.Audience, Text: d.Text, Next: d.Next, To: d.To}
}

// DraftUpdate prepares an update.
func (r *Remote) DraftUpdate(ctx context.Context, q UpdateRequest) (IncidentDraft, error) {
	d, err := r.draft(ctx, q)
	return draftOf(incidentID(q.Incident), d), err
}

// SendUpdate publishes an update.
func (r *Remote) SendUpdate(ctx context.Context, q UpdateRequest) (IncidentDraft, error) {
	if err := themselves(q.By); err != nil {
		return IncidentDraft{}, err
	}
	d, err := r.draft(ctx, q)
	if err != nil {
		return IncidentDraft{}, err
	}
	_, err = r.desk.Publish(ctx, nobody, incidentID(q.Incident), d)
	return draftOf(incidentID(q.Incident), d), err
}

// Alerts lists alerts of a target, one by its ID, or all.
func (r *Remote) Alerts(ctx context.Context, name string, all bool) ([]AlertView, error) {
	q := server.AlertQuery{All: all, Target: name, Limit: recentAlerts}
	list, err := r.desk.Alerts(ctx, nobody, q)
	if name != "" && errors.Is(err, server.ErrNotFound) { // it is no target
		list, err = r.desk.Alerts(ctx, nobody, server.AlertQuery{ID: name})
	}
	if err != nil {
		return nil, err
	}
	out := []AlertView{}
	for _, a := range list {
		out = append(out, AlertView{Alert: a.Alert, Deliveries: a.Deliveries})
	}
	return out, nil
}

// Acknowledge takes an alert on.
func (r *Remote) Acknowledge(ctx context.Context, id, by string) (string, error) {
	if err := themselves(by); err != nil {
		return "", err
	}
	a, err := r.desk.Acknowledge(ctx, nobody, id)
	switch {
	case err != nil:
		return "", err
	case a.AcknowledgedAt.IsZero():
		return "it is " + string(a.State) + ": there is nothing to take on", nil
	}
	return "acknowledged by " + a.AcknowledgedBy, nil
}

// Silence keeps alerts from paging for a while.
func (r *Remote) Silence(ctx context.Context, q SilenceRequest) (AlertSilence, error) {
	if err := themselves(q.By); err != nil {
		return AlertSilence{}, err
	}
	return r.desk.Silence(ctx, nobody, alert.Silence{Target: q.Target, Code: q.Code, Reason: q.Reason, Until: time.Now().UTC().Add(q.For), Planned: q.Planned})
}

// Silences lists them.
func (r *Remote) Silences(ctx context.Context) ([]AlertSilence, error) {
	return r.desk.Silences(ctx, nobody)
}

// EndSilence ends one.
func (r *Remote) EndSilence(ctx context.Context, id, by string) error {
	if err := themselves(by); err != nil {
		return err
	}
	return r.desk.EndSilence(ctx, nobody, id)
}

// OnCall says who is on call at a moment.
func (r *Remote) OnCall(team string, at time.Time, days int) (OnCallReport, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	until := at.AddDate(0, 0, days)
	if !until.After(at) {
		until = at.Add(time.Second)
	}
	on, err := r.desk.OnCall(ctx, nobody, at, until)
	if err != nil {
		return OnCallReport{}, err
	}
	out := OnCallReport{At: at, Until: until, People: map[string]PersonShown{}}
	for id, shown := range on.Names {
		out.People[id] = PersonShown{Name: shown, Contacts: []string{}}
	}
	for _, t := range on.Teams {
		if team != "" && t.Team != team {
			continue
		}
		x := TeamOnCall{Team: t.Team, Members: t.Members, Policy: t.Policy, Now: []Shift{}, Next: []Shift{}, Gaps: orEmpty(t.Gaps), Rotating: len(t.Now)+len(t.Shifts)+len(t.Gaps) > 0}
		for _, s := range t.Shifts {
			if s.Since.After(at) {
				x.Next = append(x.Next, s)
			} else if s.Until.After(at) {
				x.Now = append(x.Now, s)
			}
		}
		x.GapNow = x.Rotating && len(x.Now) == 0
		out.Teams = append(out.Teams, x)
	}
	if team != "" && len(out.Teams) == 0 {
		return out, fmt.Errorf("%w: there is no team %s on %s that you may see", ErrUsage, team, r.url)
	}
	return out, nil
}

// JournalList lists what happened, oldest first.
func (r *Remote) JournalList(ctx context.Context, f JournalFilter) ([]JournalEntry, error) {
	q := server.JournalQuery{Kind: f.Kind, Limit: 1000}
	out := []journal.Entry{}
	for {
		p, err := r.desk.Journal(ctx, nobody, q)
		if err != nil {
			return nil, err
		}
		older := false
		for _, e := range p.Entries {
			older = !f.Since.IsZero() && e.Time.Before(f.Since)
			if !older && f.takes(e) {
				out = append(out, e)
			}
			if f.Last > 0 && len(out) == f.Last {
				older = true
			}
			if older {
				break
			}
		}
		if q.Before = p.Older; older || q.Before == 0 {
			slices.Reverse(out)
			return out, nil
		}
	}
}

// Findings are what the last audit of each target on the server found.
func (r *Remote) Findings(ctx context.Context, name string) ([]AuditReport, error) {
	all, err := r.desk.Findings(ctx, nobody)
	out := []AuditReport{}
	for _, t := range all {
		if name == "" || t.Target == name {
			out = append(out, t.Report)
		}
	}
	if err == nil && name != "" && len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no audit of a target %s on %s that you may see", ErrNoTarget, name, r.url)
	}
	return out, err
}

// problemOfServer is an error that a server elsewhere answered with.
func problemOfServer(err error) (Explanation, bool) {
	var p *client.Problem
	if !errors.As(err, &p) {
		return Explanation{}, false
	}
	e := Explanation{Code: p.Code, Message: err.Error(), Next: p.Next, Class: ClassError}
	if p.Status == 422 || p.Status == 404 {
		e.Class = ClassUsage
	}
	if e.Next == "" {
		e.Next = "see the log of the server; it answered " + strconv.Itoa(p.Status)
	}
	return e, true
}
