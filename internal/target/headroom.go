package target

import "time"

// Gauge is something that runs out: how much of it is used, and how much there
// is.
type Gauge struct {
	Code   string  `json:"code"`   // transaction-ids, multixacts, sequence, connections, relation-size, toast-values, large-objects, disk, log-disk
	Object string  `json:"object"` // the database, column, table or folder; empty for the server as a whole
	Used   float64 `json:"used"`
	Limit  float64 `json:"limit"`
	Unit   string  `json:"unit"` // B for bytes, empty for a count
}

// Ratio is the part that is used.
func (g Gauge) Ratio() float64 {
	if g.Limit <= 0 {
		return 0
	}
	return g.Used / g.Limit
}

// Standby is one that follows a primary, as the primary sees it.
type Standby struct {
	Name  string        `json:"name"`
	Addr  string        `json:"address,omitempty"` // that it connects from; empty over a socket
	State string        `json:"state"`
	Bytes int64         `json:"bytes"` // of log that it has not replayed
	Lag   time.Duration `json:"lag"`   // as the server measures it; 0 when idle
}

// Headroom is what could run out on a server, and how it replicates.
type Headroom struct {
	At          time.Time     `json:"at"`
	SystemID    string        `json:"system_id"`
	Started     time.Time     `json:"started"`             // the server; tells two of one cluster apart
	Recovering  bool          `json:"recovering"`          // a standby
	Directory   string        `json:"directory,omitempty"` // of its data, where the role may know it
	Paused      bool          `json:"paused"`              // its replay
	Behind      time.Duration `json:"behind"`              // of a standby: age of what it replayed last
	Gauges      []Gauge       `json:"gauges"`
	Standbys    []Standby     `json:"standbys"`
	Certificate time.Time     `json:"certificate,omitzero"` // the server's ends to be valid
	// Unknown says what could not be looked at, and why.
	Unknown map[string]string `json:"unknown"`
}
