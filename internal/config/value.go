package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Duration is written as a whole number with a unit: 10s, 1m, 4h, 7d.
type Duration time.Duration

// Size is a number of bytes, written with a unit: 512MiB, 10GiB.
type Size int64

// Schedule is a cron expression; "daily 02:00" and the like
// are turned into one. Empty for never.
type Schedule string

var (
	durationPattern = regexp.MustCompile(`^([0-9]+)(ms|s|m|h|d)$`)
	sizePattern     = regexp.MustCompile(`^([0-9]+)(KiB|MiB|GiB|TiB)$`)
	dailyPattern    = regexp.MustCompile(`^daily ([01][0-9]|2[0-3]):([0-5][0-9])$`)
	weeklyPattern   = regexp.MustCompile(`^weekly (mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):([0-5][0-9])$`)
)

// ParseDuration reads 10s, 1m, 4h, 7d.
func ParseDuration(s string) (Duration, error) {
	m := durationPattern.FindStringSubmatch(s)
	unit := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	if m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err == nil && n <= math.MaxInt64/int64(unit[m[2]]) {
			return Duration(n * int64(unit[m[2]])), nil
		}
	}
	return 0, fmt.Errorf("%q is not a duration: write a whole number and a unit, like 10s, 1m, 4h or 7d", s)
}

// ParseSize reads 512MiB, 10GiB.
func ParseSize(s string) (Size, error) {
	m := sizePattern.FindStringSubmatch(s)
	shift := map[string]uint{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
	if m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err == nil && n <= math.MaxInt64>>shift[m[2]] {
			return Size(n << shift[m[2]]), nil
		}
	}
	return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, like 512MiB or 10GiB", s)
}

// ParseSchedule reads a cron expression of five fields, "daily 02:00",
// "weekly sun 04:00", "every 6h", or "off", which is empty.
func ParseSchedule(s string) (Schedule, error) {
	expression := s
	if s == "off" {
		return "", nil
	}
	if m := dailyPattern.FindStringSubmatch(s); m != nil {
		expression = m[2] + " " + m[1] + " * * *"
	} else if m := weeklyPattern.FindStringSubmatch(s); m != nil {
		expression = m[3] + " " + m[2] + " * * " + m[1]
	} else if every, ok := strings.CutPrefix(s, "every "); ok {
		d, err := ParseDuration(every)
		if err != nil || d < Duration(time.Minute) {
			return "", fmt.Errorf("%q is not a schedule: want every and at least 1m, like every 6h", s)
		}
		expression = "@every " + time.Duration(d).String()
	}
	if _, err := cron.ParseStandard(expression); err != nil {
		return "", fmt.Errorf("%q is not a schedule: write daily 02:00, weekly sun 04:00, every 6h, off, or five cron fields like 15 2 * * *", s)
	}
	return Schedule(expression), nil
}

// UnmarshalText reads what ParseDuration understands.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// UnmarshalText reads what ParseSize understands.
func (v *Size) UnmarshalText(b []byte) (err error) {
	*v, err = ParseSize(string(b))
	return err
}

// UnmarshalText reads what ParseSchedule understands.
func (v *Schedule) UnmarshalText(b []byte) (err error) {
	*v, err = ParseSchedule(string(b))
	return err
}

// Std is d as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Date is a day, written 2026-12-31; empty for none.
type Date string

// UnmarshalText reads a day.
func (d *Date) UnmarshalText(b []byte) error {
	if _, err := time.Parse(time.DateOnly, string(b)); err != nil {
		return fmt.Errorf("%q is not a day: write it like 2026-12-31", b)
	}
	*d = Date(b)
	return nil
}

// End is the end of the day in UTC; the zero time for none.
func (d Date) End() time.Time {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}
	}
	return t.AddDate(0, 0, 1)
}

// Money is an amount with its currency, written EUR 1200 or EUR 1200.50.
type Money string

var moneyPattern = regexp.MustCompile(`^([A-Z]{3}) ([0-9]{1,12})(?:\.([0-9]{2}))?$`)

// Currencies are those that reports understand.
func Currencies() []string {
	return strings.Fields("AED AUD BGN BRL CAD CHF CLP CNY CZK DKK EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW MXN MYR NGN NOK NZD PLN SEK SGD THB UAH USD VND ZAR")
}

// UnmarshalText reads an amount.
func (m *Money) UnmarshalText(b []byte) error {
	*m = Money(b)
	if _, currency := m.Hundredths(); !slices.Contains(Currencies(), currency) {
		return fmt.Errorf("%q is not an amount of money: write it like EUR 1200; currencies are %s", b, strings.Join(Currencies(), ", "))
	}
	return nil
}

// Hundredths is the amount in hundredths of its currency; 0 and "" for none.
func (m Money) Hundredths() (n float64, currency string) {
	x := moneyPattern.FindStringSubmatch(string(m))
	if x == nil {
		return 0, ""
	}
	n, err := strconv.ParseFloat(x[2]+x[3]+strings.Repeat("0", 2-len(x[3])), 64)
	if err != nil {
		return 0, ""
	}
	return n, x[1]
}
