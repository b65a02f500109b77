package backup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/target"
)

// daily makes a backup a day, oldest first, each the first segment of its
// day's two; kinds is "F" for a full and "D" for a delta over the one before.
func daily(kinds string) []Backup {
	var out []Backup
	for i, k := range kinds {
		b := backupAt(fmt.Sprint("b", i), 1, target.LSN(2*i)*mib+100, target.LSN(2*i)*mib+200)
		b.StartedAt = day0.AddDate(0, 0, i)
		b.EndedAt = b.StartedAt.Add(time.Minute)
		b.Stored = 1000
		if k == 'D' {
			b.Kind, b.Parent = Delta, fmt.Sprint("b", i-1)
		}
		out = append(out, b)
	}
	return out
}

func keptIDs(p RetentionPlan) string {
	var out []string
	for _, k := range p.Keep {
		out = append(out, strings.TrimPrefix(k.ID, "b"))
	}
	return strings.Join(out, " ")
}

func TestRetention(t *testing.T) {
	for name, tc := range map[string]struct {
		kinds      string
		policy     Policy
		proven     string
		keep, fold string
		segments   int // dropped, of two a backup
	}{
		"nothing asked":         {"FFFFF", Policy{}, "", "3 4", "", 6},
		"one backup":            {"F", Policy{}, "", "0", "", 0},
		"more at least":         {"FFFFF", Policy{MinFull: 4}, "", "1 2 3 4", "", 2},
		"proven stays":          {"FFFFF", Policy{}, "b1", "1 3 4", "", 2},
		"days and their base":   {"FFFFFFFFFF", Policy{Days: 3}, "", "6 7 8 9", "", 12},
		"chain stays":           {"FFFDDD", Policy{}, "", "2 3 4 5", "", 4},
		"days need the chain":   {"FFFDDDDFDD", Policy{Days: 3}, "", "2 3 4 5 6 7 8 9", "", 4},
		"weeks":                 {strings.Repeat("F", 22), Policy{Weekly: 3}, "", "7 14 20 21", "", 14},
		"weeks fold":            {strings.Repeat("FDD", 7) + "F", Policy{Weekly: 3}, "", "7 14 18 19 20 21", "b7 b14", 14},
		"weeks as points":       {strings.Repeat("F", 22), Policy{Weekly: 3, PointKeeps: true}, "", "7 14 20 21", "", 40},
		"months":                {strings.Repeat("F", 40), Policy{Monthly: 2}, "", "29 38 39", "", 58},
		"orphans are not bases": {"FFFF", Policy{}, "orphan", "2 3", "", 4},
	} {
		all := daily(tc.kinds)
		last := all[len(all)-1]
		p, err := PlanRetention(RetentionInput{
			Backups: all, Segments: someSegments(1, 0, uint64(2*len(all)-1)), Position: LogPosition{SegmentSize: mib, ServerTime: last.EndedAt},
			LastProven: tc.proven, Policy: tc.policy, Now: last.EndedAt.Add(time.Hour),
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if keptIDs(p) != tc.keep || strings.Join(p.Fold, " ") != tc.fold || len(p.DropSegments) != tc.segments {
			t.Errorf("%s: keep %q, fold %v, %d segments; want %q, %q, %d", name, keptIDs(p), p.Fold, len(p.DropSegments), tc.keep, tc.fold, tc.segments)
		}
		if len(p.Keep)+len(p.Drop) != len(all) || p.FreedEstimate != int64(1000*len(p.Drop)) {
			t.Errorf("%s: %d kept, %d dropped, %d freed", name, len(p.Keep), len(p.Drop), p.FreedEstimate)
		}
	}
}

func TestRetentionAndTheClock(t *testing.T) {
	all := daily(strings.Repeat("F", 20))
	last := all[19].EndedAt
	in := RetentionInput{Backups: all, Position: LogPosition{SegmentSize: mib}, Policy: Policy{Days: 10}, Now: last.Add(-time.Hour)}
	if p, err := PlanRetention(in); !errors.Is(err, ErrClock) || len(p.Drop) != 0 {
		t.Errorf("behind: %v, drops %v", err, p.Drop)
	}
	in.Now = last.Add(-time.Minute) // clocks of two machines differ a little
	if _, err := PlanRetention(in); err != nil {
		t.Error(err)
	}
	in.Now = last
	small, err := PlanRetention(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Now = last.AddDate(1, 0, 0)
	ahead, err := PlanRetention(in)
	if err != nil || keptIDs(ahead) != keptIDs(small) {
		t.Errorf("a clock that jumps ahead drops %v instead of %v: %v", ahead.Drop, small.Drop, err)
	}
}

// drawBackups makes a random past with chains, some of them broken.
func drawBackups(t *rapid.T) []Backup {
	var out []Backup
	at, lsn, tl := day0, target.LSN(100), target.Timeline(1)
	for i := range rapid.IntRange(0, 25).Draw(t, "backups") {
		at = at.Add(time.Duration(rapid.IntRange(-2, 200).Draw(t, "hours")) * time.Hour)
		lsn += target.LSN(rapid.IntRange(100, 3*mib).Draw(t, "log"))
		if rapid.IntRange(0, 9).Draw(t, "promotion") == 0 {
			tl++
		}
		b := backupAt(fmt.Sprint("b", i), tl, lsn, lsn+50)
		b.StartedAt, b.EndedAt, b.Stored = at, at.Add(time.Minute), 10
		if rapid.IntRange(0, 4).Draw(t, "kind") > 0 && i > 0 {
			b.Kind, b.Parent = Delta, fmt.Sprint("b", i-1)
		}
		out = append(out, b)
	}
	return slices.DeleteFunc(out, func(Backup) bool { return rapid.IntRange(0, 19).Draw(t, "lost") == 0 })
}

func TestRetentionKeepsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawBackups(t)
		policy := Policy{
			Days: rapid.IntRange(0, 60).Draw(t, "days"), Weekly: rapid.IntRange(0, 8).Draw(t, "weekly"),
			Monthly: rapid.IntRange(0, 6).Draw(t, "monthly"), MinFull: rapid.IntRange(0, 4).Draw(t, "least"),
		}
		now, segs := day0, []SegmentInfo{}
		for _, b := range all {
			if b.EndedAt.After(now) {
				now = b.EndedAt
			}
		}
		for tl := target.Timeline(1); tl < 4; tl++ {
			segs = append(segs, someSegments(tl, 0, 60)...)
		}
		in := RetentionInput{Backups: all, Segments: segs, Position: LogPosition{SegmentSize: mib}, LastProven: fmt.Sprint("b", rapid.IntRange(0, 25).Draw(t, "proven")), Policy: policy, Now: now}
		p, err := PlanRetention(in)
		if err != nil {
			t.Fatal(err)
		}
		after := applied(all, p)
		has := func(id string) bool { return slices.ContainsFunc(after, func(b Backup) bool { return b.ID == id }) }
		whole := func(all []Backup) (n int) {
			for _, b := range all {
				if _, ok := chainOf(all, b.ID); ok {
					n++
				}
			}
			return n
		}
		for _, b := range after {
			_, before := chainOf(all, b.ID)
			if _, ok := chainOf(after, b.ID); before && !ok {
				t.Fatalf("kept %s cannot be restored any more: %+v", b.ID, p)
			}
			for _, s := range p.DropSegments {
				seg, err := target.ParseSegmentName(s, mib)
				if err != nil {
					t.Fatal(err)
				}
				if seg.Timeline >= b.Start.Timeline && seg.End() > b.Start.LSN && seg.Timeline == b.Start.Timeline {
					t.Fatalf("dropped %s, which kept %s needs", s, b.ID)
				}
			}
		}
		sorted := slices.Clone(all)
		sortBackups(sorted)
		if len(all) > 0 && !has(sorted[len(sorted)-1].ID) {
			t.Fatal("the newest went")
		}
		if slices.ContainsFunc(all, func(b Backup) bool { return b.ID == in.LastProven }) && !has(in.LastProven) {
			t.Fatal("the proven one went")
		}
		if whole(after) < min(2, whole(all)) {
			t.Fatalf("%d of %d restorable backups are left", whole(after), whole(all))
		}
		in.Backups = after
		in.Segments = slices.DeleteFunc(segs, func(s SegmentInfo) bool { return slices.Contains(p.DropSegments, s.Name) })
		again, err := PlanRetention(in)
		if err != nil || len(again.Drop)+len(again.Fold)+len(again.DropSegments) > 0 {
			t.Fatalf("a second run drops %v, folds %v and %d segments: %v", again.Drop, again.Fold, len(again.DropSegments), err)
		}
	})
}

// applied does what a plan says, refusing what Delete would refuse.
func applied(all []Backup, p RetentionPlan) []Backup {
	out := slices.Clone(all)
	for i, b := range out {
		if slices.Contains(p.Fold, b.ID) {
			out[i].Kind, out[i].Parent = Full, ""
		}
	}
	for _, id := range p.Drop {
		if slices.ContainsFunc(out, func(b Backup) bool { return b.Parent == id }) {
			panic("a plan deletes " + id + ", which another needs")
		}
		out = slices.DeleteFunc(out, func(b Backup) bool { return b.ID == id })
	}
	return out
}

func TestApplyRetention(t *testing.T) {
	c, m := testCatalogue(t), newMemCluster()
	states := map[string]map[string][]byte{}
	var last Backup
	for i := range 6 {
		m.files["base/1/100"] = pagesOf(uint64(i), 2, 3)
		m.at = m.at.AddDate(0, 0, 6)
		last = take(t, c, m, TakeOptions{MaxChain: 2})
		states[last.ID] = map[string][]byte{"base/1/100": m.files["base/1/100"]}
	}
	plan, err := c.Retention(t.Context(), memTarget, Policy{Weekly: 4}, "", last.EndedAt)
	if err != nil || len(plan.Fold) == 0 || len(plan.Drop) == 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
	for range 2 { // a second run finds nothing to do, and does no harm
		if err := c.Apply(t.Context(), memTarget, plan); err != nil {
			t.Fatal(err)
		}
	}
	list, err := c.List(t.Context(), memTarget)
	if err != nil || len(list) != len(plan.Keep) {
		t.Fatalf("%d backups are left, want %d: %v", len(list), len(plan.Keep), err)
	}
	for _, b := range list {
		got, err := contents(c, b)
		if err != nil || string(got["base/1/100"]) != string(states[b.ID]["base/1/100"]) {
			t.Errorf("%s: %v", b.ID, err)
		}
	}
}
