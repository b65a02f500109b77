package postmortem

import (
	"time"

	"github.com/refloat-db/refloat/internal/incident"
)

// Facts are all that a draft is made of: what is recorded, and nothing else.
type Facts struct {
	Now      time.Time      // the day of the report
	Zone     *time.Location // that times are written in; UTC for none
	Incident incident.State
	Earlier  []incident.State // other incidents
	Findings []KnownFinding   // of the audit, open when it began
	Proofs   []KnownProof     // the last of each target before it began
	Costs    []HourlyCost     // of its targets
	Names    map[string]string
}

// KnownFinding is a finding of the audit that was open when an incident began.
type KnownFinding struct {
	Target   string
	Rule     string
	Object   string
	Evidence string
	Since    time.Time // when it appeared
	Seq      int64     // the journal's entry that says so
}

// KnownProof is the last drill of a target before an incident began.
type KnownProof struct {
	Target     string
	ID         string
	Verdict    string // proven, failed, inconclusive
	Summary    string
	Resolution time.Duration // restore and recovery, measured
	At         time.Time
	Seq        int64
	Allowed    time.Duration // age that was promised; 0 for none
}

// HourlyCost is what an hour without a target costs.
type HourlyCost struct {
	Target   string
	PerHour  float64 // hundredths of the currency
	Currency string  // EUR
}
