package web

import (
	"time"

	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
	"github.com/refloat-db/refloat/internal/status"
)

func (s *Site) board(q asked) (view, error) {
	b, err := s.desk.Board(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	return view{title: "Board", here: "/", seq: b.Seq, body: boardPage(b)}, nil
}

// shown is the name that people know a target by.
func shown(t server.TargetRow) string {
	if t.Shown != "" {
		return t.Shown
	}
	return string(t.Target)
}

// answerWords is the one answer to "can this be restored?" in a few words.
func answerWords(r status.Report) string {
	switch r.Answer {
	case status.Proven:
		if r.Stale {
			return "Proof is stale"
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
	return component.Warn, "Not known"
}

// lossNow is how much would be lost if the server were gone this moment.
func lossNow(r status.Report, now time.Time) *time.Duration {
	if r.Log == nil || r.Log.Restorable.IsZero() {
		return nil
	}
	d := max(0, now.Sub(r.Log.Restorable))
	return &d
}
