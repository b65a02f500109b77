package web

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// recoveryRoutes are the pages of guided recovery in an incident.
func (s *Site) recoveryRoutes() []server.Route {
	if s.recoverer() == nil {
		return nil
	}
	return []server.Route{
		s.show("GET /incidents/{id}/recovery", access.Respond, s.waysBack),
		s.act("POST /incidents/{id}/recovery", access.Respond, s.chooseWay),
		s.act("POST /incidents/{id}/recovery/{run}/{act}", access.Respond, s.actOnRun),
	}
}

// recoverer guides recoveries; nil where the desk does not.
func (s *Site) recoverer() server.Recoverer {
	r, _ := s.desk.(server.Recoverer)
	return r
}

// questions are what a way may ask before it is possible.
func questions() [][2]string {
	return [][2]string{
		{recovery.AskFenced, "Why can the old primary not take writes any more?"},
		{recovery.AskSecondPrimary, "Why is a second primary wanted beside one that lives?"},
		{recovery.AskNotEmpty, "Why may the directory, which is not empty, be turned into the restored cluster?"},
	}
}

// choosing is the page on which a way back is chosen.
type choosing struct {
	server.RecoveryOffer
	incident server.IncidentView
	ask      server.RecoveryAsk
	refused  string
}

func askedWay(get func(string) string) server.RecoveryAsk {
	q := server.RecoveryAsk{Target: get("target"), Reason: recovery.Reason(get("reason")), To: strings.TrimSpace(get("to")), Into: strings.TrimSpace(get("into")), Answers: map[string]string{}}
	for _, x := range questions() {
		if v := strings.TrimSpace(get("ask-" + x[0])); v != "" {
			q.Answers[x[0]] = v
		}
	}
	return q
}

func (s *Site) waysBack(q asked) (view, error) {
	return s.waysPage(q, askedWay(q.URL.Query().Get), "")
}

func (s *Site) waysPage(q asked, ask server.RecoveryAsk, refused string) (view, error) {
	v, err := s.desk.Incident(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	of := []string{ask.Target}
	if ask.Target == "" && len(v.Targets) > 0 {
		of = v.Targets // the first that they may recover
	}
	c := choosing{incident: v, refused: refused}
	for _, ask.Target = range of {
		c.ask = ask
		if c.RecoveryOffer, err = s.recoverer().WaysBack(q.Context(), q.who, v.ID, ask); !errors.Is(err, server.ErrNotFound) {
			break
		}
	}
	if errors.Is(err, server.ErrRefused) && refused == "" {
		c.refused, err = sentence(errors.New(strings.TrimPrefix(err.Error(), server.ErrRefused.Error()+": "))), nil
	}
	if err != nil {
		return view{}, err
	}
	return view{title: "Ways back: " + v.ID, here: "/incidents", about: "none", body: waysPage(c)}, nil
}

func (s *Site) chooseWay(q asked) (string, error) {
	id, ask := q.PathValue("id"), askedWay(q.PostFormValue)
	_, err := s.recoverer().ChooseWay(q.Context(), q.who, id, ask, recovery.Name(q.PostFormValue("way")))
	if errors.Is(err, incident.ErrRefused) || errors.Is(err, server.ErrRefused) {
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), server.ErrRefused.Error()+": "), "refused: ")
		v, perr := s.waysPage(q, ask, sentence(errors.New(text)))
		if perr != nil {
			return "", perr
		}
		return "", again{v}
	}
	return did(id, "chosen", "#recovery", err)
}

func (s *Site) actOnRun(q asked) (string, error) {
	q = q.once()
	id, run, f := q.PathValue("id"), q.PathValue("run"), q.PostFormValue
	var err error
	code := "recovering"
	switch q.PathValue("act") {
	case "confirm":
		_, err = s.recoverer().ConfirmWay(q.Context(), q.who, id, run, strings.TrimSpace(f("typed")))
	case "done":
		_, err = s.recoverer().StepDone(q.Context(), q.who, id, run, f("step"), f("detail"))
	case "on":
		_, err = s.recoverer().GoOn(q.Context(), q.who, id, run)
	case "give-up":
		code = "given-up"
		_, err = s.recoverer().GiveUp(q.Context(), q.who, id, run, f("why"))
	default:
		return "", server.ErrNotFound
	}
	return did(id, code, "#recovery", err)
}

// split is a line of a server's card as a name and a value; of a reason, the name
// is empty.
func split(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ": ")
	if strings.HasPrefix(name, " ") {
		return "", value
	}
	return name, value
}

// isTone says how sure it is that a server is the one that is meant.
func isTone(is string) component.Tone {
	switch recovery.Is(is) {
	case recovery.IsMeant:
		return component.Good
	case recovery.IsNotMeant:
		return component.Bad
	}
	return component.Warn
}

// verdictOf is the verdict in the lines of a card.
func verdictOf(lines []string) string {
	for _, l := range lines {
		if name, value := split(l); name == "verdict" {
			return value
		}
	}
	return string(recovery.IsUnclear)
}

// cardsOf cuts lines into those of each server.
func cardsOf(lines []string) [][]string {
	var out [][]string
	for _, l := range lines {
		if name, _ := split(l); name == "server" || len(out) == 0 {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], l)
	}
	return out
}

func figureWords(f recovery.Figure) string {
	if !f.Known {
		return "not measured"
	}
	return component.Span(f.Value)
}

func figureFrom(f recovery.Figure) string {
	switch {
	case !f.Known:
		return f.Why
	case f.Stale:
		return "by " + f.From + ", " + component.Span(f.Age) + " ago, which is older than promised"
	case f.Age > 0:
		return "by " + f.From + ", " + component.Span(f.Age) + " ago"
	}
	return "by " + f.From
}

func metTone(m recovery.Met) component.Tone {
	switch m {
	case recovery.Holds:
		return component.Good
	case recovery.Fails:
		return component.Bad
	}
	return component.Warn
}

func metWords(m recovery.Met) string {
	return map[recovery.Met]string{recovery.Holds: "Holds", recovery.Fails: "Fails", recovery.NotSeen: "Not known"}[m]
}

// restores reports that a way writes into a directory.
func restores(w recovery.Way) bool {
	return w.Name == recovery.RestoreLatest || w.Name == recovery.RestoreTo
}

// asksOf are the questions that must be answered before a way is possible.
func asksOf(c choosing) [][2]string {
	return slices.DeleteFunc(questions(), func(x [2]string) bool {
		return c.ask.Answers[x[0]] == "" && !slices.ContainsFunc(c.Ways, func(w recovery.Way) bool {
			return slices.ContainsFunc(w.Preconditions, func(p recovery.Precondition) bool { return p.Name == x[0] && p.Met == recovery.Fails })
		})
	})
}

func runTone(r incident.Recovery, now time.Time) component.Tone {
	switch r.Standing(now) {
	case incident.RecoveryRunning:
		return component.Busy
	case incident.RecoveryFailed, incident.RecoveryInterrupted:
		return component.Bad
	case incident.RecoveryOver:
		if r.Outcome == incident.RecoveryRecovered {
			return component.Good
		}
		return component.Quiet
	}
	return component.Warn
}

func runWords(r incident.Recovery, now time.Time) string {
	at := r.Standing(now)
	if at == incident.RecoveryOver {
		return title(r.Outcome)
	}
	return title(string(at))
}

func stepTone(p incident.StepProgress) component.Tone {
	switch p.State {
	case incident.StepDone:
		return component.Good
	case incident.StepFailed:
		return component.Bad
	case incident.StepRunning:
		return component.Busy
	}
	return component.Quiet
}

// stepWords is how far a step is.
func stepWords(p incident.StepProgress) string {
	switch {
	case p.State == incident.StepRunning && p.Total > 0 && p.Left > 0:
		return component.Count(p.Done*100/p.Total) + " %, " + component.Span(p.Left) + " left"
	case p.State == incident.StepRunning && p.Total > 0:
		return component.Count(p.Done*100/p.Total) + " %"
	case p.State == incident.StepDone && !p.Started.IsZero():
		return "Done in " + component.Span(p.Ended.Sub(p.Started))
	}
	return title(string(p.State))
}

// over is how much of a step is done, of 1000.
func over(p incident.StepProgress) float64 {
	if p.Total <= 0 {
		return 0
	}
	return min(float64(p.Done)/float64(p.Total), 1) * 1000
}

func checkTone(outcome string) component.Tone {
	switch outcome {
	case "passed":
		return component.Good
	case "failed":
		return component.Bad
	}
	return component.Warn
}

func verifiedTone(v incident.RecoveryVerified) component.Tone {
	switch v.Verdict {
	case "proven":
		return component.Good
	case "failed":
		return component.Bad
	}
	return component.Warn
}

// stoppable reports that a run can be taken up again, or given up.
func stoppable(r incident.Recovery, now time.Time) (again, giveUp bool) {
	switch r.Standing(now) {
	case incident.RecoveryFailed, incident.RecoveryInterrupted, incident.RecoveryReady:
		return true, true
	case incident.RecoveryUnconfirmed, incident.RecoveryByHand:
		return false, true
	}
	return false, false
}
