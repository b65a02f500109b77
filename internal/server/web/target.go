package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/chart"
	"github.com/refloat-db/refloat/internal/server/web/component"
	"github.com/refloat-db/refloat/internal/status"
)

// targetPage is what the page of a target shows.
type targetPage struct {
	server.TargetView
	now      time.Time
	respond  bool // whether who looks may ask for work
	window   window
	history  history
	lag      lagChart
	promises []promise
	runbook  templ.Component
}

// promise is one objective, held against what was measured.
type promise struct {
	name     string
	about    string
	promised time.Duration
	measured *time.Duration
	from     string
	tone     component.Tone
	words    string
	used     float64 // of what was promised, in percent; at most 100
}

func (s *Site) target(q asked) (view, error) {
	v, err := s.desk.Target(q.Context(), q.who, q.PathValue("name"))
	if err != nil {
		return view{}, err
	}
	p := targetPage{TargetView: v, now: q.now, respond: q.who.Has(access.Respond, v.Team), window: windowOf(q.URL.Query().Get("span"), v, q.now), lag: lagOf(v), promises: promisesOf(v.Report)}
	p.history = historyOf(v, p.window, q.now)
	if v.Runbook != "" {
		if p.runbook, err = markdown(v.Runbook); err != nil {
			return view{}, err
		}
	}
	return view{title: shown(v.TargetRow), here: "/", body: targetBody(p)}, nil
}

// askWork asks for work on a target.
func (s *Site) askWork(q asked) (string, error) {
	name, work := q.PathValue("name"), q.PostFormValue("work")
	if !slices.Contains([]string{"backup", "drill", "check"}, work) {
		return "", wrong{422, "Not done", "There is no work of that name.", "Go back and use one of the buttons."}
	}
	fresh, err := s.desk.Ask(q.Context(), q.who, name, work)
	if err != nil {
		return "", err
	}
	code := "asked-" + work
	if !fresh {
		code = "asked-already"
	}
	return withDone(targetPath(name), code), nil
}

// promisesOf holds what was promised against what was measured, also where nothing
// was.
func promisesOf(r status.Report) []promise {
	about := map[string]string{
		"data loss":     "how much work may be gone after a restore",
		"data loss now": "what would be gone if the server were lost this moment",
		"resolution":    "how long until it serves again",
		"detection":     "how long until an outage is noticed",
		"proof age":     "how old the last proof may be",
	}
	var out []promise
	seen := map[string]bool{}
	for _, m := range r.Measurements {
		p := promise{name: m.Name, about: about[m.Name], promised: m.Promised, measured: m.Measured, from: m.From, tone: component.Good, words: "Kept"}
		seen[m.Name] = true
		switch {
		case m.Measured == nil:
			p.tone, p.words = component.Warn, "Not measured"
		case !m.Met:
			p.tone, p.words = component.Bad, "Not kept"
		}
		if m.Measured != nil && m.Promised > 0 {
			p.used = min(100, 100*float64(*m.Measured)/float64(m.Promised))
		}
		out = append(out, p)
	}
	for _, x := range []struct {
		name string
		d    time.Duration
		why  string
	}{
		{"data loss", r.Objectives.DataLoss, "no drill measured it"}, {"resolution", r.Objectives.Resolution, "no drill measured it"},
		{"detection", r.Objectives.Detection, "no outage in the last 30 days"}, {"proof age", r.Objectives.ProofAge, "there is no proof"},
	} {
		if x.d > 0 && !seen[x.name] {
			p := promise{name: x.name, about: about[x.name], promised: x.d, from: x.why, tone: component.Warn, words: "Not measured"}
			if x.name == "detection" {
				p.tone = component.Quiet // there was nothing to notice
			}
			out = append(out, p)
		}
	}
	return out
}

// missing says why a part could not be read; empty when it could.
func (p targetPage) missing(part string) string { return p.Missing[part] }

// longestDrill is what the bars of drills are drawn against.
func longestDrill(all []proof.Proof) time.Duration {
	var out time.Duration
	for _, p := range all {
		out = max(out, whole(p))
	}
	return out
}

func whole(p proof.Proof) (sum time.Duration) {
	for _, x := range p.Phases {
		sum += x.Took
	}
	return sum
}

// phaseParts lays a drill's phases side by side; a drill as long as longest fills
// the whole width.
func phaseParts(p proof.Proof, longest time.Duration) []chart.Part {
	sizes := make([]float64, len(p.Phases))
	for i, x := range p.Phases {
		sizes[i] = float64(x.Took)
	}
	if longest <= 0 {
		return chart.Stack(sizes, 100)
	}
	return chart.Stack(sizes, 100*float64(whole(p))/float64(longest))
}

// phaseClass gives each phase its shade.
func phaseClass(name string) string {
	if slices.Contains(phaseNames(), name) {
		return "phase phase-" + name
	}
	return "phase phase-other"
}

func phaseNames() []string { return []string{"plan", "restore", "recover", "check", "clean"} }

func phaseWords(name string) string {
	return cmp.Or(map[string]string{
		"plan": "asks production and plans", "restore": "writes the files back", "recover": "replays the log until the copy serves", "check": "asks the copy", "clean": "removes the copy",
	}[name], "")
}

func sortedLag(all []server.LagPoint) []server.LagPoint {
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b server.LagPoint) int { return cmp.Compare(a.Lag, b.Lag) })
	return out
}

// openFindings are those that nobody accepted.
func openFindings(r *audit.Report) []audit.Finding {
	if r == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f audit.Finding) bool { return f.Suppressed != nil })
}

func findingTone(s audit.Severity) component.Tone {
	switch {
	case s >= audit.High:
		return component.Bad
	case s >= audit.Low:
		return component.Warn
	}
	return component.Quiet
}

// workWords names scheduled work.
func workWords(kind string) string {
	return cmp.Or(map[string]string{"backup": "Base backup", "drill": "Drill", "retention": "Removal of old backups", "maintenance": "Maintenance of the repository", "verify": "Verification of the repository", "check": "Audit"}[kind], capital(kind))
}

// partOf is a piece of a bar.
type partOf = chart.Part

func percent(f float64) string { return chart.Percent(f) }

// anchor keeps words at the ends of an axis within it.
func anchor(x float64) string {
	switch {
	case x < 4:
		return "start"
	case x > 96:
		return "end"
	}
	return "middle"
}

func phasesSaid(p proof.Proof) string {
	var parts []string
	for _, x := range p.Phases {
		parts = append(parts, x.Name+" "+status.Age(x.Took))
	}
	return strings.Join(parts, ", ")
}

func lagSaid(c lagChart) string {
	s := "The stored log was at most " + status.Age(c.highest.Lag) + " behind, and is " + status.Age(c.newest.Lag) + " behind now"
	if c.promise > 0 {
		s += "; " + status.Age(c.promise) + " are promised"
	}
	return s + "."
}

func targetParts() []entry {
	return []entry{{"history", "Coverage"}, {"lag", "Log"}, {"drills", "Drills"}, {"backups", "Backups"}, {"findings", "Findings"}, {"promises", "Promises"}, {"outages", "Outages"}, {"runbook", "Runbook"}}
}

func proofPath(id string) string { return "/proofs/" + escapePath(id) }

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func teamWords(team string) string {
	if team == "" {
		return ""
	}
	return "team " + team
}

func tierWords(tier string) string {
	if tier == "" {
		return ""
	}
	return "tier " + tier
}
