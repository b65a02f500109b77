package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/proof"
)

// kindAnnouncement is the kind of an update's delivery's record.
const kindAnnouncement = "announcement"

// UpdateDelivery is one update on its way to one contact, with every attempt.
type UpdateDelivery struct {
	AlertDelivery
	Incident string            `json:"incident"`
	Update   string            `json:"update"`
	Audience incident.Audience `json:"audience"`
	Subject  string            `json:"subject"`
	Text     string            `json:"text"`
	All      []alert.Attempt   `json:"all"`
	Notice   bool              `json:"notice,omitempty"` // a word to who has a role, not an update
	Over     bool              `json:"over,omitempty"`   // the incident was resolved when it was written
	Order    int64             `json:"order,omitempty"`  // of what goes to one contact in order; 0 for what need not

	flying bool
}

// updateDeliveries are those of an incident's updates, oldest first.
func updateDeliveries(ctx context.Context, s Store, id string) ([]UpdateDelivery, error) {
	records, err := s.RecentRecords(ctx, kindAnnouncement, 20*recentAlerts)
	if err != nil {
		return nil, err
	}
	out := []UpdateDelivery{}
	for _, r := range slices.Backward(records) {
		var d UpdateDelivery
		if err := r.Read(&d); err != nil {
			return nil, err
		}
		if d.Incident == id && !d.Notice {
			d.All = orEmpty(d.All)
			out = append(out, d)
		}
	}
	return out, nil
}

func incidentObjectives(o proof.Objectives) incident.Objectives {
	return incident.Objectives{Detection: o.Detection, Resolution: o.Resolution, DataLoss: o.DataLoss}
}

// severityOf is how grave an incident is that comes of an alert.
func severityOf(s alert.Severity) incident.Severity {
	switch s {
	case alert.Critical:
		return incident.Sev1
	case alert.High:
		return incident.Sev2
	case alert.Medium:
		return incident.Sev3
	}
	return incident.Sev4
}

// IncidentDraft is an update that was prepared and that nobody has sent.
type IncidentDraft struct {
	Incident string               `json:"incident"`
	Audience incident.Audience    `json:"audience"`
	Text     string               `json:"text"`
	Next     time.Time            `json:"next,omitzero"`
	To       []incident.Recipient `json:"to"`
}

// UpdateRequest is an update to an audience.
type UpdateRequest struct {
	Incident string
	Audience string
	Text     string        // empty for what DraftUpdate prepares
	Next     time.Duration // until the next one; 0 for what the configuration says
	NoNext   bool          // nothing is promised
	By       string
}

// DraftUpdate prepares the text of an update from the facts.
func (a *App) DraftUpdate(ctx context.Context, q UpdateRequest) (IncidentDraft, error) {
	v, err := a.Incident(ctx, q.Incident)
	if err != nil {
		return IncidentDraft{}, err
	}
	return a.draft(v.Incident, q, time.Now())
}

func (a *App) draft(s Incident, q UpdateRequest, now time.Time) (IncidentDraft, error) {
	to := incident.Audience(q.Audience)
	if !slices.Contains(incident.Audiences(), to) {
		return IncidentDraft{}, fmt.Errorf("%w: say who is told: --audience responders, teams or clients", ErrUsage)
	}
	c := a.circles()
	d := IncidentDraft{Incident: s.ID, Audience: to, Text: strings.TrimSpace(q.Text), To: c.of(s, to, now)}
	every := q.Next
	if every == 0 {
		every = c.cadence()[s.Severity][to]
	}
	if every > 0 && s.Open() && !q.NoNext {
		d.Next = now.Add(every).UTC().Truncate(time.Minute)
		if !d.Next.After(now) {
			d.Next = d.Next.Add(time.Minute)
		}
	}
	if d.Text == "" {
		d.Text = s.View(to).Named(c.Rules.Names).Draft(now, d.Next, nil)
	}
	return d, nil
}

// SendUpdate publishes an update: it is kept, and the server sends it. That no
// server runs to do so is errNotTaken.
func (a *App) SendUpdate(ctx context.Context, q UpdateRequest) (_ IncidentDraft, err error) {
	now := time.Now()
	if q.By, err = actor(q.By); err != nil {
		return IncidentDraft{}, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return IncidentDraft{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := loadIncident(ctx, s, q.Incident)
	if err != nil {
		return IncidentDraft{}, err
	}
	d, err := a.draft(x, q, now)
	if err != nil {
		return d, err
	}
	c := incident.PublishUpdate{Audience: d.Audience, Text: d.Text, Next: d.Next, To: d.To, Names: a.cfg.Incidents.Rules.Names}
	if _, _, err := incident.Act(ctx, incidentLog{s}, x.ID, c, q.By, now); err != nil {
		return d, err
	}
	if runs, err := workIsDone(ctx, s, a.cfg.StateDir); len(d.To) > 0 && err == nil && !runs {
		return d, fmt.Errorf("%w: start refloat server", errNotTaken)
	}
	return d, nil
}
