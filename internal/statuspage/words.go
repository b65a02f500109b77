package statuspage

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Words in which a publication is shown. Class is the tone of each.

func (s State) label() string {
	switch s {
	case Operational:
		return "Available"
	case Quiet:
		return "No disruption reported"
	case Maintenance:
		return "Planned work"
	case Monitoring:
		return "Back, being watched"
	case Disrupted:
		return "Disrupted"
	}
	return "Not known"
}

func (s State) class() string {
	switch s {
	case Operational:
		return "ok"
	case Quiet:
		return "quiet"
	case Maintenance:
		return "plan"
	case Monitoring:
		return "watch"
	case Disrupted:
		return "bad"
	}
	return "blind"
}

func statusWords(status string) string {
	switch status {
	case "investigating":
		return "Investigating"
	case "identified":
		return "Cause found"
	case "recovering":
		return "Being restored"
	case "monitoring":
		return "Back, being watched"
	case Resolved:
		return "Resolved"
	}
	return plainText(status)
}

func statusClass(status string) string {
	switch status {
	case "monitoring":
		return "watch"
	case Resolved:
		return "done"
	}
	return "bad"
}

// headline is the one sentence that most come for.
func (p Publication) headline() string {
	var hit []string
	for _, s := range p.Services {
		if s.State == p.State {
			hit = append(hit, s.Name)
		}
	}
	who := listed(hit)
	if n := len(p.Services); len(hit) > 3 {
		who = fmt.Sprintf("%d of %d services", len(hit), n)
	}
	switch p.State {
	case Operational:
		return "All services are available"
	case Quiet:
		return "No disruption is reported"
	case Maintenance:
		return "Planned work goes on"
	case Monitoring:
		if who == "" {
			return "A disruption is being watched"
		}
		return "Back, being watched: " + who
	case Disrupted:
		if who == "" {
			return "A disruption is reported"
		}
		return "Disrupted: " + who
	}
	return "How services stand is not known right now"
}

func (p Publication) basis() string {
	switch p.State {
	case Operational:
		return "Checked automatically, and nothing else was reported."
	case Quiet:
		return "Disruptions are reported here by people, not by checks."
	case Unknown:
		return "The checks that look at them see nothing."
	}
	return ""
}

func listed(names []string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// percent never rounds a disruption away.
func percent(share float64) string {
	if share >= 1 {
		return "100 %"
	}
	return fmt.Sprintf("%.2f %%", math.Floor(share*10000)/100)
}

func spanWords(d time.Duration) string {
	m := int(d.Round(time.Second) / time.Minute)
	switch {
	case m < 1:
		return "under a minute"
	case m < 60:
		return fmt.Sprintf("%d min", m)
	case m < 48*60 && m%60 == 0:
		return fmt.Sprintf("%d h", m/60)
	case m < 48*60:
		return fmt.Sprintf("%d h %d min", m/60, m%60)
	}
	return fmt.Sprintf("%d days", m/(24*60))
}

// moment is a time as it is shown.
type moment struct{ Machine, Text, Clock string }

func at(t time.Time, zone *time.Location) moment {
	l := t.In(zone)
	return moment{t.UTC().Format(time.RFC3339), l.Format("2 Jan 2006, 15:04 ") + zoneWord(l), l.Format("15:04 ") + zoneWord(l)}
}

// zoneWord is a zone's abbreviation; places without one have an offset.
func zoneWord(t time.Time) string {
	name, _ := t.Zone()
	if strings.ContainsAny(name, "+-0123456789") {
		return "UTC" + t.Format("-07:00")
	}
	return name
}

// plainText is text of others without what would steer a reader's screen.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r >= 0x7f && r < 0xa0, r == 0xfffe || r == 0xffff:
			return -1
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069: // changes of the direction of text
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\uFFFD"))
}

func paragraphs(s string) []string {
	var out []string
	for _, p := range strings.Split(plainText(s), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// clipped is the beginning of a text, for lists.
func clipped(s string) string {
	const most = 280
	all := paragraphs(s)
	if len(all) == 0 {
		return ""
	}
	r := []rune(strings.Join(strings.Fields(all[0]), " "))
	if len(r) > most {
		return strings.TrimSpace(string(r[:most-1])) + "…"
	}
	return string(r)
}
