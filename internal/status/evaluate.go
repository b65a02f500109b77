package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
)

// Without these promised, what is older is at least worth a warning.
const (
	usualProofAge = 35 * 24 * time.Hour
	quietLog      = 5 * time.Minute  // no log position written for so long: nothing keeps the log
	quietSeen     = 2 * time.Minute  // facts of a running server are refreshed much more often
	quietBeat     = 30 * time.Second // a beat is due each second
)

// Evaluate works out how a target stands at now. It is pure.
func Evaluate(f Facts, now time.Time) Report {
	r := Report{Facts: f, At: now}
	r.answer(now)
	r.objectives(now)
	r.unread()
	r.base(now)
	r.log(now)
	r.slot(now)
	r.alarms()
	r.work()
	r.classify()
	r.grade(now)
	return r
}

func (r *Report) problem(s Severity, code, next, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{Code: code, Severity: s, Detail: fmt.Sprintf(format, args...), Next: next})
}

func (r *Report) could(what string) bool {
	for _, u := range r.Unread {
		if u.What == what {
			return false
		}
	}
	return true
}

// Names of facts in Unread.
const (
	UnreadProof    = "proofs"
	UnreadBackup   = "backups"
	UnreadLog      = "log"
	UnreadCoverage = "coverage"
	UnreadState    = "server state"
)

func (r *Report) answer(now time.Time) {
	drill := fmt.Sprintf("run: refloat drill %s", r.Target)
	switch {
	case r.Proof == nil && !r.could(UnreadProof):
		r.Answer, r.Headline = Unknown, "unknown: the proofs could not be read"
		return
	case r.Proof == nil:
		r.Answer, r.Headline = NeverProven, "never drilled: nothing shows that it can be restored"
		r.problem(Critical, "never-proven", drill, "no drill has proven this target")
		return
	}
	age := max(0, now.Sub(r.Proof.EndedAt))
	r.Answer, r.AnswerAge = Answer(r.Proof.Verdict), &age
	r.Headline = fmt.Sprintf("%s %s ago", r.Answer, Age(age))
	switch r.Proof.Verdict {
	case proof.Proven:
	case proof.Inconclusive:
		r.problem(Warning, "proof-inconclusive", "run: refloat proof show "+r.Proof.ID, "the last drill could not decide: %s", r.Proof.Summary)
	default:
		r.problem(Critical, "proof-failed", "run: refloat proof show "+r.Proof.ID, "the last drill failed: %s", r.Proof.Summary)
	}
	limit := r.Objectives.ProofAge
	switch stand := proof.Stand(&proof.Proof{Verdict: r.Proof.Verdict, EndedAt: r.Proof.EndedAt, Summary: r.Proof.Summary}, r.Objectives, now); {
	case stand.State == proof.StandsStale && limit > 0 && age > limit:
		r.Stale = true
		r.Headline += ", stale"
		r.problem(Critical, "proof-stale", drill, "the last proof is %s old, %s was promised", Age(age), Age(limit))
	case stand.State == proof.StandsStale:
		r.Stale = true
		r.Headline += ", stale"
		r.problem(Critical, "proof-stale", "compare the clocks of this machine and of the one that drilled", "%s", stand.Reason)
	case limit == 0 && age > usualProofAge:
		r.problem(Warning, "proof-old", drill, "the last proof is %s old", Age(age))
	}
}

func (r *Report) objectives(now time.Time) {
	add := func(name, from string, promised time.Duration, measured *time.Duration, code, next string) {
		if promised == 0 {
			return
		}
		met := measured != nil && *measured <= promised
		r.Measurements = append(r.Measurements, Objective{Name: name, Promised: promised, Measured: measured, Met: met, From: from})
		if measured != nil && !met && code != "" {
			r.problem(Critical, code, next, "%s: %s promised, %s measured by %s", name, Age(promised), Age(*measured), from)
		}
	}
	if r.Proof != nil {
		from := "the last drill"
		if r.Proof.Verdict == proof.Proven {
			add("data loss", from, r.Objectives.DataLoss, r.Proof.DataLoss, "objective-data-loss", "look at the log's lag when the drill ran, or promise less")
			add("resolution", from, r.Objectives.Resolution, &r.Proof.Resolution, "objective-resolution", "restore on a faster machine, keep the repository nearer, or promise less")
		}
		// Staleness is a problem of its own already.
		add("proof age", "the clock", r.Objectives.ProofAge, r.AnswerAge, "", "")
	}
	// What one outage showed stays true for a while, and no drill mends it: it is
	// no reason to page.
	if worst := r.Detection.worst(now); worst != nil {
		add("detection", "outages of the last 30 days", r.Objectives.Detection, worst, "", "")
		if promised := r.Objectives.Detection; promised > 0 && *worst > promised {
			r.problem(Warning, "objective-detection", "see refloat outages "+string(r.Target)+"; look more often (watch.every), or promise less",
				"detection: %s promised, %s measured by an outage of the last 30 days", Age(promised), Age(*worst))
		}
	}
	if r.Log != nil {
		loss := max(0, now.Sub(r.Log.Restorable))
		add("data loss now", "the log in the repository", r.Objectives.DataLoss, &loss, "data-loss-now", "see that refloat server runs and reaches both the target and the repository")
	}
}

func (r *Report) unread() {
	for _, u := range r.Unread {
		r.problem(Warning, "unread", "see that the repository and the state directory can be read", "%s could not be read: %s", u.What, u.Error)
	}
}

func (r *Report) base(now time.Time) {
	switch {
	case r.Backup == nil && r.could(UnreadBackup):
		r.problem(Critical, "no-backup", fmt.Sprintf("run: refloat backup %s", r.Target), "there is no base backup")
	case r.Backup != nil && r.Backup.Findings > 0:
		r.problem(Critical, "backup-findings", "run: refloat backup show "+r.Backup.ID, "the newest base backup saw %d damaged pages or files on the server", r.Backup.Findings)
	}
	if r.Backup != nil && r.Backup.EndedAt.After(now.Add(time.Hour)) {
		r.problem(Warning, "clock", "compare the clocks of this machine and the server", "the newest base backup ended %s in the future", Age(r.Backup.EndedAt.Sub(now)))
	}
}

func (r *Report) log(now time.Time) {
	start := "start refloat server; it keeps the log and takes backups on schedule"
	switch {
	case !r.Server.Running && r.Server.SeenAt.IsZero():
		r.problem(Warning, "server-not-running", start, "no Refloat server takes care of this target on this machine")
	case !r.Server.Running:
		r.problem(Critical, "server-not-running", start, "the Refloat server is not running; its last sign of life was %s ago", Age(now.Sub(r.Server.SeenAt)))
	}
	switch {
	case r.Log == nil && r.could(UnreadLog):
		r.problem(Critical, "no-log", start, "no log was ever kept: a restore ends with the newest base backup")
	case r.Log != nil && now.Sub(r.Log.WrittenAt) > quietLog:
		r.problem(Critical, "log-quiet", start, "no log was stored for %s", Age(now.Sub(r.Log.WrittenAt)))
	}
	if r.Heartbeat != nil && r.Server.Running && now.Sub(r.Heartbeat.At) > quietBeat {
		r.problem(Warning, "heartbeat-quiet", "see that the target is up and the role may write refloat.heartbeat", "no heartbeat was written for %s", Age(now.Sub(r.Heartbeat.At)))
	}
	if r.Coverage != nil && r.Coverage.Gaps > 0 {
		r.problem(Warning, "coverage-gaps", fmt.Sprintf("run: refloat coverage %s", r.Target), "%s", gapWords(r.Coverage.Gaps))
	}
}

func (r *Report) slot(now time.Time) {
	s := r.Slot
	if s == nil || !r.Server.Running {
		return
	}
	switch {
	case now.Sub(s.SeenAt) > quietSeen:
		r.problem(Warning, "target-unseen", "see that the target is up and reachable", "the target was last reached %s ago", Age(now.Sub(s.SeenAt)))
	case !s.Exists:
		r.problem(Critical, "slot-missing", "refloat server makes it again by itself; look at its log", "the replication slot %s does not exist", s.Name)
	case s.WALStatus == "lost":
		r.problem(Critical, "slot-lost", "refloat server makes a new slot and base backup by itself; look at its log", "the server removed log that the slot %s still needed", s.Name)
	case s.Bound > 0 && s.Retained > s.Bound/2:
		r.problem(Warning, "slot-retention", "see that log reaches the repository", "the slot holds %d MiB of log on the server; at %d MiB it is given up", s.Retained>>20, s.Bound>>20)
	}
}

// Grave reports alarms that mean that something promised does not hold.
func Grave(code string) bool {
	switch code {
	case AlarmOutage, AlarmBlind, AlarmHeadroomGone, AlarmTwoPrimaries, AlarmStandby, AlarmGap, AlarmSlotGone, AlarmLogStopped, AlarmDamage, AlarmDrill:
		return true
	}
	return false
}

func (r *Report) alarms() {
	for _, a := range r.Alarms {
		s := Warning
		if Grave(a.Code) {
			s = Critical
		}
		detail := a.Detail
		if !strings.Contains(detail, "since ") { // what the watch saw says it itself
			detail += " (since " + a.Raised.UTC().Format("2 Jan 2006 15:04:05 UTC") + ")"
		}
		r.problem(s, a.Code, a.Next, "%s", detail)
	}
}

// gapWords say what gaps in coverage mean.
func gapWords(n int) string {
	if n == 1 {
		return "1 gap in coverage: moments in it cannot be restored"
	}
	return fmt.Sprintf("%d gaps in coverage: moments in them cannot be restored", n)
}

func (r *Report) work() {
	for _, w := range r.Work {
		if w.Failures > 0 {
			r.problem(Warning, "work-failing", "look at refloat server's log", "%s failed %d time(s) in a row: %s", w.Kind, w.Failures, w.Error)
		}
	}
}

func (r *Report) classify() {
	r.Class = Good
	for _, p := range r.Problems {
		if p.Severity == Critical {
			r.Class = Bad
			return
		}
	}
	if r.Answer != Proven || len(r.Unread) > 0 {
		r.Class = Uncertain
	}
}

// Age renders a duration for people: two units at most.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + Age(-d)
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
}
