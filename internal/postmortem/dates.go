package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// readDates decides how days are written here, which year is meant where none
// is, when the report was written, and which zones it names.
func (d *Report) readDates() {
	var known []time.Time
	for _, b := range d.Blocks {
		for _, f := range b.facts {
			switch {
			case f.Kind == prose.DateFact && f.Date.Year != 0 && f.Date.Valid():
				if d.year == 0 {
					d.year = f.Date.Year
				}
				if !f.Date.Swappable {
					known = append(known, f.Date.Time())
					d.slashed(b.Text[f.Lo:f.Hi], f.Date)
				}
			case f.Kind == prose.ZoneFact || f.Kind == prose.ClockFact && (f.Zone != "" || f.Local):
				d.Zones = append(d.Zones, Zone{Name: f.Zone, Place: d.at(b, f.Lo, f.Hi), Clock: f.Kind == prose.ClockFact})
			}
		}
	}
	d.swap(known)
	d.incidentDay()
	d.reportDay()
}

// slashed learns from 25/10/2023 and 10/25/2023 how days are written.
func (d *Report) slashed(text string, date prose.Date) {
	if i := strings.IndexByte(text, '/'); i > 0 && i <= 2 && date.Day > 12 {
		d.dmy = d.dmy || strings.TrimLeft(text[:i], "0") == itoa(date.Day)
	}
}

// swap decides about 05/10/2023 by the days that are certain, where no other day
// with strokes told.
func (d *Report) swap(known []time.Time) {
	if d.dmy || len(known) == 0 {
		return
	}
	mdy, dmy := 0, 0
	for _, b := range d.Blocks {
		for _, f := range b.facts {
			if f.Kind != prose.DateFact || !f.Date.Swappable || f.Date.Year == 0 || !f.Date.Valid() {
				continue
			}
			other := f.Date
			other.Day, other.Month = other.Month, other.Day
			if a, b := nearest(known, f.Date.Time()), nearest(known, other.Time()); a < b {
				mdy++
			} else if b < a {
				dmy++
			}
			if f.Date.Weekday >= 0 && int(other.Time().Weekday()) == f.Date.Weekday && int(f.Date.Time().Weekday()) != f.Date.Weekday {
				dmy += 3
			}
		}
	}
	d.dmy = dmy > mdy
}

func nearest(known []time.Time, at time.Time) time.Duration {
	best := time.Duration(1<<62 - 1)
	for _, k := range known[:min(len(known), 64)] {
		if x := at.Sub(k).Abs(); x < best {
			best = x
		}
	}
	return best
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return string(rune('0'+n/10)) + string(rune('0'+n%10))
}

// day is a date as this report writes it; without a year it lies near anchor.
func (d *Report) day(x prose.Date, anchor time.Time) (time.Time, bool) {
	if d.dmy && x.Swappable {
		x.Day, x.Month = x.Month, x.Day
	}
	if !x.Valid() {
		return time.Time{}, false
	}
	if x.Year != 0 {
		return x.Time(), true
	}
	if anchor.IsZero() {
		if d.year == 0 {
			return time.Time{}, false
		}
		x.Year = d.year
		return x.Time(), true
	}
	best := time.Time{}
	for y := anchor.Year() - 1; y <= anchor.Year()+1; y++ {
		x.Year = y
		if t := x.Time(); x.Valid() && (best.IsZero() || t.Sub(anchor).Abs() < best.Sub(anchor).Abs()) {
			best = t
		}
	}
	return best, !best.IsZero()
}

// incidentDay finds the day on which the incident began: a field, a day in the
// timeline, or the first day that a sentence gives to it.
func (d *Report) incidentDay() {
	for _, kind := range []fieldKind{fieldStart, fieldDay} {
		if f, ok := d.first(kind); ok {
			if t, ok := d.firstDay(f.facts()); ok {
				d.began = t
				return
			}
		}
	}
	for _, b := range d.Blocks {
		if d.in(b, ActionItems, Recommendations, Conclusion, Lessons, RootCause, Contributing, ObjectiveGroup) || b.Kind == Code || b.Label != "" && fieldName(b.Label) == fieldReported {
			continue
		}
		if b.Section < 0 && len(strings.TrimSpace(b.Text)) < 40 && !d.says(b, outageWord) {
			continue // a day alone on the first page is the report's
		}
		clock := false
		for _, f := range b.facts {
			clock = clock || f.Kind == prose.ClockFact
		}
		if !clock && !d.says(b, outageWord, beginWord, failWord) && !d.in(b, Timeline) {
			continue
		}
		if t, ok := d.firstDay(b.facts); ok {
			d.began = t
			return
		}
	}
}

func (d *Report) firstDay(facts []prose.Fact) (time.Time, bool) {
	for _, f := range facts {
		if f.Kind == prose.DateFact && !f.Date.Loose {
			if t, ok := d.day(f.Date, time.Time{}); ok {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// reportDay finds the day on which the report was written.
func (d *Report) reportDay() {
	best := 0
	for _, f := range d.Fields {
		if f.Kind != fieldReported || d.in(f.Block, ActionItems, Recommendations, Timeline) {
			continue
		}
		name := bare(f.Name)
		rank := 3
		switch {
		case name == "date":
			rank = 1
		case strings.Contains(name, "updated") || strings.Contains(name, "review"):
			rank = 2
		}
		for _, x := range f.facts() {
			if x.Kind != prose.DateFact || x.Date.Loose {
				continue
			}
			if t, ok := d.day(x.Date, d.began); ok && rank > best {
				best = rank
				d.Written = &Day{Date: x.Date, At: t, Place: d.at(f.Block, x.Lo, x.Hi)}
			}
			break
		}
	}
	if best == 1 && !d.began.IsZero() && !d.Written.At.After(d.began) {
		d.Written = nil // "Date:" of the incident
		best = 0
	}
	if best == 0 {
		d.reportSentence()
	}
}

// reportSentence finds a day on a line of its own before the first section, or
// one that a sentence calls the report's.
func (d *Report) reportSentence() {
	for i, b := range d.Blocks {
		if b.Kind == Code || b.Head {
			continue
		}
		alone := i < 8 && (b.Section <= 0 || d.Sections[b.Section].Kind == NoSection) && len(b.Text) < 60 && (b.Label == "" || bare(b.Label) == "date")
		for _, f := range b.facts {
			if f.Kind != prose.DateFact || f.Date.Loose {
				continue
			}
			first := max(0, f.First-6)
			told := false
			if i < 12 || d.in(b, Conclusion, Meta, Introduction) {
				w := " " + prose.Lower(b.Text[b.toks[first].Lo:f.Lo])
				told = strings.Contains(w, "report") && (strings.Contains(w, "dated") || strings.Contains(w, "written") || strings.Contains(w, "prepared") || strings.Contains(w, "published") || strings.Contains(w, " of ")) ||
					strings.Contains(w, " written") || strings.Contains(w, " drafted") || strings.Contains(w, " sent on") || strings.Contains(w, " issued on") || strings.Contains(w, "published") || strings.Contains(w, "prepared")
			}
			if !told && (!alone || d.says(b, outageWord) && b.Kind != Paragraph) {
				continue
			}
			t, ok := d.day(f.Date, d.began)
			if !ok || !told && !d.began.IsZero() && !t.After(d.began) {
				continue
			}
			d.Written = &Day{Date: f.Date, At: t, Place: d.at(b, f.Lo, f.Hi)}
			return
		}
	}
}
