package audit

import "time"

// Care is what Refloat itself knows of a target in its care: what was promised,
// and what is in the repository.
type Care struct {
	Promised Promised `json:"promised"`
}

// Promised are the target's objectives.
type Promised struct {
	DataLoss   time.Duration `json:"data_loss"`
	Resolution time.Duration `json:"resolution"`
	Detection  time.Duration `json:"detection"`
	ProofAge   time.Duration `json:"proof_age"`
}

// Host is the machine that a target's data is on, seen from that machine.
type Host struct {
	DataDevice uint64 `json:"data_device"` // the device that the data directory is on
}
