package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Log keeps the events of incidents. It is safe for concurrent use, by several
// processes too.
type Log interface {
	// Events are those of one incident in order, or of all incidents for an
	// empty ID; none is no error.
	Events(ctx context.Context, id string) ([]Event, error)
	// Append adds events, all or none, if the last event of the incident id, or
	// of all incidents for an empty id, still has the sequence number last (0
	// for none). Else it adds nothing and returns ErrMoved. What it returns has
	// sequence numbers, and is durable.
	Append(ctx context.Context, id string, last int64, events []Event) ([]Event, error)
}

// Act decides a command against an incident as it stands and keeps the events.
// When something is added meanwhile it looks and decides again, so that two who
// act at once both do, one after the other.
func Act(ctx context.Context, log Log, id string, c Command, actor string, now time.Time) (State, []Event, error) {
	for {
		events, err := log.Events(ctx, id)
		if err != nil {
			return State{}, nil, err
		}
		s := Fold(events)
		if s.ID == "" {
			return s, nil, fmt.Errorf("%w: %s", ErrNone, id)
		}
		fresh, err := Decide(s, c, actor, now)
		if err != nil {
			return s, nil, err
		}
		kept, err := log.Append(ctx, id, s.Last, fresh)
		if errors.Is(err, ErrMoved) {
			continue
		}
		if err != nil {
			return s, nil, err
		}
		for _, e := range kept {
			s = s.With(e)
		}
		return s, kept, nil
	}
}

// ActOnAll is Act for what needs all incidents as they stand, such as opening
// one. plan says what to do; no events are no change.
func ActOnAll(ctx context.Context, log Log, plan func(all []State) ([]Event, error)) ([]Event, error) {
	for {
		events, err := log.Events(ctx, "")
		if err != nil {
			return nil, err
		}
		fresh, err := plan(FoldAll(events))
		if err != nil || len(fresh) == 0 {
			return nil, err
		}
		last := int64(0)
		if n := len(events); n > 0 {
			last = events[n-1].Seq
		}
		kept, err := log.Append(ctx, "", last, fresh)
		if errors.Is(err, ErrMoved) {
			continue
		}
		return kept, err
	}
}

// FoldAll makes the states of all incidents from their events, in the order in
// which they were opened.
func FoldAll(events []Event) []State {
	at := map[string]int{}
	var out []State
	for _, e := range events {
		i, known := at[e.Incident]
		if !known {
			i = len(out)
			at[e.Incident], out = i, append(out, State{})
		}
		out[i] = out[i].With(e)
	}
	return out
}
