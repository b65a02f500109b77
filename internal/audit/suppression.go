package audit

import "time"

// Suppression is someone's word that a finding is accepted, until a day.
type Suppression struct {
	Rule   string    `json:"rule"`
	Object string    `json:"object,omitempty"` // empty for every object of the rule
	Owner  string    `json:"owner"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"` // from here on the finding counts again, and the suppression is itself one
}

func (s Suppression) covers(f Finding, at time.Time) bool {
	return s.Rule == f.Rule && (s.Object == "" || s.Object == f.Object) && at.Before(s.Until)
}

// Day is the last day on which it is accepted.
func (s Suppression) Day() string { return s.Until.Add(-time.Nanosecond).Format(time.DateOnly) }
