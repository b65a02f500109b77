package status

import (
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target"
)

// graded is a target with nothing to wish for.
func graded(now time.Time) Facts {
	loss := time.Second
	return Facts{
		Target: "shop", Objectives: proof.Objectives{DataLoss: time.Minute, Resolution: time.Hour, ProofAge: 7 * 24 * time.Hour},
		Proof:    &Proof{ID: "p", Verdict: proof.Proven, EndedAt: now.Add(-time.Hour), DataLoss: &loss, Resolution: time.Minute},
		Backup:   &Backup{ID: "b", EndedAt: now.Add(-time.Hour)},
		Log:      &Log{Position: target.Position{Timeline: 1, LSN: 1}, Restorable: now.Add(-time.Second), WrittenAt: now.Add(-time.Second)},
		Coverage: &Coverage{From: now.Add(-time.Hour), To: now},
		Server:   Server{Running: true, SeenAt: now},
		Audit:    &Audit{At: now.Add(-time.Hour), Findings: map[string]int{"info": 3}},
	}
}

func TestGrade(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	for name, x := range map[string]struct {
		change func(f *Facts)
		want   Letter
		part   string
	}{
		"all good":                  {func(*Facts) {}, GradeA, ""},
		"low findings":              {func(f *Facts) { f.Audit.Findings = map[string]int{"low": 2} }, GradeA, ""},
		"never drilled":             {func(f *Facts) { f.Proof = nil }, GradeF, "proof"},
		"failed":                    {func(f *Facts) { f.Proof.Verdict = proof.Failed }, GradeF, "proof"},
		"proofs unread":             {func(f *Facts) { f.Proof, f.Unread = nil, []Unread{{What: UnreadProof}} }, GradeF, "proof"},
		"inconclusive":              {func(f *Facts) { f.Proof.Verdict = proof.Inconclusive }, GradeD, "proof"},
		"stale":                     {func(f *Facts) { f.Proof.EndedAt = now.Add(-8 * 24 * time.Hour) }, GradeD, "proof"},
		"too slow":                  {func(f *Facts) { f.Proof.Resolution = 2 * time.Hour }, GradeC, "objectives"},
		"data loss not measured":    {func(f *Facts) { f.Proof.DataLoss = nil }, GradeB, "objectives"},
		"behind now":                {func(f *Facts) { f.Log.Restorable = now.Add(-2 * time.Minute) }, GradeC, "objectives"},
		"gap":                       {func(f *Facts) { f.Coverage.Gaps = 1 }, GradeB, "coverage"},
		"no coverage":               {func(f *Facts) { f.Coverage = nil }, GradeF, "coverage"},
		"coverage unread":           {func(f *Facts) { f.Coverage, f.Unread = nil, []Unread{{What: UnreadCoverage}} }, GradeD, "coverage"},
		"log quiet":                 {func(f *Facts) { f.Log.WrittenAt = now.Add(-time.Hour) }, GradeD, "coverage"},
		"critical finding":          {func(f *Facts) { f.Audit.Findings = map[string]int{"critical": 1, "low": 1} }, GradeD, "findings"},
		"high finding":              {func(f *Facts) { f.Audit.Findings = map[string]int{"high": 1} }, GradeC, "findings"},
		"medium finding":            {func(f *Facts) { f.Audit.Findings = map[string]int{"medium": 1} }, GradeB, "findings"},
		"some rules could not look": {func(f *Facts) { f.Audit.Unknown = 2 }, GradeB, "findings"},
		"never audited":             {func(f *Facts) { f.Audit = nil }, GradeB, "findings"},
		"audited long ago":          {func(f *Facts) { f.Audit.At = now.Add(-72 * time.Hour) }, GradeB, "findings"},
	} {
		t.Run(name, func(t *testing.T) {
			f := graded(now)
			x.change(&f)
			g := Evaluate(f, now).Grade
			if g.Letter != x.want || len(g.Parts) != 4 {
				t.Fatalf("%s, want %s: %+v", g.Letter, x.want, g.Parts)
			}
			for _, p := range g.Parts {
				if p.Why == "" {
					t.Errorf("%s is not explained", p.Name)
				}
				if p.Name == x.part && p.Letter != x.want {
					t.Errorf("%s: %s", p.Name, p.Letter)
				}
			}
		})
	}
	// No grade is better than the answer.
	f := graded(now)
	f.Proof = nil
	if g := Evaluate(f, now).Grade; g.Letter < GradeF || !strings.Contains(g.Parts[0].Why, "never drilled") {
		t.Errorf("%+v", g)
	}
}
