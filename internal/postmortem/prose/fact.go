package prose

import (
	"math"
	"time"
)

// FactKind says what a fact is.
type FactKind uint8

// The kinds of facts.
const (
	DateFact FactKind = iota
	ClockFact
	DurationFact
	PercentFact
	MoneyFact
	CountFact
	ZoneFact
	OffsetFact // T+12m
)

// Bound says on which side of its value a fact lies.
type Bound int8

// Bounds.
const (
	Exactly Bound = iota
	AtMost
	AtLeast
)

// Date is a day, or a month where Day is 0, or a quarter's end. Year 0 means that
// none was written.
type Date struct {
	Year, Month, Day int
	Swappable        bool // 05/06/2023: day and month cannot be told apart
	Loose            bool // a month, a quarter or "end of": no day was written
	Weekday          int  // 0 to 6 from Sunday; -1 where none was written
}

// Valid reports whether there is such a day.
func (d Date) Valid() bool {
	if d.Month < 1 || d.Month > 12 || d.Day < 0 || d.Day > 31 {
		return false
	}
	if d.Day == 0 {
		return true
	}
	y := d.Year
	if y == 0 {
		y = 2024 // a leap year
	}
	return time.Date(y, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC).Day() == d.Day
}

// Time is the day at midnight; the last day of a month that has no day.
func (d Date) Time() time.Time {
	if d.Day == 0 {
		return time.Date(d.Year, time.Month(d.Month)+1, 0, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC)
}

// Fact is one thing that was found in a text.
type Fact struct {
	Kind        FactKind
	Lo, Hi      int // bytes of the text
	First, End  int // tokens
	Date        Date
	Clock       time.Duration // since midnight
	Zone        string        // of a clock, or the zone itself
	Local       bool          // the zone is "local time": none
	BadClock    bool          // 25:10
	Span        time.Duration
	Grain       time.Duration // the smallest unit that was written
	Bound       Bound
	Approx      bool
	Vague       bool // "several hours"
	Value       float64
	Unit        string // currency, or the stem of what is counted
	Age         bool   // a size or an age of something: "24 hours old"
	PerTime     bool   // "per hour", "every 5 minutes"
	Compound    bool   // "the 4-hour objective"
	beforeBound int
}

type scanner struct {
	text string
	t    []Token
	out  []Fact
}

// Scan finds the facts of a text in the order in which they stand.
func Scan(text string, toks []Token) []Fact {
	s := &scanner{text: text, t: toks}
	tries := []func(int) (Fact, int){s.offset, s.isoDuration, s.date, s.clock, s.money, s.duration, s.vague, s.percent, s.zone, s.count}
	for i := 0; i < len(toks); {
		next := i + 1
		if !s.may(i) {
			i = next
			continue
		}
		for _, try := range tries {
			f, end := try(i)
			if end <= i {
				continue
			}
			f.First, f.End, f.Lo, f.Hi = i, end, toks[i].Lo, toks[end-1].Hi
			s.bound(&f)
			s.out = append(s.out, f)
			next = end
			break
		}
		i = next
	}
	return s.out
}

// may rules out tokens with which no fact begins.
func (s *scanner) may(i int) bool {
	t := s.t[i]
	if t.Kind == Number {
		return true
	}
	if t.Kind == Mark {
		return money[t.S] != "" || fractions[t.S] != 0
	}
	_, num := numberWords[t.S]
	return num || len(t.S) >= 1 && starters[t.S] || months[t.S] != 0 || weekdays[t.S] != 0 || zones[t.S] != nil || currencies[t.S] != "" || t.S == "t" || t.S == "pt" || t.S == "p"
}

func (s *scanner) word(i int) string {
	if i < 0 || i >= len(s.t) {
		return ""
	}
	return s.t[i].S
}

func (s *scanner) is(i int, words ...string) bool {
	w := s.word(i)
	for _, x := range words {
		if w == x {
			return w != ""
		}
	}
	return false
}

func (s *scanner) glued(i int) bool { return i < len(s.t) && i >= 0 && !s.t[i].Gap }

func (s *scanner) isNumber(i int) bool { return i >= 0 && i < len(s.t) && s.t[i].Kind == Number }

// integer reads a run of digits of at most n places.
func (s *scanner) integer(i, n int) (int, bool) {
	if !s.isNumber(i) || len(s.t[i].S) > n {
		return 0, false
	}
	v := 0
	for _, c := range s.t[i].S {
		v = v*10 + int(c-'0')
	}
	return v, true
}

// bound looks back for words that limit a value: under, at most, about.
func (s *scanner) bound(f *Fact) {
	at := f.First - 1
	for range 3 {
		switch s.word(at) {
		case "~", "≈", "about", "approximately", "approx", "around", "roughly", "circa", "ca", "nearly", "almost", "some", "an", "estimated":
			f.Approx = true
		case "<", "≤", "under", "within", "below", "max", "maximum", "inside":
			f.Bound = AtMost
		case "than":
			if s.is(at-1, "less", "fewer", "shorter", "lower", "faster", "sooner", "quicker") {
				f.Bound = AtMost
			} else if s.is(at-1, "more", "longer", "greater", "higher") {
				f.Bound = AtLeast
			}
			if f.Bound != Exactly && s.is(at-2, "no", "not") {
				f.Bound = AtMost + AtLeast - f.Bound
			}
			f.beforeBound = at - 2
			return
		case "most", "to":
			if s.is(at, "most") && s.is(at-1, "at") || s.is(at, "to") && s.is(at-1, "up", "equal") {
				f.Bound = AtMost
			} else if s.is(at, "to") {
				return
			}
		case "least":
			f.Bound = AtLeast
		case ">", "≥", "over", "exceeded", "exceeding", "beyond":
			f.Bound = AtLeast
		case "=", ".", "*", "a", "the", ")", "(":
		default:
			f.beforeBound = at
			return
		}
		at--
	}
	f.beforeBound = at
}

// Before is the token before the fact and the words that limit it.
func (f Fact) Before() int { return f.beforeBound }

// finite keeps absurd numbers from overflowing a duration.
func finite(v float64) time.Duration {
	if v > math.MaxInt64/4 || v < 0 || math.IsNaN(v) {
		return math.MaxInt64 / 4
	}
	return time.Duration(math.Round(v))
}
