package web

import (
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

func (s *Site) proof(q asked) (view, error) {
	p, err := s.desk.Proof(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	return view{title: "Proof " + p.ID, here: "/", body: proofBody(p)}, nil
}

// verdictSaid is what a verdict means, in a sentence.
func verdictSaid(p proof.Proof) string {
	switch p.Verdict {
	case proof.Proven:
		return "It can be restored"
	case proof.Inconclusive:
		return "It is not certain that it can be restored"
	}
	return "It cannot be restored as promised"
}

func outcomeTone(o proof.Outcome) component.Tone {
	switch o {
	case proof.Passed:
		return component.Good
	case proof.NotAsked:
		return component.Quiet
	case proof.CouldNotRun:
		return component.Warn
	}
	return component.Bad
}

// against holds a measured span against what was promised.
func against(measured *time.Duration, promised time.Duration) (component.Tone, string) {
	switch {
	case measured == nil:
		return component.Warn, "Not measured"
	case promised <= 0:
		return component.Quiet, "nothing promised"
	case *measured <= promised:
		return component.Good, component.Span(promised) + " promised"
	}
	return component.Bad, component.Span(promised) + " promised"
}

// speed is how fast a phase moved its bytes; empty when it moved none.
func speed(x proof.Phase) string {
	if x.Bytes <= 0 || x.Took <= 0 {
		return ""
	}
	return component.Bytes(int64(float64(x.Bytes)/x.Took.Seconds())) + "/s"
}

// grave puts what failed first, then what could not run.
func grave(all []proof.Check) []proof.Check {
	var out []proof.Check
	for _, want := range []component.Tone{component.Bad, component.Warn, component.Good, component.Quiet} {
		for _, c := range all {
			if outcomeTone(c.Outcome) == want {
				out = append(out, c)
			}
		}
	}
	return out
}

type duration = time.Duration
