package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
)

// incidentScope is what the subjects of all incidents begin with.
const incidentScope = "incident/"

// incidentLog keeps the events of incidents in the journal.
type incidentLog struct{ journal journal.Log }

var _ incident.Log = incidentLog{}

// Events implements incident.Log.
func (l incidentLog) Events(ctx context.Context, id string) ([]incident.Event, error) {
	entries, err := l.journal.ReadScope(ctx, incidentScope+id, 0)
	if err != nil {
		return nil, err
	}
	return incidentEvents(entries), nil
}

// incidentEvents are those entries that belong to incidents.
func incidentEvents(entries []journal.Entry) []incident.Event {
	var out []incident.Event
	for _, e := range entries {
		if id, is := strings.CutPrefix(e.Subject, incidentScope); is {
			out = append(out, incident.Event{Incident: id, Seq: e.Seq, Time: e.Time, Actor: e.Actor, Kind: e.Kind, Body: e.Body})
		}
	}
	return out
}

// Append implements incident.Log.
func (l incidentLog) Append(ctx context.Context, id string, last int64, events []incident.Event) ([]incident.Event, error) {
	all := make([]journal.Event, len(events))
	for i, e := range events {
		all[i] = journal.Event{Time: e.Time, Actor: e.Actor, Subject: incidentScope + e.Incident, Kind: e.Kind, Body: e.Body}
	}
	entries, err := l.journal.AppendAfter(ctx, incidentScope+id, last, all...)
	if errors.Is(err, journal.ErrMoved) {
		return nil, fmt.Errorf("%w: %w", incident.ErrMoved, err)
	}
	if err != nil {
		return nil, err
	}
	return incidentEvents(entries), nil
}
