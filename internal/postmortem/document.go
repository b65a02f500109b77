package postmortem

import "time"

// Document is a postmortem as its parts. Its file form is Markdown; Read and
// Report.Document make it of a file again. Times hold whole seconds.
type Document struct {
	Title    string
	Incident string    // inc-1; empty for one that no journal knows
	Written  time.Time // the day
	Authors  []string
	Severity string
	Systems  []string
	Team     string
	Zone     string // by whose clock all times are written: UTC, CEST, UTC+05:30

	Clocks          Clocks
	Introduction    Text
	Objectives      []Goal
	Summary         Text
	Impact          []Amount
	ImpactMore      Text // what the figures leave open
	Timeline        []Event
	Before          Text // what was visible before it began
	Detection       Text
	Response        Text
	Communications  Text
	Recovery        Text
	RootCause       Text
	Contributing    Text
	Successes       Text
	Challenges      Text
	Luck            Text
	Lessons         Text
	Recommendations Text
	Actions         []Duty
	Earlier         Text // similar incidents
	Conclusion      Text
	Terms           []Term // the glossary
}

// Clocks are the moments of an incident; zero where none is known.
type Clocks struct {
	Started      time.Time // the first bad observation
	Detected     time.Time // confirmed, or seen by a person
	Acknowledged time.Time // the first act of a person
	Mitigated    time.Time // service was back
	Resolved     time.Time // the incident was closed
}

// Text is what stands below a heading.
type Text []Passage

// Passage is a paragraph, or a point of a list. Its words are plain; mark-up is
// for who writes it down.
type Passage struct {
	Text  string
	Point bool
	Code  bool `json:",omitempty"` // it was read with a command or a name marked as code
}

// Goal is an objective with what became of it.
type Goal struct {
	Name    string
	Kind    ObjectiveKind
	Limit   time.Duration
	Reached time.Duration
	Known   bool // what was reached was measured
	Verdict Verdict
}

// AmountKind is what a figure of the impact counts.
type AmountKind string

// The kinds of figures.
const (
	Downtime     AmountKind = "Downtime"
	Availability AmountKind = "Availability over 30 days"
	ClientCount  AmountKind = "Clients affected"
	RequestCount AmountKind = "Requests failed"
	DataLost     AmountKind = "Data lost"
	Cost         AmountKind = "Cost"
)

// Amount is one figure of the impact, as it is told. Its value is in its words.
type Amount struct {
	Kind AmountKind
	Text string
	Span time.Duration // of downtime and of lost data
	// Value is per cent of availability, money in hundredths of the currency, or a
	// count.
	Value float64
	Unit  string // the currency
}

// Event is a line of the timeline.
type Event struct {
	At     time.Time
	Text   string
	Source string // "journal 12": the entry that says so
}

// Duty is something that will be done.
type Duty struct {
	ID       string
	Text     string
	Owner    string
	Due      string // a day as 2026-10-30
	Priority string
	Kind     string // prevent, detect, mitigate, process
	Source   string // the cause, challenge or lesson that it mends
	Check    string // how one can tell
	State    string
	Code     bool `json:",omitempty"` // as of a Passage
}

// Term is a line of the glossary.
type Term struct{ Name, Meaning string }

// fillMark begins what a person must write.
const fillMark = "[fill in: "

// Fill marks what a person must write. The lint finds it as report-placeholder,
// and as nothing else.
func Fill(what string) string { return fillMark + what + "]" }

// moments are the clocks with their names in the order in which they run.
func (c Clocks) moments() []struct {
	name, missing string
	at            time.Time
} {
	return []struct {
		name, missing string
		at            time.Time
	}{
		{"Started", "when it began", c.Started}, {"Detected", "when it was noticed", c.Detected}, {"Acknowledged", "when somebody took charge", c.Acknowledged},
		{"Mitigated", "when service was back", c.Mitigated}, {"Resolved", "when the incident was closed", c.Resolved},
	}
}

// texts are the sections that hold only text, by kind.
func (d *Document) texts() map[SectionKind]*Text {
	return map[SectionKind]*Text{
		Introduction: &d.Introduction, Summary: &d.Summary, Before: &d.Before, Detection: &d.Detection, Response: &d.Response, Communications: &d.Communications, Recovery: &d.Recovery,
		RootCause: &d.RootCause, Contributing: &d.Contributing, Successes: &d.Successes, Challenges: &d.Challenges, Luck: &d.Luck, Lessons: &d.Lessons,
		Recommendations: &d.Recommendations, Earlier: &d.Earlier, Conclusion: &d.Conclusion, Impact: &d.ImpactMore,
	}
}
