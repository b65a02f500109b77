package alert

import (
	"fmt"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"
)

// Feed writes shifts as an iCalendar file that calendar programs subscribe to.
// made is when; the same shift always has the same UID.
func Feed(name string, shifts []Shift, people map[string]Person, made time.Time) []byte {
	cal := ics.NewCalendarFor("Refloat")
	cal.SetMethod(ics.MethodPublish)
	cal.SetName(name)
	cal.SetXWRCalName(name)
	cal.SetRefreshInterval("PT1H")
	for _, s := range shifts {
		p := people[s.Person]
		p.Name = s.Person
		e := cal.AddEvent(fmt.Sprintf("%s-%s-%s@refloat", s.Team, s.Rotation, s.Since.UTC().Format("20060102T150405Z")))
		e.SetDtStampTime(made)
		e.SetStartAt(s.Since)
		e.SetEndAt(s.Until)
		e.SetSummary(fmt.Sprintf("On call for %s: %s", strings.TrimSuffix(s.Team+" "+s.Rotation, " "), p.Shown()))
		e.SetTimeTransparency(ics.TransparencyTransparent)
		e.SetProperty(personProperty, s.Person)
		for _, c := range p.Contacts {
			if c.Via == Email {
				e.AddAttendee(c.Address, ics.WithCN(p.Shown()))
				break
			}
		}
	}
	return []byte(cal.Serialize(ics.WithNewLineWindows))
}
