package statuspage

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// A bar's measures, in its own units: each day is a step wide.
const (
	barHeight  = 34
	dayWidth   = 7
	dayStep    = 10
	shortOnes  = 15 * time.Minute // disruptions up to this are told apart from longer ones
	unmeasured = 6                // height of a day of which nothing is known
)

// bar draws the days of a service. Days differ in shape as well as in colour:
// a cut one was disrupted for a short time, a low one was not measured.
func bar(s Service) template.HTML {
	var fine strings.Builder
	var others strings.Builder
	for i, d := range s.Days {
		x := i * dayStep
		day := template.HTMLEscapeString(dayWords(d.Date, "2 Jan"))
		down := time.Duration(d.Down) * time.Second
		switch {
		case d.Watched == 0:
			fmt.Fprintf(&others, `<rect class="none" x="%d" y="%d" width="%d" height="%d"><title>%s: not measured</title></rect>`, x, barHeight-unmeasured, dayWidth, unmeasured, day)
		case d.Down == 0:
			fmt.Fprintf(&fine, "M%d 0h%dv%dh-%dz", x, dayWidth, barHeight, dayWidth)
		case down <= shortOnes:
			fmt.Fprintf(&fine, "M%d 17h%dv%dh-%dz", x, dayWidth, barHeight-17, dayWidth)
			fmt.Fprintf(&others, `<rect class="some" x="%d" y="0" width="%d" height="14"><title>%s: not available for %s</title></rect>`, x, dayWidth, day, spanWords(down))
		default:
			fmt.Fprintf(&others, `<rect class="much" x="%d" y="0" width="%d" height="%d"><title>%s: not available for %s</title></rect>`, x, dayWidth, barHeight, day, spanWords(down))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="bar" role="img" aria-label="%s" viewBox="0 0 %d %d" preserveAspectRatio="none">`, template.HTMLEscapeString(barWords(s)), max(len(s.Days), 1)*dayStep-dayStep+dayWidth, barHeight)
	if fine.Len() > 0 {
		fmt.Fprintf(&b, `<path class="ok" d="%s"/>`, fine.String())
	}
	b.WriteString(others.String() + "</svg>")
	return template.HTML(b.String()) // every word in it is escaped above
}

// barWords say what a bar shows.
func barWords(s Service) string {
	share, known := Uptime(s.Days)
	if known == 0 {
		return plainText(s.Name) + ": not measured in the last 90 days"
	}
	hit := disrupted(s.Days)
	out := fmt.Sprintf("%s: available %s of the measured time in the last 90 days, %s", plainText(s.Name), percent(share), counted(known, "day")+" measured")
	if hit == 0 {
		return out + ", none with a disruption"
	}
	return out + ", " + counted(hit, "day") + " with a disruption"
}

// Uptime is the uptime of a service in words.
func (s Service) Uptime() string { return figure(s.Days) }

func figure(days []Day) string {
	share, known := Uptime(days)
	switch {
	case known == 0:
		return "not measured"
	case known < HistoryDays:
		return percent(share) + " in " + counted(known, "measured day")
	}
	return percent(share) + " available"
}

func disrupted(days []Day) int {
	n := 0
	for _, d := range days {
		if d.Down > 0 {
			n++
		}
	}
	return n
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func dayWords(date, layout string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return plainText(date)
	}
	return t.Format(layout)
}
