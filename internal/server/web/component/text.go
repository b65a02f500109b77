package component

import (
	"context"
	"strconv"
	"strings"
	"time"
)

func number(f float64, fraction bool) string {
	if fraction {
		return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// Count is a whole number with its thousands set apart.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// Plural is a number with its word: Plural(2, "drill", "drills").
func Plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1\u00a0" + one
	}
	return Count(int64(n)) + "\u00a0" + many
}

// stamp is a moment in UTC in as few words as say which: the day is left out
// when it is today, the year when it is this one.
func stamp(t, now time.Time) string { return place(t.UTC(), now.UTC()) + "\u00a0UTC" }

func place(t, now time.Time) string {
	layout := "2 Jan 2006 15:04"
	if !now.IsZero() {
		switch {
		case t.Year() == now.Year() && t.YearDay() == now.YearDay():
			layout = "15:04:05"
		case t.Year() == now.Year():
			layout = "2 Jan 15:04"
		}
	}
	return unbroken(t.Format(layout))
}

// there is the moment where the viewer is; empty when that is not known or is UTC.
func there(ctx context.Context, t time.Time) string {
	v := ViewerOf(ctx)
	if v.Zone == nil {
		return ""
	}
	l := t.In(v.Zone)
	if _, off := l.Zone(); off == 0 {
		return ""
	}
	return place(l, v.Now.In(v.Zone)) + "\u00a0" + zoneName(l)
}

// zoneName is CET, or UTC+3 where a zone has no letters.
func zoneName(t time.Time) string {
	name, off := t.Zone()
	if name != "" && name[0] != '+' && name[0] != '-' {
		return name
	}
	sign := "+"
	if off < 0 {
		sign, off = "-", -off
	}
	out := "UTC" + sign + strconv.Itoa(off/3600)
	if m := off % 3600 / 60; m != 0 {
		out += ":" + strconv.Itoa(100 + m)[1:]
	}
	return out
}

// full is a moment written out, with the place where the viewer is.
func full(ctx context.Context, t time.Time) string {
	s := t.UTC().Format("Monday, 2 January 2006, 15:04:05 UTC")
	v := ViewerOf(ctx)
	if v.Zone != nil {
		if l := t.In(v.Zone); l.Format("-07:00") != "+00:00" {
			s += " · " + l.Format("Monday, 2 January, 15:04:05 ") + zoneName(l)
		}
	}
	return s
}

func ago(ctx context.Context, t time.Time) string {
	now := ViewerOf(ctx).Now
	switch {
	case now.IsZero():
		return ""
	case t.After(now.Add(time.Second)):
		return "in\u00a0" + coarse(t.Sub(now))
	}
	return coarse(max(0, now.Sub(t))) + "\u00a0ago"
}

// coarse is a duration to look at from afar: seconds are left out beyond
// minutes, hours beyond days.
func coarse(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0\u00a0s"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "\u00a0s"
	case d < 10*time.Minute:
		return Span(d)
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "\u00a0min"
	case d < 3*24*time.Hour:
		return Span(d)
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "\u00a0d"
}
