package alert

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var calendarPeople = map[string]Person{
	"ada": {Name: "ada", Display: "Ada Lovelace", Contacts: []Contact{{ID: "ada.email", Via: Email, Address: "ada@example.org"}}},
	"ben": {Name: "ben", Contacts: []Contact{{ID: "ben.email", Via: Email, Address: "ben@example.org"}}},
	"cyd": {Name: "cyd"},
}

// event makes a file of events, each given as its lines.
func events(all ...string) []byte {
	out := "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y//EN\nX-WR-TIMEZONE:Europe/Berlin\n"
	for _, e := range all {
		out += "BEGIN:VEVENT\nDTSTAMP:20260101T000000Z\n" + e + "\nEND:VEVENT\n"
	}
	return []byte(strings.ReplaceAll(out+"END:VCALENDAR\n", "\n", "\r\n"))
}

func turnsText(turns []Turn) string {
	var all []string
	for _, t := range turns {
		all = append(all, t.Person+" "+t.From.UTC().Format("0102T1504")+"-"+t.To.UTC().Format("0102T1504"))
	}
	return strings.Join(all, " ")
}

func TestReadCalendar(t *testing.T) {
	const weekly = "UID:1\nDTSTART;TZID=Europe/Berlin:20260323T090000\nDTEND;TZID=Europe/Berlin:20260330T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3\nSUMMARY:ada"
	for _, x := range []struct {
		name string
		text []byte
		want string
	}{
		{"one", events("UID:1\nDTSTART:20260105T090000Z\nDTEND:20260105T170000Z\nSUMMARY:Primary: Ada Lovelace"), "ada 0105T0900-0105T1700"},
		{"over a change of clocks", events(weekly), "ada 0323T0800-0330T0700 ada 0406T0700-0413T0700 ada 0420T0700-0427T0700"},
		{"left out, moved and cancelled", events(strings.Replace(weekly, "SUMMARY", "EXDATE;TZID=Europe/Berlin:20260323T090000\nSUMMARY", 1),
			"UID:1\nRECURRENCE-ID;TZID=Europe/Berlin:20260406T090000\nDTSTART:20260407T000000Z\nDTEND:20260408T000000Z\nSUMMARY:ben",
			"UID:1\nRECURRENCE-ID:20260420T070000Z\nSTATUS:CANCELLED\nDTSTART:20260420T070000Z\nDTEND:20260421T000000Z\nSUMMARY:ben"), "ben 0407T0000-0408T0000"},
		{"until, in UTC", events("UID:1\nDTSTART;TZID=America/New_York:20260105T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260107T010000Z\nSUMMARY:ada"), "ada 0106T0100-0106T0200 ada 0107T0100-0107T0200"},
		{"all day, in the rotation's zone", events("UID:1\nDTSTART;VALUE=DATE:20260704\nDTEND;VALUE=DATE:20260706\nSUMMARY:cyd"), "cyd 0703T2200-0705T2200"},
		{"all of one day", events("UID:1\nDTSTART;VALUE=DATE:20260704\nSUMMARY:cyd"), "cyd 0703T2200-0704T2200"},
		{"floating, at a time that does not exist", events("UID:1\nDTSTART:20260329T023000\nDURATION:P1D\nSUMMARY:ada"), "ada 0329T0100-0330T0030"},
		{"by address", events("UID:1\nDTSTART:20260105T090000Z\nDTEND:20260105T170000Z\nSUMMARY:On call\nATTENDEE;CN=B:MAILTO:Ben@Example.org"), "ben 0105T0900-0105T1700"},
		{"more dates", events("UID:1\nDTSTART:20260105T090000Z\nDTEND:20260105T100000Z\nRDATE:20260107T090000Z,20260108T090000Z\nSUMMARY:ben"), "ben 0105T0900-0105T1000 ben 0107T0900-0107T1000 ben 0108T0900-0108T1000"},
		{"on two weekdays", events("UID:1\nDTSTART;TZID=Europe/Berlin:20260105T180000\nDTEND;TZID=Europe/Berlin:20260106T060000\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260114\nSUMMARY:ben"), "ben 0105T1700-0106T0500 ben 0107T1700-0108T0500 ben 0112T1700-0113T0500"},
		{"a day left out", events("UID:1\nDTSTART;TZID=Europe/Berlin:20260105T180000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20260106\nSUMMARY:ben"), "ben 0105T1700-0105T1800 ben 0107T1700-0107T1800"},
		{"none", events(), ""},
	} {
		got, err := ReadCalendar(x.text, zone(t, "Europe/Berlin"), calendarPeople)
		if err != nil || turnsText(got) != x.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", x.name, err, turnsText(got), x.want)
		}
	}
}

// A file as calendar programs write them: zone rules, alarms, folded lines.
func TestReadCalendarOfOthers(t *testing.T) {
	text := strings.ReplaceAll(`BEGIN:VCALENDAR
PRODID:-//Google Inc//Google Calendar 70.9054//EN
VERSION:2.0
CALSCALE:GREGORIAN
METHOD:PUBLISH
X-WR-CALNAME:On call
X-WR-TIMEZONE:Europe/Berlin
BEGIN:VTIMEZONE
TZID:Europe/Berlin
X-LIC-LOCATION:Europe/Berlin
BEGIN:DAYLIGHT
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
DTSTART;TZID=Europe/Berlin:20261019T090000
DTEND;TZID=Europe/Berlin:20261026T090000
RRULE:FREQ=WEEKLY;WKST=MO;INTERVAL=2;UNTIL=20261115T225959Z
DTSTAMP:20261001T101112Z
ORGANIZER;CN=On call:mailto:abc@group.calendar.google.com
UID:1abc@google.com
ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN=ada@exa
 mple.org;X-NUM-GUESTS=0:mailto:ada@example.org
CREATED:20261001T101112Z
DESCRIPTION:Pager\, phone\nand all
SEQUENCE:0
STATUS:CONFIRMED
SUMMARY:On call
TRANSP:OPAQUE
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:This is an event reminder
TRIGGER:-P0DT0H30M0S
END:VALARM
END:VEVENT
BEGIN:VEVENT
DTSTART:20261026T080000Z
DTEND:20261102T080000Z
DTSTAMP:20261001T101112Z
UID:Q2ZKDXXXX
SUMMARY:On Call - ben - Production
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n")
	got, err := ReadCalendar([]byte(text), time.UTC, calendarPeople)
	if want := "ada 1019T0700-1026T0800 ben 1026T0800-1102T0800 ada 1102T0800-1109T0800"; err != nil || turnsText(got) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, turnsText(got), want)
	}
}

func TestReadCalendarRefuses(t *testing.T) {
	const when = "UID:1\nDTSTART:20260105T090000Z\nDTEND:20260105T170000Z\n"
	for _, x := range []struct {
		name string
		text []byte
		want string
	}{
		{"nothing", nil, "END:VCALENDAR"},
		{"cut off", events(when + "SUMMARY:ada")[:150], "END:VCALENDAR"},
		{"another thing", []byte("<html>END:VCALENDAR"), "not readable"},
		{"nobody", events(when + "SUMMARY:eve"), `event "eve" (20260105T090000Z): it is of nobody known`},
		{"part of a word", events(when + "SUMMARY:bending"), "nobody known"},
		{"two", events(when + "SUMMARY:ada and ben"), "several people: ada, ben"},
		{"zone", events("UID:1\nDTSTART;TZID=W. Europe Standard Time:20260105T090000\nDURATION:PT1H\nSUMMARY:ada"), `"W. Europe Standard Time" is not an IANA name`},
		{"backwards", events("UID:1\nDTSTART:20260105T090000Z\nDTEND:20260104T170000Z\nSUMMARY:ada"), "ends before it begins"},
		{"no end", events("UID:1\nDTSTART:20260105T090000Z\nSUMMARY:ada"), "neither DTEND nor DURATION"},
		{"each second", events(when + "RRULE:FREQ=SECONDLY\nSUMMARY:ada"), "only DAILY"},
		{"a leap", events(when + "RRULE:FREQ=MONTHLY;INTERVAL=9223372036854775807\nSUMMARY:ada"), "INTERVAL wants 1 to 1000"},
		{"a rule that is none", events(when + "RRULE:FREQ=NEVER\nSUMMARY:ada"), "RRULE"},
		{"long ago", events("UID:1\nDTSTART:00010105T090000Z\nDTEND:00010105T170000Z\nSUMMARY:ada"), "not between 1980"},
		{"not a time", events("UID:1\nDTSTART:tomorrow\nDTEND:20260105T170000Z\nSUMMARY:ada"), "not a time"},
	} {
		_, err := ReadCalendar(x.text, time.UTC, calendarPeople)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %s", x.name, err, x.want)
		}
	}
}

// What is fed out and read in again puts the same people on call.
func TestFeedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawSpan(t)
		out := Roster{Teams: map[string]Team{"db": {Name: "db", Rotations: []Rotation{drawRotation(t, []string{"ada", "ben", "cyd"})}}}}
		shifts := out.Shifts("db", from, to)
		turns, err := ReadCalendar(Feed("db", shifts, calendarPeople, from), time.UTC, calendarPeople)
		if err != nil {
			t.Fatal(err)
		}
		in := Roster{Teams: map[string]Team{"db": {Name: "db", Rotations: []Rotation{{Name: "primary", Calendar: turns}}}}}
		same := func(a, b Shift) bool { return a.Person == b.Person && a.Since.Equal(b.Since) && a.Until.Equal(b.Until) }
		if got := in.Shifts("db", from, to); !slices.EqualFunc(got, shifts, same) {
			t.Fatalf("got %v\nwant %v", got, shifts)
		}
	})
}

func TestPersonShifts(t *testing.T) {
	one := func(name string, people ...string) Team {
		return Team{Name: name, Rotations: []Rotation{{Name: "primary", People: people, Days: 1, Start: day(t, "2026-01-01")}}}
	}
	r := Roster{Teams: map[string]Team{"db": one("db", "ada", "ben"), "net": one("net", "ben", "ada")}}
	got := r.PersonShifts("ada", moment(t, "2026-01-01T00:00:00Z"), moment(t, "2026-01-03T00:00:00Z"))
	if len(got) != 2 || got[0].Team != "db" || got[1].Team != "net" || !got[1].Since.Equal(moment(t, "2026-01-02T00:00:00Z")) {
		t.Errorf("%v", got)
	}
}

// Whatever is read, turns are in order, of known people, and not endless.
func FuzzReadCalendar(f *testing.F) {
	f.Add(events("UID:1\nDTSTART;TZID=Europe/Berlin:20260105T180000\nDTEND;TZID=Europe/Berlin:20260106T060000\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260114\nEXDATE:20260107T170000Z\nSUMMARY:ben"))
	f.Add(events("UID:1\nDTSTART;VALUE=DATE:20260704\nRDATE:20270101\nATTENDEE:mailto:ada@example.org\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=4"))
	f.Add(Feed("db", []Shift{{Team: "db", Person: "ada", Since: time.Unix(1e9, 0), Until: time.Unix(1e9+3600, 0)}}, calendarPeople, time.Unix(1e9, 0)))
	f.Fuzz(func(t *testing.T, text []byte) {
		turns, err := ReadCalendar(text, time.UTC, calendarPeople)
		if err != nil && turns != nil || len(turns) > maxTurns {
			t.Fatalf("%d turns, %v", len(turns), err)
		}
		for i, x := range turns {
			if _, ok := calendarPeople[x.Person]; !ok || !x.From.Before(x.To) || i > 0 && x.From.Before(turns[i-1].From) {
				t.Fatalf("turn %d: %v", i, x)
			}
		}
	})
}
