package audit

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

func TestRulesAreWhole(t *testing.T) {
	seen, shape := map[string]bool{}, regexp.MustCompile(`^(server|backup|foreign)(-[a-z0-9]+)+$`)
	for _, r := range Rules() {
		if seen[r.ID] || !shape.MatchString(r.ID) || !strings.HasPrefix(r.ID, string(r.Area)+"-") {
			t.Errorf("%s: not a name of its own, or not of its area %s", r.ID, r.Area)
		}
		seen[r.ID] = true
		if r.Title == "" || r.Why == "" || r.Fix == "" || r.Looks == "" || r.Judge == nil || r.Severity == 0 {
			t.Errorf("%s is not described whole", r.ID)
		}
	}
}

// What nobody looked at never counts as good.
func TestNothingSeenIsNeverPassed(t *testing.T) {
	for _, f := range []Facts{{}, {Server: target.Seen(target.ServerFacts{})}} {
		for _, res := range Judge(Rules(), f).Results {
			if res.Outcome == Passed || res.Outcome == Found || res.Why == "" {
				t.Errorf("%s: %s (%q) without a fact", res.Rule, res.Outcome, res.Why)
			}
		}
	}
}

func TestSuppression(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	off := target.ServerFacts{Settings: map[string]target.Setting{"fsync": {Value: "off", Source: "configuration file", File: "/etc/p.conf", Line: 7}}}
	f := Facts{Target: "shop", At: now, Care: &Care{}, Server: target.Seen(off)}
	look := func() (fsync *Finding, ended *Finding) {
		for _, x := range Judge(Rules(), f).Findings {
			switch x.Rule {
			case "server-fsync":
				fsync = &x
			case "backup-suppression-expired":
				ended = &x
			}
		}
		return fsync, ended
	}
	fsync, ended := look()
	if fsync == nil || fsync.Suppressed != nil || ended != nil || fsync.Severity != Critical || fsync.Line != 7 || !strings.Contains(fsync.Evidence, "/etc/p.conf line 7") {
		t.Fatalf("%+v, %+v", fsync, ended)
	}
	f.Suppressions = []Suppression{{Rule: "server-fsync", Object: "other", Owner: "ann", Reason: "why", Until: now.Add(time.Hour)}}
	if fsync, _ = look(); fsync.Suppressed != nil {
		t.Error("another object's suppression was taken for this one's")
	}
	f.Suppressions[0].Object = ""
	if fsync, ended = look(); fsync.Suppressed == nil || fsync.Suppressed.Owner != "ann" || ended != nil {
		t.Errorf("not suppressed: %+v, %+v", fsync, ended)
	}
	f.Suppressions[0].Until = now
	if fsync, ended = look(); fsync.Suppressed != nil || ended == nil || !strings.Contains(ended.Evidence, "ann") {
		t.Errorf("an ended suppression: %+v, %+v", fsync, ended)
	}
}
