package status

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target"
)

var now = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func healthy() Facts {
	loss := time.Second
	return Facts{
		Target:     "shop",
		Objectives: proof.Objectives{DataLoss: time.Minute, Resolution: time.Hour, ProofAge: 7 * 24 * time.Hour},
		Proof:      &Proof{ID: "shop-1", Verdict: proof.Proven, EndedAt: ago(time.Hour), DataLoss: &loss, Resolution: 5 * time.Minute},
		Backup:     &Backup{ID: "b", EndedAt: ago(2 * time.Hour)},
		Log:        &Log{Restorable: ago(10 * time.Second), WrittenAt: ago(9 * time.Second)},
		Coverage:   &Coverage{From: ago(48 * time.Hour), To: ago(10 * time.Second)},
		Slot:       &Slot{Slot: target.Slot{Name: "refloat_shop", Exists: true, Active: true, WALStatus: "reserved"}, Bound: 10 << 30, SeenAt: ago(time.Second)},
		Heartbeat:  &Heartbeat{Seq: 9, At: ago(time.Second)},
		Server:     Server{Running: true, SeenAt: now},
	}
}

func codes(r Report) []string {
	var out []string
	for _, p := range r.Problems {
		out = append(out, p.Code)
		if p.Detail == "" || p.Next == "" || strings.Contains(p.Detail, "%!") {
			out = append(out, "unfinished "+p.Code)
		}
	}
	return out
}

func TestHealthyIsGood(t *testing.T) {
	r := Evaluate(healthy(), now)
	if r.Class != Good || r.Answer != Proven || len(r.Problems) != 0 || r.Headline != "proven 1 h 0 min ago" || *r.AnswerAge != time.Hour {
		t.Errorf("%+v", r)
	}
	if len(r.Measurements) != 4 || slices.ContainsFunc(r.Measurements, func(o Objective) bool { return !o.Met }) {
		t.Errorf("%+v", r.Measurements)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestEachFactCounts(t *testing.T) {
	cases := map[string]struct {
		change func(*Facts)
		answer Answer
		class  Class
		codes  []string
	}{
		"no proof":               {func(f *Facts) { f.Proof = nil }, NeverProven, Bad, []string{"never-proven"}},
		"proof failed":           {func(f *Facts) { f.Proof.Verdict = proof.Failed }, Failed, Bad, []string{"proof-failed"}},
		"proof of unknown kind":  {func(f *Facts) { f.Proof.Verdict = "" }, "", Bad, []string{"proof-failed"}},
		"proof inconclusive":     {func(f *Facts) { f.Proof.Verdict = proof.Inconclusive }, Inconclusive, Uncertain, []string{"proof-inconclusive"}},
		"proof stale":            {func(f *Facts) { f.Proof.EndedAt = ago(8 * 24 * time.Hour) }, Proven, Bad, []string{"proof-stale"}},
		"proof at its limit":     {func(f *Facts) { f.Proof.EndedAt = ago(7 * 24 * time.Hour) }, Proven, Good, nil},
		"proof old, no promise":  {func(f *Facts) { f.Objectives.ProofAge = 0; f.Proof.EndedAt = ago(40 * 24 * time.Hour) }, Proven, Good, []string{"proof-old"}},
		"proofs unread":          {func(f *Facts) { f.Proof = nil; f.Unread = []Unread{{UnreadProof, "no"}} }, Unknown, Uncertain, []string{"unread"}},
		"resolution missed":      {func(f *Facts) { f.Proof.Resolution = 2 * time.Hour }, Proven, Bad, []string{"objective-resolution"}},
		"measured loss":          {func(f *Facts) { d := time.Hour; f.Proof.DataLoss = &d }, Proven, Bad, []string{"objective-data-loss"}},
		"loss not measured":      {func(f *Facts) { f.Proof.DataLoss = nil }, Proven, Good, nil},
		"loss now":               {func(f *Facts) { f.Log.Restorable = ago(2 * time.Minute) }, Proven, Bad, []string{"data-loss-now"}},
		"no backup":              {func(f *Facts) { f.Backup = nil }, Proven, Bad, []string{"no-backup"}},
		"backups unread":         {func(f *Facts) { f.Backup = nil; f.Unread = []Unread{{UnreadBackup, "no"}} }, Proven, Uncertain, []string{"unread"}},
		"backup with findings":   {func(f *Facts) { f.Backup.Findings = 2 }, Proven, Bad, []string{"backup-findings"}},
		"backup from the future": {func(f *Facts) { f.Backup.EndedAt = now.Add(48 * time.Hour) }, Proven, Good, []string{"clock"}},
		"no log":                 {func(f *Facts) { f.Log = nil }, Proven, Bad, []string{"no-log"}},
		"log quiet":              {func(f *Facts) { f.Log.WrittenAt, f.Objectives.DataLoss = ago(time.Hour), 0 }, Proven, Bad, []string{"log-quiet"}},
		"gaps":                   {func(f *Facts) { f.Coverage.Gaps = 1 }, Proven, Good, []string{"coverage-gaps"}},
		"beat old":               {func(f *Facts) { f.Heartbeat.At = ago(time.Minute) }, Proven, Good, []string{"heartbeat-quiet"}},
		"no server":              {func(f *Facts) { f.Server = Server{SeenAt: ago(time.Hour)} }, Proven, Bad, []string{"server-not-running"}},
		"no server ever":         {func(f *Facts) { f.Server = Server{} }, Proven, Good, []string{"server-not-running"}},
		"target unseen":          {func(f *Facts) { f.Slot.SeenAt = ago(time.Hour) }, Proven, Good, []string{"target-unseen"}},
		"slot missing":           {func(f *Facts) { f.Slot.Exists = false }, Proven, Bad, []string{"slot-missing"}},
		"slot lost":              {func(f *Facts) { f.Slot.WALStatus = "lost" }, Proven, Bad, []string{"slot-lost"}},
		"slot full":              {func(f *Facts) { f.Slot.Retained = 6 << 30 }, Proven, Good, []string{"slot-retention"}},
		"alarm, critical":        {func(f *Facts) { f.Alarms = []Alarm{{Code: AlarmGap, Detail: "d", Next: "n", Raised: now}} }, Proven, Bad, []string{AlarmGap}},
		"alarm, warning":         {func(f *Facts) { f.Alarms = []Alarm{{Code: AlarmBackup, Detail: "d", Next: "n", Raised: now}} }, Proven, Good, []string{AlarmBackup}},
		"work fails":             {func(f *Facts) { f.Work = []Work{{Kind: "backup", Failures: 2, Error: "e"}} }, Proven, Good, []string{"work-failing"}},
	}
	for name, c := range cases {
		f := healthy()
		c.change(&f)
		r := Evaluate(f, now)
		if r.Answer != c.answer || r.Class != c.class || !slices.Equal(codes(r), c.codes) {
			t.Errorf("%s: answer %q, class %q, problems %v; want %q, %q, %v", name, r.Answer, r.Class, codes(r), c.answer, c.class, c.codes)
		}
	}
}

// Nothing known of a target must never look good.
func TestDetectionIsMeasuredByOutages(t *testing.T) {
	f := healthy()
	f.Objectives.Detection = time.Minute
	measured := func() *Objective {
		r := Evaluate(f, now)
		i := slices.IndexFunc(r.Measurements, func(o Objective) bool { return o.Name == "detection" })
		if i < 0 {
			return nil
		}
		return &r.Measurements[i]
	}
	if o := measured(); o != nil {
		t.Errorf("measured by nothing: %+v", o)
	}
	d := Detection{}.Add(Noticed{At: ago(40 * 24 * time.Hour), Took: time.Hour}).Add(Noticed{At: ago(20 * 24 * time.Hour), Took: 2 * time.Second})
	f.Detection = &d
	if o := measured(); len(d.Outages) != 2 || o == nil || !o.Met || *o.Measured != 2*time.Second {
		t.Errorf("%+v: %+v", d, o)
	}
	d = d.Add(Noticed{At: ago(time.Hour), Took: 90 * time.Second})
	if o := measured(); len(d.Outages) != 2 || o == nil || o.Met || *o.Measured != 90*time.Second {
		t.Errorf("%+v: %+v", d, o)
	}
	if r := Evaluate(f, now); !slices.Contains(codes(r), "objective-detection") || r.Class != Good {
		t.Errorf("%v %s", codes(r), r.Class)
	}
	d = d.Add(Noticed{At: ago(time.Hour), Took: time.Second}) // the same outage again
	if o := measured(); len(d.Outages) != 2 || !o.Met {
		t.Errorf("%+v: %+v", d, o)
	}
}

func TestNothingIsNotGood(t *testing.T) {
	if r := Evaluate(Facts{Target: "shop"}, now); r.Class != Bad || r.Answer != NeverProven {
		t.Errorf("%+v", r)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Millisecond: "5ms", 42 * time.Second: "42 s", 90 * time.Second: "1 min 30 s",
		25 * time.Hour: "1 d 1 h", -time.Minute: "-1 min 0 s", 3*time.Hour + 5*time.Minute: "3 h 5 min",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
