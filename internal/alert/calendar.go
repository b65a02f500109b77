package alert

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	ics "github.com/arran4/golang-ical"
	"github.com/teambition/rrule-go"
)

// Limits of an imported calendar: more is a mistake, or an attack.
const (
	maxCalendarBytes = 8 << 20
	maxTurns         = 100_000
	maxRules         = 500
	maxInterval      = 1000
	firstYear        = 1980
	lastYear         = 2100 // events that repeat without an end are read up to here
)

// ReadCalendar reads an .ics file as turns, in order of their beginning. Who is
// on call is found by X-REFLOAT-PERSON, an attendee's email address, or the
// summary: a person's name in it, written as the key or as people write it. An
// event of nobody known is an error, as is what cannot be read for certain; for
// a turn that is left out would page the wrong person. Times that repeat follow
// the clock of their zone at both ends; floating ones are in zone.
func ReadCalendar(text []byte, zone *time.Location, people map[string]Person) ([]Turn, error) {
	if len(text) > maxCalendarBytes {
		return nil, fmt.Errorf("the calendar is larger than %d MiB", maxCalendarBytes>>20)
	}
	if !bytes.HasSuffix(bytes.ToUpper(bytes.TrimSpace(text)), []byte("END:VCALENDAR")) {
		return nil, errors.New("not a whole iCalendar file: it does not end with END:VCALENDAR")
	}
	cal, err := ics.ParseCalendarWithOptions(bytes.NewReader(text), ics.WithUnknownPropertyHandler(ics.AcceptUnknownPropertyHandler))
	if err != nil {
		return nil, fmt.Errorf("not readable as iCalendar: %w", err)
	}
	r := reader{zone: orUTC(zone), people: people, moved: map[string][]time.Time{}}
	for _, e := range cal.Events() {
		if err := r.exception(e); err != nil {
			return nil, inEvent(e, err)
		}
	}
	for _, e := range cal.Events() {
		if err := r.event(e); err != nil {
			return nil, inEvent(e, err)
		}
		if len(r.turns) > maxTurns {
			return nil, fmt.Errorf("the calendar has more than %d turns", maxTurns)
		}
	}
	slices.SortStableFunc(r.turns, func(a, b Turn) int { return a.From.Compare(b.From) })
	return r.turns, nil
}

func inEvent(e *ics.VEvent, err error) error {
	return fmt.Errorf("event %q (%s): %w", value(e, ics.ComponentPropertySummary), value(e, ics.ComponentPropertyDtStart), err)
}

type reader struct {
	zone   *time.Location
	people map[string]Person
	moved  map[string][]time.Time // occurrences that have an event of their own, by UID
	turns  []Turn
	rules  int // events that repeat, so far
}

func value(e *ics.VEvent, p ics.ComponentProperty) string {
	if x := e.GetProperty(p); x != nil {
		return x.Value
	}
	return ""
}

// dateTime is a time as a calendar writes it: what the clock shows, and where.
type dateTime struct {
	wall int64
	zone *time.Location
	date bool
}

func (s dateTime) at() time.Time { return firstAt(s.wall, s.zone) }

// clock is what the clock shows, as the rules of repetition want it: in a zone
// whose clocks never change.
func (s dateTime) clock() time.Time { return time.Unix(s.wall, 0).UTC() }

func (r *reader) dateTime(text string, parameters map[string][]string) (dateTime, error) {
	s := dateTime{zone: r.zone}
	if z := parameters["TZID"]; len(z) > 0 {
		loc, err := time.LoadLocation(strings.Trim(z[0], `"`))
		if err != nil || z[0] == "Local" {
			return s, fmt.Errorf("its time zone %q is not an IANA name such as Europe/Berlin", z[0])
		}
		s.zone = loc
	}
	layout := "20060102T150405"
	switch {
	case strings.HasSuffix(text, "Z"):
		text, s.zone = strings.TrimSuffix(text, "Z"), time.UTC
	case !strings.Contains(text, "T"):
		layout, s.date = "20060102", true
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return s, fmt.Errorf("%q is not a time", text)
	}
	if t.Year() < firstYear || t.Year() > lastYear {
		return s, fmt.Errorf("%s is not between %d and %d", t.Format(time.DateOnly), firstYear, lastYear)
	}
	s.wall = t.Unix()
	return s, nil
}

// dateTimes reads a property that may occur several times, with several values.
func (r *reader) dateTimes(e *ics.VEvent, p ics.ComponentProperty) ([]dateTime, error) {
	var all []dateTime
	for _, x := range e.GetProperties(p) {
		for v := range strings.SplitSeq(x.Value, ",") {
			s, err := r.dateTime(strings.TrimSpace(v), x.ICalParameters)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// exception remembers which occurrence of another event this one stands for.
func (r *reader) exception(e *ics.VEvent) error {
	ids, err := r.dateTimes(e, ics.ComponentPropertyRecurrenceId)
	for _, s := range ids {
		r.moved[e.Id()] = append(r.moved[e.Id()], s.at())
	}
	return err
}

func (r *reader) event(e *ics.VEvent) error {
	if strings.EqualFold(value(e, ics.ComponentPropertyStatus), "CANCELLED") {
		return nil
	}
	starts, err := r.dateTimes(e, ics.ComponentPropertyDtStart)
	switch {
	case err != nil:
		return err
	case len(starts) != 1:
		return errors.New("it needs exactly one DTSTART")
	}
	start := starts[0]
	end, err := r.end(e, start)
	if err != nil {
		return err
	}
	if !start.at().Before(end(start)) {
		return errors.New("it ends before it begins")
	}
	who, err := r.who(e)
	if err != nil {
		return err
	}
	all, err := r.occurrences(e, start)
	if err != nil {
		return err
	}
	for _, s := range all {
		if t := (Turn{Person: who, From: s.at(), To: end(s)}); t.From.Before(t.To) {
			r.turns = append(r.turns, t)
		}
	}
	return nil
}

// end says how an occurrence ends. DTEND means the same time of day each week,
// whatever the clocks did meanwhile, so that turns which follow each other go
// on doing so; DURATION means so much time.
func (r *reader) end(e *ics.VEvent, start dateTime) (func(dateTime) time.Time, error) {
	ends, err := r.dateTimes(e, ics.ComponentPropertyDtEnd)
	switch {
	case err != nil:
		return nil, err
	case len(ends) > 0:
		first := ends[0]
		return func(s dateTime) time.Time {
			return dateTime{wall: s.wall + first.wall - start.wall, zone: first.zone}.at()
		}, nil
	}
	if text := value(e, ics.ComponentPropertyDuration); text != "" {
		days, rest, err := parseDuration(text)
		return func(s dateTime) time.Time {
			return dateTime{wall: s.wall + int64(days)*secondsADay, zone: s.zone}.at().Add(rest)
		}, err
	}
	if start.date {
		return func(s dateTime) time.Time { return dateTime{wall: s.wall + secondsADay, zone: s.zone}.at() }, nil
	}
	return nil, errors.New("it has neither DTEND nor DURATION")
}

var durationPattern = regexp.MustCompile(`^\+?P(?:(\d{1,3})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?$`)

func parseDuration(text string) (days int, rest time.Duration, err error) {
	m := durationPattern.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, fmt.Errorf("%q is not a duration", text)
	}
	n := func(i int) (v int) {
		for _, c := range m[i] {
			v = v*10 + int(c-'0')
		}
		return v
	}
	return 7*n(1) + n(2), time.Duration(n(3))*time.Hour + time.Duration(n(4))*time.Minute + time.Duration(n(5))*time.Second, nil
}

var utcUntil = regexp.MustCompile(`(?i)UNTIL=(\d{8}T\d{6})Z`)

// occurrences are the beginnings of an event: one, or as its rule says, less
// those that are left out or have an event of their own.
func (r *reader) occurrences(e *ics.VEvent, start dateTime) ([]dateTime, error) {
	all := []dateTime{start}
	rules := e.GetProperties(ics.ComponentPropertyRrule)
	if len(rules) > 1 {
		return nil, errors.New("it has more than one RRULE")
	}
	if len(rules) == 1 {
		times, err := r.repeat(rules[0].Value, start)
		if err != nil {
			return nil, err
		}
		all = all[:0]
		for _, t := range times {
			all = append(all, dateTime{wall: t.Unix(), zone: start.zone, date: start.date})
		}
	}
	more, err := r.dateTimes(e, ics.ComponentPropertyRdate)
	if err != nil {
		return nil, err
	}
	out, err := r.dateTimes(e, ics.ComponentPropertyExdate)
	if err != nil {
		return nil, err
	}
	gone, days := map[int64]bool{}, map[int64]bool{}
	for _, s := range out {
		if s.date && !start.date { // a whole day
			days[s.wall] = true
			continue
		}
		gone[s.at().Unix()] = true
	}
	if e.GetProperty(ics.ComponentPropertyRecurrenceId) == nil {
		for _, t := range r.moved[e.Id()] {
			gone[t.Unix()] = true
		}
	}
	all = append(all, more...)
	return slices.DeleteFunc(all, func(s dateTime) bool { return gone[s.at().Unix()] || days[s.wall-s.wall%secondsADay] }), nil
}

func (r *reader) repeat(rule string, start dateTime) ([]time.Time, error) {
	o, err := rrule.StrToROption(rule)
	if err != nil {
		return nil, fmt.Errorf("RRULE %q: %w", rule, err)
	}
	if o.Freq != rrule.DAILY && o.Freq != rrule.WEEKLY && o.Freq != rrule.MONTHLY && o.Freq != rrule.YEARLY ||
		len(o.Byhour)+len(o.Byminute)+len(o.Bysecond)+len(o.Byeaster) > 0 {
		return nil, fmt.Errorf("RRULE %q: only DAILY, WEEKLY, MONTHLY and YEARLY are understood, at the time of day of the event", rule)
	}
	if r.rules++; r.rules > maxRules {
		return nil, fmt.Errorf("more than %d events of this calendar repeat", maxRules)
	}
	if o.Interval > maxInterval || o.Interval < 0 || o.Count < 0 {
		return nil, fmt.Errorf("RRULE %q: INTERVAL wants 1 to %d, and COUNT at least 1", rule, maxInterval)
	}
	last := time.Date(lastYear, 1, 1, 0, 0, 0, 0, time.UTC)
	if m := utcUntil.FindStringSubmatch(rule); m != nil && !o.Until.IsZero() {
		o.Until = time.Unix(wallSeconds(o.Until.In(start.zone)), 0).UTC()
	}
	if o.Until.IsZero() || o.Until.After(last) {
		o.Until = last
	}
	o.Dtstart = start.clock()
	x, err := rrule.NewRRule(*o)
	if err != nil {
		return nil, fmt.Errorf("RRULE %q: %w", rule, err)
	}
	var all []time.Time
	for next := x.Iterator(); len(all) <= maxTurns; {
		t, ok := next()
		if !ok {
			return all, nil
		}
		all = append(all, t)
	}
	return nil, fmt.Errorf("RRULE %q repeats more than %d times", rule, maxTurns)
}

// personProperty says in our own calendars who is on call.
const personProperty = ics.ComponentProperty("X-REFLOAT-PERSON")

// who finds the person that an event is about.
func (r *reader) who(e *ics.VEvent) (string, error) {
	if name := value(e, personProperty); name != "" {
		if _, ok := r.people[name]; !ok {
			return "", fmt.Errorf("there is no person %q", name)
		}
		return name, nil
	}
	found := map[string]bool{}
	for _, a := range e.GetProperties(ics.ComponentPropertyAttendee) {
		address := a.Value
		if len(address) > len("mailto:") && strings.EqualFold(address[:len("mailto:")], "mailto:") {
			address = address[len("mailto:"):]
		}
		for name, p := range r.people {
			if slices.ContainsFunc(p.Contacts, func(c Contact) bool { return c.Via == Email && strings.EqualFold(c.Address, address) }) {
				found[name] = true
			}
		}
	}
	summary := value(e, ics.ComponentPropertySummary)
	if len(found) == 0 {
		for name, p := range r.people {
			if mentions(summary, name) || p.Display != "" && mentions(summary, p.Display) {
				found[name] = true
			}
		}
	}
	switch len(found) {
	case 1:
		for name := range found {
			return name, nil
		}
	case 0:
		return "", errors.New("it is of nobody known: name the person in the summary, or invite their email address")
	}
	return "", fmt.Errorf("it is of several people: %s", strings.Join(slices.Sorted(maps.Keys(found)), ", "))
}

// mentions reports that text has words in it as such, in any case.
func mentions(text, words string) bool {
	split := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' })
	}
	in, want := split(text), split(words)
	for i := range in {
		if len(want) > 0 && len(in)-i >= len(want) && slices.Equal(in[i:i+len(want)], want) {
			return true
		}
	}
	return false
}
