package postmortem

import (
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

func timeRules() []Rule {
	return []Rule{
		{ID: "report-durations-differ", Severity: Error, Title: "The same duration is given with different values", Why: "Two lengths of one outage cannot both be true; whoever quotes the report will quote the wrong one.", Fix: "compute it once from the timestamps and give that value everywhere", check: durationsDiffer},
		{ID: "report-duration-span", Severity: Error, Title: "A duration does not fit the timestamps that it spans", Why: "Either the duration or a timestamp is wrong, and with it every figure computed from them.", Fix: "correct the timestamp or the duration", check: durationSpan},
		{ID: "report-moments-differ", Severity: Error, Title: "The same moment is given with different times", Why: "Time to detect and to resolve depend on which of them one believes.", Fix: "find out which is right and give it everywhere", check: momentsDiffer},
		{ID: "report-figures-differ", Severity: Error, Title: "The same figure is given with different values", Why: "A reader cannot know how large the impact was.", Fix: "give one value everywhere, or say how the two differ", check: figuresDiffer},
		{ID: "report-weekday", Severity: Error, Title: "A weekday does not fit its date", Why: "One of them is wrong: a due day or the day of the outage.", Fix: "correct the weekday or the date", check: weekdays},
		{ID: "report-count", Severity: Error, Title: "A count does not fit the list that it announces", Why: "Something was dropped from the list, or added to it without being told.", Fix: "correct the count, or complete the list", check: counts},
		{ID: "report-duration-loose", Severity: Warning, Title: "A loose duration stands beside an exact one", Why: "\"Several hours\" lets a reader believe what he likes where the report knows better.", Fix: "give the exact duration", check: durationLoose},
		{ID: "report-order", Severity: Error, Title: "Moments in an impossible order", Why: "An outage cannot be detected before it began, nor end before it was detected.", Fix: "correct the times", check: order},
		{ID: "report-timeline-order", Severity: Error, Title: "The timeline is not in order", Why: "An entry out of order has a wrong time, or tells cause and effect the wrong way round.", Fix: "put the entry in its place, or correct its time", check: timelineOrder},
		{ID: "report-date-impossible", Severity: Error, Title: "A date or a time that does not exist", Why: "Nobody can know which one is meant.", Fix: "correct it", check: impossible},
		{ID: "report-zones-mixed", Severity: Error, Title: "Times in different zones, without saying how they relate", Why: "The order of events and every duration depend on it.", Fix: "give all times in one zone, best UTC, or give both beside each other once", check: zonesMixed},
		{ID: "report-zone-season", Severity: Error, Title: "Summer time in winter, or the other way round", Why: "The times are an hour off, or the zone is named wrongly.", Fix: "name the zone that was in force on that day, or give the times in UTC", check: zoneSeason},
		{ID: "report-report-early", Severity: Error, Title: "The report is dated before the incident ended", Why: "It cannot tell what had not happened; the date is wrong, or what follows it was added later.", Fix: "correct the report's date", check: reportEarly},
	}
}

// dur writes a span as people do.
func dur(x time.Duration) string {
	x = x.Round(time.Second)
	switch {
	case x >= 48*time.Hour && x%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", x/(24*time.Hour))
	case x >= time.Hour && x%time.Hour == 0:
		return fmt.Sprintf("%d h", x/time.Hour)
	case x >= time.Hour:
		return fmt.Sprintf("%d h %d min", x/time.Hour, x%time.Hour/time.Minute)
	case x >= time.Minute && x%time.Minute == 0:
		return fmt.Sprintf("%d min", x/time.Minute)
	case x >= time.Minute:
		return fmt.Sprintf("%d min %d s", x/time.Minute, x%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d s", x/time.Second)
}

func (c Claim) String() string {
	switch c.Bound {
	case prose.AtMost:
		return "at most " + dur(c.Span)
	case prose.AtLeast:
		return "at least " + dur(c.Span)
	}
	return dur(c.Span)
}

const mostClaims = 200 // of one kind; a report of more is none

// spansOf are the claims of a kind, with what the objectives' table says.
func (d *Report) spansOf(kinds ...ClaimKind) []Claim {
	var out []Claim
	add := func(c Claim) {
		for _, k := range kinds {
			if c.Kind == k && !c.Vague && len(out) < mostClaims {
				out = append(out, c)
			}
		}
	}
	for _, c := range d.Claims {
		add(c)
	}
	for _, o := range d.Objectives {
		if o.Actual != nil {
			add(*o.Actual)
		}
	}
	return out
}

func durationsDiffer(l *linter) {
	for _, kind := range []ClaimKind{DowntimeClaim, ResolveClaim, DetectClaim, AcknowledgeClaim, MitigateClaim} {
		cs := l.spansOf(kind)
		for i := 1; i < len(cs); i++ {
			for _, first := range cs[:i] {
				if apart(first, cs[i]) {
					p := first.Place
					l.find(cs[i].Place, &p, "%s is %s here and %s on line %d", cs[i].Kind, cs[i], first, p.Line)
					break
				}
			}
		}
	}
	for _, r := range l.spansOf(ResolveClaim) {
		for _, down := range l.spansOf(DowntimeClaim) {
			_, most := r.limits()
			if least, _ := down.limits(); most < least && r.Place.Lo != down.Place.Lo {
				p := down.Place
				l.find(r.Place, &p, "resolved in %s, but line %d gives a downtime of %s: what is still down is not resolved", r, p.Line, down)
				break
			}
		}
	}
}

func apart(a, b Claim) bool {
	aLeast, aMost := a.limits()
	bLeast, bMost := b.limits()
	return aMost < bLeast || bMost < aLeast
}

// spansBetween are the spans from any moment of one list to any of another.
func spansBetween(from, to []Moment) [][2]Moment {
	const most = 24
	var out [][2]Moment
	for _, a := range from[:min(len(from), most)] {
		for _, b := range to[:min(len(to), most)] {
			if b.At.After(a.At) || a.Sure && b.Sure && b.At.Equal(a.At) {
				out = append(out, [2]Moment{a, b})
			}
		}
	}
	return out
}

// known are the sure moments of a kind, or else those that the timeline hints at.
func (d *Report) known(kind MomentKind) []Moment {
	if m := d.times(kind, true); len(m) > 0 && (kind == Started) {
		return m
	}
	return d.times(kind, false)
}

func durationSpan(l *linter) {
	spannedHere(l)
	start, detect, ack := l.known(Started), l.known(Detected), l.known(Acknowledged)
	mitigate, end := l.known(Mitigated), l.known(Ended)
	stop := append(append([]Moment(nil), end...), mitigate...)
	pairs := map[ClaimKind][][2]Moment{
		DowntimeClaim:    spansBetween(start, stop),
		ResolveClaim:     append(spansBetween(start, stop), append(spansBetween(detect, stop), spansBetween(ack, stop)...)...),
		DetectClaim:      spansBetween(start, detect),
		AcknowledgeClaim: append(spansBetween(detect, ack), spansBetween(start, ack)...),
		MitigateClaim:    append(spansBetween(start, mitigate), spansBetween(detect, stop)...),
	}
	trusted := map[ClaimKind]bool{}
	for kind := range pairs {
		trusted[kind] = l.trusted(kind)
	}
	for _, c := range l.Claims {
		ps := pairs[c.Kind]
		if c.Vague || len(ps) == 0 || !trusted[c.Kind] {
			continue
		}
		least, most := c.limits()
		fits := false
		for _, p := range ps {
			gap := p[1].At.Sub(p[0].At)
			fits = fits || gap >= least && gap <= most
		}
		if fits {
			continue
		}
		best := ps[0]
		for _, p := range ps { // the surest pair
			if p[0].Sure && p[1].Sure && !(best[0].Sure && best[1].Sure) {
				best = p
			}
		}
		other := best[1].Place
		l.find(c.Place, &other, "%s is given as %s, but from %s on line %d to %s on line %d are %s", c.Kind, c, clock(best[0]), best[0].Place.Line, clock(best[1]), other.Line, dur(best[1].At.Sub(best[0].At)))
	}
}

// trusted reports whether a span's two ends are named plainly enough to hold a
// duration against them.
func (d *Report) trusted(kind ClaimKind) bool {
	start := len(d.times(Started, true)) > 0
	switch kind {
	case DowntimeClaim, ResolveClaim:
		return start && len(d.times(Ended, true)) > 0
	case DetectClaim:
		return start && len(d.times(Detected, false)) > 0
	case AcknowledgeClaim:
		return len(d.times(Acknowledged, true)) > 0
	case MitigateClaim:
		return start && len(d.times(Mitigated, true)) > 0
	}
	return false
}

func clock(m Moment) string {
	return fmt.Sprintf("%02d:%02d", m.Clock/time.Hour, m.Clock%time.Hour/time.Minute)
}

func momentsDiffer(l *linter) {
	inTimeline := map[time.Time]int{}
	exact := map[time.Time]bool{}
	for _, e := range l.Entries {
		inTimeline[e.At.Truncate(time.Minute)]++
		if e.At.Second() != 0 {
			exact[e.At] = true
		}
	}
	there := func(m Moment) bool { // to the second where the timeline tells seconds
		if m.At.Second() != 0 && len(exact) > 0 {
			return exact[m.At]
		}
		return inTimeline[m.At.Truncate(time.Minute)] > 0
	}
	for _, kind := range []MomentKind{Started, Detected, Acknowledged, Mitigated, Ended} {
		ms, parted := l.times(kind, true), l.parted(kind)
		for i := 1; i < len(ms) && i < mostClaims; i++ {
			for _, a := range ms[:i] {
				b := ms[i]
				gap := a.At.Sub(b.At).Abs()
				if gap < time.Minute || a.From == FromTimeline && b.From == FromTimeline || a.block == b.block && a.From == FromSentence {
					continue
				}
				aThere, bThere := there(a), there(b)
				if aThere && bThere && (kind != Started || a.From != FromField) || !parted && (l.isMoment(a, kind) || l.isMoment(b, kind)) {
					continue // two events that the timeline tells apart
				}
				if agrees(ms, b, i) && agrees(ms, a, i) {
					continue
				}
				p := a.Place
				l.find(b.Place, &p, "%s is %s here and %s on line %d", kind, clock(b), clock(a), p.Line)
				break
			}
		}
	}
	l.fieldOff(inTimeline)
}

// agrees reports whether another moment of the list has the same time.
func agrees(ms []Moment, m Moment, n int) bool {
	count := 0
	for _, o := range ms[:min(len(ms), n+1)] {
		if o.At.Sub(m.At).Abs() < time.Minute {
			count++
		}
	}
	return count > 1
}

// parted reports whether a field of its own names each of two kinds that others take
// for one.
func (d *Report) parted(kind MomentKind) bool {
	if kind != Mitigated && kind != Ended {
		return false
	}
	mitigated, ended := false, false
	for _, m := range d.Moments {
		mitigated = mitigated || m.From == FromField && m.Kind == Mitigated
		ended = ended || m.From == FromField && m.Kind == Ended
	}
	return mitigated && ended
}

// isMoment reports whether a time is that of a neighbouring kind: what one calls
// mitigated the other calls restored.
func (d *Report) isMoment(m Moment, kind MomentKind) bool {
	kin := map[MomentKind][]MomentKind{Ended: {Mitigated}, Mitigated: {Ended}, Acknowledged: {Detected}}
	for _, k := range kin[kind] {
		for _, o := range d.times(k, true) {
			if o.At.Sub(m.At).Abs() < time.Minute {
				return true
			}
		}
	}
	return false
}

// fieldOff finds a field whose time the timeline does not know, where it knows
// the others.
func (l *linter) fieldOff(inTimeline map[time.Time]int) {
	known, off := 0, []Moment(nil)
	for _, m := range l.Moments {
		if m.From == FromTimeline || !m.Sure {
			continue
		}
		if inTimeline[m.At.Truncate(time.Minute)] > 0 {
			known++
		} else {
			off = append(off, m)
		}
	}
	if known < 2 || len(off) != 1 || len(l.Entries) < 4 {
		return
	}
	m := off[0]
	for _, o := range l.Moments {
		if o.Kind == m.Kind && o.From == FromTimeline && o.At.Sub(m.At).Abs() < 3*time.Hour {
			p := o.Place
			l.find(m.Place, &p, "%s is %s here; the timeline does not know it, and has %s on line %d", m.Kind, clock(m), clock(o), p.Line)
			return
		}
	}
}

func weekdays(l *linter) {
	for _, b := range l.Blocks {
		for _, f := range b.facts {
			if f.Kind != prose.DateFact || f.Date.Weekday < 0 || f.Date.Day == 0 {
				continue
			}
			x := f.Date
			if x.Year == 0 && l.Written == nil && l.year == 0 {
				continue
			}
			anchor := l.began
			if l.in(b, ActionItems) && l.Written != nil {
				anchor = l.Written.At.AddDate(0, 4, 0)
			}
			t, ok := l.day(x, anchor)
			if !ok || int(t.Weekday()) == x.Weekday {
				continue
			}
			l.find(l.at(b, f.Lo, f.Hi), nil, "%s is a %s", t.Format("2 January 2006"), t.Weekday())
		}
	}
}

func impossible(l *linter) {
	for _, b := range l.Blocks {
		if b.Kind == Code {
			continue
		}
		for _, f := range b.facts {
			switch {
			case f.Kind == prose.DateFact:
				x := f.Date
				if l.dmy && x.Swappable {
					x.Day, x.Month = x.Month, x.Day
				}
				if x.Valid() && !(x.Month == 2 && x.Day == 29 && x.Year != 0 && x.Time().Month() != time.February) {
					continue
				}
				if strings.Contains(b.Text[f.Lo:f.Hi], ".") && x.Year < 2000 {
					continue // 31.13.1 is a version
				}
				l.find(l.at(b, f.Lo, f.Hi), nil, "there is no such day: %s", oneLine(b.Text[f.Lo:f.Hi]))
			case f.Kind == prose.ClockFact && f.BadClock:
				l.find(l.at(b, f.Lo, f.Hi), nil, "there is no such time: %s", oneLine(b.Text[f.Lo:f.Hi]))
			}
		}
	}
}

func durationLoose(l *linter) {
	spans := map[ClaimKind][]Claim{}
	for _, kind := range []ClaimKind{DowntimeClaim, ResolveClaim, DetectClaim, AcknowledgeClaim, MitigateClaim, LossClaim, NoLossClaim} {
		spans[kind] = l.spansOf(kind)
	}
	for _, c := range l.Claims {
		if c.Field && !c.Vague && !c.Approx && c.Grain < time.Hour {
			continue
		}
		for _, kind := range sameSpan(c.Kind) {
			for _, exact := range spans[kind] {
				if exact.Approx || exact.Vague || exact.Bound != prose.Exactly || exact.Grain >= time.Hour && exact.Span%time.Hour == 0 && !c.Vague || exact.Place.Lo == c.Place.Lo {
					continue
				}
				loose := c.Vague || c.Approx && c.Span != exact.Span || c.Bound == prose.Exactly && c.Grain >= time.Hour && c.Span != exact.Span && !apart(c, exact)
				if loose {
					p := exact.Place
					l.find(c.Place, &p, "%q is loose: line %d gives %s", c.Place.Text, p.Line, exact)
					break
				}
			}
		}
	}
}

func sameSpan(k ClaimKind) []ClaimKind {
	if k == DowntimeClaim || k == ResolveClaim {
		return []ClaimKind{DowntimeClaim, ResolveClaim}
	}
	return []ClaimKind{k}
}

func order(l *linter) {
	kinds := []MomentKind{Started, Detected, Acknowledged, Mitigated, Ended}
	var have []Moment
	for _, k := range kinds {
		ms := l.times(k, true)
		if k == Detected && len(ms) == 0 { // hints will do when all of them say the same
			ms = l.alike(k)
		}
		if len(ms) == 0 {
			continue
		}
		best := ms[0]
		for _, m := range ms {
			if m.From == FromField && best.From != FromField {
				best = m
			}
			if k == Ended && m.From == best.From && m.At.After(best.At) && best.From != FromField {
				best = m
			}
		}
		have = append(have, best)
	}
	for i := 1; i < len(have); i++ {
		for _, before := range have[:i] {
			if before.Kind == Acknowledged { // an outage can be over before anybody has looked
				continue
			}
			limit := before.At
			if have[i].At.Second() == 0 {
				limit = limit.Truncate(time.Minute)
			}
			if have[i].At.Before(limit) {
				p := before.Place
				l.find(have[i].Place, &p, "%s (%s) lies before %s (%s, line %d)", have[i].Kind, stamp(have[i]), before.Kind, stamp(before), p.Line)
				break
			}
		}
	}
}

// alike are the moments of a kind that the timeline hints at, the earliest only:
// what comes before it comes before all of them.
func (d *Report) alike(kind MomentKind) []Moment {
	var first []Moment
	for _, m := range d.times(kind, false) {
		if m.From == FromTimeline && (len(first) == 0 || m.At.Before(first[0].At)) {
			first = []Moment{m}
		}
	}
	return first
}

func stamp(m Moment) string {
	if m.Dated {
		return m.At.Format("2006-01-02 ") + clock(m)
	}
	return clock(m)
}

func timelineOrder(l *linter) {
	down := 0
	for i := 1; i < len(l.Entries); i++ {
		if l.Entries[i].At.Before(l.Entries[i-1].At) {
			down++
		}
	}
	if n := len(l.Entries); n < 2 || down*2 > n { // the newest first
		return
	}
	for i := 1; i < len(l.Entries); i++ {
		e, before := l.Entries[i], l.Entries[i-1]
		if e.Offset != before.Offset || e.block.Section != before.block.Section && !(e.Own || e.Dated) {
			continue
		}
		if e.At.Before(before.At) {
			p := before.Place
			l.find(e.Place, &p, "this entry lies before the one above it, on line %d", p.Line)
		}
	}
}

func zonesMixed(l *linter) {
	var first *Zone
	firstOff := time.Duration(0)
	for _, b := range l.Blocks { // two zones beside each other tell how they relate
		off, have := time.Duration(0), false
		for _, f := range b.facts {
			if f.Kind != prose.ZoneFact && f.Kind != prose.ClockFact || f.Zone == "" {
				continue
			}
			o, ok := prose.Offset(f.Zone)
			if ok && have && o != off {
				if !b.entry {
					return
				}
			}
			off, have = o, have || ok
		}
	}
	for i := range l.Zones {
		z := &l.Zones[i]
		o, ok := prose.Offset(z.Name)
		if !ok && z.Name != "" || z.Name == "" && !z.Clock {
			continue
		}
		if first == nil {
			first, firstOff = z, o
			continue
		}
		if o != firstOff || (z.Name == "") != (first.Name == "") {
			p := first.Place
			l.find(z.Place, &p, "%s here and %s on line %d, and nothing says how they relate", z.Name, first.Name, p.Line)
			return
		}
	}
}

// summer reports whether summer time was in force where a zone is used, by the
// rules of the European Union and, since 2007, of the United States.
func summer(zone string, day time.Time) bool {
	y := day.Year()
	if zones := " EST EDT CST CDT MST MDT PST PDT "; strings.Contains(zones, " "+zone+" ") {
		return !day.Before(sunday(y, time.March, 2)) && day.Before(sunday(y, time.November, 1))
	}
	return !day.Before(lastSunday(y, time.March)) && day.Before(lastSunday(y, time.October))
}

func sunday(year int, m time.Month, n int) time.Time {
	t := time.Date(year, m, 1, 0, 0, 0, 0, time.UTC)
	return t.AddDate(0, 0, (7-int(t.Weekday()))%7+7*(n-1))
}

func lastSunday(year int, m time.Month) time.Time {
	t := time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC)
	return t.AddDate(0, 0, -int(t.Weekday()))
}

func zoneSeason(l *linter) {
	if l.began.IsZero() {
		return
	}
	for _, b := range l.prosaic() {
		if l.in(b, ActionItems) {
			continue
		}
		day := l.began
		for _, f := range b.facts {
			if f.Kind == prose.DateFact && !f.Date.Loose {
				if t, ok := l.day(f.Date, l.began); ok {
					day = t
				}
			}
			if f.Kind != prose.ClockFact && f.Kind != prose.ZoneFact || f.Zone == "" {
				continue
			}
			s := prose.Season(f.Zone)
			edge := summer(strings.ToUpper(f.Zone), day.AddDate(0, 0, -1)) != summer(strings.ToUpper(f.Zone), day.AddDate(0, 0, 1))
			if s == 0 || edge || (s > 0) == summer(strings.ToUpper(f.Zone), day) {
				continue
			}
			l.find(l.at(b, f.Lo, f.Hi), nil, "%s was not in force on %s", f.Zone, day.Format("2 January 2006"))
			return
		}
	}
}

func reportEarly(l *linter) {
	if l.Written == nil || l.Written.Date.Loose {
		return
	}
	last := Moment{At: l.began}
	if ms := l.times(Ended, true); len(ms) > 0 {
		for _, m := range ms {
			m.At = m.At.Add(l.offset(m.Zone)) // the day is that of the report's own clock
			if m.Dated && m.At.After(last.At) {
				last = m
			}
		}
	}
	if last.At.IsZero() || !l.Written.At.Before(last.At.Truncate(24*time.Hour).Add(-12*time.Hour)) {
		return
	}
	var other *Place
	if last.Place.Line > 0 {
		other = &last.Place
	}
	l.find(l.Written.Place, other, "the report is dated %s, the incident went on until %s", l.Written.At.Format("2006-01-02"), last.At.Format("2006-01-02"))
}
