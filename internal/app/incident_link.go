package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// updateLink is the address that acknowledges an update as its reader, empty
// without a public one.
func (d *doors) updateLink(id, update, reader string, now time.Time) string {
	if d.r.o.PublicURL == "" {
		return ""
	}
	l := alert.UpdateLink{Incident: id, Update: update, Reader: reader, Until: now.Add(alert.LinkLasts)}
	return strings.TrimSuffix(d.r.o.PublicURL, "/") + "/update/" + l.Sign(d.key)
}

// showUpdate is what a link is about.
func (n *node) showUpdate(ctx context.Context, token string) (server.Reading, error) {
	l, err := n.updateOf(token)
	if err != nil {
		return server.Reading{}, err
	}
	return n.reading(ctx, l)
}

// readUpdate acknowledges an update as who its message was sent to. Every node
// can: it is written in the journal, which those that share a store share.
func (n *node) readUpdate(ctx context.Context, token string) (server.Reading, error) {
	l, err := n.updateOf(token)
	if err != nil {
		return server.Reading{}, err
	}
	r, err := n.reading(ctx, l)
	if err != nil || !r.Read.IsZero() {
		return r, err
	}
	_, _, err = incident.Act(ctx, incidentLog{n.state}, l.Incident, incident.AcknowledgeUpdate{Update: l.Update}, l.Reader, time.Now())
	switch {
	case errors.Is(err, incident.ErrRefused):
		return r, fmt.Errorf("%w: %w", server.ErrRefused, err)
	case err != nil && !errors.Is(err, incident.ErrNothing): // they were faster elsewhere
		return r, err
	}
	return n.reading(ctx, l)
}

func (n *node) updateOf(token string) (alert.UpdateLink, error) {
	l, err := alert.ReadUpdateLink(token, n.key, time.Now())
	if err != nil {
		return l, fmt.Errorf("%w: %w", server.ErrLink, err)
	}
	return l, nil
}

// reading is an update as its link shows it.
func (n *node) reading(ctx context.Context, l alert.UpdateLink) (server.Reading, error) {
	n.desk.follow.catchUp(ctx)
	s := n.desk.follow.incident(l.Incident)
	if s == nil {
		return server.Reading{}, fmt.Errorf("%w: its incident is not known here", server.ErrLink)
	}
	u := s.Update(l.Update)
	if u == nil || u.Audience == incident.Clients || !slices.ContainsFunc(u.To, func(r incident.Recipient) bool { return cmp.Or(r.Person, r.Contact) == l.Reader }) {
		return server.Reading{}, fmt.Errorf("%w: it is about an update that was not sent to them", server.ErrLink)
	}
	out := server.Reading{Incident: s.ID, Update: u.ID, Subject: u.Subject, Text: u.Text, By: u.By, At: u.At, Next: u.Next, Reader: l.Reader}
	if i := slices.IndexFunc(u.Acks, func(a incident.Ack) bool { return a.By == l.Reader }); i >= 0 {
		out.Read = u.Acks[i].At
	}
	return out, nil
}
