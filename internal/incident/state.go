package incident

import (
	"slices"
	"time"
)

// State is an incident as its events make it.
type State struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"`
	Severity   Severity   `json:"severity"`
	Status     Status     `json:"status"`
	Targets    []string   `json:"targets"`
	Team       string     `json:"team,omitempty"` // who answers for it
	Objectives Objectives `json:"objectives"`
	Causes     []Cause    `json:"causes"`

	OpenedAt time.Time `json:"opened_at"`
	OpenedBy string    `json:"opened_by"`

	// The clocks. Acknowledged is the first act of a person. Mitigated is when
	// service was back; it is empty again when that did not last.
	Started        time.Time `json:"started"`
	Detected       time.Time `json:"detected"`
	Acknowledged   time.Time `json:"acknowledged,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
	Mitigated      time.Time `json:"mitigated,omitzero"`
	Resolved       time.Time `json:"resolved,omitzero"`

	Roles       map[Role]Holding  `json:"roles"`
	Offers      map[Role][]string `json:"offers"`
	Tasks       []Task            `json:"tasks"`
	Notes       []Note            `json:"notes"`
	Links       []Link            `json:"links"`
	Attachments []Attachment      `json:"attachments"`
	Alerts      []GatheredAlert   `json:"alerts"`
	Pages       []Page            `json:"pages"`
	Updates     []Update          `json:"updates"`
	Reminders   []Reminder        `json:"reminders"`
	Warnings    []Warning         `json:"warnings"`
	Changes     []Change          `json:"changes"` // of status and severity
	DataLoss    *DataLoss         `json:"data_loss,omitempty"`
	Recoveries  []Recovery        `json:"recoveries"` // ways back that somebody chose

	MergedInto string   `json:"merged_into,omitempty"`
	Absorbed   []string `json:"absorbed"`
	Reopened   int      `json:"reopened"`
	Outcome    string   `json:"outcome,omitempty"` // as it was resolved

	Timeline []Event `json:"timeline"`
	Last     int64   `json:"last"` // sequence number of the last event
	// Unread are the events that this program does not understand. They are
	// kept, and shown as they are.
	Unread []int64 `json:"unread,omitempty"`
}

// The parts of a state that have a time and an author.
type (
	// Holding is a role that somebody has.
	Holding struct {
		Person string    `json:"person"`
		Since  time.Time `json:"since"`
		By     string    `json:"by"` // who took it, or handed it over
	}
	// Task is one thing to do in the incident.
	Task struct {
		ID       string    `json:"id"`
		Text     string    `json:"text"`
		Owner    string    `json:"owner,omitempty"`
		AddedBy  string    `json:"added_by"`
		AddedAt  time.Time `json:"added_at"`
		ClosedBy string    `json:"closed_by,omitempty"`
		ClosedAt time.Time `json:"closed_at,omitzero"`
		Result   string    `json:"result,omitempty"`
	}
	// Note is what somebody wrote down, for responders.
	Note struct {
		At   time.Time `json:"at"`
		By   string    `json:"by"`
		Text string    `json:"text"`
	}
	// Link is an address that somebody added.
	Link struct {
		LinkAdded
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// Attachment is a file that somebody added.
	Attachment struct {
		Attached
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// Update is what an audience was told.
	Update struct {
		Published
		At         time.Time        `json:"at"`
		By         string           `json:"by"`
		Deliveries []DeliveryResult `json:"deliveries"` // of those that came to an end
		Acks       []Ack            `json:"acks"`
	}
	// DeliveryResult is what came of an update's delivery.
	DeliveryResult struct {
		Delivered
		OK bool `json:"ok"`
	}
	// Ack says who has read an update.
	Ack struct {
		By string    `json:"by"`
		At time.Time `json:"at"`
	}
	// Reminder is a reminder of an update that is due, or late.
	Reminder struct {
		Reminded
		Late bool      `json:"late"`
		At   time.Time `json:"at"`
	}
	// Warning is what was told of a clock.
	Warning struct {
		ClockTold
		Missed bool      `json:"missed"`
		At     time.Time `json:"at"`
	}
	// Change is a change of status or severity.
	Change struct {
		At   time.Time `json:"at"`
		By   string    `json:"by"`
		What string    `json:"what"` // status or severity
		From string    `json:"from"`
		To   string    `json:"to"`
		Why  string    `json:"why,omitempty"`
	}
	// DataLoss is the loss that was measured; the largest counts.
	DataLoss struct {
		Measured
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
)

// Open reports whether people still work on it.
func (s State) Open() bool { return s.ID != "" && s.Status != Resolved && s.MergedInto == "" }

// Serves reports that no outage of it goes on, as far as the watch sees.
func (s State) Serves() bool { return !slices.ContainsFunc(s.Causes, Cause.Open) }

// HasCause reports whether it is about a cause.
func (s State) HasCause(key string) bool {
	return slices.ContainsFunc(s.Causes, func(c Cause) bool { return c.Key == key })
}

// About reports whether it is about a target.
func (s State) About(target string) bool {
	return target != "" && slices.Contains(s.Targets, target)
}

// Aftermath is how long after service is back more trouble of the same target
// belongs to the same incident, though nobody has resolved it.
const Aftermath = 4 * time.Hour

// Takes reports whether trouble of a target that began at a moment belongs to
// it.
func (s State) Takes(target string, began time.Time) bool {
	return s.Open() && s.About(target) && (s.Mitigated.IsZero() || began.Sub(s.Mitigated) <= Aftermath)
}

// Update finds an update; nil when there is none.
func (s State) Update(id string) *Update {
	for i := range s.Updates {
		if s.Updates[i].ID == id {
			return &s.Updates[i]
		}
	}
	return nil
}

// LastUpdate is the last one to an audience; nil when it was told nothing.
func (s State) LastUpdate(a Audience) *Update {
	for i := range slices.Backward(s.Updates) {
		if s.Updates[i].Audience == a {
			return &s.Updates[i]
		}
	}
	return nil
}

// OpenTasks are those that nobody has closed.
func (s State) OpenTasks() []Task {
	return slices.DeleteFunc(slices.Clone(s.Tasks), func(t Task) bool { return !t.ClosedAt.IsZero() })
}

// newState is an incident without events, ready to be shown as JSON.
func newState(id string) State {
	return State{
		ID: id, Targets: []string{}, Causes: []Cause{}, Roles: map[Role]Holding{}, Offers: map[Role][]string{}, Tasks: []Task{}, Notes: []Note{}, Links: []Link{},
		Attachments: []Attachment{}, Alerts: []GatheredAlert{}, Pages: []Page{}, Updates: []Update{}, Reminders: []Reminder{}, Warnings: []Warning{}, Changes: []Change{},
		Recoveries: []Recovery{}, Absorbed: []string{}, Timeline: []Event{},
	}
}

// settle works out whether service is back: since when no outage goes on. A
// person who then says that work is not done clears it again.
func (s *State) settle() {
	if !s.Serves() {
		s.Mitigated = time.Time{}
		return
	}
	var last time.Time
	for _, c := range s.Causes {
		if c.Kind == FromOutage && c.Ended.After(last) {
			last = c.Ended
		}
	}
	s.Mitigated = last
}
