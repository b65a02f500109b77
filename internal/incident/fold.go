package incident

import (
	"encoding/json"
	"slices"
	"time"
)

// Fold makes the state of one incident from its events, in order. It never
// fails: what it does not understand is kept in Unread.
func Fold(events []Event) State {
	var s State
	for _, e := range events {
		s = s.With(e)
	}
	return s
}

// With is the state after one more event. Slices and maps are shared with s:
// use s no more.
func (s State) With(e Event) State {
	if s.ID == "" {
		s = newState(e.Incident)
	}
	s.Timeline, s.Last = append(s.Timeline, e), e.Seq
	apply, known := folds[e.Kind]
	if !known || apply(&s, e) != nil {
		s.Unread = append(s.Unread, e.Seq)
		return s
	}
	if e.Actor != Server && s.Acknowledged.IsZero() {
		s.Acknowledged, s.AcknowledgedBy = e.Time, e.Actor
	}
	return s
}

// folds say what each kind of event does to a state.
var folds = map[string]func(*State, Event) error{
	KindOpened:   as(func(s *State, e Event, b Opened) { s.open(e, b) }),
	KindJoined:   as(func(s *State, _ Event, b Cause) { s.join(b); s.settle() }),
	KindChanged:  as(func(s *State, _ Event, b CauseChanged) { s.change(b) }),
	KindEnded:    as(func(s *State, _ Event, b CauseChanged) { s.end(b.Key, b.At) }),
	KindAlert:    as(func(s *State, _ Event, b GatheredAlert) { s.Alerts = append(s.Alerts, b) }),
	KindSeverity: as(func(s *State, e Event, b SeveritySet) { s.setSeverity(e, b) }),
	KindStatus:   as(func(s *State, e Event, b StatusSet) { s.setStatus(e, b) }),
	KindOffered:  as(func(s *State, _ Event, b RoleOffered) { s.Offers[b.Role] = b.To }),
	KindTaken:    as(takeRole),
	KindHanded:   as(takeRole),
	KindReleased: as(takeRole),
	KindTask: as(func(s *State, e Event, b TaskAdded) {
		s.Tasks = append(s.Tasks, Task{ID: b.ID, Text: b.Text, Owner: b.Owner, AddedBy: e.Actor, AddedAt: e.Time})
	}),
	KindTaskDone: as(func(s *State, e Event, b TaskClosed) {
		for i := range s.Tasks {
			if t := &s.Tasks[i]; t.ID == b.ID && t.ClosedAt.IsZero() {
				t.ClosedAt, t.ClosedBy, t.Result = e.Time, e.Actor, b.Result
			}
		}
	}),
	KindNote: as(func(s *State, e Event, b NoteAdded) { s.Notes = append(s.Notes, Note{e.Time, e.Actor, b.Text}) }),
	KindLink: as(func(s *State, e Event, b LinkAdded) { s.Links = append(s.Links, Link{b, e.Time, e.Actor}) }),
	KindAttached: as(func(s *State, e Event, b Attached) {
		s.Attachments = append(s.Attachments, Attachment{b, e.Time, e.Actor})
	}),
	KindPaged:      as(func(s *State, _ Event, b Page) { s.Pages = append(s.Pages, b) }),
	KindPageFailed: as(func(s *State, _ Event, b Page) { s.Pages = append(s.Pages, b) }),
	KindAlertAcked: as(func(s *State, _ Event, b AlertChanged) {
		s.alert(b.ID, func(a *GatheredAlert) { a.Acknowledged, a.AcknowledgedBy = b.At, b.By })
		if s.Acknowledged.IsZero() || b.At.Before(s.Acknowledged) {
			s.Acknowledged, s.AcknowledgedBy = b.At, b.By
		}
	}),
	KindAlertEnded: as(func(s *State, _ Event, b AlertChanged) {
		s.alert(b.ID, func(a *GatheredAlert) { a.Ended = b.At })
	}),
	KindPublished: as(func(s *State, e Event, b Published) {
		s.Updates = append(s.Updates, Update{Published: b, At: e.Time, By: e.Actor, Deliveries: []DeliveryResult{}, Acks: []Ack{}})
	}),
	KindDelivered:   as(func(s *State, _ Event, b Delivered) { s.delivered(b, true) }),
	KindUndelivered: as(func(s *State, _ Event, b Delivered) { s.delivered(b, false) }),
	KindAcknowledged: as(func(s *State, e Event, b Acked) {
		if u := s.Update(b.Update); u != nil {
			u.Acks = append(u.Acks, Ack{e.Actor, e.Time})
		}
	}),
	KindReminded: as(func(s *State, e Event, b Reminded) { s.Reminders = append(s.Reminders, Reminder{b, false, e.Time}) }),
	KindLate:     as(func(s *State, e Event, b Reminded) { s.Reminders = append(s.Reminders, Reminder{b, true, e.Time}) }),
	KindWarned:   as(func(s *State, e Event, b ClockTold) { s.Warnings = append(s.Warnings, Warning{b, false, e.Time}) }),
	KindMissed:   as(func(s *State, e Event, b ClockTold) { s.Warnings = append(s.Warnings, Warning{b, true, e.Time}) }),
	KindDataLoss: as(func(s *State, e Event, b Measured) {
		if s.DataLoss == nil || b.Loss >= s.DataLoss.Loss {
			s.DataLoss = &DataLoss{b, e.Time, e.Actor}
		}
	}),
	KindMerged:   as(func(s *State, _ Event, b MergedInto) { s.MergedInto = b.Into }),
	KindAbsorbed: as(func(s *State, _ Event, b Absorbed) { s.absorb(b) }),
	KindReopened: as(func(s *State, e Event, b ResolvedBody) {
		s.Changes = append(s.Changes, Change{e.Time, e.Actor, "status", string(s.Status), string(Investigating), b.Summary})
		s.Status, s.Resolved, s.Mitigated, s.Reopened = Investigating, time.Time{}, time.Time{}, s.Reopened+1
	}),
	KindResolved: as(func(s *State, e Event, b ResolvedBody) { s.resolve(e, b) }),

	KindProposed:      as(func(s *State, _ Event, b RecoveryProposed) { s.propose(b) }),
	KindChosen:        as(func(s *State, e Event, b RecoveryChosen) { s.choose(e, b) }),
	KindConfirmed:     as(func(s *State, e Event, b RecoveryConfirmed) { s.confirm(e, b) }),
	KindStepStarted:   as(func(s *State, e Event, b RecoveryStep) { s.stepped(e, b, StepRunning) }),
	KindStepProgress:  as(func(s *State, e Event, b RecoveryStep) { s.stepped(e, b, StepRunning) }),
	KindStepDone:      as(func(s *State, e Event, b RecoveryStep) { s.stepped(e, b, StepDone) }),
	KindStepFailed:    as(func(s *State, e Event, b RecoveryStep) { s.stepped(e, b, StepFailed) }),
	KindVerified:      as(func(s *State, e Event, b RecoveryVerified) { s.verified(e, b) }),
	KindRecoveryEnded: as(func(s *State, e Event, b RecoveryEnded) { s.endRecovery(e, b) }),
}

// as reads an event's body before it is applied.
func as[T any](f func(*State, Event, T)) func(*State, Event) error {
	return func(s *State, e Event) error {
		var b T
		if err := json.Unmarshal(e.Body, &b); err != nil {
			return err
		}
		f(s, e, b)
		return nil
	}
}

func (s *State) open(e Event, b Opened) {
	s.Title, s.Severity, s.Status, s.Team, s.Objectives = b.Title, b.Severity, Investigating, b.Team, b.Objectives
	s.OpenedAt, s.OpenedBy = e.Time, e.Actor
	s.Targets = append(s.Targets, b.Targets...)
	s.join(b.Cause)
	s.settle()
}

// join adds a cause; the clocks begin with the earliest.
func (s *State) join(c Cause) {
	if s.HasCause(c.Key) {
		return
	}
	s.Causes = append(s.Causes, c)
	if c.Target != "" && !slices.Contains(s.Targets, c.Target) {
		s.Targets = append(s.Targets, c.Target)
	}
	s.Started, s.Detected = earliest(s.Started, c.Started), earliest(s.Detected, c.Detected)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (s *State) change(b CauseChanged) {
	for i := range s.Causes {
		if s.Causes[i].Key == b.Key {
			s.Causes[i].Reason = b.Reason
		}
	}
}

func (s *State) end(key string, at time.Time) {
	ended := false
	for i := range s.Causes {
		if c := &s.Causes[i]; c.Key == key && c.Ended.IsZero() {
			c.Ended, ended = at, c.Kind == FromOutage
		}
	}
	if ended {
		s.settle()
	}
}

func (s *State) alert(id string, f func(*GatheredAlert)) {
	for i := range s.Alerts {
		if s.Alerts[i].ID == id {
			f(&s.Alerts[i])
		}
	}
}

func (s *State) setSeverity(e Event, b SeveritySet) {
	s.Severity = b.To
	s.Changes = append(s.Changes, Change{e.Time, e.Actor, "severity", string(b.From), string(b.To), b.Why})
}

// setStatus believes a person who says that work is not done yet, even where
// the watch sees the target serve: then service is back when they say so.
func (s *State) setStatus(e Event, b StatusSet) {
	s.Status = b.To
	s.Changes = append(s.Changes, Change{e.Time, e.Actor, "status", string(b.From), string(b.To), b.Why})
	switch {
	case b.To == Monitoring && s.Mitigated.IsZero() && s.Serves():
		s.Mitigated = e.Time
	case b.To != Monitoring:
		s.Mitigated = time.Time{}
	}
}

func takeRole(s *State, e Event, b RoleTaken) {
	delete(s.Offers, b.Role)
	if b.To == "" {
		delete(s.Roles, b.Role)
		return
	}
	s.Roles[b.Role] = Holding{Person: b.To, Since: e.Time, By: e.Actor}
}

func (s *State) delivered(b Delivered, ok bool) {
	u := s.Update(b.Update)
	if u == nil || slices.ContainsFunc(u.Deliveries, func(d DeliveryResult) bool { return d.Contact == b.Contact }) {
		return
	}
	u.Deliveries = append(u.Deliveries, DeliveryResult{b, ok})
}

func (s *State) absorb(b Absorbed) {
	before := s.Mitigated
	s.Absorbed = append(s.Absorbed, b.From)
	for _, c := range b.Causes {
		s.join(c)
	}
	for _, t := range b.Targets {
		if !slices.Contains(s.Targets, t) {
			s.Targets = append(s.Targets, t)
		}
	}
	for _, a := range b.Alerts {
		if !slices.ContainsFunc(s.Alerts, func(x GatheredAlert) bool { return x.ID == a.ID }) {
			s.Alerts = append(s.Alerts, a)
		}
	}
	s.Started, s.Detected = earliest(s.Started, b.Started), earliest(s.Detected, b.Detected)
	if !b.Acknowledged.IsZero() && (s.Acknowledged.IsZero() || b.Acknowledged.Before(s.Acknowledged)) {
		s.Acknowledged, s.AcknowledgedBy = b.Acknowledged, b.AckBy
	}
	s.Objectives = strictest(s.Objectives, b.Objectives)
	// Service is back when it is for both.
	s.Mitigated = time.Time{}
	if !before.IsZero() && !b.Mitigated.IsZero() {
		s.Mitigated = before
		if b.Mitigated.After(before) {
			s.Mitigated = b.Mitigated
		}
	}
}

// strictest are the shorter of two promises.
func strictest(a, b Objectives) Objectives {
	least := func(x, y time.Duration) time.Duration {
		if x == 0 || y > 0 && y < x {
			return y
		}
		return x
	}
	return Objectives{least(a.Detection, b.Detection), least(a.Resolution, b.Resolution), least(a.DataLoss, b.DataLoss)}
}

func (s *State) resolve(e Event, b ResolvedBody) {
	s.Changes = append(s.Changes, Change{e.Time, e.Actor, "status", string(s.Status), string(Resolved), b.Summary})
	s.Status, s.Resolved, s.Outcome = Resolved, e.Time, b.Summary
	for i := range s.Causes {
		if c := &s.Causes[i]; c.Open() {
			c.Ended = e.Time // a person vouches for it
		}
	}
	if s.Mitigated.IsZero() {
		s.Mitigated = e.Time
	}
}
