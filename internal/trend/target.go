package trend

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/proof"
)

// TargetReport is how a period went for a target.
type TargetReport struct {
	Name string `json:"name"`
	// Availability is the part of the watched time in which it served, 0 to 1; nil
	// when nobody watched.
	Availability *float64      `json:"availability"`
	Down         time.Duration `json:"down"`
	Outages      []Outage      `json:"outages"`
	Incidents    int           `json:"incidents"`

	Proofs     []ProofMark   `json:"proofs"`      // that ended in the period, the oldest first
	OldestAge  time.Duration `json:"oldest_age"`  // the longest time without a good proof
	StaleShare *float64      `json:"stale_share"` // part of the period in which the last good proof was older than promised; nil when nothing is promised
	Never      bool          `json:"never"`       // it was never proven up to the end

	Objectives []Objective `json:"objectives"`
}

// ProofMark is a proof in a report.
type ProofMark struct {
	ID         string         `json:"id"`
	At         time.Time      `json:"at"`
	Verdict    proof.Verdict  `json:"verdict"`
	Resolution time.Duration  `json:"resolution"`
	DataLoss   *time.Duration `json:"data_loss"`
}

// Objective is what was promised, and how often it was kept.
type Objective struct {
	Name     string        `json:"name"`
	Promised time.Duration `json:"promised"`
	Met      int           `json:"met"`
	Missed   int           `json:"missed"`
	Unknown  int           `json:"unknown"` // not measured: never counts as met
	Worst    time.Duration `json:"worst"`
}

func targetReport(p Span, t Target, f Facts, now time.Time) TargetReport {
	end := earlier(p.Until, now)
	care := Span{p.From, end}
	if t.Since.After(care.From) {
		care.From = earlier(t.Since, end)
	}
	r := TargetReport{Name: t.Name, Outages: []Outage{}, Proofs: []ProofMark{}, Objectives: []Objective{}}
	r.served(care, t, f, now)
	r.proven(care, t, f)
	for _, s := range begun(p, f.Incidents) {
		if slices.Contains(s.Targets, t.Name) {
			r.Incidents++
		}
	}
	r.objectives(p, t, f)
	return r
}

// served works out availability: of the time in which somebody watched, and
// of what is known to have been an outage also where nobody did.
func (r *TargetReport) served(care Span, t Target, f Facts, now time.Time) {
	var seen, downSeen time.Duration
	looked := t.looked(f.Watched)
	for _, w := range looked {
		seen += w.within(care).Length()
	}
	for _, o := range f.Outages {
		s := o.span(now).within(care)
		if o.Target != t.Name || s.Length() == 0 {
			continue
		}
		r.Outages = append(r.Outages, o)
		r.Down += s.Length()
		for _, w := range looked {
			downSeen += w.within(s).Length()
		}
	}
	if seen += r.Down - downSeen; seen > 0 && !t.Unwatched {
		a := 1 - float64(r.Down)/float64(seen)
		r.Availability = &a
	}
}

// looked is when somebody could tell whether the target serves: while a server ran
// that watched it, and was not blind.
func (t Target) looked(watched []Span) []Span {
	if t.Unwatched {
		return nil
	}
	out := slices.Clone(watched)
	for _, b := range t.Blind {
		var rest []Span
		for _, w := range out {
			for _, part := range []Span{{w.From, earlier(w.Until, b.From)}, {later(w.From, b.Until), w.Until}} {
				if part.Length() > 0 {
					rest = append(rest, part)
				}
			}
		}
		out = rest
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// proven follows the age of the last good proof through the period.
func (r *TargetReport) proven(care Span, t Target, f Facts) {
	var good []time.Time
	for _, x := range f.Proofs {
		if string(x.Target) != t.Name || x.Source != "" || !x.EndedAt.Before(care.Until) {
			continue
		}
		if !x.EndedAt.Before(care.From) {
			r.Proofs = append(r.Proofs, ProofMark{x.ID, x.EndedAt, x.Verdict, x.Resolution, x.DataLoss})
		}
		if x.Verdict == proof.Proven {
			good = append(good, x.EndedAt)
		}
	}
	slices.SortFunc(r.Proofs, func(a, b ProofMark) int { return a.At.Compare(b.At) })
	slices.SortFunc(good, time.Time.Compare)
	r.Never = len(good) == 0
	var stale time.Duration
	last := care.From // nothing is known of what was before, which is not held against it
	if i := slices.IndexFunc(good, func(g time.Time) bool { return !g.Before(care.From) }); i != 0 && len(good) > 0 {
		if i < 0 {
			i = len(good)
		}
		last = good[i-1]
	}
	promised := t.Objectives.ProofAge
	unproven := len(good) == 0 || good[0].After(care.From)
	for _, next := range append(slices.Clone(good), care.Until) {
		if !next.After(last) {
			continue
		}
		r.OldestAge = max(r.OldestAge, next.Sub(last))
		from := last.Add(promised)
		if unproven {
			from = last // it has no proof at all until next
		}
		stale += Span{from, next}.within(care).Length()
		last, unproven = next, false
	}
	if promised > 0 && care.Length() > 0 {
		share := float64(stale) / float64(care.Length())
		r.StaleShare = &share
	}
}

// objectives counts how often each was kept: by incidents, and by drills what
// they measured.
func (r *TargetReport) objectives(p Span, t Target, f Facts) {
	add := func(name string, promised time.Duration, took []*time.Duration) {
		if promised <= 0 {
			return
		}
		o := Objective{Name: name, Promised: promised}
		for _, d := range took {
			switch {
			case d == nil:
				o.Unknown++
			case *d > promised:
				o.Missed++
			default:
				o.Met++
			}
			if d != nil {
				o.Worst = max(o.Worst, *d)
			}
		}
		r.Objectives = append(r.Objectives, o)
	}
	var detect, resolve, loss []*time.Duration
	for _, s := range begun(p, f.Incidents) {
		if slices.Contains(s.Targets, t.Name) {
			x := row(s)
			detect, resolve, loss = append(detect, x.Detect), append(resolve, x.Mitigate), append(loss, x.Loss)
		}
	}
	o := t.Objectives
	add("detection", o.Detection, detect)
	add("resolution", o.Resolution, resolve)
	add("data loss", o.DataLoss, loss)
	var drilled, lost []*time.Duration
	for i := range r.Proofs {
		x := &r.Proofs[i]
		if x.Verdict == proof.Proven {
			drilled = append(drilled, &x.Resolution)
		} else {
			drilled = append(drilled, nil) // a drill that proves nothing measures nothing
		}
		lost = append(lost, x.DataLoss)
	}
	add("resolution in drills", o.Resolution, drilled)
	add("data loss in drills", o.DataLoss, lost)
}

// Recurring is trouble that came more than once.
type Recurring struct {
	What   string   `json:"what"`
	Target string   `json:"target"`
	Times  int      `json:"times"`  // in the period
	Before int      `json:"before"` // ever before it
	IDs    []string `json:"ids"`    // of incidents, or empty for findings
}

func recurring(p Span, f Facts) []Recurring {
	type key struct{ target, what string }
	found := map[key]*Recurring{}
	note := func(k key, in bool, id string) {
		x := found[k]
		if x == nil {
			x = &Recurring{What: k.what, Target: k.target, IDs: []string{}}
			found[k] = x
		}
		if in {
			x.Times++
			if id != "" {
				x.IDs = append(x.IDs, id)
			}
		} else {
			x.Before++
		}
	}
	for _, s := range f.Incidents {
		if s.MergedInto != "" || !s.Started.Before(p.Until) {
			continue
		}
		for _, k := range kinds(s, f.Outages) {
			note(k, p.Has(s.Started), s.ID)
		}
	}
	for _, x := range f.Findings {
		if x.Opened.Before(p.Until) && rank(x.Severity) >= rank("high") {
			note(key{x.Target, "finding " + x.Rule}, p.Has(x.Opened), "")
		}
	}
	var out []Recurring
	for _, x := range found {
		if x.Times > 1 || x.Times == 1 && x.Before > 0 {
			out = append(out, *x)
		}
	}
	slices.SortFunc(out, func(a, b Recurring) int {
		return cmp.Or(cmp.Compare(b.Times+b.Before, a.Times+a.Before), cmp.Compare(a.Target, b.Target), cmp.Compare(a.What, b.What))
	})
	return out
}

// kinds are what an incident was about: for each outage of it what the watch saw.
func kinds(s incident.State, outages []Outage) []struct{ target, what string } {
	var out []struct{ target, what string }
	for _, c := range s.Causes {
		k := struct{ target, what string }{c.Target, string(c.Kind)}
		if c.Kind == incident.FromOutage {
			k.what = "outage"
			for _, o := range outages {
				if o.Target == c.Target && o.From.Sub(c.Started).Abs() < time.Second && o.Sees != "" {
					k.what = "outage: " + o.Sees
				}
			}
		}
		if c.Kind != incident.FromPerson && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// Advice is one thing to do, with why.
type Advice struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Do   string `json:"do,omitempty"` // a command
}

// advise says what to do next, from what the report holds and nothing else.
func advise(r Report) []Advice {
	out := []Advice{}
	add := func(what, why, do string) { out = append(out, Advice{what, why, do}) }
	for _, t := range r.Targets {
		switch {
		case t.Never:
			add("Prove that "+t.Name+" can be restored", "no drill has ever proven it", "refloat drill "+t.Name)
		case t.StaleShare != nil && *t.StaleShare > 0:
			add("Drill "+t.Name+" more often", fmt.Sprintf("for %.0f %% of the time its last good proof was older than promised", *t.StaleShare*100), "refloat drill "+t.Name)
		}
		if n := len(t.Proofs); n > 0 && t.Proofs[n-1].Verdict != proof.Proven {
			add("Find out why the last drill of "+t.Name+" was "+string(t.Proofs[n-1].Verdict), t.Proofs[n-1].ID, "refloat proof show "+t.Proofs[n-1].ID)
		}
		for _, o := range t.Objectives {
			if o.Missed > 0 {
				add(fmt.Sprintf("Bring %s of %s under %s, or promise less", o.Name, t.Name, o.Promised), fmt.Sprintf("missed %d of %d times; the worst took %s", o.Missed, o.Missed+o.Met+o.Unknown, o.Worst.Round(time.Second)), "")
			}
			if o.Unknown > 0 && o.Name == "data loss" {
				add("Measure what was lost in incidents of "+t.Name, fmt.Sprintf("of %d nobody did", o.Unknown), "refloat incident loss INCIDENT SPAN --source …")
			}
		}
	}
	for _, x := range r.Recurring {
		add(fmt.Sprintf("Mend what makes %q come back at %s", x.What, cmp.Or(x.Target, "no target")), fmt.Sprintf("%d times in this period, %d before", x.Times, x.Before), "")
	}
	for _, a := range r.Late {
		add("Finish "+a.ID+": "+a.Text, "late since "+a.Due.String()+", owner "+cmp.Or(a.Owner, "nobody"), "refloat action show "+a.ID)
	}
	for _, x := range r.Findings {
		if rank(x.Severity) >= rank("high") {
			add("Mend "+x.Rule+" at "+x.Target, x.Severity+", open since "+x.Opened.UTC().Format(time.DateOnly), "refloat explain "+x.Rule)
		}
	}
	if r.Figures.Watched < 0.999 {
		add("Keep a server running, or a second one", fmt.Sprintf("nobody watched for %.1f %% of the time: what happened then is not in this report", (1-r.Figures.Watched)*100), "")
	}
	return out
}
