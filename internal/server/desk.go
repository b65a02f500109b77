package server

import (
	"context"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/status"
)

// Desk is all that the pages and the API show and do. Who asks is an argument:
// it leaves out what they may not see, as if it were not there (ErrNotFound), and
// answers ErrForbidden to what they may see and not do. Every act is journalled
// with who did it. Safe for concurrent use.
type Desk interface {
	Reader
	Actor
}

// Reader shows. Nothing is changed by it.
type Reader interface {
	// Board is how everything stands, in one look.
	Board(ctx context.Context, who access.Principal) (Board, error)
	// Target is all about one target.
	Target(ctx context.Context, who access.Principal, name string) (TargetView, error)
	// Proof is one proof by its ID.
	Proof(ctx context.Context, who access.Principal, id string) (proof.Proof, error)
	// Incidents are those that match, newest first.
	Incidents(ctx context.Context, who access.Principal, q IncidentQuery) ([]IncidentView, error)
	Incident(ctx context.Context, who access.Principal, id string) (IncidentView, error)
	// Attachment is a file of an incident by its SHA-256.
	Attachment(ctx context.Context, who access.Principal, id, sha256 string) (incident.Attached, []byte, error)
	// Draft is an update that is prepared from the facts and not sent.
	Draft(ctx context.Context, who access.Principal, id string, a incident.Audience) (Draft, error)
	// Alerts are those that match with every delivery, newest first.
	Alerts(ctx context.Context, who access.Principal, q AlertQuery) ([]AlertView, error)
	Silences(ctx context.Context, who access.Principal) ([]alert.Silence, error)
	// OnCall is who is on call from a moment to another, by team.
	OnCall(ctx context.Context, who access.Principal, from, until time.Time) (OnCall, error)
	// Simulate says who would be paged for an alert, as nobody acknowledges it.
	Simulate(ctx context.Context, who access.Principal, q PageQuery) (PageSimulation, error)
	Findings(ctx context.Context, who access.Principal) ([]TargetFindings, error)
	// Actions are the action items that match, the most pressing first.
	Actions(ctx context.Context, who access.Principal, q ActionQuery) ([]ActionView, error)
	Action(ctx context.Context, who access.Principal, id string) (ActionView, error)
	// Journal is a page of entries, newest first.
	Journal(ctx context.Context, who access.Principal, q JournalQuery) (JournalPage, error)
	// Settings is the configuration as it was read, without secrets.
	Settings(ctx context.Context, who access.Principal) (Settings, error)
	// Stream tells entries of the journal with a sequence number above after, in
	// order and without holes (of those that who asks may see), until ctx ends:
	// first those that are there, then each when it is added. An error of tell ends
	// it.
	Stream(ctx context.Context, who access.Principal, after int64, tell func(journal.Entry) error) error
	// Last is the sequence number of the journal's last entry.
	Last(ctx context.Context) (int64, error)
}

// Actor does. What is asked for again with the same key (WithOnce) is done once.
// What was done before gives incident.ErrNothing with how things stand.
type Actor interface {
	OpenIncident(ctx context.Context, who access.Principal, q NewIncident) (IncidentView, error)
	// Act does one thing in an incident.
	Act(ctx context.Context, who access.Principal, id string, c incident.Command) (IncidentView, error)
	Merge(ctx context.Context, who access.Principal, id, into, why string) (IncidentView, error)
	Attach(ctx context.Context, who access.Principal, id, name string, data []byte) (IncidentView, error)
	Publish(ctx context.Context, who access.Principal, id string, d Draft) (IncidentView, error)
	Acknowledge(ctx context.Context, who access.Principal, alertID string) (AlertView, error)
	Silence(ctx context.Context, who access.Principal, s alert.Silence) (alert.Silence, error)
	EndSilence(ctx context.Context, who access.Principal, id string) error
	// AddAction writes an action item down, with a check that closes it or nil.
	AddAction(ctx context.Context, who access.Principal, item action.Item, check *action.Check) (ActionView, error)
	// ActOnAction does one thing to an action item.
	ActOnAction(ctx context.Context, who access.Principal, id string, c action.Command) (ActionView, error)
	// Ask asks for work on a target: "backup", "drill" or "check". It reports
	// whether it was not asked for already.
	Ask(ctx context.Context, who access.Principal, target, work string) (bool, error)
	// TestPage sends a test page to a person.
	TestPage(ctx context.Context, who access.Principal, person string) error
}

// Recoverer guides recoveries. A Desk that is one shows the ways back in its
// incidents.
type Recoverer interface {
	// WaysBack looks at the servers of an incident's target, at the repository and at
	// the last proof, and says which ways back there are. It changes nothing.
	WaysBack(ctx context.Context, who access.Principal, id string, q RecoveryAsk) (RecoveryOffer, error)
	// ChooseWay chooses a way back; nothing begins before it is confirmed.
	ChooseWay(ctx context.Context, who access.Principal, id string, q RecoveryAsk, way recovery.Name) (IncidentView, error)
	// ConfirmWay lets a run begin, and begins it: a second person does, with an empty
	// typed, or whoever chose it types the name of the target.
	ConfirmWay(ctx context.Context, who access.Principal, id, run, typed string) (IncidentView, error)
	// StepDone says that a person did a step of a run, which then goes on.
	StepDone(ctx context.Context, who access.Principal, id, run, step, detail string) (IncidentView, error)
	// GoOn takes up a run that was cut off, or whose step failed.
	GoOn(ctx context.Context, who access.Principal, id, run string) (IncidentView, error)
	// GiveUp ends a run.
	GiveUp(ctx context.Context, who access.Principal, id, run, why string) (IncidentView, error)
}

// Board is how everything stands.
type Board struct {
	At        time.Time      `json:"at"`
	Targets   []TargetRow    `json:"targets"`   // the worst first
	Incidents []IncidentView `json:"incidents"` // those that are open
	Alerts    []AlertView    `json:"alerts"`    // those that are open and that nobody acknowledged
	OnCall    []alert.Shift  `json:"on_call"`   // now
	Seq       int64          `json:"seq"`       // of the journal, as of which this holds
	Node      string         `json:"node"`      // that answered
	Leads     bool           `json:"leads"`     // whether it is the one that watches and pages
}

// TargetRow is a target on the board.
type TargetRow struct {
	status.Report
	Team  string `json:"team,omitempty"`
	Tier  string `json:"tier"`
	Shown string `json:"shown,omitempty"` // the name that people know it by
}

// TargetView is all about one target. A part that could not be read is named in
// Missing, with why.
type TargetView struct {
	TargetRow
	Engine      string                 `json:"engine"`
	Coverage    *backup.CoverageReport `json:"coverage"`
	Backups     []backup.Backup        `json:"backups"` // newest first
	Proofs      []proof.Proof          `json:"proofs"`  // newest first, the last hundred
	Findings    *audit.Report          `json:"findings"`
	Outages     []monitor.Outage       `json:"outages"`     // newest first
	Maintenance []alert.Silence        `json:"maintenance"` // planned work, now and coming
	Incidents   []IncidentView         `json:"incidents"`   // about it, newest first
	Lag         []LagPoint             `json:"lag"`         // of the log, oldest first
	Runbook     string                 `json:"runbook"`     // Markdown; what to do to get it back
	Missing     map[string]string      `json:"missing"`     // part: why it could not be read
}

// LagPoint is how far the stored log was behind at a moment.
type LagPoint struct {
	At    time.Time     `json:"at"`
	Lag   time.Duration `json:"lag"`
	Bytes *int64        `json:"bytes"` // null when unknown
}

// IncidentQuery selects incidents.
type IncidentQuery struct {
	All    bool   // also those that are resolved
	Target string // empty for every
	Before string // ID of the last one of the page before; empty for the first
	Limit  int    // 0 for 50
}

// IncidentView is an incident at a moment.
type IncidentView struct {
	incident.State
	At       time.Time          `json:"at"`
	Clocks   []incident.Clock   `json:"clocks"`
	Promises []incident.Promise `json:"promises"` // updates that audiences wait for
	Summary  []string           `json:"summary"`  // what to know in 30 seconds
	Waiting  []UpdateDelivery   `json:"waiting"`  // deliveries of updates that have not come to an end
	Can      access.Role        `json:"can"`      // what who asked may do with it
}

// UpdateDelivery is one update on its way to one contact.
type UpdateDelivery struct {
	Update string         `json:"update"`
	D      alert.Delivery `json:"delivery"`
}

// NewIncident opens one by hand.
type NewIncident struct {
	Title    string            `json:"title"`
	Severity incident.Severity `json:"severity,omitempty"`
	Target   string            `json:"target,omitempty"`
	Team     string            `json:"team,omitempty"` // empty for the target's
	Since    time.Time         `json:"since,omitzero"`
	Another  bool              `json:"another,omitempty"` // although one about the target is open
}

// RecoveryAsk says what ways back are looked for.
type RecoveryAsk struct {
	Target  string            // needed only when the incident is about several
	Reason  recovery.Reason   // empty for what the watch saw
	To      string            // the point to restore to just before; empty for none
	Into    string            // the directory to restore into; empty for none yet
	Answers map[string]string // by question: why, in words
}

// RecoveryOffer is what there is to choose from, and which servers it is about.
type RecoveryOffer struct {
	Target string          `json:"target"`
	Reason recovery.Reason `json:"reason"`
	Began  time.Time       `json:"began,omitzero"`
	At     time.Time       `json:"at"`
	Cards  []recovery.Card `json:"servers"` // the target's own first, then its standby
	Ways   []recovery.Way  `json:"ways"`    // the recommended one first
	Advice string          `json:"advice"`
}

// Draft is an update before it is sent.
type Draft struct {
	Audience incident.Audience    `json:"audience"`
	Subject  string               `json:"subject"`
	Text     string               `json:"text"`
	Next     time.Time            `json:"next,omitzero"` // when the next one is promised; empty for none
	To       []incident.Recipient `json:"to"`
	// After is the last update to the audience when this one was prepared. When
	// somebody published another since then, this one is refused; "*" for never.
	After string `json:"after,omitempty"`
}

// AlertQuery selects alerts.
type AlertQuery struct {
	All    bool   // also those that ended
	Target string // empty for every
	ID     string // one
	Limit  int    // 0 for 100
}

// AlertView is an alert with what was sent.
type AlertView struct {
	alert.Alert
	Deliveries []alert.Delivery `json:"deliveries"`
	// Attempts are those of each delivery by its ID, with what the other side
	// answered.
	Attempts map[string][]alert.Attempt `json:"attempts"`
	Incident string                     `json:"incident,omitempty"` // that it was gathered in
	Can      access.Role                `json:"can"`                // what who asked may do with it
}

// ActionQuery selects action items.
type ActionQuery struct {
	All      bool   // also those that are done or dropped
	Owner    string // empty for everybody's
	Incident string // ID; empty for those of every incident and of none
	Late     bool   // only those that are late
}

// ActionView is an action item at a moment.
type ActionView struct {
	action.State
	At     time.Time   `json:"at"`
	IsLate bool        `json:"late"` // open past its due day
	Can    access.Role `json:"can"`  // what who asked may do with it
}

// OnCall is who is on call.
type OnCall struct {
	From  time.Time         `json:"from"`
	Until time.Time         `json:"until"`
	Teams []TeamOnCall      `json:"teams"`
	Names map[string]string `json:"names"` // of people, as they are written
}

// TeamOnCall is a team's shifts and the gaps in its cover.
type TeamOnCall struct {
	Team    string        `json:"team"`
	Now     []alert.Shift `json:"now"`
	Shifts  []alert.Shift `json:"shifts"`
	Gaps    []alert.Gap   `json:"gaps"`
	Policy  string        `json:"policy"`
	Members []string      `json:"members"`
}

// PageQuery says which alert to simulate.
type PageQuery struct {
	Target   string
	Team     string         // empty for the target's
	Severity alert.Severity // empty for that of an outage of the target
	At       time.Time      // empty for now
}

// PageSimulation is who would be paged when, and through what.
type PageSimulation struct {
	At       time.Time         `json:"at"`
	Target   string            `json:"target,omitempty"`
	Team     string            `json:"team,omitempty"`
	Severity alert.Severity    `json:"severity"`
	Names    map[string]string `json:"names"` // of people, as they are written
	alert.Simulation
}

// TargetFindings are what the last audit of a target found.
type TargetFindings struct {
	Target string       `json:"target"`
	Team   string       `json:"team,omitempty"`
	Report audit.Report `json:"report"`
}

// JournalQuery selects a page of the journal.
type JournalQuery struct {
	Before  int64  // sequence number; 0 for the end
	Scope   string // a subject, or with a slash at its end all that begin with it
	Kind    string // that kinds begin with
	Limit   int    // 0 for 100
	Forward bool   // oldest first, from After on
	After   int64
}

// JournalPage is a page of the journal.
type JournalPage struct {
	Entries []journal.Entry `json:"entries"`
	Older   int64           `json:"older"` // Before of the next page; 0 at the beginning
}

// Settings is the configuration as it was read.
type Settings struct {
	Path string    `json:"path"`
	Read time.Time `json:"read"`
	Text string    `json:"text"` // as YAML, with defaults filled in, secrets taken out
}
