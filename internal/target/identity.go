package target

import "time"

// Clients counts the connections of one application.
type Clients struct {
	Application string `json:"application"`
	Role        string `json:"role,omitempty"`
	Count       int    `json:"count"`
	Active      int    `json:"active"` // at work now
}

// Identity is what a live server says of which one it is, and what is on it.
type Identity struct {
	Server
	Host          Known[string]    `json:"host"`    // by its own word: the address that it was reached at
	Commit        Known[time.Time] `json:"commit"`  // of the last transaction; of the last replayed on a standby
	Clients       Known[[]Clients] `json:"clients"` // other than ours
	MayPromote    Known[bool]      `json:"may_promote"`
	WritesRefused Known[bool]      `json:"writes_refused"` // by default_transaction_read_only
}

// ControlData is what the control file of a data directory says.
type ControlData struct {
	SystemID   SystemID  `json:"system_id"`
	State      string    `json:"state"`    // in production, shut down, in archive recovery …
	Position   Position  `json:"position"` // of the last checkpoint
	Checkpoint time.Time `json:"checkpoint"`
}
