package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/postmortem/review"
)

const reviewsEvery = time.Minute // reminders are looked for

// reviewRoom reminds those who are to review a report. It looks at how things
// stand: what was cut off is done at the next look, and no word is sent twice.
type reviewRoom struct {
	journal journal.Log
	roster  alert.Roster
	log     *slog.Logger
	// tell sends a word to a contact; of the same ID it is sent once.
	tell func(ctx context.Context, d *UpdateDelivery) error

	failed bool
}

// startReviews begins to look.
func (r *running) startReviews(ctx context.Context, box *updateBox) {
	m := &reviewRoom{journal: r.state, roster: r.o.Paging.Roster, log: r.log, tell: box.put}
	ctx, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every(ctx, reviewsEvery, func(ctx context.Context) { m.step(ctx, time.Now()) })
	}()
	r.later(func(context.Context) error {
		end()
		<-done
		return nil
	})
}

// step does all that is due at now; what fails is tried again at the next.
func (m *reviewRoom) step(ctx context.Context, now time.Time) {
	err := m.look(ctx, now)
	if err != nil && !m.failed && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "look after reviews of postmortems; trying again", "error", err)
	}
	m.failed = err != nil
}

func (m *reviewRoom) look(ctx context.Context, now time.Time) error {
	entries, err := m.journal.ReadScope(ctx, reviewScope, 0)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range review.Fold(reviewEvents(entries)) {
		if w, due := s.DueWord(now); due {
			errs = append(errs, m.remind(ctx, s, w, now))
		}
	}
	return errors.Join(errs...)
}

// remind tells those who have not answered; of a late review who submitted it, too.
func (m *reviewRoom) remind(ctx context.Context, s ReportReview, w review.Word, now time.Time) error {
	names := slices.Clone(w.To)
	if w.Late && !slices.Contains(names, s.SubmittedBy) {
		names = append(names, s.SubmittedBy)
	}
	step, told := alert.Step{}, []string{}
	for _, n := range names {
		if _, known := m.roster.People[n]; known {
			step.Page, told = append(step.Page, alert.Ref("person:"+n)), append(told, n)
		}
	}
	subject := fmt.Sprintf("[%s] the review of the postmortem is due on %s", s.Incident, w.Due)
	if w.Late {
		subject = fmt.Sprintf("[%s] the review of the postmortem is LATE since %s", s.Incident, w.Due)
	}
	body := fmt.Sprintf("%s was submitted by %s.\nNot answered yet: %s\nOpen comments: %d\nNext: refloat postmortem list %s\n", s.Submitted.File, s.SubmittedBy, strings.Join(w.To, ", "), len(s.OpenComments()), s.Incident)
	var errs []error
	if len(step.Page) > 0 {
		for _, x := range m.roster.Reach(step, now) {
			errs = append(errs, m.tell(ctx, &UpdateDelivery{
				AlertDelivery: alert.Delivery{ID: w.Name + "." + x.Contact.ID, AlertID: s.Incident, Kind: alert.Notice, Person: x.Person, Contact: x.Contact, State: alert.Waiting, CreatedAt: now, NotBefore: now},
				Incident:      s.Incident, Audience: incident.Responders, Subject: subject, Text: body, Notice: true,
			}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := actOnReview(ctx, m.journal, s.Incident, review.Remind{Reminded: review.Reminded{Due: w.Due, To: told}, Late: w.Late}, review.Server, now)
	if errors.Is(err, review.ErrNothing) {
		return nil
	}
	return err
}
