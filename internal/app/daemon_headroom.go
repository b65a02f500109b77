package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	headroomEvery  = time.Minute
	headroomWithin = 45 * time.Second
	headroomFact   = "headroom"
	primariesEvery = 15 * time.Second
)

// headroom is what is kept of a target's headroom: how it was last, and how each
// gauge went.
type headroom struct {
	Last   target.Headroom             `json:"last"`
	Series map[string][]monitor.Sample `json:"series"` // by code and object
	// Unseen are gauges that the last look could not read; what is not known has
	// not got better.
	Unseen []target.Gauge       `json:"unseen,omitempty"`
	runs   map[string]time.Time // when each gauge reaches its limit
}

// headroomOnce looks at what could run out, and raises and clears alarms.
func (w *watch) headroomOnce(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, headroomWithin)
	defer cancel()
	h, err := w.Headroom(limited)
	if err != nil {
		w.complain(ctx, "look at headroom", err) // an outage is told elsewhere
		return
	}
	var kept headroom
	if _, err := w.mem.Kept(ctx, w.Target, headroomFact, &kept); err != nil && !errors.Is(err, status.ErrNothing) {
		w.complain(ctx, "read headroom", err)
		w.mu.Lock()
		if w.room != nil { // a store that fails ends no alarm and hides none
			kept = *w.room
		}
		w.mu.Unlock()
	}
	kept = kept.add(h)
	if err := w.mem.Keep(ctx, w.Target, headroomFact, h.At, kept); err != nil {
		w.complain(ctx, "keep headroom", err)
	}
	kept.runs = kept.forecast()
	w.mu.Lock()
	w.room = &kept
	w.mu.Unlock()
	w.tellShortages(ctx, kept.shortages(h.At))
	w.tellReplication(ctx, h)
}

// identity is what the server says of itself, by which two nodes know that they
// speak of the same one: its system identifier and when it started. Empty when
// that is not known.
func (w *watch) identity() (system string, started time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.room == nil {
		return "", time.Time{}
	}
	return w.room.Last.SystemID, w.room.Last.Started
}

// unseenFor is how long what cannot be read any more is still told of.
const unseenFor = time.Hour

// add takes a look into account. Gauges that are gone are forgotten; where a
// question went unanswered, those that were not seen are kept for a while.
func (k headroom) add(h target.Headroom) headroom {
	out := headroom{Last: h, Series: map[string][]monitor.Sample{}}
	for _, g := range h.Gauges {
		key := g.Code + "/" + g.Object
		out.Series[key] = monitor.Keep(k.Series[key], monitor.Sample{At: h.At, Used: g.Used})
	}
	for _, g := range slices.Concat(k.Last.Gauges, k.Unseen) {
		key := g.Code + "/" + g.Object
		series := k.Series[key]
		if _, seen := out.Series[key]; seen || !unanswered(h, g) || len(series) == 0 || h.At.Sub(series[len(series)-1].At) > unseenFor {
			continue
		}
		out.Series[key], out.Unseen = series, append(out.Unseen, g)
	}
	return out
}

// unanswered says whether the question that tells of a gauge had no answer, or
// only half of one.
func unanswered(h target.Headroom, g target.Gauge) bool {
	var questions []string
	switch database, _, _ := strings.Cut(g.Object, ":"); g.Code {
	case "transaction-ids", "multixacts":
		questions = []string{"transaction ids"}
	case "connections":
		questions = []string{"connections"}
	case "disk", "log-disk":
		questions = []string{"disk"}
	case "sequence":
		questions = []string{"databases", "database " + database, "sequences of " + database}
	case "toast-values", "large-objects":
		questions = []string{"databases", "database " + database, "oids of " + database}
	case "relation-size":
		questions = []string{"databases", "database " + database, "relation size of " + database}
	}
	return slices.ContainsFunc(questions, func(q string) bool { _, is := h.Unknown[q]; return is })
}

// shortages are what runs out soon.
func (k headroom) shortages(now time.Time) []monitor.Shortage {
	var out []monitor.Shortage
	for _, g := range slices.Concat(k.Last.Gauges, k.Unseen) {
		if s, short := monitor.Judge(g, k.Series[g.Code+"/"+g.Object], now); short {
			out = append(out, s)
		}
	}
	if s, short := monitor.Certificate(k.Last.Certificate, now); short {
		out = append(out, s)
	}
	return out
}

// tellShortages raises an alarm for each and clears those that are no more.
func (w *watch) tellShortages(ctx context.Context, all []monitor.Shortage) {
	now := map[string]status.Alarm{}
	for _, s := range all {
		code := status.AlarmHeadroom
		if s.Grave {
			code = status.AlarmHeadroomGone
		}
		key := strings.TrimSuffix(s.Code+"/"+s.Object, "/")
		now[key] = status.Alarm{Code: code, Key: key, Detail: s.Detail, Next: s.Next}
	}
	w.shortages.tell(ctx, w, now)
}

// tellReplication does so for standbys. What could not be looked at stays.
func (w *watch) tellReplication(ctx context.Context, h target.Headroom) {
	all, known := monitor.Lagging(h, w.Replication)
	if !known {
		return
	}
	now := map[string]status.Alarm{}
	for _, s := range all {
		now[s.Code+"/"+s.Object] = status.Alarm{Code: s.Code, Key: s.Object, Detail: s.Detail, Next: s.Next}
	}
	w.replication.tell(ctx, w, now)
}

// alarmSet is a set of alarms that is found anew each time. It is kept by one
// goroutine.
type alarmSet struct {
	codes []string
	up    map[string]status.Alarm // nil before the first time
}

// tell raises what holds now and clears what held before: the first time, what
// the server before this one raised.
func (s *alarmSet) tell(ctx context.Context, w *watch, now map[string]status.Alarm) {
	for _, a := range now {
		w.raise(ctx, a)
	}
	before := slices.Collect(maps.Values(s.up))
	if s.up == nil {
		alarms, err := w.mem.Alarms(ctx, w.Target)
		if err != nil {
			w.complain(ctx, "read alarms", err)
			return // the next look tries again
		}
		for _, a := range alarms {
			if slices.Contains(s.codes, a.Code) {
				before = append(before, a)
			}
		}
	}
	s.up = now
	for _, a := range before {
		holds := false
		for _, x := range now {
			holds = holds || x.Code == a.Code && x.Key == a.Key
		}
		if !holds {
			w.clear(ctx, a.Code, a.Key)
		}
	}
}

// watchPrimaries tells of targets that are one cluster and both take writes.
func (r *running) watchPrimaries(ctx context.Context) {
	every(ctx, primariesEvery, func(ctx context.Context) {
		all := map[target.ID]target.Headroom{}
		for _, w := range r.targets {
			w.mu.Lock()
			if w.room != nil && time.Since(w.room.Last.At) < 3*headroomEvery {
				all[w.Target] = w.room.Last
			}
			w.mu.Unlock()
		}
		two := map[target.ID]string{}
		for _, ids := range monitor.TwoPrimaries(all) {
			var names []string
			for _, id := range ids {
				names = append(names, string(id))
			}
			for _, id := range ids {
				two[id] = strings.Join(names, " and ")
			}
		}
		for _, w := range r.targets {
			if names, is := two[w.Target]; is {
				w.raise(ctx, status.Alarm{Code: status.AlarmTwoPrimaries, Detail: names + " are the same cluster by their system identifier, and each takes writes",
					Next: "stop one of them at once: they are drifting apart; if one is a copy that is meant to live on, make it with pg_resetwal or a dump"})
			} else if _, seen := all[w.Target]; seen {
				w.clear(ctx, status.AlarmTwoPrimaries, "*")
			}
		}
	})
}

// forecast is when each gauge reaches its limit, by code and object; absent where
// it does not grow.
func (k headroom) forecast() map[string]time.Time {
	out := map[string]time.Time{}
	for _, g := range k.Last.Gauges {
		key := g.Code + "/" + g.Object
		if at, ok := monitor.Forecast(k.Series[key], g.Limit); ok {
			out[key] = at
		}
	}
	return out
}

// gauges are what metrics show of headroom; what is not fresh is left out.
func (r *running) gauges() []server.Gauge {
	var out []server.Gauge
	for _, w := range r.targets {
		w.mu.Lock()
		k := w.room
		w.mu.Unlock()
		if k == nil || time.Since(k.Last.At) > 3*headroomEvery {
			continue
		}
		for _, g := range k.Last.Gauges {
			out = append(out, server.Gauge{Target: string(w.Target), Code: g.Code, Object: g.Object, Ratio: g.Ratio(), Runs: k.runs[g.Code+"/"+g.Object]})
		}
	}
	return out
}
