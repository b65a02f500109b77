package audit

import (
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// cared is a target in care with nothing to find, seen now.
func cared() Facts {
	day := 24 * time.Hour
	var backups []BackupFacts
	var kept []string
	for i := range 6 {
		b := BackupFacts{ID: string(rune('a' + i)), Full: i == 0, EndedAt: now.Add(-time.Duration(6-i)*day + 14*time.Hour + time.Minute), Took: time.Minute, Bytes: 10 << 30, Stored: 1 << 20, Log: target.LSN(i) << 30, Readable: true}
		backups, kept = append(backups, b), append(kept, b.ID)
	}
	server := target.ServerFacts{Server: target.Server{Role: target.Role{Name: "refloat", Heartbeat: true}}}
	return Facts{
		Target: "shop", At: now, Server: target.Seen(server), Host: target.Seen(Host{DataDirectory: "/data", DataDevice: 1}),
		Care: &Care{
			Promised:   Promised{DataLoss: time.Minute, Resolution: 4 * time.Hour, Detection: time.Minute, ProofAge: 7 * day},
			Configured: Configured{File: "refloat.yaml", Log: true, Heartbeat: true, PartialEvery: 10 * time.Second, BackupDue: now.Add(-10 * time.Hour), BackupEvery: day, DrillEvery: day},
			Backups:    target.Seen(backups), Kept: target.Seen(kept), Coverage: target.Seen(CoverageFacts{From: backups[0].EndedAt, Newest: now}),
			Log:        target.Seen(LogFacts{Restorable: now.Add(-5 * time.Second), WrittenAt: now.Add(-5 * time.Second)}),
			Proofs:     target.Seen([]ProofFacts{{ID: "p1", At: now.Add(-day), Verdict: "proven", Resolution: time.Minute}}),
			Repository: target.Seen(RepositoryFacts{Location: "file:///backups", Local: true, Device: 2, Verified: now.Add(-day), Passphrase: now.Add(-day), By: "ann"}),
			Alarms:     target.Seen([]AlarmFacts(nil)),
			Copies:     []target.Known[CopyFacts]{target.Seen(CopyFacts{Location: "s3://copy", Same: true, Newest: backups[5].EndedAt})},
		},
	}
}

// backups are the rules of this room's own.
func backups() []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool { return r.Area != AreaBackup })
}

func TestNothingIsFoundOfATargetInGoodCare(t *testing.T) {
	for _, f := range Judge(backups(), cared()).Findings {
		// the machine of the data has the repository, on another disk
		if f.Rule != "backup-same-host" {
			t.Errorf("%s: %s", f.Rule, f.Evidence)
		}
	}
	f := cared()
	f.Care.Repository.Value.Local = false
	for _, r := range Judge(backups(), f).Findings {
		t.Errorf("%s: %s", r.Rule, r.Evidence)
	}
}

// Nothing of the repository or the state was seen: what needs it is unknown.
func TestUnseenCareIsUnknown(t *testing.T) {
	f := Facts{Target: "shop", At: now, Care: &Care{Promised: cared().Care.Promised, Configured: cared().Care.Configured}}
	ofConfiguration := []string{"backup-log-off", "backup-log-promise", "backup-drill-off", "backup-suppression-expired"}
	for _, res := range Judge(backups(), f).Results {
		if res.Outcome == Found || res.Outcome == Passed && !slices.Contains(ofConfiguration, res.Rule) {
			t.Errorf("%s: %s", res.Rule, res.Outcome)
		}
	}
}

func TestBackupRules(t *testing.T) {
	day := 24 * time.Hour
	newest := func(c *Care) *BackupFacts { return &c.Backups.Value[len(c.Backups.Value)-1] }
	for name, x := range map[string]struct {
		break_   func(f *Facts, c *Care)
		rule     string
		severity Severity
	}{
		"no backup": {func(_ *Facts, c *Care) { c.Backups.Value = nil }, "backup-none", Critical},
		"none can be read": {func(_ *Facts, c *Care) {
			for i := range c.Backups.Value {
				c.Backups.Value[i].Readable = false
			}
		}, "backup-none", Critical},
		"missed last night": {func(_ *Facts, c *Care) { c.Backups.Value = c.Backups.Value[:5] }, "backup-old", High},
		"missed, and the next is due now": {func(_ *Facts, c *Care) {
			c.Backups.Value, c.Configured.BackupDue = c.Backups.Value[:5], now.Add(-10*time.Minute)
		}, "backup-old", High},
		"none scheduled, old":    {func(f *Facts, c *Care) { c.Configured.BackupDue = time.Time{}; f.At = f.At.Add(8 * day) }, "backup-old", High},
		"damaged when taken":     {func(_ *Facts, c *Care) { newest(c).Damage = 2 }, "backup-damaged", High},
		"chain broken":           {func(_ *Facts, c *Care) { c.Backups.Value[2].Readable = false }, "backup-damaged", High},
		"old gap":                {func(_ *Facts, c *Care) { c.Coverage.Value.Gaps = []GapFacts{{From: "1:0/1", To: "1:0/2"}} }, "backup-gap", Medium},
		"open gap":               {func(_ *Facts, c *Care) { c.Coverage.Value.Gaps = []GapFacts{{From: "1:0/1", To: "1:0/2", Open: true}} }, "backup-gap", Critical},
		"log off":                {func(_ *Facts, c *Care) { c.Configured.Log = false }, "backup-log-off", High},
		"log late":               {func(_ *Facts, c *Care) { c.Log.Value.Restorable = now.Add(-2 * time.Minute) }, "backup-log-lag", High},
		"log dead":               {func(_ *Facts, c *Care) { c.Log.Value.Restorable = now.Add(-time.Hour) }, "backup-log-lag", Critical},
		"no log at all":          {func(_ *Facts, c *Care) { c.Log.Value = LogFacts{} }, "backup-log-lag", Critical},
		"promise out of reach":   {func(_ *Facts, c *Care) { c.Configured.PartialEvery = 5 * time.Minute }, "backup-log-promise", Medium},
		"never drilled":          {func(_ *Facts, c *Care) { c.Proofs.Value = nil }, "backup-no-proof", High},
		"stale":                  {func(_ *Facts, c *Care) { c.Proofs.Value[0].At = now.Add(-8 * day) }, "backup-proof-stale", Medium},
		"very stale":             {func(_ *Facts, c *Care) { c.Proofs.Value[0].At = now.Add(-20 * day) }, "backup-proof-stale", High},
		"drill failed":           {func(_ *Facts, c *Care) { c.Proofs.Value[0].Verdict = "failed" }, "backup-drill-failed", Critical},
		"drill uncertain":        {func(_ *Facts, c *Care) { c.Proofs.Value[0].Verdict = "inconclusive" }, "backup-drill-failed", Medium},
		"drill of another word":  {func(_ *Facts, c *Care) { c.Proofs.Value[0].Verdict = "" }, "backup-drill-failed", Critical},
		"slow":                   {func(_ *Facts, c *Care) { c.Proofs.Value[0].Resolution = 5 * time.Hour }, "backup-resolution", High},
		"one copy":               {func(_ *Facts, c *Care) { c.Copies = nil }, "backup-one-copy", Medium},
		"copy of another":        {func(_ *Facts, c *Care) { c.Copies[0].Value.Same = false }, "backup-copy", High},
		"copy behind":            {func(_ *Facts, c *Care) { c.Copies[0].Value.Newest = now.Add(-5 * day) }, "backup-copy", High},
		"same disk":              {func(_ *Facts, c *Care) { c.Repository.Value.Device = 1 }, "backup-same-device", High},
		"same machine":           {func(*Facts, *Care) {}, "backup-same-host", Medium},
		"retention keeps one":    {func(_ *Facts, c *Care) { c.Kept.Value = c.Kept.Value[5:] }, "backup-retention", High},
		"only one was ever made": {func(_ *Facts, c *Care) { c.Backups.Value, c.Kept.Value = c.Backups.Value[:1], c.Kept.Value[:1] }, "backup-retention", Medium},
		"deletable": {func(_ *Facts, c *Care) {
			c.Repository.Value.Offers, c.Repository.Value.Immutable = true, target.Seen(false)
		}, "backup-mutable", Medium},
		"damage in storage": {func(_ *Facts, c *Care) { c.Repository.Value.Damage = 1 }, "backup-unverified", High},
		"verified long ago": {func(_ *Facts, c *Care) { c.Repository.Value.Verified = now.Add(-30 * day) }, "backup-unverified", Medium},
		"never verified": {func(_ *Facts, c *Care) {
			c.Repository.Value.Verified, c.Backups.Value[0].EndedAt = time.Time{}, now.Add(-30*day)
		}, "backup-unverified", Medium},
		"passphrase never typed": {func(_ *Facts, c *Care) { c.Repository.Value.Passphrase = time.Time{} }, "backup-passphrase", Medium},
		"typed long ago":         {func(_ *Facts, c *Care) { c.Repository.Value.Passphrase = now.Add(-400 * day) }, "backup-passphrase", Low},
		"shrunk":                 {func(_ *Facts, c *Care) { newest(c).Bytes = 1 << 30 }, "backup-size", High},
		"nothing changed":        {func(_ *Facts, c *Care) { newest(c).Stored, newest(c).Log = 100, 9<<30 }, "backup-size", Medium},
		"server stopped":         {func(_ *Facts, c *Care) { c.Log.Value.WrittenAt = now.Add(-10 * time.Minute) }, "backup-stopped", Critical},
		"alarm":                  {func(_ *Facts, c *Care) { c.Alarms.Value = []AlarmFacts{{Code: "schedule-missed", Key: "drill"}} }, "backup-alarm", Medium},
		"grave alarm":            {func(_ *Facts, c *Care) { c.Alarms.Value = []AlarmFacts{{Code: "log-gap", Grave: true}} }, "backup-alarm", High},
		"no heartbeat":           {func(_ *Facts, c *Care) { c.Configured.Heartbeat = false }, "backup-heartbeat", Low},
		"heartbeat not granted":  {func(f *Facts, _ *Care) { f.Server.Value.Server.Role.Heartbeat = false }, "backup-heartbeat", Low},
		"no drill scheduled":     {func(_ *Facts, c *Care) { c.Configured.DrillEvery = 0 }, "backup-drill-off", Medium},
		"drills too rare":        {func(_ *Facts, c *Care) { c.Configured.DrillEvery = 31 * day }, "backup-drill-off", Medium},
	} {
		t.Run(name, func(t *testing.T) {
			f := cared()
			x.break_(&f, f.Care)
			for _, got := range Judge(backups(), f).Findings {
				if got.Rule == x.rule {
					if got.Severity != x.severity || got.Evidence == "" || got.Fix == "" {
						t.Errorf("%+v", got)
					}
					return
				}
			}
			t.Errorf("%s did not find it", x.rule)
		})
	}
}

func TestDays(t *testing.T) {
	for d, want := range map[time.Duration]string{
		65 * time.Second: "1m5s", 5 * time.Minute: "5m", 65 * time.Minute: "1h5m", 26 * time.Hour: "26h", 10 * 24 * time.Hour: "10 days",
	} {
		if got := days(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
