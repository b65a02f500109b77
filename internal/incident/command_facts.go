package incident

import (
	"slices"
	"time"
)

// What is below is told by the server. Telling it twice gives ErrNothing.

// Join adds a cause to an open incident: trouble of a target that has one joins
// it.
type Join struct {
	Cause    Cause
	Severity Severity // that it has by itself; a graver one raises the incident's
}

func (c Join) decide(d *decision) error {
	if d.HasCause(c.Cause.Key) {
		return ErrNothing
	}
	if err := d.open(); err != nil {
		return err
	}
	d.add(KindJoined, c.Cause)
	if c.Severity != "" && c.Severity.Graver(d.Severity) {
		d.add(KindSeverity, SeveritySet{d.Severity, c.Severity, c.Cause.Reason})
	}
	if d.Status == Monitoring && c.Cause.Open() {
		d.add(KindStatus, StatusSet{Monitoring, Investigating, c.Cause.Reason})
	}
	return nil
}

// ChangeCause says that an outage goes on for another reason.
type ChangeCause struct{ Key, Reason string }

func (c ChangeCause) decide(d *decision) error {
	if !slices.ContainsFunc(d.Causes, func(x Cause) bool { return x.Key == c.Key && x.Open() && x.Reason != c.Reason }) {
		return ErrNothing
	}
	d.add(KindChanged, CauseChanged{Key: c.Key, Reason: c.Reason})
	return nil
}

// EndCause says that an outage is over.
type EndCause struct {
	Key string
	At  time.Time
}

func (c EndCause) decide(d *decision) error {
	i := slices.IndexFunc(d.Causes, func(x Cause) bool { return x.Key == c.Key && x.Ended.IsZero() })
	if i < 0 {
		return ErrNothing
	}
	if c.At.Before(d.Causes[i].Detected) { // a clock was set back
		c.At = d.Causes[i].Detected
	}
	d.add(KindEnded, CauseChanged{Key: c.Key, At: c.At})
	return nil
}

// GatherAlert adds an alert that belongs to it.
type GatherAlert struct{ Alert GatheredAlert }

func (c GatherAlert) decide(d *decision) error {
	if slices.ContainsFunc(d.Alerts, func(a GatheredAlert) bool { return a.ID == c.Alert.ID }) {
		return ErrNothing
	}
	c.Alert.Acknowledged, c.Alert.AcknowledgedBy, c.Alert.Ended = time.Time{}, "", time.Time{}
	d.add(KindAlert, c.Alert)
	return nil
}

// ChangeAlert says that a gathered alert was acknowledged (By is set) or ended.
type ChangeAlert struct{ AlertChanged }

func (c ChangeAlert) late() {}

func (c ChangeAlert) decide(d *decision) error {
	i := slices.IndexFunc(d.Alerts, func(a GatheredAlert) bool { return a.ID == c.ID })
	switch {
	case i < 0, c.By != "" && !d.Alerts[i].Acknowledged.IsZero(), c.By == "" && !d.Alerts[i].Ended.IsZero():
		return ErrNothing
	case c.By != "":
		d.add(KindAlertAcked, c.AlertChanged)
	default:
		d.add(KindAlertEnded, c.AlertChanged)
	}
	return nil
}

// RecordPage adds what came of one page about a gathered alert.
type RecordPage struct{ Page }

func (c RecordPage) late() {}

func (c RecordPage) decide(d *decision) error {
	if slices.ContainsFunc(d.Pages, func(p Page) bool { return p.ID == c.ID }) {
		return ErrNothing
	}
	if c.Error == "" {
		d.add(KindPaged, c.Page)
	} else {
		d.add(KindPageFailed, c.Page)
	}
	return nil
}

// OfferRoles offers each role that nobody has, and that was not offered yet, to
// whoever is on call.
type OfferRoles struct{ To []string }

func (c OfferRoles) decide(d *decision) error {
	if len(c.To) == 0 {
		return ErrNothing
	}
	if err := d.open(); err != nil {
		return err
	}
	for _, r := range Roles() {
		_, held := d.Roles[r]
		if _, offered := d.Offers[r]; !held && !offered {
			d.add(KindOffered, RoleOffered{r, c.To})
		}
	}
	if len(d.events) == 0 {
		return ErrNothing
	}
	return nil
}

// TellClock writes down that a clock warned, or was missed.
type TellClock struct {
	ClockTold
	Missed bool
}

func (c TellClock) decide(d *decision) error {
	if d.warned(c.Clock, c.Percent, c.Missed) {
		return ErrNothing
	}
	if c.Missed {
		d.add(KindMissed, c.ClockTold)
	} else {
		d.add(KindWarned, c.ClockTold)
	}
	return nil
}

// Remind writes down that somebody was reminded of an update that is due, or
// that it is late.
type Remind struct {
	Reminded
	Late bool
}

func (c Remind) decide(d *decision) error {
	if d.reminded(c.Audience, c.Due, c.Late) {
		return ErrNothing
	}
	if c.Late {
		d.add(KindLate, c.Reminded)
	} else {
		d.add(KindReminded, c.Reminded)
	}
	return nil
}

func (s State) reminded(a Audience, due time.Time, late bool) bool {
	return slices.ContainsFunc(s.Reminders, func(r Reminder) bool { return r.Audience == a && r.Late == late && r.Due.Equal(due) })
}

// RecordDelivery adds what came of an update's delivery to one contact.
type RecordDelivery struct {
	Delivered
	OK bool
}

func (c RecordDelivery) late() {}

func (c RecordDelivery) decide(d *decision) error {
	u := d.Update(c.Update)
	if u == nil || slices.ContainsFunc(u.Deliveries, func(x DeliveryResult) bool { return x.Contact == c.Contact }) {
		return ErrNothing
	}
	if c.OK {
		d.add(KindDelivered, c.Delivered)
	} else {
		d.add(KindUndelivered, c.Delivered)
	}
	return nil
}
