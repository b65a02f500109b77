package incident

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Once is a command that is done at most once, however often it is sent: by a
// form that is submitted twice, or again after a connection or a server broke.
// Key is the same each time; the first event that the command causes carries it.
type Once struct {
	Command
	Key string
}

// maxKey bounds what is written down of a key.
const maxKey = 100

func (c Once) decide(d *decision) error {
	if c.Key == "" {
		return c.Command.decide(d)
	}
	mark, err := json.Marshal(c.Key)
	if err != nil || len(c.Key) > maxKey {
		return refuse("a key that makes an act happen once has at most %d bytes", maxKey)
	}
	if d.did(mark) {
		return fmt.Errorf("%w: it was done when it was sent before", ErrNothing)
	}
	if err := c.Command.decide(d); err != nil {
		return err
	}
	if len(d.events) > 0 {
		d.events[0].Body = marked(d.events[0].Body, mark)
	}
	return nil
}

// did reports that an event carries a key.
func (s State) did(mark []byte) bool {
	field := append([]byte(`"once":`), mark...)
	for _, e := range s.Timeline {
		var b struct {
			Once json.RawMessage `json:"once"`
		}
		if bytes.Contains(e.Body, field) && json.Unmarshal(e.Body, &b) == nil && bytes.Equal(b.Once, mark) {
			return true
		}
	}
	return false
}

// marked adds the key to a body, which is a JSON object.
func marked(body json.RawMessage, mark []byte) json.RawMessage {
	inner := bytes.TrimSuffix(bytes.TrimSpace(body), []byte("}"))
	out := slices.Concat(inner, []byte(`,"once":`), mark, []byte("}"))
	if len(bytes.TrimSpace(inner)) == 1 { // it was {}
		out = slices.Concat(inner, []byte(`"once":`), mark, []byte("}"))
	}
	return out
}

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
	s.Recoveries = slices.Clone(s.Recoveries)
	for i := range s.Recoveries {
		r := &s.Recoveries[i]
		r.Progress = slices.Clone(r.Progress)
		if r.Verification != nil {
			v := *r.Verification
			r.Verification = &v
		}
	}
	s.Reminders, s.Warnings, s.Changes = slices.Clone(s.Reminders), slices.Clone(s.Warnings), slices.Clone(s.Changes)
	s.Absorbed, s.Timeline, s.Unread = slices.Clone(s.Absorbed), slices.Clone(s.Timeline), slices.Clone(s.Unread)
	if s.DataLoss != nil {
		loss := *s.DataLoss
		s.DataLoss = &loss
	}
	return s
}
