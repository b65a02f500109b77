package action

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Fold makes the states of all actions from their events, in the order in which
// they were added. It never fails: what it does not understand is in Unread.
func Fold(events []Event) []State {
	at := map[string]int{}
	var out []State
	for _, e := range events {
		i, known := at[e.Action]
		if !known {
			i = len(out)
			at[e.Action], out = i, append(out, State{})
		}
		out[i] = out[i].With(e)
	}
	return out
}

// With is the state after one more event. Slices are shared with s: use s no more.
func (s State) With(e Event) State {
	if s.ID == "" {
		s = State{ID: e.Action, Status: Open, Links: []Link{}, Notes: []Note{}, Told: []Reminder{}}
	}
	s.Timeline, s.Last = append(s.Timeline, e), e.Seq
	if !s.apply(e) {
		s.Unread = append(s.Unread, e.Seq)
	}
	return s
}

func read[T any](e Event, f func(T)) bool {
	var b T
	if json.Unmarshal(e.Body, &b) != nil {
		return false
	}
	f(b)
	return true
}

func (s *State) apply(e Event) bool {
	switch e.Kind {
	case KindAdded:
		return read(e, func(b Added) { s.Item, s.Key, s.AddedAt, s.AddedBy = b.Item, b.Key, e.Time, e.Actor })
	case KindChanged:
		return read(e, func(b Changed) {
			s.Item = b.Item
			if b.Why != "" {
				s.Notes = append(s.Notes, Note{e.Time, e.Actor, b.Why})
			}
		})
	case KindBound:
		return read(e, func(b Check) { s.Check, s.BoundAt, s.Result = &b, e.Time, nil })
	case KindUnbound:
		return read(e, func(b Noted) {
			s.Check, s.BoundAt, s.Result = nil, time.Time{}, nil
			s.Notes = append(s.Notes, Note{e.Time, e.Actor, b.Text})
		})
	case KindChecked:
		return read(e, func(b Result) { s.Result = &b })
	case KindNoted:
		return read(e, func(b Noted) { s.Notes = append(s.Notes, Note{e.Time, e.Actor, b.Text}) })
	case KindLinked:
		return read(e, func(b Link) { s.Links = append(s.Links, b) })
	case KindClosed:
		return read(e, func(b Ended) { s.end(Done, e, b) })
	case KindDropped:
		return read(e, func(b Ended) { s.end(Dropped, e, b) })
	case KindReopened:
		return read(e, func(b Ended) {
			s.end(Open, e, b)
			s.ClosedAt, s.ClosedBy, s.Outcome, s.Reopened = time.Time{}, "", "", s.Reopened+1
			s.Notes = append(s.Notes, Note{e.Time, e.Actor, b.Result})
		})
	case KindReminded, KindLate:
		return read(e, func(b Reminded) { s.Told = append(s.Told, Reminder{b, e.Kind == KindLate, e.Time}) })
	}
	return false
}

func (s *State) end(to Status, e Event, b Ended) {
	s.Status, s.ClosedAt, s.ClosedBy, s.Outcome, s.Despite = to, e.Time, e.Actor, b.Result, b.Despite
	if b.Check != nil {
		s.Result = b.Check
	}
}

// ByRisk sorts actions: what is most pressing first.
func ByRisk(all []State, now time.Time) {
	slices.SortStableFunc(all, func(a, b State) int {
		return cmp.Or(cmp.Compare(b.Risk(now), a.Risk(now)), a.AddedAt.Compare(b.AddedAt), cmp.Compare(a.ID, b.ID))
	})
}
