package web

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
	"github.com/refloat-db/refloat/internal/status"
)

// shown is the name that people know a target by.
func shown(t server.TargetRow) string {
	return cmp.Or(strings.TrimSpace(t.Shown), string(t.Target))
}

// answerWords is the one answer to "can this be restored?" in a few words.
func answerWords(r status.Report) string {
	switch r.Answer {
	case status.Proven:
		if r.Stale {
			return "Proof is too old"
		}
		return "Proven"
	case status.Failed:
		return "Drill failed"
	case status.Inconclusive:
		return "Not certain"
	case status.NeverProven:
		return "Never drilled"
	}
	return "Not known"
}

// answerTone is green only for a proof that is not stale.
func answerTone(r status.Report) component.Tone {
	switch {
	case r.Answer == status.Proven && !r.Stale:
		return component.Good
	case r.Answer == status.Failed || r.Answer == status.NeverProven || r.Stale:
		return component.Bad
	}
	return component.Warn
}

// toneOf is how a target stands as a whole: green only for what the last drill
// proved, and with which nothing grave is wrong.
func toneOf(r status.Report) component.Tone {
	switch {
	case r.Class == status.Bad:
		return component.Bad
	case r.Class == status.Good && r.Answer == status.Proven && !r.Stale:
		return component.Good
	}
	return component.Warn
}

// serves is whether the target serves, as the watch saw it last.
func serves(r status.Report) (component.Tone, string) {
	if r.Watch == nil {
		return component.Quiet, "Not watched"
	}
	switch r.Watch.State {
	case "up":
		return component.Good, "Serving"
	case "suspect":
		return component.Warn, "Suspect"
	case "down":
		return component.Bad, "Down"
	case "recovering":
		return component.Busy, "Recovering"
	}
	return component.Warn, "Not seen"
}

// lossNow is how much would be lost if the server were gone this moment; nil when
// that is not known.
func lossNow(r status.Report, now time.Time) *time.Duration {
	if r.Log == nil || r.Log.Restorable.IsZero() {
		return nil
	}
	d := max(0, now.Sub(r.Log.Restorable))
	return &d
}

// lossTone holds a loss against what was promised.
func lossTone(r status.Report, loss *time.Duration) component.Tone {
	switch {
	case loss == nil:
		return component.Warn
	case r.Objectives.DataLoss > 0 && *loss > r.Objectives.DataLoss:
		return component.Bad
	}
	return component.Quiet
}

// kept says how many of the promises hold, and names the first that does not.
func kept(r status.Report) (tone component.Tone, text, but string) {
	met, missed, unmeasured := 0, "", ""
	for _, m := range r.Measurements {
		switch {
		case m.Measured == nil:
			unmeasured = cmp.Or(unmeasured, m.Name)
		case m.Met:
			met++
		default:
			missed = cmp.Or(missed, m.Name)
		}
	}
	all := len(r.Measurements)
	of := component.Count(int64(met)) + " of " + component.Count(int64(all)) + " kept"
	switch {
	case all == 0:
		return component.Quiet, "None", "nothing was measured"
	case missed != "":
		return component.Bad, of, "not " + missed
	case unmeasured != "":
		return component.Warn, of, unmeasured + " not measured"
	case all == 1:
		return component.Good, "1 kept", "nothing else measured"
	}
	return component.Good, "All " + component.Count(int64(all)) + " kept", ""
}

// worstFirst orders problems: an outage, then what is critical, else as they come.
func worstFirst(r status.Report) []status.Problem {
	rank := func(p status.Problem) int {
		switch {
		case p.Code == status.AlarmOutage:
			return 0
		case p.Severity == status.Critical:
			return 1
		}
		return 2
	}
	all := slices.Clone(r.Problems)
	slices.SortStableFunc(all, func(a, b status.Problem) int { return rank(a) - rank(b) })
	return all
}

func problemTone(s status.Severity) component.Tone {
	if s == status.Critical {
		return component.Bad
	}
	return component.Warn
}

// capital begins a sentence.
func capital(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// next is what to do, split into words and a command: "run: refloat drill shop"
// has one.
func next(s string) (words, command string) {
	if c, ok := strings.CutPrefix(s, "run: "); ok && strings.HasPrefix(c, "refloat ") && !strings.ContainsAny(c, ";,") {
		return "", c
	}
	return s, ""
}

func targetPath(name string) string { return "/targets/" + escapePath(name) }
