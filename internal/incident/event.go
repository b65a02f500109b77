package incident

import (
	"encoding/json"
	"fmt"
	"time"
)

// The kinds of event.
const (
	KindOpened       = "incident.opened"
	KindJoined       = "incident.cause.joined"
	KindChanged      = "incident.cause.changed"
	KindEnded        = "incident.cause.ended"
	KindAlert        = "incident.alert.gathered"
	KindAlertAcked   = "incident.alert.acknowledged"
	KindAlertEnded   = "incident.alert.ended"
	KindPaged        = "incident.page.sent"
	KindPageFailed   = "incident.page.failed"
	KindSeverity     = "incident.severity.set"
	KindStatus       = "incident.status.set"
	KindOffered      = "incident.role.offered"
	KindTaken        = "incident.role.taken"
	KindHanded       = "incident.role.handed"
	KindReleased     = "incident.role.released"
	KindTask         = "incident.task.added"
	KindTaskDone     = "incident.task.closed"
	KindNote         = "incident.note.added"
	KindLink         = "incident.link.added"
	KindAttached     = "incident.attachment.added"
	KindPublished    = "incident.update.published"
	KindDelivered    = "incident.update.delivered"
	KindUndelivered  = "incident.update.undelivered"
	KindAcknowledged = "incident.update.acknowledged"
	KindReminded     = "incident.update.reminded"
	KindLate         = "incident.update.late"
	KindWarned       = "incident.clock.warned"
	KindMissed       = "incident.clock.missed"
	KindDataLoss     = "incident.dataloss.measured"
	KindMerged       = "incident.merged"
	KindAbsorbed     = "incident.absorbed"
	KindReopened     = "incident.reopened"
	KindResolved     = "incident.resolved"

	KindProposed      = "incident.recovery.proposed"
	KindChosen        = "incident.recovery.chosen"
	KindConfirmed     = "incident.recovery.confirmed"
	KindStepStarted   = "incident.recovery.step.started"
	KindStepProgress  = "incident.recovery.step.progress"
	KindStepDone      = "incident.recovery.step.done"
	KindStepFailed    = "incident.recovery.step.failed"
	KindVerified      = "incident.recovery.verified"
	KindRecoveryEnded = "incident.recovery.ended"
)

// The bodies of events. Fields are only ever added.
type (
	// Opened is the body of incident.opened.
	Opened struct {
		Title      string     `json:"title"`
		Severity   Severity   `json:"severity"`
		Targets    []string   `json:"targets,omitempty"`
		Team       string     `json:"team,omitempty"`
		Cause      Cause      `json:"cause"`
		Objectives Objectives `json:"objectives"`
	}
	// CauseChanged is the body of incident.cause.changed and of
	// incident.cause.ended.
	CauseChanged struct {
		Key    string    `json:"key"`
		Reason string    `json:"reason,omitempty"`
		At     time.Time `json:"at,omitzero"`
	}
	// GatheredAlert is the body of incident.alert.gathered.
	GatheredAlert struct {
		ID       string    `json:"id"`
		Key      string    `json:"key"`
		Code     string    `json:"code"`
		Severity string    `json:"severity"`
		Target   string    `json:"target,omitempty"`
		Summary  string    `json:"summary"`
		Started  time.Time `json:"started"`

		// The state only: events of their own tell these.
		Acknowledged   time.Time `json:"acknowledged,omitzero"`
		AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
		Ended          time.Time `json:"ended,omitzero"`
	}
	// AlertChanged is the body of incident.alert.acknowledged and of
	// incident.alert.ended.
	AlertChanged struct {
		ID string    `json:"id"`
		By string    `json:"by,omitempty"`
		At time.Time `json:"at"`
	}
	// Page is the body of incident.page.sent and of incident.page.failed: one
	// message about a gathered alert to one contact.
	Page struct {
		ID       string    `json:"id"` // of the delivery
		Alert    string    `json:"alert"`
		Kind     string    `json:"kind"` // page or notice
		Person   string    `json:"person,omitempty"`
		Contact  string    `json:"contact"`
		At       time.Time `json:"at"`
		Attempts int       `json:"attempts"`
		Said     string    `json:"said,omitempty"`
		Error    string    `json:"error,omitempty"`
	}
	// SeveritySet is the body of incident.severity.set.
	SeveritySet struct {
		From Severity `json:"from"`
		To   Severity `json:"to"`
		Why  string   `json:"why,omitempty"`
	}
	// StatusSet is the body of incident.status.set.
	StatusSet struct {
		From Status `json:"from"`
		To   Status `json:"to"`
		Why  string `json:"why,omitempty"`
	}
	// RoleOffered is the body of incident.role.offered.
	RoleOffered struct {
		Role Role     `json:"role"`
		To   []string `json:"to"`
	}
	// RoleTaken is the body of incident.role.taken, incident.role.handed and
	// incident.role.released.
	RoleTaken struct {
		Role Role   `json:"role"`
		From string `json:"from,omitempty"` // who held it before
		To   string `json:"to,omitempty"`
		Why  string `json:"why,omitempty"`
	}
	// TaskAdded is the body of incident.task.added.
	TaskAdded struct {
		ID    string `json:"id"`
		Text  string `json:"text"`
		Owner string `json:"owner,omitempty"`
	}
	// TaskClosed is the body of incident.task.closed.
	TaskClosed struct {
		ID     string `json:"id"`
		Result string `json:"result,omitempty"`
	}
	// NoteAdded is the body of incident.note.added. Notes are for responders.
	NoteAdded struct {
		Text string `json:"text"`
	}
	// LinkAdded is the body of incident.link.added.
	LinkAdded struct {
		URL   string `json:"url"`
		Title string `json:"title,omitempty"`
	}
	// Attached is the body of incident.attachment.added. The bytes are kept
	// beside the journal, under their hash.
	Attached struct {
		Name   string `json:"name"`
		Type   string `json:"type"` // as found in the bytes, not as claimed
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}
	// Published is the body of incident.update.published.
	Published struct {
		ID       string      `json:"id"` // u1, u2, …
		Audience Audience    `json:"audience"`
		Status   Status      `json:"status"` // as it was told
		Subject  string      `json:"subject"`
		Text     string      `json:"text"`
		Next     time.Time   `json:"next,omitzero"` // when the next update was promised
		To       []Recipient `json:"to"`
	}
	// Delivered is the body of incident.update.delivered and of
	// incident.update.undelivered.
	Delivered struct {
		Update   string    `json:"update"`
		Contact  string    `json:"contact"`
		Person   string    `json:"person,omitempty"`
		At       time.Time `json:"at"`
		Attempts int       `json:"attempts"`
		Said     string    `json:"said,omitempty"`
		Error    string    `json:"error,omitempty"`
	}
	// Acked is the body of incident.update.acknowledged.
	Acked struct {
		Update string `json:"update"`
	}
	// Reminded is the body of incident.update.reminded and incident.update.late.
	Reminded struct {
		Audience Audience  `json:"audience"`
		Due      time.Time `json:"due"`
		To       string    `json:"to,omitempty"` // the person; empty when nobody holds the role
	}
	// ClockTold is the body of incident.clock.warned and incident.clock.missed.
	ClockTold struct {
		Clock     ClockName     `json:"clock"`
		Percent   int           `json:"percent,omitempty"` // of the objective that was used
		Objective time.Duration `json:"objective"`
		Used      time.Duration `json:"used"`
	}
	// Measured is the body of incident.dataloss.measured.
	Measured struct {
		Loss   time.Duration `json:"loss"` // work that is gone, as a span of time
		Source string        `json:"source"`
	}
	// MergedInto is the body of incident.merged, at the one that ends.
	MergedInto struct {
		Into string `json:"into"`
		Why  string `json:"why,omitempty"`
	}
	// Absorbed is the body of incident.absorbed, at the one that goes on: what
	// the other was about.
	Absorbed struct {
		From         string          `json:"from"`
		Title        string          `json:"title"`
		Severity     Severity        `json:"severity"`
		Targets      []string        `json:"targets,omitempty"`
		Causes       []Cause         `json:"causes"`
		Alerts       []GatheredAlert `json:"alerts,omitempty"`
		Started      time.Time       `json:"started"`
		Detected     time.Time       `json:"detected"`
		Acknowledged time.Time       `json:"acknowledged,omitzero"`
		AckBy        string          `json:"acknowledged_by,omitempty"`
		Mitigated    time.Time       `json:"mitigated,omitzero"`
		Objectives   Objectives      `json:"objectives"`
	}
	// ResolvedBody is the body of incident.resolved and incident.reopened.
	ResolvedBody struct {
		Summary string `json:"summary,omitempty"`
		// Despite says why it was closed although an outage was still open.
		Despite string `json:"despite,omitempty"`
	}
)

// event makes an event of a body.
func event(id, actor string, now time.Time, kind string, body any) (Event, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Event{}, fmt.Errorf("%w: it cannot be written down: %w", ErrRefused, err)
	}
	return Event{Incident: id, Time: now.UTC().Truncate(time.Microsecond), Actor: actor, Kind: kind, Body: raw}, nil
}
