package web

import (
	"cmp"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// boardView is what the board shows.
type boardView struct {
	server.Board
	lead    lead
	rows    []server.TargetRow // that match
	counts  map[component.Tone]int
	teams   []string
	query   boardQuery
	filter  bool // whether there are so many targets that choosing among them helps
	respond func(team string) bool
}

// boardQuery chooses among targets.
type boardQuery struct {
	words string
	team  string
	state string // bad, warn or good; empty for all
}

func (q boardQuery) any() bool { return q != boardQuery{} }

// lead is the one thing that the board says first.
type lead struct {
	tone  component.Tone
	title string
	text  string
	row   *server.TargetRow // that it is about
	next  string
}

// crowd is how many targets fit on a screen or two.
const crowd = 12

func (s *Site) board(q asked) (view, error) {
	b, err := s.desk.Board(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	form := q.URL.Query()
	v := boardView{Board: b, query: boardQuery{strings.TrimSpace(form.Get("q")), form.Get("team"), form.Get("state")}, counts: map[component.Tone]int{}, filter: len(b.Targets) > crowd,
		respond: func(team string) bool { return q.who.Has(access.Respond, team) }}
	for _, t := range b.Targets {
		v.counts[toneOf(t.Report)]++
		if t.Team != "" && !slices.Contains(v.teams, t.Team) {
			v.teams = append(v.teams, t.Team)
		}
		if v.query.takes(t) {
			v.rows = append(v.rows, t)
		}
	}
	slices.Sort(v.teams)
	v.lead = leadOf(b, v.counts)
	return view{title: "Board", here: "/", seq: b.Seq, board: &b, body: boardPage(v)}, nil
}

func (q boardQuery) takes(t server.TargetRow) bool {
	if q.team != "" && t.Team != q.team || q.state != "" && string(toneOf(t.Report)) != q.state {
		return false
	}
	for w := range strings.FieldsSeq(strings.ToLower(q.words)) {
		if !strings.Contains(strings.ToLower(shown(t)+" "+string(t.Target)+" "+t.Team+" "+t.Tier), w) {
			return false
		}
	}
	return true
}

// leadOf is what needs doing first: an incident before an alert that nobody took,
// before the target that stands worst. The board shows incidents and alerts by
// themselves, so that the lead is then empty.
func leadOf(b server.Board, counts map[component.Tone]int) lead {
	if len(b.Incidents)+len(b.Alerts) > 0 || len(b.Targets) == 0 {
		return lead{}
	}
	if counts[component.Good] == len(b.Targets) {
		return allProven(b)
	}
	i := slices.IndexFunc(b.Targets, func(t server.TargetRow) bool { return toneOf(t.Report) == component.Bad })
	if i < 0 {
		i = slices.IndexFunc(b.Targets, func(t server.TargetRow) bool { return toneOf(t.Report) != component.Good })
	}
	t := b.Targets[i]
	l := lead{tone: toneOf(t.Report), title: shown(t) + ": " + t.Headline, row: &b.Targets[i]}
	if p := worstFirst(t.Report); len(p) > 0 {
		l.text, l.next = sentenceOf(p[0].Detail), p[0].Next
	}
	return l
}

func allProven(b server.Board) lead {
	oldest := b.Targets[0]
	for _, t := range b.Targets {
		if t.AnswerAge != nil && (oldest.AnswerAge == nil || *t.AnswerAge > *oldest.AnswerAge) {
			oldest = t
		}
	}
	l := lead{tone: component.Good, title: "All " + component.Plural(len(b.Targets), "target is", "targets are") + " proven to be recoverable"}
	if len(b.Targets) == 1 {
		l.title = shown(b.Targets[0]) + " is proven to be recoverable"
	}
	if oldest.AnswerAge != nil {
		l.text = "Each was restored from its backups and checked. The oldest proof is " + component.Span(*oldest.AnswerAge) + " old. There is nothing to do."
	}
	return l
}

// boardLink is the board with another choice of state.
func boardLink(q boardQuery, state string) string {
	return link("/", "q", q.words, "team", q.team, "state", state)
}

// teamLine is who a target belongs to, in a few words.
func teamLine(t server.TargetRow) string {
	var parts []string
	for _, p := range []string{t.Team, cmp.Or(t.Tier, "")} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " · ")
}
