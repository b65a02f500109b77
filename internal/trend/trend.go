// Package trend says how a span of time went: incidents and how long each part of
// them took, availability, objectives, data lost, proofs and their ages, findings,
// action items, what comes back, and what to do next. It is pure: facts in, a
// report out. What was not recorded is said to be unknown, never good.
package trend

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/proof"
)

// Span is from a moment until another, which is not in it.
type Span struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// Length is how long it is.
func (s Span) Length() time.Duration { return max(s.Until.Sub(s.From), 0) }

// Has reports whether a moment is in it.
func (s Span) Has(t time.Time) bool { return !t.Before(s.From) && t.Before(s.Until) }

// within is the part of s that is in o.
func (s Span) within(o Span) Span {
	if s.From.Before(o.From) {
		s.From = o.From
	}
	if s.Until.After(o.Until) {
		s.Until = o.Until
	}
	return s
}

// Period is what a report is about.
type Period struct {
	Span
	Name string `json:"name"` // "2026 Q4", or its days
}

// QuarterOf is the quarter of a year that holds t, in t's zone.
func QuarterOf(t time.Time) Period {
	q := (int(t.Month()) - 1) / 3
	from := time.Date(t.Year(), time.Month(3*q+1), 1, 0, 0, 0, 0, t.Location())
	return Period{Span{from, from.AddDate(0, 3, 0)}, fmt.Sprintf("%d Q%d", t.Year(), q+1)}
}

// Before is the quarter before p when p is a quarter, else the span of the same
// length.
func (p Period) Before() Period {
	if q := QuarterOf(p.From); q.Span == p.Span {
		return QuarterOf(p.From.AddDate(0, 0, -1))
	}
	s := Span{p.From.Add(-p.Length()), p.From}
	return Period{s, s.days()}
}

func (s Span) days() string {
	return s.From.Format(time.DateOnly) + " to " + s.Until.Add(-1).Format(time.DateOnly)
}

// Days is a period of whole days.
func Days(from, until time.Time) Period {
	s := Span{from, until}
	return Period{s, s.days()}
}

// Facts are what a report is made from. They may reach beyond the period.
type Facts struct {
	Targets   []Target
	Outages   []Outage // of all targets, each once
	Watched   []Span   // in which a server watched, apart and in order
	Incidents []incident.State
	Proofs    []proof.Proof // of Refloat's own backups
	Findings  []Finding
	Actions   []action.State
}

// Target is a target in care.
type Target struct {
	Name       string
	Objectives proof.Objectives
	Since      time.Time // it has been in care since; zero for longer than is known
	Unwatched  bool      // the configuration does not want it looked at
	Blind      []Span    // in which a server ran and could not see it, apart and in order
}

// Outage is a confirmed span in which a target did not serve.
type Outage struct {
	Target string    `json:"target"`
	Sees   string    `json:"sees"` // what the watch saw
	From   time.Time `json:"from"`
	Until  time.Time `json:"until,omitzero"` // empty while it goes on
}

// Finding is one misconfiguration from when an audit first saw it.
type Finding struct {
	Target   string    `json:"target"`
	Rule     string    `json:"rule"`
	Object   string    `json:"object,omitempty"`
	Severity string    `json:"severity"`
	Opened   time.Time `json:"opened"`
	Closed   time.Time `json:"closed,omitzero"`
}

// Report is how a period went.
type Report struct {
	Period   Period    `json:"period"`
	Made     time.Time `json:"made"`
	Running  bool      `json:"running"` // the period is not over
	Figures  Figures   `json:"figures"`
	Previous *Figures  `json:"previous,omitempty"` // of the period before; absent when nothing is known of it

	Targets   []TargetReport `json:"targets"`
	Incidents []IncidentRow  `json:"incidents"` // that began in it, the oldest first
	Recurring []Recurring    `json:"recurring"`
	Findings  []Finding      `json:"open_findings"` // open at the end, the worst and oldest first
	Late      []action.State `json:"late_actions"`  // at the end, the most pressing first
	Next      []Advice       `json:"next"`          // what to do, the most pressing first
}

// Figures are those that are compared from period to period.
type Figures struct {
	Incidents  int             `json:"incidents"`
	BySeverity map[string]int  `json:"by_severity"`
	Detect     Distribution    `json:"detect"`      // first bad observation to confirmed
	Ack        Distribution    `json:"acknowledge"` // confirmed to the first act of a person
	Mitigate   Distribution    `json:"mitigate"`    // first bad observation to service being back
	Resolve    Distribution    `json:"resolve"`     // first bad observation to resolved
	DataLost   []time.Duration `json:"data_lost"`   // measured, of incidents that lost some
	Unmeasured int             `json:"unmeasured"`  // incidents whose data loss nobody measured

	Down    time.Duration `json:"down"` // of all targets together
	Outages int           `json:"outages"`
	// Watched is the part of the time in which a server watched, 0 to 1.
	Watched float64 `json:"watched"`

	Proofs       int `json:"proofs"`
	Proven       int `json:"proven"`
	NotProven    int `json:"not_proven"`
	Inconclusive int `json:"inconclusive"`

	FindingsOpened int `json:"findings_opened"`
	FindingsClosed int `json:"findings_closed"`
	FindingsOpen   int `json:"findings_open"` // at the end

	ActionsAdded  int `json:"actions_added"`
	ActionsDue    int `json:"actions_due"`
	ActionsOnTime int `json:"actions_on_time"` // of those due
	ActionsLate   int `json:"actions_late"`    // of those due: done late, or not done
	ActionsOpen   int `json:"actions_open"`    // at the end
}

// Distribution is how long something took.
type Distribution struct {
	N       int           `json:"n"`
	Unknown int           `json:"unknown"` // of which it is not recorded
	Min     time.Duration `json:"min"`
	Median  time.Duration `json:"median"`
	P90     time.Duration `json:"p90"`
	Max     time.Duration `json:"max"`
}

// Distribute sums durations up. Quantiles are by the nearest rank.
func Distribute(all []time.Duration, unknown int) Distribution {
	d := Distribution{N: len(all), Unknown: unknown}
	if d.N == 0 {
		return d
	}
	all = slices.Sorted(slices.Values(all))
	rank := func(percent int) time.Duration { return all[(percent*d.N+99)/100-1] }
	d.Min, d.Median, d.P90, d.Max = all[0], rank(50), rank(90), all[d.N-1]
	return d
}

// IncidentRow is an incident of the period. A time that is not recorded is nil.
type IncidentRow struct {
	ID       string         `json:"id"`
	Title    string         `json:"title"`
	Severity string         `json:"severity"`
	Targets  []string       `json:"targets"`
	Started  time.Time      `json:"started"`
	Detect   *time.Duration `json:"detect"`
	Ack      *time.Duration `json:"acknowledge"`
	Mitigate *time.Duration `json:"mitigate"`
	Resolve  *time.Duration `json:"resolve"`
	Loss     *time.Duration `json:"data_loss"`
	Missed   []string       `json:"missed"` // objectives
}

// Make makes the report of a period as of now.
func Make(p Period, f Facts, now time.Time) Report {
	r := Report{Period: p, Made: now, Running: now.Before(p.Until), Figures: figures(p.Span, f, now)}
	if before := p.Before(); f.knows(before.Span) {
		prev := figures(before.Span, f, now)
		r.Previous = &prev
	}
	for _, t := range f.Targets {
		r.Targets = append(r.Targets, targetReport(p.Span, t, f, now))
	}
	for _, s := range begun(p.Span, f.Incidents) {
		r.Incidents = append(r.Incidents, row(s))
	}
	end := earlier(p.Until, now)
	for _, x := range f.Findings {
		if x.openAt(end) {
			r.Findings = append(r.Findings, x)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(b.Severity), rank(a.Severity)), a.Opened.Compare(b.Opened))
	})
	for _, a := range f.Actions {
		if s := asOf(a, end); s.ID != "" && s.Late(end) {
			r.Late = append(r.Late, s)
		}
	}
	action.ByRisk(r.Late, end)
	r.Recurring = recurring(p.Span, f)
	r.Next = advise(r)
	return r
}

// knows reports whether anything at all is recorded of a span.
func (f Facts) knows(s Span) bool {
	for _, w := range f.Watched {
		if w.within(s).Length() > 0 {
			return true
		}
	}
	return slices.ContainsFunc(f.Incidents, func(x incident.State) bool { return s.Has(x.Started) }) ||
		slices.ContainsFunc(f.Proofs, func(x proof.Proof) bool { return s.Has(x.EndedAt) })
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func rank(severity string) int {
	return slices.Index([]string{"info", "low", "medium", "high", "critical"}, severity)
}

func (x Finding) openAt(t time.Time) bool {
	return x.Opened.Before(t) && (x.Closed.IsZero() || !x.Closed.Before(t))
}

// begun are the incidents that began in a span, without those that were merged
// into another.
func begun(p Span, all []incident.State) []incident.State {
	var out []incident.State
	for _, s := range all {
		if s.MergedInto == "" && p.Has(s.Started) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b incident.State) int { return a.Started.Compare(b.Started) })
	return out
}

// between is how long it took; nil when one end is not recorded.
func between(from, until time.Time) *time.Duration {
	if from.IsZero() || until.IsZero() {
		return nil
	}
	d := max(until.Sub(from), 0)
	return &d
}

func row(s incident.State) IncidentRow {
	r := IncidentRow{
		ID: s.ID, Title: s.Title, Severity: string(s.Severity), Targets: s.Targets, Started: s.Started, Missed: []string{},
		Detect: between(s.Started, s.Detected), Ack: between(s.Detected, s.Acknowledged), Mitigate: between(s.Started, s.Mitigated), Resolve: between(s.Started, s.Resolved),
	}
	if s.DataLoss != nil {
		r.Loss = &s.DataLoss.Loss
	}
	o := s.Objectives
	for _, x := range []struct {
		name     string
		promised time.Duration
		took     *time.Duration
	}{{"detection", o.Detection, r.Detect}, {"resolution", o.Resolution, r.Mitigate}, {"data loss", o.DataLoss, r.Loss}} {
		if x.promised > 0 && x.took != nil && *x.took > x.promised {
			r.Missed = append(r.Missed, x.name)
		}
	}
	return r
}

func figures(p Span, f Facts, now time.Time) Figures {
	out := Figures{BySeverity: map[string]int{}, DataLost: []time.Duration{}}
	incidents(&out, p, f)
	for _, o := range f.Outages {
		if d := o.span(now).within(p).Length(); d > 0 {
			out.Outages++
			out.Down += d
		}
	}
	out.Watched = watched(p, f.Watched, now)
	for _, x := range f.Proofs {
		if !p.Has(x.EndedAt) {
			continue
		}
		out.Proofs++
		switch x.Verdict {
		case proof.Proven:
			out.Proven++
		case proof.Failed:
			out.NotProven++
		default:
			out.Inconclusive++
		}
	}
	end := earlier(p.Until, now)
	for _, x := range f.Findings {
		if p.Has(x.Opened) {
			out.FindingsOpened++
		}
		if !x.Closed.IsZero() && p.Has(x.Closed) {
			out.FindingsClosed++
		}
		if x.openAt(end) {
			out.FindingsOpen++
		}
	}
	actions(&out, p, f.Actions, end)
	return out
}

func incidents(out *Figures, p Span, f Facts) {
	var took [4][]time.Duration
	var unknown [4]int
	for _, s := range begun(p, f.Incidents) {
		r := row(s)
		out.Incidents++
		out.BySeverity[r.Severity]++
		for i, d := range []*time.Duration{r.Detect, r.Ack, r.Mitigate, r.Resolve} {
			if d == nil {
				unknown[i]++
			} else {
				took[i] = append(took[i], *d)
			}
		}
		switch {
		case r.Loss == nil:
			out.Unmeasured++
		case *r.Loss > 0:
			out.DataLost = append(out.DataLost, *r.Loss)
		}
	}
	for i, d := range []*Distribution{&out.Detect, &out.Ack, &out.Mitigate, &out.Resolve} {
		*d = Distribute(took[i], unknown[i])
	}
}

// span is when an outage went on; until now while it does.
func (o Outage) span(now time.Time) Span {
	if o.Until.IsZero() {
		return Span{o.From, now}
	}
	return Span{o.From, o.Until}
}

// watched is the part of a span, up to now, in which a server watched.
func watched(p Span, spans []Span, now time.Time) float64 {
	p.Until = earlier(p.Until, now)
	if p.Length() == 0 {
		return 0
	}
	var sum time.Duration
	for _, s := range spans {
		sum += s.within(p).Length()
	}
	return float64(sum) / float64(p.Length())
}

func actions(out *Figures, p Span, all []action.State, end time.Time) {
	for _, a := range all {
		s := asOf(a, end)
		if s.ID == "" {
			continue
		}
		if p.Has(s.AddedAt) {
			out.ActionsAdded++
		}
		if s.Status == action.Open {
			out.ActionsOpen++
		}
		if s.Due.IsZero() || s.Status == action.Dropped || !p.Has(s.Due.Begin()) || s.Status == action.Open && !s.Late(end) {
			continue
		}
		out.ActionsDue++
		if s.OnTime() {
			out.ActionsOnTime++
		} else {
			out.ActionsLate++
		}
	}
}

// asOf is an action as it stood at a moment; empty when it was not there.
func asOf(a action.State, t time.Time) action.State {
	var s action.State
	for _, e := range a.Timeline {
		if e.Time.Before(t) {
			s = s.With(e)
		}
	}
	return s
}
