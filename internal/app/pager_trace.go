package app

import (
	"strconv"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/tracing"
)

// The spans of a page: the root lasts from the beginning of what it is about to
// the first message that was taken over.
const (
	spanPage        = "page"
	spanObserve     = "observe"     // from the first bad look until the outage was confirmed
	spanNotice      = "notice"      // until there was an alert
	spanAcknowledge = "acknowledge" // from the first page until somebody took it on
	spanQueue       = "queue"       // a message waits to be sent, and is stored meanwhile
	spanSend        = "send"        // one attempt
)

func (p *pager) span(a alert.Alert, name string, start, end time.Time, more map[string]string) tracing.Span {
	all := map[string]string{"alert": a.ID, "code": a.Signal.Code, "target": a.Signal.Target, "severity": string(a.Signal.Severity)}
	for k, v := range more {
		all[k] = v
	}
	s := tracing.Span{Trace: a.ID, Name: name, Parent: spanPage, Start: start, End: end, Attributes: all}
	if name == spanPage {
		s.Parent = ""
	}
	return s
}

// traceOutage tells how long an outage took to confirm.
func (p *pager) traceOutage(key string, o monitor.Outage) {
	a, open := p.openAlert(key)
	if p.o.Trace == nil || !open || o.Confirmed.Before(o.FirstBad) {
		return
	}
	p.o.Trace.Send(p.span(a, spanObserve, o.FirstBad, o.Confirmed, map[string]string{"sees": string(o.Sees)}))
}

func (p *pager) traceOpened(a alert.Alert, now time.Time) {
	p.o.Trace.Send(p.span(a, spanNotice, a.StartedAt, now, map[string]string{"source": a.Signal.Source}))
}

func (p *pager) traceAnswered(a alert.Alert) {
	if !a.PagedFrom.IsZero() {
		p.o.Trace.Send(p.span(a, spanAcknowledge, a.PagedFrom, a.AcknowledgedAt, map[string]string{"by": a.AcknowledgedBy}))
	}
}

// traceAttempt tells of one attempt; first marks the one that reached somebody
// first.
func (p *pager) traceAttempt(a alert.Alert, d alert.Delivery, began time.Time, try alert.Attempt, first bool) {
	if p.o.Trace == nil {
		return
	}
	about := map[string]string{"contact": d.Contact.ID, "via": string(d.Contact.Via), "person": d.Person, "kind": string(d.Kind), "attempt": strconv.Itoa(d.Attempts)}
	send := p.span(a, spanSend+"/"+d.ID+"/"+strconv.Itoa(d.Attempts), began, try.At, about)
	send.Kind, send.Error = spanSend, try.Error
	p.o.Trace.Send(send)
	if d.Attempts == 1 {
		queue := p.span(a, spanQueue+"/"+d.ID, d.CreatedAt, began, about)
		queue.Kind = spanQueue
		p.o.Trace.Send(queue)
	}
	if first {
		p.o.Trace.Send(p.span(a, spanPage, a.StartedAt, try.At, map[string]string{"summary": a.Signal.Summary}))
	}
}
