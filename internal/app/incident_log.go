package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
)

// incidentScope is what the subjects of all incidents begin with.
const incidentScope = "incident/"

// callScope is what the subjects of calls begin with, and kindCall says that one
// was done.
const (
	callScope = "call/"
	kindCall  = "call.done"
)

// callDone is the body of call.done.
type callDone struct {
	Operation string `json:"operation"`
	Incident  string `json:"incident"`
}

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

// Append implements incident.Log. What is done for a call is done once: that it
// was done is added with the events, all or none. A call that is done meanwhile
// moves the incident, so that to look before adding is enough.
func (l incidentLog) Append(ctx context.Context, id string, last int64, events []incident.Event) ([]incident.Event, error) {
	all := make([]journal.Event, len(events))
	for i, e := range events {
		all[i] = journal.Event{Time: e.Time, Actor: e.Actor, Subject: incidentScope + e.Incident, Kind: e.Kind, Body: e.Body}
	}
	if c := server.CallOf(ctx); c.ID != "" && len(events) > 0 {
		if err := l.undone(ctx, c); err != nil {
			return nil, err
		}
		e := events[0]
		all = append(all, journal.Event{Time: e.Time, Actor: e.Actor, Subject: callScope + c.ID, Kind: kindCall, Body: callDone{c.Operation, e.Incident}})
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

// undone is a server.DoneError when a call was done before.
func (l incidentLog) undone(ctx context.Context, c server.Call) error {
	where, done, err := callWasDone(ctx, l.journal, c.ID)
	if err == nil && done {
		err = &server.DoneError{Incident: where}
	}
	return err
}

// callWasDone looks whether a call was done, and in which incident.
func callWasDone(ctx context.Context, j journal.Log, id string) (where string, done bool, err error) {
	entries, err := j.ReadScope(ctx, callScope+id, 0)
	if err != nil || len(entries) == 0 {
		return "", false, err
	}
	var body callDone
	if err := json.Unmarshal(entries[0].Body, &body); err != nil {
		return "", true, fmt.Errorf("read what came of call %s: %w", id, err)
	}
	return body.Incident, true, nil
}
