package incident

import (
	"maps"
	"slices"
)

// Clone is a state that shares nothing with s which With would change.
func (s State) Clone() State {
	s.Targets, s.Causes = slices.Clone(s.Targets), slices.Clone(s.Causes)
	s.Roles, s.Offers = maps.Clone(s.Roles), maps.Clone(s.Offers)
	s.Tasks, s.Notes, s.Links, s.Attachments = slices.Clone(s.Tasks), slices.Clone(s.Notes), slices.Clone(s.Links), slices.Clone(s.Attachments)
	s.Alerts, s.Pages, s.Updates = slices.Clone(s.Alerts), slices.Clone(s.Pages), slices.Clone(s.Updates)
	for i := range s.Updates {
		u := &s.Updates[i]
		u.Deliveries, u.Acks = slices.Clone(u.Deliveries), slices.Clone(u.Acks)
	}
	s.Reminders, s.Warnings, s.Changes = slices.Clone(s.Reminders), slices.Clone(s.Warnings), slices.Clone(s.Changes)
	s.Absorbed, s.Timeline, s.Unread = slices.Clone(s.Absorbed), slices.Clone(s.Timeline), slices.Clone(s.Unread)
	if s.DataLoss != nil {
		loss := *s.DataLoss
		s.DataLoss = &loss
	}
	return s
}
