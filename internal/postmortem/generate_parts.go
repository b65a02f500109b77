package postmortem

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
)

func introduction(x incident.State) Text {
	first, last := int64(0), x.Last
	if len(x.Timeline) > 0 {
		first = x.Timeline[0].Seq
	}
	return Text{{Text: fmt.Sprintf("This is the draft of the report of %s, made of the journal's entries %d to %d. It says what they hold and nothing else; what only people know stands in square brackets.", x.ID, first, last)}}
}

func summary(d *Document, x incident.State) Text {
	c := d.Clocks
	var b strings.Builder
	fmt.Fprintf(&b, "The incident of %s began on %s", affected(x), d.moment(c.Started))
	if !c.Detected.IsZero() {
		fmt.Fprintf(&b, " and was detected on %s", d.moment(c.Detected))
	}
	b.WriteString(".")
	if !c.Mitigated.IsZero() {
		fmt.Fprintf(&b, " The downtime was %s.", Span(c.Mitigated.Sub(c.Started)))
	}
	out := Text{{Text: b.String()}}
	var reasons []string
	for _, k := range x.Causes {
		if q := quote(k.Reason); k.Reason != "" && !slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, q) }) {
			reasons = append(reasons, q+" ("+source(causeEntry(x, k.Key))+")")
		}
	}
	if len(reasons) > 0 {
		out = append(out, Passage{Text: "What was seen: " + strings.Join(reasons, ", ") + "."})
	}
	for _, v := range []Verdict{Met, Missed} {
		var names []string
		for _, g := range d.Objectives {
			if g.Verdict == v {
				names = append(names, string(g.Kind))
			}
		}
		if len(names) > 0 {
			out = append(out, Passage{Text: fmt.Sprintf("Objectives that were %s: %s.", v, strings.Join(names, ", "))})
		}
	}
	return append(out, Passage{Text: Fill("what clients saw, in a sentence")})
}

// before is what was known when it began: findings that were open, and proofs with
// their age.
func before(f Facts) Text {
	start := f.Incident.Started
	var out Text
	for _, k := range f.Findings {
		what := "Finding " + name(k.Rule) + " of " + orService(k.Target)
		if k.Object != "" {
			what += ", " + quote(k.Object)
		}
		out = append(out, Passage{Text: fmt.Sprintf("%s had been open for %s (%s): %s", what, age(start.Sub(k.Since)), source(k.Seq), quote(k.Evidence)), Point: true})
	}
	if len(f.Findings) == 0 {
		out = append(out, Passage{Text: "The audit had no open finding about these systems.", Point: true})
	}
	for _, target := range f.Incident.Targets {
		i := slices.IndexFunc(f.Proofs, func(p KnownProof) bool { return p.Target == target })
		if i < 0 {
			out = append(out, Passage{Text: fmt.Sprintf("No drill of %s is in the journal before it began.", target), Point: true})
			continue
		}
		p := f.Proofs[i]
		text := fmt.Sprintf("The last drill of %s was %s old (%s) and said %s: %s", target, age(start.Sub(p.At)), source(p.Seq), quote(p.Verdict), quote(p.Summary))
		if p.Resolution > 0 {
			text += fmt.Sprintf(", with a restore that took %s", Span(p.Resolution.Round(time.Second)))
		}
		if p.Allowed > 0 && start.Sub(p.At) > p.Allowed {
			text += fmt.Sprintf("; no proof may be older than %s", age(p.Allowed))
		}
		out = append(out, Passage{Text: text + ".", Point: true})
	}
	return out
}

// age is a length of time that nobody needs to the second.
func age(x time.Duration) string {
	const day = 24 * time.Hour
	switch n := int(x / day); {
	case x < time.Hour:
		return Span(x.Truncate(time.Minute))
	case n < 2:
		return fmt.Sprintf("%d h", x/time.Hour)
	default:
		return fmt.Sprintf("%d days", n)
	}
}

func detection(d *Document, x incident.State) Text {
	by := "a person"
	for _, k := range x.Causes {
		if k.Detected.Equal(x.Detected) {
			by = map[incident.CauseKind]string{incident.FromOutage: "the watch", incident.FromAlert: "an alert"}[k.Kind]
			break
		}
	}
	if by == "" {
		by = "a person"
	}
	c := d.Clocks
	return Text{{Text: fmt.Sprintf("It was detected after %s, by %s.", Span(c.Detected.Sub(c.Started)), by)}}
}

func response(d *Document, x incident.State) Text {
	c := d.Clocks
	var out Text
	switch {
	case c.Acknowledged.IsZero():
		out = append(out, Passage{Text: "The journal holds no act of a person."})
	case !c.Acknowledged.Before(c.Detected):
		out = append(out, Passage{Text: fmt.Sprintf("It was acknowledged after %s, by %s.", Span(c.Acknowledged.Sub(c.Detected)), name(x.AcknowledgedBy))})
	}
	for _, r := range incident.Roles() {
		if h, held := x.Roles[r]; held {
			out = append(out, Passage{Text: fmt.Sprintf("%s had the role of %s.", name(h.Person), r), Point: true})
		}
	}
	out = append(out, pages(x)...)
	for _, t := range x.OpenTasks() {
		out = append(out, Passage{Text: fmt.Sprintf("Task %s was left open: %s (%s)", t.ID, quote(t.Text), source(entryOf(x, incident.KindTask, "id", t.ID))), Point: true})
	}
	return out
}

// pages counts what was sent, and tells who answered after how long.
func pages(x incident.State) Text {
	var sent, lost int
	first := map[string]time.Time{} // by alert
	var people []string
	for _, p := range x.Pages {
		if p.Error != "" {
			lost++
			continue
		}
		sent++
		if who := orElse(p.Person, p.Contact); !slices.Contains(people, who) {
			people = append(people, who)
		}
		if f, seen := first[p.Alert]; !seen || p.At.Before(f) {
			first[p.Alert] = p.At
		}
	}
	if sent+lost == 0 {
		return Text{{Text: "No message about it was sent to a person on duty.", Point: true}}
	}
	out := Text{{Text: fmt.Sprintf("Messages about its alerts: %d arrived, at %d people or places, and %d did not.", sent, len(people), lost), Point: true}}
	for _, a := range x.Alerts {
		switch at, was := first[a.ID]; {
		case !was:
		case a.Acknowledged.IsZero():
			out = append(out, Passage{Text: fmt.Sprintf("Nobody took %s (%s).", quote(a.Summary), source(entryOf(x, incident.KindAlert, "id", a.ID))), Point: true})
		case !a.Acknowledged.Before(at):
			out = append(out, Passage{Text: fmt.Sprintf("%s took %s (%s) %s later than its first message.", name(a.AcknowledgedBy), quote(a.Summary), source(entryOf(x, incident.KindAlertAcked, "id", a.ID)), Span(seconds(a.Acknowledged).Sub(seconds(at)))), Point: true})
		}
	}
	return out
}

func communications(d *Document, x incident.State) Text {
	count := map[incident.Audience]int{}
	for _, u := range x.Updates {
		count[u.Audience]++
	}
	var out Text
	for _, a := range incident.Audiences() {
		if a == incident.Responders && count[a] == 0 {
			continue
		}
		text := fmt.Sprintf("To %s: %d published", a, count[a])
		if u := x.LastUpdate(a); u != nil {
			text += fmt.Sprintf(", the last of them as %s (%s)", quote(string(u.Status)), source(entryOf(x, incident.KindPublished, "id", u.ID)))
		}
		out = append(out, Passage{Text: text + ".", Point: true})
	}
	for _, r := range x.Reminders {
		if r.Late {
			out = append(out, Passage{Text: fmt.Sprintf("An update to %s was overdue at %s.", r.Audience, d.local(seconds(r.Due)).Format("15:04:05")), Point: true})
		}
	}
	return out
}

// recovery tells the ways back that were chosen, with their measured times.
func recovery(d *Document, x incident.State) Text {
	c := d.Clocks
	var out Text
	if !c.Mitigated.IsZero() {
		out = append(out, Passage{Text: fmt.Sprintf("Service was back after %s.", Span(c.Mitigated.Sub(c.Started)))})
	}
	for _, r := range x.Recoveries {
		if r.ChosenAt.IsZero() {
			continue
		}
		src := source(entryOf(x, incident.KindChosen, "run", r.Run))
		text := fmt.Sprintf("Run %s of %s, chosen by %s (%s): %s", r.Run, orService(r.Target), name(r.ChosenBy), src, quote(r.Title))
		for _, w := range r.Ways {
			if w.Way == r.Way && w.Time != nil {
				text += fmt.Sprintf("; it was proposed with %s", Span(w.Time.Round(time.Second)))
			}
		}
		out = append(out, Passage{Text: text + ".", Point: true})
		for _, p := range r.Progress {
			if src := source(entryOf(x, incident.KindStepDone, "run", r.Run, "step", p.Step)); p.State == incident.StepDone && !p.Ended.IsZero() {
				out = append(out, Passage{Text: fmt.Sprintf("Run %s, step %s (%s): %s.", r.Run, quote(p.Step), src, Span(seconds(p.Ended).Sub(seconds(p.Started)))), Point: true})
			}
		}
		if v := r.Verification; v != nil {
			out = append(out, Passage{Text: fmt.Sprintf("Run %s, what came of it (%s): %s, %s.", r.Run, source(entryOf(x, incident.KindVerified, "run", r.Run)), quote(v.Verdict), quote(v.Summary)), Point: true})
		}
		if r.Outcome != "" {
			out = append(out, Passage{Text: fmt.Sprintf("Run %s was over as %s (%s).", r.Run, quote(r.Outcome), source(entryOf(x, incident.KindRecoveryEnded, "run", r.Run))), Point: true})
		}
	}
	if x.Outcome != "" {
		out = append(out, Passage{Text: fmt.Sprintf("It was closed with these words: %s (%s).", quote(x.Outcome), source(entryOf(x, incident.KindResolved)))})
	}
	if len(x.Recoveries) == 0 {
		out = append(out, Passage{Text: Fill("which way back was taken, and how long each step took")})
	}
	return out
}

// duties are tasks that were left open, and the row that people begin with.
func duties(x incident.State) []Duty {
	var out []Duty
	n := 0
	add := func(d Duty) {
		n++
		d.ID, d.State = fmt.Sprintf("A%d", n), "open"
		out = append(out, d)
	}
	add(Duty{Text: Fill("what will be different, so that two people agree whether it is"), Owner: Fill("one person or team"), Due: Fill("a day"), Priority: Fill("how urgent"), Kind: Fill("which kind"), Source: Fill("root cause"), Check: Fill("how a machine or a person can tell")})
	for _, t := range x.OpenTasks() {
		owner := Fill("one person or team")
		if t.Owner != "" {
			owner = name(t.Owner)
		}
		add(Duty{Text: fmt.Sprintf("%s (%s)", quote(t.Text), source(entryOf(x, incident.KindTask, "id", t.ID))), Owner: owner, Due: Fill("a day"), Priority: Fill("how urgent"), Kind: Fill("which kind"), Source: "task " + t.ID, Check: Fill("how a machine or a person can tell")})
	}
	return out
}

// earlier lists other incidents of the same targets or reasons, newest first.
func earlier(f Facts, d *Document) Text {
	x := f.Incident
	var out Text
	for _, o := range slices.Backward(f.Earlier) {
		if o.ID == x.ID || o.MergedInto != "" || !o.Started.Before(x.Started) || slices.Contains(x.Absorbed, o.ID) {
			continue
		}
		var same []string
		if slices.ContainsFunc(o.Targets, x.About) {
			same = append(same, "the same system")
		}
		if slices.ContainsFunc(o.Causes, func(c incident.Cause) bool {
			return c.Reason != "" && slices.ContainsFunc(x.Causes, func(k incident.Cause) bool { return k.Reason == c.Reason })
		}) {
			same = append(same, "the same reason")
		}
		if len(same) == 0 {
			continue
		}
		text := fmt.Sprintf("%s of %s: %s (%s), %s", o.ID, d.local(seconds(o.Started)).Format("2 January 2006"), quote(o.Title), source(o.Last), strings.Join(same, ", "))
		if !o.Mitigated.IsZero() {
			text += ", down for " + Span(seconds(o.Mitigated).Sub(seconds(o.Started)))
		}
		out = append(out, Passage{Text: text + ".", Point: true})
		if len(out) == 10 {
			break
		}
	}
	return out
}

// causeEntry is the entry that a cause came with.
func causeEntry(x incident.State, key string) int64 {
	for _, e := range slices.Backward(x.Timeline) {
		var b struct {
			Key    string
			Cause  incident.Cause
			Causes []incident.Cause
		}
		if json.Unmarshal(e.Body, &b) != nil {
			continue
		}
		switch e.Kind {
		case incident.KindJoined, incident.KindChanged:
			if b.Key == key {
				return e.Seq
			}
		case incident.KindOpened:
			if b.Cause.Key == key {
				return e.Seq
			}
		case incident.KindAbsorbed:
			if slices.ContainsFunc(b.Causes, func(c incident.Cause) bool { return c.Key == key }) {
				return e.Seq
			}
		}
	}
	return x.Last
}
