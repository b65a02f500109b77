package incident

import "time"

// ClockName names a clock of an incident.
type ClockName string

// The clocks.
const (
	Detection       ClockName = "detection"       // first bad observation to confirmed
	Acknowledgement ClockName = "acknowledgement" // confirmed to the first act of a person
	Resolution      ClockName = "resolution"      // first bad observation to service being back
	Loss            ClockName = "data-loss"       // work that is gone
)

// ClockState is where a clock stands against its objective.
type ClockState string

// The states.
const (
	Met     ClockState = "met"
	Running ClockState = "running"
	Warned  ClockState = "warned" // runs, and past a threshold of warning
	Missed  ClockState = "missed" // also when it still runs
	Unknown ClockState = "unknown"
	NoGoal  ClockState = "no objective"
)

// Clock is one span that was or might be promised.
type Clock struct {
	Name      ClockName     `json:"name"`
	Objective time.Duration `json:"objective,omitempty"` // 0 for none
	Used      time.Duration `json:"used"`
	Left      time.Duration `json:"left,omitempty"` // of one that runs; less than nothing when it is missed
	From      time.Time     `json:"from,omitzero"`
	Until     time.Time     `json:"until,omitzero"` // empty while it runs
	State     ClockState    `json:"state"`
	// Risk is the loss that a restore would mean, of a loss that nobody has
	// measured: from the moment up to which the log is stored to the beginning.
	Risk time.Duration `json:"risk,omitempty"`
}

// Percent is how much of the objective is used.
func (c Clock) Percent() int {
	if c.Objective <= 0 {
		return 0
	}
	return int(float64(c.Used) / float64(c.Objective) * 100)
}

// Runs reports that it has not stopped.
func (c Clock) Runs() bool { return c.Until.IsZero() && !c.From.IsZero() }

// DefaultWarnAt are the percentages of an objective at which its clock warns.
func DefaultWarnAt() []int { return []int{50, 80} }

// Clocks are those of an incident at now. An objective is met only when its
// clock has stopped within it.
func (s State) Clocks(now time.Time, warnAt []int) []Clock {
	all := []Clock{
		clock(Detection, s.Objectives.Detection, s.Started, s.Detected, now, nil),
		clock(Acknowledgement, 0, s.Detected, s.Acknowledged, now, nil),
		clock(Resolution, s.Objectives.Resolution, s.Started, s.Mitigated, now, warnAt),
	}
	loss := Clock{Name: Loss, Objective: s.Objectives.DataLoss, State: Unknown}
	for _, c := range s.Causes {
		if !c.Restorable.IsZero() {
			loss.Risk = max(loss.Risk, c.Started.Sub(c.Restorable))
		}
	}
	if s.DataLoss != nil {
		loss.Risk = 0
		loss.Used, loss.State = s.DataLoss.Loss, verdict(s.DataLoss.Loss, loss.Objective)
	}
	return append(all, loss)
}

func verdict(used, objective time.Duration) ClockState {
	switch {
	case objective <= 0:
		return NoGoal
	case used > objective:
		return Missed
	}
	return Met
}

func clock(name ClockName, objective time.Duration, from, until, now time.Time, warnAt []int) Clock {
	c := Clock{Name: name, Objective: objective, From: from, Until: until}
	if from.IsZero() {
		c.State = Unknown
		return c
	}
	if !until.IsZero() {
		c.Used = max(until.Sub(from), 0)
		c.State = verdict(c.Used, objective)
		return c
	}
	c.Used = max(now.Sub(from), 0)
	c.State = verdict(c.Used, objective)
	if c.State == Met {
		c.State = Running
	}
	if objective > 0 {
		c.Left = objective - c.Used
	}
	for _, p := range warnAt {
		if c.State == Running && c.Used >= part(objective, p) {
			c.State = Warned
		}
	}
	return c
}

func part(d time.Duration, percent int) time.Duration {
	return time.Duration(float64(d) * float64(percent) / 100)
}

// DueWarnings are the warnings of clocks that have not been told yet. Of
// several that were passed at once, as over a restart, each is told.
func (s State) DueWarnings(now time.Time, warnAt []int) []Command {
	var out []Command
	for _, c := range s.Clocks(now, warnAt) {
		told := ClockTold{Clock: c.Name, Objective: c.Objective, Used: c.Used}
		if c.Runs() && c.State != Missed && s.Open() {
			for _, p := range warnAt {
				if told.Percent = p; c.Objective > 0 && c.Used >= part(c.Objective, p) && c.Name == Resolution && !s.warned(c.Name, p, false) {
					out = append(out, TellClock{told, false})
				}
			}
		}
		if c.State == Unknown && c.Objective > 0 && c.Risk > c.Objective && s.Open() && !s.warned(c.Name, 100, false) {
			out = append(out, TellClock{ClockTold{Clock: c.Name, Percent: 100, Objective: c.Objective, Used: c.Risk}, false})
		}
		if told.Percent = c.Percent(); c.State == Missed && !s.warned(c.Name, 0, true) && s.MergedInto == "" {
			out = append(out, TellClock{told, true})
		}
	}
	return out
}

// warned reports that a warning was told before.
func (s State) warned(name ClockName, percent int, missed bool) bool {
	for _, w := range s.Warnings {
		if w.Clock == name && w.Missed == missed && (missed || w.Percent == percent) {
			return true
		}
	}
	return false
}
