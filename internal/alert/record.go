package alert

import (
	"encoding/json"
	"fmt"
	"time"
)

// Kinds of records.
const (
	KindAlert    = "alert"
	KindChain    = "chain"
	KindDelivery = "delivery"
	KindSilence  = "silence"
	KindOutage   = "outage"
	KindRequest  = "request"
)

// Record is one thing that the paging room remembers. What is open is loaded
// when the server starts; what is not is history.
type Record struct {
	Kind   string
	ID     string // unique in its kind
	Target string
	Open   bool
	At     time.Time // when it began
	Body   json.RawMessage
}

// NewRecord makes a record of a value.
func NewRecord(kind, id, target string, open bool, at time.Time, value any) (Record, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return Record{}, fmt.Errorf("record %s %s: %w", kind, id, err)
	}
	return Record{Kind: kind, ID: id, Target: target, Open: open, At: at, Body: body}, nil
}

// Read reads a record's value.
func (r Record) Read(value any) error {
	if err := json.Unmarshal(r.Body, value); err != nil {
		return fmt.Errorf("read %s %s: %w", r.Kind, r.ID, err)
	}
	return nil
}

// Request is what a person asks of a running server from the command line. It
// waits in the store until the server takes it up.
type Request struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`   // who asks
	What    string    `json:"what"` // one of the Request… constants
	Alert   string    `json:"alert,omitempty"`
	Key     string    `json:"key,omitempty"` // of its signal: acknowledges the open alert of this key where Alert is not known
	Silence *Silence  `json:"silence,omitempty"`
	Signals []Signal  `json:"signals,omitempty"` // that arrived at a node that does not page
	Beat    string    `json:"beat,omitempty"`    // whose sign of life arrived there
	// Done is when the server took it up, and Answer what came of it.
	Done   time.Time `json:"done,omitzero"`
	Answer string    `json:"answer,omitempty"`
	Failed bool      `json:"failed,omitempty"`
}

// What can be asked.
const (
	RequestAcknowledge = "acknowledge"
	RequestSilence     = "silence"
	RequestEndSilence  = "end-silence"
	RequestSignals     = "signals"
	RequestBeat        = "beat"
)
