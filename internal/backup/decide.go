package backup

import (
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	defaultMaxChain     = 5
	incrementalMajor    = 17 // the first with server-side incremental backups
	methodProtocol      = "protocol"
	methodFiles         = "files"
	methodIncremental   = "incremental"
	clockSlack          = 10 * time.Minute // clocks of two machines may differ so much
	backupFormat        = 1
	backupIDLayout      = "20060102T150405Z"
	randomDigitsInOneID = 4
)

// takePlan says what kind of backup to take.
type takePlan struct {
	parent *Backup // nil for a full
	server bool    // the server finds the changed blocks
	why    string
}

// decide chooses between a full and a delta. previous is the target's
// catalogue, oldest first. A plan for a delta may still end as a full, when
// the parent cannot be read, or without the server's help, when it declines.
func decide(previous []Backup, server target.Server, o TakeOptions) takePlan {
	if o.Full {
		return takePlan{why: "a full was asked for"}
	}
	if len(previous) == 0 {
		return takePlan{why: "it is the first"}
	}
	parent := previous[len(previous)-1]
	limit := o.MaxChain
	if limit == 0 {
		limit = defaultMaxChain
	}
	chain, ok := chainOf(previous, parent.ID)
	switch {
	case !ok:
		return takePlan{why: fmt.Sprintf("backup %s depends on one that is gone", parent.ID)}
	case len(chain) > limit:
		return takePlan{why: fmt.Sprintf("there are %d deltas in a row", len(chain)-1)}
	case parent.SystemID != server.SystemID:
		return takePlan{why: "the newest backup is of another cluster"}
	case parent.Version.Major() != server.Version.Major():
		return takePlan{why: fmt.Sprintf("the newest backup is of version %d", parent.Version.Major())}
	case parent.SegmentSize != server.SegmentSize:
		return takePlan{why: "the newest backup has another segment size"}
	case parent.Checksums != server.DataChecksums:
		return takePlan{why: "data checksums were switched, which rewrites every page"}
	}
	p := takePlan{parent: &parent, why: "pages that changed since " + parent.ID}
	// The server knows what changed along one line of history only, and only
	// from a manifest of its own.
	p.server = server.Version.Major() >= incrementalMajor && server.SummarizeWAL && !o.ReadFiles &&
		parent.Method != methodFiles &&
		parent.End.Timeline == server.Timeline && parent.End.LSN <= server.Position
	return p
}

// chainOf lists a backup and those that it depends on, newest first; false
// when one is missing.
func chainOf(all []Backup, id string) ([]Backup, bool) {
	var chain []Backup
	for id != "" {
		i := slices.IndexFunc(all, func(b Backup) bool { return b.ID == id })
		if i < 0 || len(chain) > len(all) {
			return chain, false
		}
		chain = append(chain, all[i])
		id = all[i].Parent
	}
	return chain, true
}

// missingLog lists the segments between start and end that a backup lacks.
// The timeline may have been left on the way, so any timeline's segment counts.
func missingLog(have []string, start, end target.Position, size int64) []string {
	if !target.ValidSegmentSize(size) || end.LSN <= start.LSN {
		return nil
	}
	numbers := map[uint64]bool{}
	for _, n := range have {
		if seg, err := target.ParseSegmentName(n, size); err == nil {
			numbers[seg.Number] = true
		}
	}
	var out []string
	last := target.SegmentAt(target.Position{Timeline: end.Timeline, LSN: end.LSN - 1}, size)
	for s := target.SegmentAt(target.Position{Timeline: end.Timeline, LSN: start.LSN}, size); s.Number <= last.Number; s = s.Next() {
		if !numbers[s.Number] {
			out = append(out, s.Name())
		}
	}
	return out
}
