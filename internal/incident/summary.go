package incident

import (
	"fmt"
	"strings"
	"time"
)

// Summary is the hand-over for somebody who joins late: what they need to know
// in 30 seconds, a line each. It is for responders.
func (s State) Summary(now time.Time, cadence Cadence, warnAt []int, zone *time.Location) []string {
	if zone == nil {
		zone = time.UTC
	}
	at := func(t time.Time) string { return t.In(zone).Format("15:04 MST") }
	var out []string
	line := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	line("%s, %s, %s: %s", s.ID, s.Severity, strings.ToUpper(string(s.Status)), s.Title)
	if s.MergedInto != "" {
		line("It was merged into %s: look there.", s.MergedInto)
		return out
	}
	line("%s", s.story(now, at))
	for _, c := range s.Clocks(now, warnAt) {
		if c.Name == Resolution && c.Objective > 0 {
			line("%s", c.plain())
		}
		if c.Risk > 0 && s.Open() {
			line("A restore now would lose %s of work; %s are allowed.", span(c.Risk), span(c.Objective))
		}
	}
	for _, r := range s.Recoveries {
		if words := r.plain(now); words != "" {
			line("%s", words)
		}
	}
	line("%s", s.who())
	if n := len(s.Notes); n > 0 {
		last := s.Notes[n-1]
		line("Last note, %s, %s: %s", at(last.At), last.By, firstLine(last.Text))
	}
	for _, t := range s.OpenTasks() {
		owner := ""
		if t.Owner != "" {
			owner = " (" + t.Owner + ")"
		}
		line("To do, %s: %s%s", t.ID, firstLine(t.Text), owner)
	}
	for _, a := range Audiences() {
		last, promised := s.LastUpdate(a), ""
		if p, ok := s.NextUpdate(a, cadence); ok {
			promised = ", next due " + at(p.Due)
			if now.After(p.Due) {
				promised = fmt.Sprintf(", NEXT IS LATE since %s", at(p.Due))
			}
		}
		switch {
		case last != nil:
			line("%s were told at %s that it is %s%s.", title(string(a)), at(last.At), last.Status, promised)
		case promised != "":
			line("%s were told nothing yet%s.", title(string(a)), promised)
		}
	}
	return out
}

// story says what happened, in a sentence or two.
func (s State) story(now time.Time, at func(time.Time) string) string {
	where := strings.Join(s.Targets, ", ")
	if where == "" {
		where = "No target is named"
	}
	out := fmt.Sprintf("%s: since %s (%s)", where, at(s.Started), span(now.Sub(s.Started)))
	if n := len(s.Causes); n > 0 {
		out += ", " + strings.TrimRight(s.Causes[n-1].Reason, ".")
	}
	out += "."
	switch {
	case s.Status == Resolved:
		out += fmt.Sprintf(" Resolved at %s.", at(s.Resolved))
	case !s.Serves():
		out += fmt.Sprintf(" %s does NOT serve.", s.down())
	case !s.Mitigated.IsZero():
		out += fmt.Sprintf(" Serves again since %s.", at(s.Mitigated))
	}
	return out
}

// plain is a clock in words.
func (c Clock) plain() string {
	what := title(string(c.Name))
	switch c.State {
	case Met:
		return fmt.Sprintf("%s: met, %s of %s.", what, span(c.Used), span(c.Objective))
	case Missed:
		return fmt.Sprintf("%s: MISSED, %s against %s.", what, span(c.Used), span(c.Objective))
	}
	return fmt.Sprintf("%s: %s left of %s (%d %% used).", what, span(c.Left), span(c.Objective), c.Percent())
}

// who says who does what, and what nobody does.
func (s State) who() string {
	var have, free []string
	for _, r := range Roles() {
		if h, ok := s.Roles[r]; ok {
			have = append(have, h.Person+" is "+string(r))
		} else {
			free = append(free, string(r))
		}
	}
	out := "Nobody has a role"
	if len(have) > 0 {
		out = strings.Join(have, ", ")
	}
	if len(free) > 0 && s.Open() {
		out += "; free: " + strings.Join(free, ", ")
	}
	return out + "."
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(s); len(r) > 120 {
		s = string(r[:119]) + "…"
	}
	return s
}

// plain is a run in words; "" for one that was given up.
func (r Recovery) plain(now time.Time) string {
	at := r.Standing(now)
	out := fmt.Sprintf("Recovery %s of %s (%s): %s", r.Run, r.Target, r.Title, at)
	switch i := r.Current(); {
	case at == RecoveryOver && r.Outcome == RecoveryAbandoned:
		return ""
	case at == RecoveryOver:
		return fmt.Sprintf("Recovery %s of %s (%s): %s.", r.Run, r.Target, r.Title, r.Outcome)
	case at == RecoveryUnconfirmed || i < 0:
	default:
		p := r.Progress[i]
		out += fmt.Sprintf(", step %d of %d, %s", i+1, len(r.Steps), firstLine(r.Steps[i].Title))
		if at == RecoveryRunning && p.Total > 0 {
			out += fmt.Sprintf(", %d %%", p.Done*100/p.Total)
		}
		if at == RecoveryRunning && p.Left > 0 {
			out += fmt.Sprintf(", about %s left", span(p.Left))
		}
		if p.Error != "" {
			out += ": " + firstLine(p.Error)
		}
	}
	return out + "."
}
