package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	requestsEvery = 250 * time.Millisecond // what the command line asks is looked for
	coverEvery    = time.Minute            // on-call cover is looked at
	problemsEvery = 15 * time.Second       // how targets stand is turned into signals
	statusFails   = 4                      // times in a row that it could not be, and that is an alert
	problemGrace  = 10 * time.Minute       // a standing that just began may pass, as after an installation
)

// startPaging starts the pager with what is open, and what feeds it.
func (r *running) startPaging(ctx context.Context) error {
	o := r.o.Paging
	o.Logger, o.Trace = r.log, r.o.Trace
	if o.Sender == nil {
		o.Sender = noSender{}
	}
	var err error
	if r.doors, err = r.newDoors(ctx); err != nil {
		return err
	}
	o.AckURL = r.doors.link
	if r.o.Replies.Address != "" {
		o.ReplyTo = r.replyTo
	}
	r.peers = newPeers(r)
	// The journal is written apart: a store that hangs holds up neither a page nor
	// the next outage.
	r.notes = newLine()
	r.pager = newPager(o, r.state, func(ctx context.Context, subject, kind string, body any) {
		r.notes.add(func(ctx context.Context) { r.record(ctx, subject, kind, body) })
	})
	if err := r.pager.load(ctx); err != nil {
		return err
	}
	r.endRemoved(ctx)
	ctx, end := context.WithCancel(ctx)
	r.answerRequests(ctx) // before anybody is paged: what they ask may be not to
	noting, noted := context.WithCancel(context.WithoutCancel(ctx))
	var notes sync.WaitGroup
	notes.Go(func() { r.notes.run(noting) })
	r.later(func(context.Context) error {
		noted()
		notes.Wait()
		return nil
	})
	var parts sync.WaitGroup
	parts.Go(func() { r.pager.run(ctx) })
	parts.Go(func() { r.takeRequests(ctx) })
	parts.Go(func() { r.watchCover(ctx) })
	parts.Go(func() { r.pager.watchChannels(ctx) })
	parts.Go(func() { r.tellWatchdogs(ctx) })
	parts.Go(func() { r.peers.watch(ctx) })
	parts.Go(func() { r.doors.watchExpected(ctx) })
	r.later(func(context.Context) error {
		end()
		parts.Wait()
		return nil
	})
	return nil
}

// endRemoved ends alerts about nodes, watchdogs and places of the status page that are no longer in the
// configuration: nobody would.
func (r *running) endRemoved(ctx context.Context) {
	known := map[string]bool{}
	for _, x := range r.o.Peers {
		known["peer/"+x.Name] = true
	}
	for _, x := range r.o.Watchdogs {
		known["watchdog/"+x.Name] = true
	}
	for _, key := range r.o.StatusPage.alertKeys() {
		known[key] = true
	}
	r.pager.mu.Lock()
	var over []alert.Signal
	for _, a := range r.pager.alerts {
		s := a.Signal
		if a.State == alert.Firing && s.Source == "refloat" && (s.Code == "peer" || s.Code == "watchdog" || strings.HasPrefix(s.Code, "status-page")) && !known[s.Key] {
			s.Firing, s.At = false, time.Now()
			over = append(over, s)
		}
	}
	r.pager.mu.Unlock()
	for _, s := range over {
		r.pager.Signal(ctx, s)
	}
}

// watchCover tells of gaps in on-call cover before they begin, and that there is
// nobody to page.
func (r *running) watchCover(ctx context.Context) {
	every(ctx, coverEvery, func(ctx context.Context) {
		for _, s := range r.pager.o.Roster.Cover(time.Now()) {
			r.pager.Signal(ctx, s)
		}
	})
}

// noSender is for a server without people: it is never asked.
type noSender struct{}

func (noSender) Send(context.Context, alert.Message) (alert.Receipt, error) {
	return alert.Receipt{}, fmt.Errorf("%w: nobody is configured", alert.ErrRefused)
}

// alarmSignal is an alarm as a signal.
func alarmSignal(id target.ID, a status.Alarm) alert.Signal {
	severity := alert.Medium
	switch {
	case a.Code == status.AlarmOutage:
		severity = alert.Critical
	case status.Grave(a.Code):
		severity = alert.High
	}
	return alert.Signal{
		Key: signalKey(a.Code, id, a.Key), At: a.Raised, Firing: true, Code: a.Code, Target: string(id), Source: "server", Severity: severity,
		Summary: string(id) + ": " + a.Detail, Next: a.Next,
	}
}

func signalKey(code string, id target.ID, key string) string {
	out := code + "/" + string(id)
	if key != "" {
		out += "/" + key
	}
	return out
}

// End ends the open alerts of a code of a target; key is "*" for all.
func (p *pager) End(ctx context.Context, id target.ID, code, key string, at time.Time) {
	p.mu.Lock()
	var over []alert.Signal
	for _, a := range p.alerts {
		s := a.Signal
		if a.State == alert.Firing && s.Target == string(id) && s.Code == code && (key == "*" || s.Key == signalKey(code, id, key)) {
			s.Firing, s.At = false, at
			over = append(over, s)
		}
	}
	p.mu.Unlock()
	for _, s := range over {
		p.Signal(ctx, s)
	}
}

// watchProblems turns how targets stand into signals: stale proofs, objectives
// that are missed, whatever status shows and no alarm tells.
func (r *running) watchProblems(ctx context.Context) {
	since := map[string]time.Time{}
	fails := 0
	every(ctx, problemsEvery, func(ctx context.Context) {
		r.watchBlind(ctx)
		reports, err := r.status(ctx)
		now := time.Now()
		if err == nil {
			fails = 0
		} else {
			fails++
			r.log.ErrorContext(ctx, "gather status for alerts", "error", err)
		}
		s := alert.Signal{Key: "status-unknown", Code: "status-unknown", Source: "refloat", At: now, Firing: fails >= statusFails, Severity: alert.High,
			Summary: "Refloat cannot gather how its targets stand: stale proofs and missed objectives are not noticed", Next: "look at refloat server's log and its state directory"}
		if err != nil {
			s.Detail = err.Error()
		}
		r.pager.Signal(ctx, s)
		for _, rep := range reports {
			if w := r.watchOf(rep.Target); w == nil || !w.read() {
				continue // what is not known yet neither holds nor has ended
			}
			for _, s := range problemSignals(rep, since, now) {
				r.pager.Signal(ctx, s)
			}
			r.endProblems(ctx, rep, now)
		}
	})
}

// watchBlind tells of targets at which nobody has looked for a while, whatever
// the reason: that nothing bad is seen there says nothing.
func (r *running) watchBlind(ctx context.Context) {
	for _, w := range r.targets {
		if w.seen == nil {
			continue
		}
		if s := w.seen.Standing(time.Now()); s.Blind != "" {
			w.raise(ctx, status.Alarm{Code: status.AlarmBlind, Detail: "nobody can tell whether it serves: " + s.Blind, Next: "see that refloat server has the processor and the file descriptors that it needs"})
		} else {
			w.clear(ctx, status.AlarmBlind, "*")
			w.mu.Lock()
			here := w.elsewhere != ""
			w.mu.Unlock()
			if !here && s.State == monitor.Up { // the server before this one may have raised it
				w.clear(ctx, status.AlarmNetwork, "*")
			}
		}
	}
}

// read reports that the repository has been looked at since the start.
func (w *watch) read() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.repoRead
}

// problemSignals are the problems of a report that have held for a while and
// that no alarm tells of. since is when each was first seen; it is kept up.
func problemSignals(rep status.Report, since map[string]time.Time, now time.Time) []alert.Signal {
	var out []alert.Signal
	here := map[string]bool{}
	for _, x := range rep.Problems {
		key := signalKey(x.Code, rep.Target, "")
		if isAlarm(rep, x.Code) || here[key] {
			continue
		}
		here[key] = true
		if since[key].IsZero() {
			since[key] = now
		}
		if now.Sub(since[key]) < problemGrace {
			continue
		}
		severity := alert.Medium
		if x.Severity == status.Critical && x.Code != "never-proven" {
			severity = alert.High
		}
		out = append(out, alert.Signal{
			Key: key, At: since[key], Firing: true, Code: x.Code, Target: string(rep.Target), Source: sourceStatus,
			Severity: severity, Summary: string(rep.Target) + ": " + x.Detail, Next: x.Next,
		})
	}
	for key := range since {
		if strings.HasSuffix(key, "/"+string(rep.Target)) && !here[key] {
			delete(since, key)
		}
	}
	return out
}

const sourceStatus = "status"

func isAlarm(rep status.Report, code string) bool {
	return slices.ContainsFunc(rep.Alarms, func(a status.Alarm) bool { return a.Code == code })
}

// endProblems ends the alerts of problems that are no more.
func (r *running) endProblems(ctx context.Context, rep status.Report, now time.Time) {
	r.pager.mu.Lock()
	var over []alert.Signal
	for _, a := range r.pager.alerts {
		s := a.Signal
		holds := slices.ContainsFunc(rep.Problems, func(x status.Problem) bool { return x.Code == s.Code })
		if a.State == alert.Firing && s.Source == sourceStatus && s.Target == string(rep.Target) && !holds {
			s.Firing, s.At = false, now
			over = append(over, s)
		}
	}
	r.pager.mu.Unlock()
	for _, s := range over {
		r.pager.Signal(ctx, s)
	}
}

// takeRequests does what the command line asked for.
func (r *running) takeRequests(ctx context.Context) {
	every(ctx, requestsEvery, r.answerRequests)
}

func (r *running) answerRequests(ctx context.Context) {
	all, err := r.state.OpenRecords(ctx, alert.KindRequest)
	if err != nil {
		if !r.requestsFail && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "read what the command line asks; trying again", "error", err)
		}
		r.requestsFail = true
		return
	}
	r.requestsFail = false
	for _, rec := range all {
		var q alert.Request
		if err := rec.Read(&q); err != nil {
			q = alert.Request{ID: rec.ID}
		}
		answer, err := r.do(ctx, q)
		q.Done, q.Answer, q.Failed = time.Now(), answer, err != nil
		if err != nil {
			q.Answer = err.Error()
		}
		done, err := alert.NewRecord(alert.KindRequest, rec.ID, "", false, rec.At, q)
		if err == nil {
			err = r.state.Save(ctx, done)
		}
		if err != nil {
			r.log.ErrorContext(ctx, "answer a request", "request", rec.ID, "error", err)
		}
	}
}

// do does one request. Doing it twice does no harm.
func (r *running) do(ctx context.Context, q alert.Request) (string, error) {
	switch q.What {
	case alert.RequestAcknowledge:
		a, err := r.pager.Acknowledge(ctx, q.Alert, q.By, q.At)
		if open, is := r.pager.openAlert(q.Key); errors.Is(err, errNoAlert) && q.Key != "" && is {
			a, err = r.pager.Acknowledge(ctx, open.ID, q.By, q.At)
		}
		if err != nil {
			return "", err
		}
		return "acknowledged by " + a.AcknowledgedBy, nil
	case alert.RequestSignals:
		for _, s := range q.Signals {
			r.pager.Signal(ctx, s)
		}
		return "done", r.pager.kept(ctx)
	case alert.RequestBeat:
		return "done", r.doors.heardFrom(ctx, q.Beat, q.At)
	case alert.RequestSilence, alert.RequestEndSilence:
		if q.Silence == nil {
			return "", fmt.Errorf("%w: no silence is given", ErrUsage)
		}
		r.pager.Silence(ctx, *q.Silence)
		return "done", nil
	}
	return "", fmt.Errorf("%w: this server does not know the request %q", ErrUsage, q.What)
}
