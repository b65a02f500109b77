package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

const actionsEvery = 30 * time.Second // checks are judged, and reminders looked for

// actionRoom carries actions through in a running server: it judges the checks
// that close and open them, reminds owners and tells teams. It looks at how things
// stand: what was cut off is done at the next look, and no word is sent twice.
type actionRoom struct {
	journal journal.Log
	roster  alert.Roster
	log     *slog.Logger
	facts   func(ctx context.Context, c action.Check, now time.Time) (action.Facts, error)
	// tell sends a word to a contact; of the same ID it is sent once.
	tell func(ctx context.Context, d *UpdateDelivery) error

	all    []Action
	last   int64
	failed bool
}

// startActions begins to look.
func (r *running) startActions(ctx context.Context, box *updateBox) {
	m := &actionRoom{journal: r.state, roster: r.o.Paging.Roster, log: r.log, facts: r.actionFacts, tell: box.put}
	ctx, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every(ctx, actionsEvery, func(ctx context.Context) { m.step(ctx, time.Now()) })
	}()
	r.later(func(context.Context) error {
		end()
		<-done
		return nil
	})
}

// step does all that is due at now; what fails is tried again at the next.
func (m *actionRoom) step(ctx context.Context, now time.Time) {
	err := m.look(ctx, now)
	if err != nil && !m.failed && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "look after action items; trying again", "error", err)
	}
	m.failed = err != nil
}

func (m *actionRoom) look(ctx context.Context, now time.Time) error {
	entries, err := m.journal.ReadScope(ctx, actionScope, m.last)
	if err != nil {
		return err
	}
	for _, e := range actionEvents(entries) {
		i := slices.IndexFunc(m.all, func(s Action) bool { return s.ID == e.Action })
		if i < 0 {
			i, m.all = len(m.all), append(m.all, Action{})
		}
		m.all[i], m.last = m.all[i].With(e), e.Seq
	}
	var errs []error
	for _, s := range m.all {
		errs = append(errs, m.check(ctx, s, now), m.remind(ctx, s, now))
	}
	return errors.Join(errs...)
}

func (m *actionRoom) act(ctx context.Context, s Action, c ActionCommand, now time.Time) error {
	if _, err := action.Decide(s, c, action.Server, now); err != nil {
		return settled(err)
	}
	_, err := actionLog{m.journal}.one(ctx, s.ID, c, action.Server, now)
	return settled(err)
}

// settled takes what was done already, or is refused since people did something
// meanwhile, for no error.
func settled(err error) error {
	if errors.Is(err, action.ErrNothing) || errors.Is(err, action.ErrRefused) {
		return nil
	}
	return err
}

func (m *actionRoom) check(ctx context.Context, s Action, now time.Time) error {
	if s.Check == nil || s.Status == action.Dropped {
		return nil
	}
	f, err := m.facts(ctx, *s.Check, now)
	if err != nil {
		return fmt.Errorf("look at the check of %s: %w", s.ID, err)
	}
	return m.act(ctx, s, action.Checked{Result: s.Check.Judge(f, s.BoundAt, now)}, now)
}

// remind tells the owner before the day; and owner and team when it is late.
func (m *actionRoom) remind(ctx context.Context, s Action, now time.Time) error {
	w, due := s.DueWords(now)
	if !due {
		return nil
	}
	to := m.reach(s, w.Late, now)
	subject := fmt.Sprintf("[%s] due on %s: %s", s.ID, w.Day, firstLine(s.Text))
	if w.Late {
		subject = fmt.Sprintf("[%s] LATE since %s: %s", s.ID, w.Day, firstLine(s.Text))
	}
	body := fmt.Sprintf("%s\n\nOwner: %s\nDue: %s\n", s.Text, cmp.Or(s.Owner, "nobody"), w.Day)
	if s.Check != nil {
		body += fmt.Sprintf("It is done when this check passes: %s\n", s.Check)
	}
	body += "Next: refloat action show " + s.ID + "\n"
	var errs []error
	for _, x := range to {
		errs = append(errs, m.tell(ctx, &UpdateDelivery{
			AlertDelivery: alert.Delivery{ID: w.Name + "." + x.Contact.ID, AlertID: s.ID, Kind: alert.Notice, Person: x.Person, Contact: x.Contact, State: alert.Waiting, CreatedAt: now, NotBefore: now},
			Incident:      s.ID, Audience: incident.Responders, Subject: subject, Text: body, Notice: true,
		}))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	told := "nobody can be reached"
	if len(to) > 0 {
		told = cmp.Or(s.Owner, s.Team)
	}
	return m.act(ctx, s, action.Remind{Reminded: action.Reminded{Due: w.Day, To: told}, Late: w.Late}, now)
}

// reach is who is told: the owner; of a late action the team too, and whoever is
// there when neither can be reached.
func (m *actionRoom) reach(s Action, late bool, now time.Time) []alert.Reached {
	step := alert.Step{}
	if _, known := m.roster.People[s.Owner]; known {
		step.Page = append(step.Page, alert.Ref("person:"+s.Owner))
	}
	if _, known := m.roster.Teams[s.Team]; known && (late || len(step.Page) == 0) {
		step.Page = append(step.Page, alert.Ref("team:"+s.Team))
	}
	if len(step.Page) == 0 && len(m.roster.People) > 0 {
		step = m.roster.DefaultPolicy("").Steps[0]
	}
	return m.roster.Reach(step, now)
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' || i > 100 {
			return s[:i] + "…"
		}
	}
	return s
}

// actionFacts is what a running server knows for a check.
func (r *running) actionFacts(ctx context.Context, c action.Check, now time.Time) (action.Facts, error) {
	switch c.Kind {
	case action.CheckRule:
		f, err := ruleFact(ctx, r.state, c)
		return action.Facts{Rule: f}, err
	case action.CheckDrill, action.CheckProbe:
		w := r.watchOf(target.ID(c.Target))
		if w == nil {
			return action.Facts{Probe: &action.ProbeFact{At: now, State: "unknown", Why: "it is not in the configuration"}, Drill: &action.DrillFact{Verdict: "unknown", Summary: c.Target + " is not in the configuration", At: now}}, nil
		}
		report := status.Evaluate(w.live(now), now)
		out := action.Facts{}
		if p := report.Proof; p != nil {
			out.Drill = &action.DrillFact{ID: p.ID, Verdict: string(p.Verdict), Summary: p.Summary, At: p.EndedAt, Stale: report.Stale}
		} else if slices.ContainsFunc(report.Unread, func(u status.Unread) bool { return u.What == status.UnreadProof }) {
			return out, errors.New("the last proof of " + c.Target + " cannot be read now")
		}
		if report.Watch != nil {
			out.Probe = &action.ProbeFact{At: report.Watch.At, State: report.Watch.State, Why: report.Watch.Reason}
		}
		return out, nil
	case action.CheckPage:
		return action.Facts{Page: r.pager.lastTest(c.Person)}, nil
	}
	return action.Facts{}, nil
}

// ruleFact is what the last audit of a target said of a rule; nil without one.
func ruleFact(ctx context.Context, s status.Memory, c action.Check) (*action.RuleFact, error) {
	var last auditRecord
	at, err := s.Kept(ctx, target.ID(c.Target), status.FactAudit, &last)
	if errors.Is(err, status.ErrNothing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := &action.RuleFact{At: at}
	for _, x := range last.Report.Results {
		if x.Rule == c.Rule {
			f.Outcome, f.Evidence = string(x.Outcome), x.Why
		}
	}
	for _, x := range last.Report.Findings {
		if x.Rule == c.Rule { // also one that somebody accepted: it is there all the same
			f.Outcome, f.Evidence = string(audit.Found), x.Evidence
		}
	}
	return f, nil
}

// lastTest is the last test page to any contact of a person; nil when there was
// none.
func (p *pager) lastTest(person string) *action.PageFact {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out *action.PageFact
	for _, c := range p.channels {
		if c.Person != person || c.Tested.IsZero() || out != nil && c.Tested.Before(out.Sent) {
			continue
		}
		out = &action.PageFact{Sent: c.Tested}
		if !c.Answered.Before(c.Tested) {
			out.Acknowledged = c.Answered
		}
	}
	return out
}
