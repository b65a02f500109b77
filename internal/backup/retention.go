package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Policy says what retention keeps.
type Policy struct {
	Days    int `json:"days"`     // of coverage, counted back from the newest moment that is stored
	Weekly  int `json:"weekly"`   // the last backup of each of so many weeks (ISO, UTC)
	Monthly int `json:"monthly"`  // and of so many months
	MinFull int `json:"min_full"` // never fewer backups than this; at least 2
	// PointKeeps: weekly and monthly backups older than the days of coverage
	// are kept for their own end only, and the log after them is dropped.
	PointKeeps bool `json:"point_keeps"`
}

const leastBackups = 2

// ErrClock means that the clock cannot be right, so that nothing may be judged
// by its age.
var ErrClock = errors.New("the clock is wrong")

// RetentionInput is what retention decides from.
type RetentionInput struct {
	Backups    []Backup
	Segments   []SegmentInfo
	Stored     map[string]int64 // bytes in storage by segment name, for the estimate
	Position   LogPosition
	LastProven string // ID of the last backup that a drill proved; may be empty
	Policy     Policy
	Now        time.Time
}

// Kept is a backup that stays, and why.
type Kept struct {
	ID      string   `json:"id"`
	Reasons []string `json:"reasons"`
}

// RetentionPlan is what retention would do.
type RetentionPlan struct {
	Keep          []Kept   `json:"keep"`
	Fold          []string `json:"fold"`          // deltas to rewrite as fulls first
	Drop          []string `json:"drop"`          // backups to delete, in this order
	DropSegments  []string `json:"drop_segments"` // of the log
	FreedEstimate int64    `json:"freed_bytes"`   // at most; what others share stays
}

// PlanRetention decides what may go. It never drops the newest backup, nor the
// last proven one, nor leaves fewer than two where there were two, nor drops a
// backup or log that one it keeps needs. It refuses with ErrClock when the
// newest backup lies in the future. Its days are counted back from the newest
// moment that is stored, so that a clock that jumps ahead, or backups that
// stopped, drop nothing.
func PlanRetention(in RetentionInput) (RetentionPlan, error) {
	all := slices.Clone(in.Backups)
	sortBackups(all)
	if len(all) == 0 {
		return RetentionPlan{Keep: []Kept{}, Fold: []string{}, Drop: []string{}, DropSegments: []string{}}, nil
	}
	now, err := effectiveNow(all, in)
	if err != nil {
		return RetentionPlan{}, err
	}
	k := &keeper{all: all, why: map[string][]string{}, long: map[string]bool{}}
	k.keepSafe(in.LastProven, in.Policy)
	k.keepDays(now, in.Policy.Days)
	k.keepPeriods(now, in.Policy.Weekly, "week", isoWeek, func(t time.Time, n int) time.Time { return t.AddDate(0, 0, -7*n) })
	k.keepPeriods(now, in.Policy.Monthly, "month", func(t time.Time) string { return t.UTC().Format("2006-01") },
		func(t time.Time, n int) time.Time {
			return time.Date(t.Year(), t.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		})
	fold := k.keepParents()
	p := RetentionPlan{Keep: []Kept{}, Fold: fold, Drop: []string{}, DropSegments: []string{}}
	for _, b := range slices.Backward(all) { // children before parents
		if len(k.why[b.ID]) == 0 {
			p.Drop = append(p.Drop, b.ID)
			p.FreedEstimate += b.Stored
		}
	}
	for _, b := range all {
		if r := k.why[b.ID]; len(r) > 0 {
			p.Keep = append(p.Keep, Kept{b.ID, r})
		}
	}
	p.DropSegments = k.dropSegments(in)
	for _, s := range p.DropSegments {
		p.FreedEstimate += in.Stored[s]
	}
	return p, nil
}

// effectiveNow is the newest moment that is stored, on the server's clock.
func effectiveNow(all []Backup, in RetentionInput) (time.Time, error) {
	newest := in.Position.ServerTime
	for _, b := range all {
		if b.EndedAt.After(in.Now.Add(clockSlack)) {
			return time.Time{}, fmt.Errorf("backup %s ended at %s, but now is %s: %w; set the clock of this machine or of the server right, nothing was dropped",
				b.ID, b.EndedAt.UTC().Format(time.RFC3339), in.Now.UTC().Format(time.RFC3339), ErrClock)
		}
		if b.EndedAt.After(newest) {
			newest = b.EndedAt
		}
	}
	if newest.After(in.Now) {
		newest = in.Now
	}
	return newest.UTC(), nil
}

// keeper collects what stays.
type keeper struct {
	all  []Backup // oldest first
	why  map[string][]string
	long map[string]bool // kept for a week or a month and for nothing else
}

func (k *keeper) keep(id, reason string) {
	k.why[id] = append(k.why[id], reason)
	k.long[id] = false
}

func (k *keeper) keepSafe(proven string, p Policy) {
	k.keep(k.all[len(k.all)-1].ID, "newest")
	for _, b := range k.all {
		if b.ID == proven {
			k.keep(b.ID, "last proven")
		}
	}
	least := max(leastBackups, p.MinFull)
	for i, b := range slices.Backward(k.all) {
		if least > 0 && k.readable(i) {
			k.keep(b.ID, fmt.Sprintf("one of the newest %d", max(leastBackups, p.MinFull)))
			least--
		}
	}
}

func (k *keeper) keepDays(now time.Time, days int) {
	if days <= 0 {
		return
	}
	from := now.AddDate(0, 0, -days)
	based := false
	for i, b := range slices.Backward(k.all) {
		switch {
		case b.EndedAt.After(from):
			k.keep(b.ID, fmt.Sprintf("within %d days", days))
		case !based && k.readable(i):
			k.keep(b.ID, fmt.Sprintf("base for the beginning of the %d days", days))
			based = true
		}
	}
}

// readable reports whether the chain of a backup is whole.
func (k *keeper) readable(i int) bool {
	_, ok := chainOf(k.all, k.all[i].ID)
	return ok
}

// keepPeriods keeps the last backup of each of n periods up to now.
func (k *keeper) keepPeriods(now time.Time, n int, name string, of func(time.Time) string, back func(time.Time, int) time.Time) {
	for i := range n {
		want := of(back(now, i))
		for i, b := range slices.Backward(k.all) {
			if of(b.EndedAt) != want || !k.readable(i) {
				continue
			}
			if len(k.why[b.ID]) == 0 {
				k.long[b.ID] = true
			}
			k.why[b.ID] = append(k.why[b.ID], name+" "+want)
			break
		}
	}
}

func isoWeek(t time.Time) string {
	y, w := t.UTC().ISOWeek()
	return fmt.Sprintf("%d-W%02d", y, w)
}

// keepParents keeps what kept deltas build on, and returns the deltas to fold
// instead: those kept for a long time would hold on to their whole chain,
// while for the others the chain goes soon anyway, and rewriting them each day
// would cost more than it frees.
func (k *keeper) keepParents() []string {
	fold := []string{}
	for _, b := range slices.Backward(k.all) {
		if len(k.why[b.ID]) == 0 || b.Kind != Delta {
			continue
		}
		if len(k.why[b.Parent]) > 0 {
			if k.long[b.Parent] && !k.long[b.ID] {
				k.long[b.Parent] = false // needed whole, or folded itself
			}
			continue
		}
		if k.long[b.ID] && k.has(b.Parent) {
			fold = append(fold, b.ID)
			continue
		}
		if k.has(b.Parent) {
			k.keep(b.Parent, b.ID+" builds on it")
		}
	}
	slices.Reverse(fold)
	return fold
}

func (k *keeper) has(id string) bool {
	return slices.ContainsFunc(k.all, func(b Backup) bool { return b.ID == id })
}

// dropSegments lists the log that no kept backup can use: all before the start
// of the oldest kept one. The last segment of a timeline always stays.
func (k *keeper) dropSegments(in RetentionInput) []string {
	var starts []target.Position
	for _, b := range k.all {
		if len(k.why[b.ID]) > 0 && !(in.Policy.PointKeeps && k.long[b.ID]) {
			starts = append(starts, b.Start)
		}
	}
	last := map[target.Timeline]string{}
	for _, s := range in.Segments {
		if tl := timelineOf(s.Name); s.Name > last[tl] {
			last[tl] = s.Name
		}
	}
	drop := []string{}
	for _, s := range in.Segments {
		seg, err := target.ParseSegmentName(s.Name, segmentSize(in))
		if err != nil || last[seg.Timeline] == s.Name {
			continue
		}
		needed := slices.ContainsFunc(starts, func(p target.Position) bool {
			return seg.Timeline > p.Timeline || seg.Timeline == p.Timeline && seg.End() > p.LSN
		})
		if !needed {
			drop = append(drop, s.Name)
		}
	}
	slices.SortFunc(drop, func(a, b string) int { return cmp.Compare(a, b) })
	return slices.Compact(drop)
}

func segmentSize(in RetentionInput) int64 {
	if target.ValidSegmentSize(in.Position.SegmentSize) {
		return in.Position.SegmentSize
	}
	return in.Backups[0].SegmentSize
}

// Retention reads what the repository holds for a target and plans what may
// go. lastProven is the ID of the backup that the last good drill restored.
func (c *Catalogue) Retention(ctx context.Context, id target.ID, p Policy, lastProven string, now time.Time) (RetentionPlan, error) {
	in, err := c.logInputs(ctx, id)
	if err != nil {
		return RetentionPlan{}, fmt.Errorf("retention of %s: %w", id, err)
	}
	stored := map[string]int64{}
	for s, err := range c.Repo.ListSealed(ctx, "log/"+string(id)+"/") {
		if err != nil {
			return RetentionPlan{}, fmt.Errorf("retention of %s: %w", id, err)
		}
		stored[s.Name[strings.LastIndexByte(s.Name, '/')+1:]] = s.Stored
	}
	plan, err := PlanRetention(RetentionInput{
		Backups: in.backups, Segments: in.segments, Stored: stored, Position: in.position,
		LastProven: lastProven, Policy: p, Now: now,
	})
	if err != nil {
		return RetentionPlan{}, fmt.Errorf("retention of %s: %w", id, err)
	}
	return plan, nil
}

// Apply does what a plan says: fold, then delete backups, then log. It may be
// cut short at any point and called again: each step leaves all that is kept
// restorable.
func (c *Catalogue) Apply(ctx context.Context, id target.ID, p RetentionPlan) error {
	if err := c.Tidy(ctx, id); err != nil {
		return err
	}
	for _, b := range p.Fold {
		if err := c.Fold(ctx, id, b); err != nil {
			return err
		}
	}
	for _, b := range p.Drop {
		if err := c.Delete(ctx, id, b); err != nil && !errors.Is(err, ErrNoBackup) {
			return err
		}
	}
	if len(p.DropSegments) == 0 {
		return nil
	}
	return (&Log{Repo: c.Repo, Target: id}).Delete(ctx, p.DropSegments)
}
