package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
)

// mirrorFresh is how old an event may be that a room is told of: what happened
// while no server ran for long is read in the incident.
const mirrorFresh = time.Hour

// mirror tells rooms of responders the important events of an incident, each
// once and in order, by the same way as updates: stored before it is sent, and
// tried again.
func (m *incidentRoom) mirror(ctx context.Context, s *incident.State, now time.Time) error {
	from := m.mirrored[s.ID]
	if len(m.Mirrors) == 0 || s.Last <= from {
		return nil
	}
	gravest := incident.Severity("")
	for _, e := range s.Timeline {
		if now := severityIn(e); now != "" && (gravest == "" || now.Graver(gravest)) {
			gravest = now
		}
		if e.Seq <= from {
			continue
		}
		text := mirrorText(s, e)
		if text == "" || now.Sub(e.Time) > mirrorFresh || e.Time.Before(m.since) {
			continue
		}
		subject, text := calm(m.redact(fmt.Sprintf("[%s] %s", s.ID, s.Title))), calm(m.redact(text))
		for _, room := range m.Mirrors {
			if !mirrors(room, s, gravest) {
				continue
			}
			for _, c := range room.Rooms {
				if err := m.box.put(ctx, &UpdateDelivery{
					AlertDelivery: alert.Delivery{ID: fmt.Sprintf("%s.mirror.%d.%s", s.ID, e.Seq, c.ID), AlertID: s.ID, Kind: alert.Notice, Contact: c, State: alert.Waiting, CreatedAt: e.Time, NotBefore: now},
					Incident:      s.ID, Audience: incident.Responders, Subject: subject, Text: text, Notice: true, Order: e.Seq, Over: s.Status == incident.Resolved,
				}); err != nil {
					return errors.Join(fmt.Errorf("mirror entry %d", e.Seq), err) // at the next look
				}
			}
		}
		m.mirrored[s.ID] = e.Seq
	}
	m.mirrored[s.ID] = s.Last
	return nil
}

// mirrors reports whether a room is told of an incident: by its team, and by the
// gravest that it was so far, so that who was told of it is told of its end.
func mirrors(room config.Mirror, s *incident.State, gravest incident.Severity) bool {
	return (len(room.Teams) == 0 || slices.Contains(room.Teams, s.Team)) && !incident.Severity(room.Least).Graver(gravest)
}

// severityIn is the severity that an event gives the incident; empty for none.
func severityIn(e incident.Event) incident.Severity {
	var b struct {
		Severity incident.Severity `json:"severity"`
		To       incident.Severity `json:"to"`
	}
	if e.Kind != incident.KindOpened && e.Kind != incident.KindSeverity || json.Unmarshal(e.Body, &b) != nil {
		return ""
	}
	return cmp.Or(b.Severity, b.To)
}

// mirrorText is an event as responders read it; empty for one that is not
// mirrored. Of an update to others it says that there was one, and not what: each
// audience has its own words.
func mirrorText(s *incident.State, e incident.Event) string {
	var b struct {
		incident.Published
		Title    string                      `json:"title"`
		Severity string                      `json:"severity"`
		Cause    struct{ Started time.Time } `json:"cause"`
		From     any                         `json:"from"`
		Status   string                      `json:"status"`
		Role     incident.Role               `json:"role"`
		Why      string                      `json:"why"`
		Into     string                      `json:"into"`
		Summary  string                      `json:"summary"`
		Despite  string                      `json:"despite"`
		To       any                         `json:"to"`
	}
	if json.Unmarshal(e.Body, &b) != nil {
		return ""
	}
	by := e.Actor
	why := ""
	if b.Why != "" {
		why = ": " + b.Why
	}
	switch e.Kind {
	case incident.KindOpened:
		return fmt.Sprintf("OPENED, %s, by %s. It began at %s.\nWhat to know: refloat incident summary %s", b.Severity, by, b.Cause.Started.UTC().Format("2006-01-02 15:04:05 UTC"), s.ID)
	case incident.KindSeverity:
		return fmt.Sprintf("severity %v, was %v, by %s%s", b.To, b.From, by, why)
	case incident.KindStatus:
		return fmt.Sprintf("status %v, was %v, by %s%s", b.To, b.From, by, why)
	case incident.KindTaken, incident.KindHanded:
		return fmt.Sprintf("%v is %s, by %s%s", b.To, b.Role, by, why)
	case incident.KindReleased:
		return fmt.Sprintf("nobody is %s: %s has laid it down", b.Role, by)
	case incident.KindPublished:
		if b.Audience == incident.Responders {
			return fmt.Sprintf("update %s, by %s:\n%s", b.ID, by, b.Text)
		}
		return fmt.Sprintf("update %s to %s was published by %s", b.ID, b.Audience, by)
	case incident.KindMerged:
		return fmt.Sprintf("merged into %s, by %s%s", b.Into, by, why)
	case incident.KindReopened:
		return fmt.Sprintf("REOPENED by %s: %s", by, b.Summary)
	case incident.KindResolved:
		text := "RESOLVED by " + by
		for _, more := range []string{b.Summary, b.Despite} {
			if more != "" {
				text += ": " + more
			}
		}
		return text
	}
	return ""
}

// maxMirror is how long a mirrored text is, characters.
const maxMirror = 2000

// calm takes out of a text what a chat service would act on: names that call
// people or whole rooms, links with a text of their own, and what is not seen.
func calm(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if r := []rune(text); len(r) > maxMirror {
		text = string(r[:maxMirror]) + "…"
	}
	return strings.NewReplacer("@", "@\u200b", "<", "<\u200b", "](", "]\u200b(").Replace(text)
}
