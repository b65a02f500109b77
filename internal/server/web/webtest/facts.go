package webtest

import (
	"fmt"
	"math"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// At is when everything here is looked at: a night in November, a quarter to three.
func At() time.Time { return time.Date(2026, 11, 24, 2, 47, 12, 0, time.UTC) }

const day = 24 * time.Hour

func ago(d time.Duration) time.Time { return At().Add(-d) }

// server describes one target of the fixed data.
type care struct {
	id, shown, team, tier string
	size                  int64
	change                func(*status.Facts, *server.TargetView)
}

func span(d time.Duration) *time.Duration { return &d }

func lsn(t time.Time) target.LSN {
	return target.LSN(0x1600000000 + uint64(t.Sub(ago(60*day))/time.Millisecond)<<4)
}

func position(t time.Time) target.Position { return target.Position{Timeline: 3, LSN: lsn(t)} }

// healthy are the facts of a target with which all is well.
func healthy(c care) status.Facts {
	lag := int64(24 << 10)
	return status.Facts{
		Target:     target.ID(c.id),
		Objectives: proof.Objectives{DataLoss: time.Minute, Resolution: 4 * time.Hour, Detection: 30 * time.Second, ProofAge: 7 * day},
		Backup:     &status.Backup{ID: "20261124T010002Z-4711", Kind: "delta", EndedAt: ago(95 * time.Minute), Took: 11 * time.Minute, Bytes: c.size, Stored: c.size / 160},
		Log:        &status.Log{Position: position(ago(2 * time.Second)), Restorable: ago(2 * time.Second), WrittenAt: ago(time.Second), Server: lsn(At()), LagBytes: &lag},
		Coverage:   &status.Coverage{From: ago(29*day + 4*time.Hour), To: ago(2 * time.Second)},
		Slot:       &status.Slot{Slot: target.Slot{Name: "refloat_" + c.id, Exists: true, Active: true, RestartLSN: lsn(ago(20 * time.Second)), Retained: 32 << 20, WALStatus: "reserved"}, Bound: 64 << 30, SeenAt: ago(time.Second)},
		Heartbeat:  &status.Heartbeat{Seq: 1_204_551, At: ago(400 * time.Millisecond)},
		Audit:      &status.Audit{At: ago(5 * time.Hour), Findings: map[string]int{}},
		Detection:  &status.Detection{Outages: []status.Noticed{{At: ago(11 * day), Took: 1400 * time.Millisecond}}},
		Watch:      &status.Watch{State: "up", At: ago(300 * time.Millisecond), Took: 2 * time.Millisecond},
		Work: []status.Work{
			{Kind: "backup", Next: ago(-22*time.Hour - 13*time.Minute), Succeeded: ago(95 * time.Minute)},
			{Kind: "drill", Next: ago(-23 * time.Hour), Succeeded: ago(42 * time.Minute)},
		},
		Server: status.Server{Running: true, SeenAt: At()},
	}
}

// checks are those of a drill in which all is well.
func checks(rows int64) []proof.Check {
	c := func(name, title, detail string, took time.Duration) proof.Check {
		return proof.Check{Name: name, Title: title, Outcome: proof.Passed, Detail: detail, Took: took}
	}
	return []proof.Check{
		c("recovery", "The copy recovers and serves", "it served 6m12.4s after the restore began", 0),
		c("same-cluster", "The backup is of the cluster that runs in production", "system identifier 7439012884213377123", 4*time.Millisecond),
		c("end-of-recovery", "Recovery reached what production had", "replay ended at 3:16/B374D848, production had 3:16/B374D100", 18*time.Millisecond),
		c("page-checksums", "Every page has the checksum that belongs to it", "4 812 331 pages of 214 relations", 74*time.Second),
		c("tables-readable", "Every row of every table can be read", fmt.Sprintf("%d rows of 214 relations", rows), 91*time.Second),
		c("row-counts", "No table lost rows against production", "214 relations, 0 rows fewer", 12*time.Second),
		c("schema", "Tables, indexes, functions and roles are those of production", "214 relations, 611 indexes, 38 roles", 2*time.Second),
		c("data-loss", "Data loss is within the objective", "0.9 s against 1 min promised", time.Millisecond),
		c("resolution", "Restore and recovery are within the resolution objective", "6 min 12 s against 4 h promised", 0),
		{Name: "amcheck", Title: "Every index agrees with its table", Outcome: proof.NotAsked, Detail: "the amcheck extension is not installed"},
	}
}

// proofAt is a drill that ended at a moment and proved the target.
func proofAt(c care, n int64, ended time.Time, took time.Duration) proof.Proof {
	resolution := took * 62 / 100
	return proof.Proof{
		Format: 1, ID: fmt.Sprintf("%s-%08d-%s", c.id, n, ended.Add(-took).UTC().Format("20060102T150405Z")), Target: target.ID(c.id), Sequence: n,
		Previous: "9f2c1b7ad4e05566c2f0b1a7e3d98a5b1c4d7f60e2a39b8875dd0c41ff62a913", Verdict: proof.Proven,
		Summary:   fmt.Sprintf("restored to latest in %s, 214 relations read, nothing lost", status.Age(resolution)),
		StartedAt: ended.Add(-took), EndedAt: ended, Repository: "s3://refloat-backups/" + c.id, Fingerprint: "b3d1-77c2-90aa-41fe", Host: "drill-1.example.net", Refloat: "0.9.0",
		SystemID: 7439012884213377123, Server: 170006, Scratch: "PostgreSQL 17.6 (Debian 17.6-1)", Backup: "20261124T010002Z-4711", BackupKind: "delta", BackupEnd: position(ended.Add(-2 * time.Hour)),
		Asked: "latest", Expected: position(ended.Add(-took)), ExpectedFrom: "production", Reached: position(ended.Add(-took)), LogSegments: 212, Relations: 214, Rows: c.size / 131, Pages: c.size / 8192, RestoredBytes: c.size,
		DataLoss: span(900 * time.Millisecond), Resolution: resolution, Objectives: proof.Objectives{DataLoss: time.Minute, Resolution: 4 * time.Hour, Detection: 30 * time.Second, ProofAge: 7 * day},
		Phases: []proof.Phase{
			{Name: "plan", Took: took * 1 / 100}, {Name: "restore", Took: took * 46 / 100, Bytes: c.size}, {Name: "recover", Took: took * 15 / 100, Bytes: 212 << 24},
			{Name: "check", Took: took * 36 / 100}, {Name: "clean", Took: took * 2 / 100},
		},
		Checks: checks(c.size / 131),
	}
}

func failedProof(c care, n int64, ended time.Time) proof.Proof {
	p := proofAt(c, n, ended, 9*time.Minute)
	p.Verdict, p.Summary = proof.Failed, "a segment of the log is missing: recovery ended 41 minutes before what production had"
	for i := range p.Checks {
		switch p.Checks[i].Name {
		case "end-of-recovery":
			p.Checks[i].Outcome, p.Checks[i].Detail = proof.CheckFailed, "replay ended at 3:16/A0000000, production had 3:16/B374D100: 309 MiB of log are missing"
			p.Checks[i].Evidence = []string{"0000000300000016000000A0: not in the repository", "0000000300000016000000A1: not in the repository", "0000000300000016000000A2: stored, cannot be reached without the two before it"}
		case "data-loss":
			p.Checks[i].Outcome, p.Checks[i].Detail = proof.CheckFailed, "41 min 8 s against 1 min promised"
		case "row-counts":
			p.Checks[i].Outcome, p.Checks[i].Detail = proof.CouldNotRun, "the copy ended too early to be compared"
		}
	}
	p.DataLoss, p.Reached = span(41*time.Minute+8*time.Second), position(ended.Add(-50*time.Minute))
	return p
}

// history fills a target's view with thirty days in which nothing went wrong.
func history(c care) server.TargetView {
	v := server.TargetView{Engine: "PostgreSQL 17.6"}
	newest := ago(2 * time.Second)
	cover := backup.CoverageReport{Spans: []backup.Span{{From: position(ago(29*day + 4*time.Hour)), To: position(newest), FromTime: ago(29*day + 4*time.Hour), ToTime: newest}}, Gaps: []backup.CoverageGap{}, Newest: &backup.Moment{Position: position(newest), Time: newest, Age: 2 * time.Second, Backup: "20261124T010002Z-4711"}}
	for n := range 30 {
		began := ago(time.Duration(n)*day + 106*time.Minute)
		b := backup.Backup{Format: 1, ID: began.UTC().Format("20060102T150405Z") + "-4711", Target: target.ID(c.id), Kind: "delta", Chain: n % 7, Method: "incremental", Version: 170006, Checksums: true,
			Start: position(began), End: position(began.Add(11 * time.Minute)), StartedAt: began, EndedAt: began.Add(11 * time.Minute), Took: 11 * time.Minute, Files: 2114, Bytes: c.size, Received: c.size / 90, Stored: c.size / 160}
		if n%7 == 6 {
			b.Kind, b.Chain, b.Method, b.Took, b.Received, b.Stored = "full", 0, "protocol", 38*time.Minute, c.size, c.size*38/100
			b.EndedAt = b.StartedAt.Add(b.Took)
		}
		v.Backups = append(v.Backups, b)
		took := 10*time.Minute + time.Duration(20*math.Sin(float64(n)))*time.Second
		v.Proofs = append(v.Proofs, proofAt(c, int64(412-n), ago(time.Duration(n)*day+42*time.Minute), took))
	}
	v.Coverage = &cover
	for n := range 288 {
		at := ago(time.Duration(287-n) * 5 * time.Minute)
		wave := 1.2 + math.Sin(float64(n)/19) + 0.7*math.Sin(float64(n)/3.1) + 0.4*math.Sin(float64(n)*1.7)
		lag, size := time.Duration(max(0.3, wave)*float64(time.Second)), int64(max(0.3, wave)*3e5)
		v.Lag = append(v.Lag, server.LagPoint{At: at, Lag: lag, Bytes: &size})
	}
	v.Findings = &audit.Report{Target: c.id, At: ago(5 * time.Hour), Took: 800 * time.Millisecond, Findings: []audit.Finding{}, Results: results(nil)}
	v.Runbook = runbook(c)
	return v
}

// row joins facts and history into what the board and the page of a target show.
func (c care) row() (server.TargetRow, server.TargetView) {
	f, v := healthy(c), history(c)
	if c.change != nil {
		c.change(&f, &v)
	}
	if len(v.Proofs) > 0 && f.Proof == nil {
		f.Proof = status.OfProof(v.Proofs[0])
	}
	if v.Findings != nil && f.Audit != nil {
		f.Audit.Findings = map[string]int{}
		for _, x := range v.Findings.Findings {
			if x.Suppressed == nil {
				f.Audit.Findings[x.Severity.String()]++
				if f.Audit.Worst == "" {
					f.Audit.Worst = x.Evidence
				}
			}
		}
	}
	r := server.TargetRow{Report: status.Evaluate(f, At()), Team: c.team, Tier: c.tier, Shown: c.shown}
	v.TargetRow = r
	return r, v
}
