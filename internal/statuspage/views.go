package statuspage

import (
	"fmt"
	"html/template"
	"slices"
	"time"
)

// The parts of a page, in the words in which they are shown.
type (
	group struct {
		Name     string
		Services []serviceView
	}
	serviceView struct {
		Name, Description, Anchor, Class, Label, Figure, Summary string
		Bar                                                      template.HTML
		Days                                                     []dayView
		Grouped                                                  bool
	}
	dayView  struct{ Date, For string }
	daySheet struct {
		Date      string
		Incidents []incidentView
	}
	month struct {
		Name, File string
		Days       []daySheet
	}
	incidentView struct {
		Title, File, Class, Status, Services, Lasted, Closing string
		Began                                                 moment
		All, Newest                                           []updateView
		More                                                  bool
		Count                                                 int
	}
	updateView struct {
		Anchor, Class, Status string
		At, Next              moment
		Promise               bool
		Paragraphs            []string
	}
	plannedView struct {
		Names, Lasts string
		From, Until  moment
		Paragraphs   []string
		SameDay      bool
	}
)

// groups are services under the names of their groups; those without come first.
func groups(all []Service, stale bool) []group {
	var out []group
	for n, s := range all {
		v := serviceView{
			Name: plainText(s.Name), Description: plainText(s.Description), Anchor: fmt.Sprintf("service-%d", n+1), Class: s.State.class(), Label: s.State.label(),
			Figure: figure(s.Days), Bar: bar(s), Grouped: s.Group != "",
		}
		if stale {
			v.Class, v.Label = "blind", "Last known: "+v.Label
		}
		for _, d := range slices.Backward(s.Days) {
			if d.Down > 0 {
				v.Days = append(v.Days, dayView{dayWords(d.Date, "2 Jan 2006"), spanWords(time.Duration(d.Down) * time.Second)})
			}
		}
		v.Summary = counted(len(v.Days), "day") + " with a disruption"
		name := plainText(s.Group)
		i := slices.IndexFunc(out, func(g group) bool { return g.Name == name })
		if i < 0 {
			i = len(out)
			out = append(out, group{Name: name})
		}
		out[i].Services = append(out[i].Services, v)
	}
	slices.SortStableFunc(out, func(a, b group) int { return boolRank(a.Name != "") - boolRank(b.Name != "") })
	return out
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func newIncident(i Incident, zone *time.Location) incidentView {
	v := incidentView{
		Title: plainText(i.Title), File: incidentFile(i.ID), Class: statusClass(i.Status), Status: statusWords(i.Status), Services: plainText(listed(i.Services)),
		Began: at(i.Began(), zone), Closing: clipped(i.Last().Text), Count: len(i.Updates), More: len(i.Updates) > newestMost,
	}
	for _, u := range slices.Backward(i.Updates) {
		x := updateView{Anchor: u.ID, Class: statusClass(u.Status), Status: statusWords(u.Status), At: at(u.At, zone), Paragraphs: paragraphs(u.Text)}
		if !u.Next.IsZero() && u.ID == i.Last().ID && i.Current() {
			x.Promise, x.Next = true, at(u.Next, zone)
		}
		v.All = append(v.All, x)
	}
	v.Newest = v.All[:min(newestMost, len(v.All))]
	v.Lasted = "first reported " + v.Began.Text
	if !i.Current() {
		end := at(i.Last().At, zone)
		v.Lasted = fmt.Sprintf("reported from %s to %s, %s", v.Began.Text, end.Text, spanWords(i.Last().At.Sub(i.Began())))
		if sameDay(i.Began(), i.Last().At, zone) {
			v.Lasted = fmt.Sprintf("reported from %s to %s, %s", i.Began().In(zone).Format("2 Jan 2006, 15:04"), end.Clock, spanWords(i.Last().At.Sub(i.Began())))
		}
	}
	return v
}

func sameDay(a, b time.Time, zone *time.Location) bool {
	return a.In(zone).Format(time.DateOnly) == b.In(zone).Format(time.DateOnly)
}

// months are incidents by the month and day on which they were first told, the
// newest first.
func months(all []Incident, zone *time.Location) []month {
	var out []month
	for _, i := range all {
		l := i.Began().In(zone)
		name, date := l.Format("January 2006"), l.Format("2 January 2006")
		if n := len(out); n == 0 || out[n-1].Name != name {
			out = append(out, month{Name: name, File: "history-" + l.Format("2006-01") + ".html"})
		}
		m := &out[len(out)-1]
		if n := len(m.Days); n == 0 || m.Days[n-1].Date != date {
			m.Days = append(m.Days, daySheet{Date: date})
		}
		d := &m.Days[len(m.Days)-1]
		d.Incidents = append(d.Incidents, newIncident(i, zone))
	}
	return out
}

// over reports that nothing of a month goes on.
func (m month) over() bool {
	return !slices.ContainsFunc(m.Days, func(d daySheet) bool {
		return slices.ContainsFunc(d.Incidents, func(i incidentView) bool { return i.Class != statusClass(Resolved) })
	})
}

func newPlanned(w Planned, zone *time.Location) plannedView {
	return plannedView{Names: plainText(listed(w.Services)), Lasts: spanWords(w.Until.Sub(w.From)), From: at(w.From, zone), Until: at(w.Until, zone), Paragraphs: paragraphs(w.Text), SameDay: sameDay(w.From, w.Until, zone)}
}
