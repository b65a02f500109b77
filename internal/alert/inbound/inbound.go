// Package inbound reads what others tell us: Prometheus Alertmanager, and
// anything that can post JSON. docs/alerts-in.md describes both.
package inbound

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

// MaxBody is how large a message may be, bytes.
const MaxBody = 1 << 20

// maxAlerts is how many alerts one message may hold, and maxText how long a
// text in it may be.
const (
	maxAlerts = 1000
	maxText   = 4000
)

// ErrMessage means that a message cannot be understood.
var ErrMessage = errors.New("the message is not understood")

// alertmanager is the webhook's message, version 4
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type alertmanager struct {
	Version     string            `json:"version"`
	GroupKey    string            `json:"groupKey"`
	Alerts      []prometheusAlert `json:"alerts"`
	ExternalURL string            `json:"externalURL"`
}

type prometheusAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// Alertmanager reads a message of Prometheus Alertmanager. source is the name
// that it has here.
func Alertmanager(source string, body []byte, now time.Time) ([]alert.Signal, error) {
	var m alertmanager
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	switch {
	case m.Version != "4":
		return nil, fmt.Errorf("%w: version is %q; want 4, which Alertmanager sends", ErrMessage, clip(m.Version))
	case len(m.Alerts) == 0 || len(m.Alerts) > maxAlerts:
		return nil, fmt.Errorf("%w: it has %d alerts; want 1 to %d", ErrMessage, len(m.Alerts), maxAlerts)
	}
	var out []alert.Signal
	for i, a := range m.Alerts {
		if a.Status != "firing" && a.Status != "resolved" {
			return nil, fmt.Errorf("%w: alerts[%d].status is %q; want firing or resolved", ErrMessage, i, clip(a.Status))
		}
		name := cmp.Or(a.Labels["alertname"], "alert")
		s := alert.Signal{
			Key: "in/" + source + "/" + clip(cmp.Or(a.Fingerprint, fingerprint(a.Labels))), Firing: a.Status == "firing", Code: "in-" + source, Source: source,
			At: moment(a.StartsAt, now), Severity: severity(a.Labels["severity"]), Labels: a.Labels,
			Summary: clip(cmp.Or(a.Annotations["summary"], a.Annotations["title"], name)),
			Detail:  clip(cmp.Or(a.Annotations["description"], a.Annotations["message"])),
			Next:    clip(cmp.Or(a.Annotations["runbook_url"], a.GeneratorURL)),
			Target:  clip(a.Labels["refloat_target"]), Team: clip(a.Labels["team"]), Opens: a.Labels["refloat_incident"] == "true",
		}
		if !s.Firing {
			s.At = moment(a.EndsAt, now)
		}
		out = append(out, s)
	}
	return out, nil
}

// fingerprint stands in where none is given: the labels, sorted.
func fingerprint(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	return strings.Join(parts, ",")
}

// moment keeps a sender's clock from moving an alert into the future, or to the
// zero time.
func moment(t, now time.Time) time.Time {
	if t.Year() < 2000 || t.After(now) {
		return now
	}
	return t.UTC()
}

// severity maps the words that people use. What is not known pages: better once
// too often.
func severity(word string) alert.Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical", "crit", "page", "emergency", "fatal", "p1", "sev1":
		return alert.Critical
	case "warning", "warn", "medium", "moderate", "p3", "sev3":
		return alert.Medium
	case "info", "low", "notice", "none", "p4", "sev4":
		return alert.Low
	}
	return alert.High
}

// message is what the generic webhook takes.
type message struct {
	Key      string            `json:"key"`
	Summary  string            `json:"summary"`
	Status   string            `json:"status"`
	Severity string            `json:"severity"`
	Target   string            `json:"target"`
	Detail   string            `json:"detail"`
	Next     string            `json:"next"`
	Team     string            `json:"team"`
	At       time.Time         `json:"at"`
	Incident bool              `json:"incident"` // one is to be opened for it
	Labels   map[string]string `json:"labels"`
}

// Generic reads one message, or a list of them. An unknown field is an error:
// one that is misspelt must not be lost.
func Generic(source string, body []byte, now time.Time) ([]alert.Signal, error) {
	var all []message
	var err error
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		err = strict(body, &all)
	} else {
		all = make([]message, 1)
		err = strict(body, &all[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if len(all) == 0 || len(all) > maxAlerts {
		return nil, fmt.Errorf("%w: it has %d alerts; want 1 to %d", ErrMessage, len(all), maxAlerts)
	}
	var out []alert.Signal
	for i, m := range all {
		switch {
		case m.Key == "":
			return nil, fmt.Errorf("%w: key of alert %d is missing: what has the same key is the same alert", ErrMessage, i+1)
		case m.Summary == "" && m.Status != "resolved":
			return nil, fmt.Errorf("%w: summary of alert %d is missing", ErrMessage, i+1)
		case m.Status != "" && m.Status != "firing" && m.Status != "resolved":
			return nil, fmt.Errorf("%w: status of alert %d is %q; want firing or resolved", ErrMessage, i+1, clip(m.Status))
		case m.Severity != "" && alert.Severity(m.Severity).Rank() == 0:
			return nil, fmt.Errorf("%w: severity of alert %d is %q; want critical, high, medium or low", ErrMessage, i+1, clip(m.Severity))
		}
		out = append(out, alert.Signal{
			Key: "in/" + source + "/" + clip(m.Key), Firing: m.Status != "resolved", Code: "in-" + source, Source: source, At: moment(m.At, now),
			Severity: cmp.Or(alert.Severity(m.Severity), alert.High), Summary: clip(m.Summary), Detail: clip(m.Detail), Next: clip(m.Next),
			Target: clip(m.Target), Team: clip(m.Team), Labels: m.Labels, Opens: m.Incident,
		})
	}
	return out, nil
}

func strict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the message")
	}
	return nil
}

// clip bounds a text and makes it valid.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText]) + "…"
	}
	return s
}
