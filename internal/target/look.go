package target

import "time"

// Sees is what a look at a server found, in one word.
type Sees string

// What a look can find. All but Serving and Blind are bad.
const (
	Serving     Sees = "serving"
	Broken      Sees = "broken"      // the connection ended without a word
	Refused     Sees = "refused"     // nobody listens
	Unreachable Sees = "unreachable" // no answer from the host
	Silent      Sees = "silent"      // takes connections and does not answer
	Stalled     Sees = "stalled"     // the server lives, but no session answers
	Starting    Sees = "starting"    // refuses sessions: starting up, or recovering
	Stopping    Sees = "stopping"    // refuses sessions: shutting down
	Full        Sees = "full"        // no connection is free
	Denied      Sees = "denied"      // does not let us in: password, certificate, pg_hba, missing database
	ReadOnly    Sees = "read-only"   // answers, takes no writes
	DiskFull    Sees = "disk-full"   // answers, cannot write files
	WriteHangs  Sees = "write-hangs" // answers reads; a write does not end
	Failing     Sees = "failing"     // answers with another error
	Blind       Sees = "blind"       // we could not look: says nothing of the server
)

// Look is one look at a server.
type Look struct {
	At     time.Time     `json:"at"`              // when it began
	Took   time.Duration `json:"took"`            // until the answer, or until it was given up
	Fresh  bool          `json:"fresh"`           // over a connection of its own
	Write  bool          `json:"write,omitempty"` // it wrote something that must last
	Sees   Sees          `json:"sees"`
	Detail string        `json:"detail,omitempty"` // in the server's or system's own words; no secret

	Standby bool `json:"standby,omitempty"` // the server is in recovery
	Used    int  `json:"used,omitempty"`    // processes that hold a place, those of the server's own included
	Room    int  `json:"room,omitempty"`    // places for ordinary roles
}

// End is when the look was over.
func (l Look) End() time.Time { return l.At.Add(l.Took) }
