package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/postmortem"
	"github.com/refloat-db/refloat/internal/postmortem/review"
)

// What the review of reports speaks of.
type (
	ReportReview  = review.State
	ReviewCommand = review.Command
	ReportDropped = postmortem.Dropped
)

// The statuses of a review.
const (
	ReviewDraft    = review.Draft
	ReviewAccepted = review.Accepted
)

// reviewScope is what the subjects of all reviews begin with.
const reviewScope = "postmortem/"

func reviewEvents(entries []journal.Entry) []review.Event {
	var out []review.Event
	for _, e := range entries {
		if id, is := strings.CutPrefix(e.Subject, reviewScope); is {
			out = append(out, review.Event{Incident: id, Seq: e.Seq, Time: e.Time, Actor: e.Actor, Kind: e.Kind, Body: e.Body})
		}
	}
	return out
}

// actOnReview decides a command against a review as it stands and keeps the events;
// when something is added meanwhile it looks and decides again.
func actOnReview(ctx context.Context, j journal.Log, id string, c ReviewCommand, by string, now time.Time) (ReportReview, error) {
	for {
		entries, err := j.ReadScope(ctx, reviewScope+id, 0)
		if err != nil {
			return ReportReview{}, err
		}
		s := review.New(id)
		for _, e := range reviewEvents(entries) {
			s = s.With(e)
		}
		fresh, err := review.Decide(s, c, by, now)
		if err != nil {
			return s, err
		}
		in := make([]journal.Event, len(fresh))
		for i, e := range fresh {
			in[i] = journal.Event{Time: e.Time, Actor: e.Actor, Subject: reviewScope + id, Kind: e.Kind, Body: e.Body}
		}
		kept, err := j.AppendAfter(ctx, reviewScope+id, s.Last, in...)
		if errors.Is(err, journal.ErrMoved) {
			continue
		}
		if err != nil {
			return s, err
		}
		for _, e := range reviewEvents(kept) {
			s = s.With(e)
		}
		return s, nil
	}
}

// reviewed is the text of a report as it lies in its file.
type reviewed struct {
	report *postmortem.Report
	lines  []string
	sha    string
	errors int // that the lint finds
}

func readReviewed(name string) (reviewed, error) {
	if name == "-" {
		return reviewed{}, fmt.Errorf("%w: a report in review is a file: it is looked at again", ErrUsage)
	}
	r, err := readReport(name, nil)
	if err != nil {
		return reviewed{}, err
	}
	text := r.Bytes()
	sum := sha256.Sum256(text)
	out := reviewed{report: r, sha: hex.EncodeToString(sum[:])}
	for l := range bytes.Lines(text) {
		out.lines = append(out.lines, strings.TrimRight(string(l), "\r\n"))
	}
	for _, f := range postmortem.Lint(r) {
		if f.Severity == postmortem.Error && f.Suppressed == nil {
			out.errors++
		}
	}
	return out, nil
}

// review does one thing in the review of an incident's report.
func (a *App) review(ctx context.Context, name, by string, make func(s ReportReview) (ReviewCommand, error)) (out ReportReview, err error) {
	by, err = actor(by)
	if err != nil {
		return out, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := loadIncident(ctx, s, name)
	if err != nil {
		return out, err
	}
	now, err := reviewOf(ctx, s, x.ID)
	if err != nil {
		return out, err
	}
	c, err := make(now)
	if err != nil {
		return out, err
	}
	return actOnReview(ctx, s, x.ID, c, by, time.Now())
}

func reviewOf(ctx context.Context, j journal.Log, id string) (ReportReview, error) {
	entries, err := j.ReadScope(ctx, reviewScope+id, 0)
	s := review.New(id)
	for _, e := range reviewEvents(entries) {
		s = s.With(e)
	}
	return s, err
}

// SubmitReport gives a report's text to reviewers, until a day.
func (a *App) SubmitReport(ctx context.Context, name, file string, reviewers []string, due, by string) (ReportReview, error) {
	for _, r := range reviewers {
		if err := a.knownPerson(r); err != nil {
			return ReportReview{}, err
		}
	}
	t, err := readReviewed(file)
	if err != nil {
		return ReportReview{}, err
	}
	return a.review(ctx, name, by, func(ReportReview) (ReviewCommand, error) {
		return review.Submit{Submitted: review.Submitted{File: file, SHA256: t.sha, Lines: len(t.lines), Errors: t.errors, Reviewers: reviewers, Due: due}}, nil
	})
}

// CommentReport says something of a line of the text in review. file is where it
// lies; none is where it lay when it was submitted.
func (a *App) CommentReport(ctx context.Context, name, file string, line int, text, by string) (ReportReview, error) {
	return a.review(ctx, name, by, func(s ReportReview) (ReviewCommand, error) {
		if s.Status == review.Draft {
			return review.Say{Line: line, Text: text}, nil // it is refused, with what to do
		}
		if file == "" {
			file = s.Submitted.File
		}
		t, err := readReviewed(file)
		if err != nil {
			return nil, err
		}
		c := review.Say{Line: line, Text: text, SHA256: t.sha}
		if line >= 1 && line <= len(t.lines) {
			c.Quote = t.lines[line-1]
		}
		return c, nil
	})
}

// CloseReportComment says that a comment is answered.
func (a *App) CloseReportComment(ctx context.Context, name, id, result, by string) (ReportReview, error) {
	return a.review(ctx, name, by, func(ReportReview) (ReviewCommand, error) { return review.Answer{ID: id, Result: result}, nil })
}

// AcceptReport says that a reviewer finds the text good.
func (a *App) AcceptReport(ctx context.Context, name, file, by string) (ReportReview, error) {
	return a.review(ctx, name, by, func(s ReportReview) (ReviewCommand, error) {
		if s.Status == review.Draft {
			return review.Accept{}, nil // it is refused, with what to do
		}
		if file == "" {
			file = s.Submitted.File
		}
		t, err := readReviewed(file)
		if err != nil {
			return nil, err
		}
		return review.Accept{SHA256: t.sha, Errors: t.errors}, nil
	})
}

// PublishedReport is what clients are given, and what they are not.
type PublishedReport struct {
	Review  ReportReview    `json:"review"`
	Dropped []ReportDropped `json:"dropped"`
	Content []byte          `json:"-"`
}

// PublishReport makes the version for clients of the accepted text, writes it into a
// file and writes that down. With preview it only makes it.
func (a *App) PublishReport(ctx context.Context, name, file, into string, format ReportFormat, preview bool, by string) (out PublishedReport, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return out, err
	}
	f, err := a.reportFacts(ctx, s, incidentID(name))
	if err == nil {
		out.Review, err = reviewOf(ctx, s, f.Incident.ID)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return out, err
	}
	if file == "" {
		file = out.Review.Submitted.File
	}
	if file == "" {
		return out, fmt.Errorf("%w: the report of %s is a draft: submit it and let it be accepted first", review.ErrRefused, f.Incident.ID)
	}
	t, err := readReviewed(file)
	if err != nil {
		return out, err
	}
	d, dropped := postmortem.ForClients(t.report.Document(), f, a.cfg.Incidents.Rules.Names)
	out.Dropped = append([]ReportDropped{}, dropped...)
	if out.Content, err = RenderReport(d, format, "", ""); err != nil || preview {
		return out, err
	}
	sum := sha256.Sum256(out.Content)
	c := review.Publish{Published: review.Published{Accepted: t.sha, SHA256: hex.EncodeToString(sum[:]), File: into, Dropped: len(dropped)}}
	if _, err := review.Decide(out.Review, c, "whoever", time.Now()); err != nil { // before a file is written
		return out, err
	}
	if there, rerr := os.ReadFile(into); rerr != nil || !bytes.Equal(there, out.Content) { // one that was cut off is gone on with
		if err := WriteReport(into, out.Content); err != nil {
			return out, err
		}
	}
	out.Review, err = a.review(ctx, name, by, func(ReportReview) (ReviewCommand, error) { return c, nil })
	return out, err
}

// ReviewView is a review with the incident that it is about.
type ReviewView struct {
	ReportReview
	Title    string    `json:"title"`
	Severity string    `json:"severity"`
	Resolved time.Time `json:"resolved,omitzero"`
}

// Reviews lists the reports of incidents: those that are not accepted, or all. An
// incident that was resolved and of which nothing was submitted has a draft.
func (a *App) Reviews(ctx context.Context, all bool) (out []ReviewView, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	events, err := incidentLog{s}.Events(ctx, "")
	if err != nil {
		return nil, err
	}
	entries, err := s.ReadScope(ctx, reviewScope, 0)
	if err != nil {
		return nil, err
	}
	known := review.Fold(reviewEvents(entries))
	out = []ReviewView{}
	for _, x := range slices.Backward(incident.FoldAll(events)) {
		v := ReviewView{ReportReview: review.New(x.ID), Title: x.Title, Severity: string(x.Severity), Resolved: x.Resolved}
		i := slices.IndexFunc(known, func(r ReportReview) bool { return r.Incident == x.ID })
		if i >= 0 {
			v.ReportReview = known[i]
		}
		if x.MergedInto == "" && (all || v.Status == review.InReview || v.Status == review.Draft && !x.Resolved.IsZero()) {
			out = append(out, v)
		}
	}
	return out, nil
}

// Review shows the review of one incident's report.
func (a *App) Review(ctx context.Context, name string) (ReviewView, error) {
	all, err := a.Reviews(ctx, true)
	if err != nil {
		return ReviewView{}, err
	}
	i := slices.IndexFunc(all, func(v ReviewView) bool { return v.Incident == incidentID(name) })
	if i < 0 {
		return ReviewView{}, fmt.Errorf("%w: %s", incident.ErrNone, name)
	}
	return all[i], nil
}
