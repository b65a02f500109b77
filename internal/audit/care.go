package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Care is what Refloat itself knows of a target in its care: what was promised,
// what is in the repository, and how the work on it goes.
type Care struct {
	Promised   Promised                      `json:"promised"`
	Configured Configured                    `json:"configured"`
	Backups    target.Known[[]BackupFacts]   `json:"backups"` // oldest first
	Coverage   target.Known[CoverageFacts]   `json:"coverage"`
	Log        target.Known[LogFacts]        `json:"log"`
	Proofs     target.Known[[]ProofFacts]    `json:"proofs"` // oldest first
	Repository target.Known[RepositoryFacts] `json:"repository"`
	Kept       target.Known[[]string]        `json:"kept"`   // backups that retention would leave now
	Alarms     target.Known[[]AlarmFacts]    `json:"alarms"` // of a server of ours on this machine
	Copies     []target.Known[CopyFacts]     `json:"copies"` // of the repository, elsewhere
}

// Promised are the target's objectives.
type Promised struct {
	DataLoss   time.Duration `json:"data_loss"`
	Resolution time.Duration `json:"resolution"`
	Detection  time.Duration `json:"detection"`
	ProofAge   time.Duration `json:"proof_age"`
}

// Configured is what refloat.yaml asks for.
type Configured struct {
	File         string        `json:"file"`
	Log          bool          `json:"log"`
	Heartbeat    bool          `json:"heartbeat"`
	PartialEvery time.Duration `json:"partial_every"`
	BackupDue    time.Time     `json:"backup_due"`   // the last moment at which a base backup was due; zero when none is scheduled
	BackupEvery  time.Duration `json:"backup_every"` // between that and the next
	DrillEvery   time.Duration `json:"drill_every"`  // zero when none is scheduled
}

// BackupFacts is one base backup.
type BackupFacts struct {
	ID       string        `json:"id"`
	Full     bool          `json:"full"`
	EndedAt  time.Time     `json:"ended_at"`
	Took     time.Duration `json:"took"`
	Bytes    int64         `json:"bytes"`    // when restored
	Stored   int64         `json:"stored"`   // added to the repository
	Log      target.LSN    `json:"log"`      // where it ends
	Damage   int           `json:"damage"`   // damaged pages that it was taken with
	Readable bool          `json:"readable"` // as far as its record and its chain tell
}

// CoverageFacts are the stretches to which the target can be restored.
type CoverageFacts struct {
	From   time.Time  `json:"from"`
	Newest time.Time  `json:"newest"`
	Gaps   []GapFacts `json:"gaps"`
}

// GapFacts is a stretch that cannot be restored to.
type GapFacts struct {
	From, To string
	Reason   string
	Open     bool // no base backup was taken after it
}

// LogFacts is how far the log in the repository reaches.
type LogFacts struct {
	Restorable time.Time `json:"restorable"` // everything committed before it is there; zero when there is no log
	WrittenAt  time.Time `json:"written_at"` // when that was last recorded
}

// ProofFacts is one drill.
type ProofFacts struct {
	ID         string        `json:"id"`
	At         time.Time     `json:"at"`
	Verdict    string        `json:"verdict"` // proven, failed or inconclusive
	Summary    string        `json:"summary"`
	Resolution time.Duration `json:"resolution"`
}

// RepositoryFacts is where backups live.
type RepositoryFacts struct {
	Location   string             `json:"location"`
	Local      bool               `json:"local"`      // a folder on this machine
	Device     uint64             `json:"device"`     // that the folder is on; 0 when it is not local
	Immutable  target.Known[bool] `json:"immutable"`  // objects cannot be deleted before their time
	Offers     bool               `json:"offers"`     // the storage can do that
	Verified   time.Time          `json:"verified"`   // last verification; zero for never
	Damage     int                `json:"damage"`     // objects that it found damaged
	Passphrase time.Time          `json:"passphrase"` // when a person last typed it in; zero for never
	By         string             `json:"by,omitempty"`
}

// CopyFacts is a copy of the repository in another place.
type CopyFacts struct {
	Location string    `json:"location"`
	Same     bool      `json:"same"`   // it is a copy of this repository, and no other
	Newest   time.Time `json:"newest"` // end of the newest base backup of the target there
}

// AlarmFacts is an alarm that stands.
type AlarmFacts struct {
	Code   string    `json:"code"`
	Key    string    `json:"key"`
	Detail string    `json:"detail"`
	Next   string    `json:"next"`
	Since  time.Time `json:"since"`
	Grave  bool      `json:"grave"` // data or the way back is at stake
}

// Host is the machine that a target's data is on, seen from that machine.
type Host struct {
	DataDirectory string `json:"data_directory"`
	DataDevice    uint64 `json:"data_device"` // the device that it is on
	// Devices are those of other directories that were asked for; what is not
	// there could not be seen.
	Devices map[string]uint64 `json:"devices,omitempty"`
}

// inCare judges what is known of a target in our care.
func inCare(f Facts, judge func(Care) Result) Result {
	if f.Care == nil {
		return notApplicable("the target is not in refloat.yaml")
	}
	return judge(*f.Care)
}

// onBackups judges the base backups, oldest first, when they could be listed.
func onBackups(f Facts, judge func(Care, []BackupFacts) Result) Result {
	return inCare(f, func(c Care) Result {
		if !c.Backups.Seen {
			return unknown("the base backups: " + c.Backups.Why)
		}
		return judge(c, c.Backups.Value)
	})
}

// onNewestBackup judges the newest base backup.
func onNewestBackup(f Facts, judge func(Care, BackupFacts) Result) Result {
	return onBackups(f, func(c Care, all []BackupFacts) Result {
		if len(all) == 0 {
			return notApplicable("there is no base backup")
		}
		return judge(c, all[len(all)-1])
	})
}

// onLastProof judges the last drill.
func onLastProof(f Facts, judge func(Care, ProofFacts) Result) Result {
	return inCare(f, func(c Care) Result {
		if !c.Proofs.Seen {
			return unknown("the proofs: " + c.Proofs.Why)
		}
		if len(c.Proofs.Value) == 0 {
			return notApplicable("there was no drill")
		}
		return judge(c, c.Proofs.Value[len(c.Proofs.Value)-1])
	})
}

// onRepository judges where backups live.
func onRepository(f Facts, judge func(Care, RepositoryFacts) Result) Result {
	return inCare(f, func(c Care) Result {
		if !c.Repository.Seen {
			return unknown("the repository: " + c.Repository.Why)
		}
		return judge(c, c.Repository.Value)
	})
}

// days says how long ago or how long something is, to be read by a person.
func days(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return d.Round(time.Minute).String()[:len(d.Round(time.Minute).String())-2]
	case d < 48*time.Hour:
		return d.Round(time.Hour).String()[:len(d.Round(time.Hour).String())-4]
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
