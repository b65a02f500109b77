package runbook

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/target"
)

var now = time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)

// What was never drilled is said to be unproven, and no figure is made up.
func TestNothingIsMadeUp(t *testing.T) {
	out := Make(Facts{Facts: recovery.Facts{Now: now, Target: "shop", Serves: target.Seen(true)}})
	for _, want := range []string{"# Getting shop back", "**it was never drilled", "not measured: it was never drilled", "not seen"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "Time until it serves: 0") || strings.Contains(out, "Data lost: 0") {
		t.Errorf("a figure that nobody measured:\n%s", out)
	}
}

func TestTheLastDrillIsTold(t *testing.T) {
	loss := 900 * time.Millisecond
	p := &proof.Proof{ID: "shop-1", Verdict: proof.Proven, EndedAt: now.Add(-time.Hour), Resolution: 6*time.Minute + 12*time.Second, DataLoss: &loss, Ways: []proof.Way{{Name: "restore-latest", Checks: []proof.Check{{Title: "Room for the restored cluster", Outcome: proof.CheckFailed, Detail: "12 GiB are free, 40 GiB are needed"}}}}}
	f := Facts{Facts: recovery.Facts{Now: now, Target: "shop", Proof: p, Serves: target.Seen(true)}, Shown: "The web shop", Team: "db", OnCall: []string{"Ada Byron"}, Kit: []string{"refloat restore shop --into /EMPTY/DIRECTORY"}}
	out := Make(f)
	for _, want := range []string{"# Getting The web shop back", "proof shop-1 (proven, 2026-11-27 01:00 UTC)", "6m12s", "12 GiB are free", "Team db answers for it; on call when this was written: Ada Byron", "refloat restore shop --into /EMPTY/DIRECTORY", "| connections are refused |"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	f.Objectives.ProofAge = time.Minute
	if out := Make(f); !strings.Contains(out, "STALE") {
		t.Errorf("an old proof is told as a new one:\n%s", out)
	}
}

// Whatever names and words others chose, they are words in the page and no marks.
func TestNamesAreWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.SampledFrom([]string{"<script>alert(1)</script>", "[x](javascript:alert(1))", "a\n# b", "`rm -rf /`", "| x | y |", "**bold**"}).Draw(t, "word")
		out := Make(Facts{Facts: recovery.Facts{Now: now, Target: "shop", ProofNote: hostile, Server: recovery.Card{Address: hostile, Host: target.Seen(hostile), Directory: target.Unseen[string](hostile)}}, Shown: hostile, Team: hostile, OnCall: []string{hostile}})
		for _, bad := range []string{"<script", "](javascript", "\n# b", "`rm", "| x |", "**bold**"} {
			if strings.Contains(out, bad) {
				t.Fatalf("%q got through:\n%s", bad, out)
			}
		}
	})
}
