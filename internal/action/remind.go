package action

import "time"

// When owners are reminded before the due day, days; and how often a late action
// is told again.
const (
	lateAgain = 7 * 24 * time.Hour
	remindAt  = 7 // o'clock UTC: nobody is woken for it
)

var remindDays = [...]int{7, 1}

// Word is a reminder that is due.
type Word struct {
	Action string
	Day    Day  // that is due
	Late   bool // to owner and team; else to the owner alone
	// Name is the same each time that the same reminder is told.
	Name string
}

// DueWords are the reminders that are due at now and were not sent. Of several
// that were missed, as over a stop of the server, the last is sent.
func (s State) DueWords(now time.Time) (Word, bool) {
	if s.Status != Open || s.Due.IsZero() {
		return Word{}, false
	}
	if s.Late(now) {
		if now.Before(s.Due.End().Add(remindAt * time.Hour)) {
			return Word{}, false
		}
		last := s.lastTold(true)
		if !last.IsZero() && now.Sub(last) < lateAgain {
			return Word{}, false
		}
		week := int(now.Sub(s.Due.End()) / lateAgain)
		return Word{s.ID, s.Due, true, s.ID + ".late." + s.Due.String() + "." + itoa(week)}, true
	}
	for i := len(remindDays) - 1; i >= 0; i-- {
		at := s.Due.Add(-remindDays[i]).Begin().Add(remindAt * time.Hour)
		if now.Before(at) || s.AddedAt.After(at) {
			continue
		}
		if !s.lastTold(false).Before(at) {
			return Word{}, false
		}
		return Word{s.ID, s.Due, false, s.ID + ".due." + s.Due.String() + "." + itoa(remindDays[i])}, true
	}
	return Word{}, false
}

// lastTold is when the last reminder about this due day was sent.
func (s State) lastTold(late bool) time.Time {
	var last time.Time
	for _, r := range s.Told {
		if r.Late == late && r.Due == s.Due {
			last = r.At
		}
	}
	return last
}

// Remind writes down that somebody was reminded.
type Remind struct {
	Reminded
	Late bool
}

func (c Remind) decide(d *decision) error {
	kind := KindReminded
	if c.Late {
		kind = KindLate
	}
	d.add(d.ID, kind, c.Reminded)
	return nil
}
