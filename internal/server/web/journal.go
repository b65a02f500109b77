package web

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// journalPage is a page of the journal.
type journalPage struct {
	server.JournalPage
	scope, kind string
	before      int64
}

func (s *Site) journal(q asked) (view, error) {
	form := q.URL.Query()
	p := journalPage{scope: strings.TrimSpace(form.Get("scope")), kind: form.Get("kind")}
	p.before, _ = strconv.ParseInt(form.Get("before"), 10, 64) // what is no number is the end
	var err error
	p.JournalPage, err = s.desk.Journal(q.Context(), q.who, server.JournalQuery{Before: max(0, p.before), Scope: p.scope, Kind: p.kind, Limit: 50})
	if err != nil {
		return view{}, err
	}
	return view{title: "Journal", here: "/journal", body: journalBody(p)}, nil
}

func (p journalPage) older() string {
	if p.Older == 0 {
		return ""
	}
	return link("/journal", "scope", p.scope, "kind", p.kind, "before", strconv.FormatInt(p.Older, 10))
}

func (p journalPage) newest() string {
	if p.before == 0 {
		return ""
	}
	return link("/journal", "scope", p.scope, "kind", p.kind)
}

// kinds are what entries can be chosen by.
func kinds() []component.Option {
	return []component.Option{
		{Value: "", Text: "Everything"}, {Value: "backup.", Text: "Backups"}, {Value: "drill.", Text: "Drills"}, {Value: "outage.", Text: "Outages"}, {Value: "alarm.", Text: "Alarms"}, {Value: "alert.", Text: "Alerts"},
		{Value: "page.", Text: "Pages to people"}, {Value: "incident.", Text: "Incidents"}, {Value: "finding.", Text: "Findings"}, {Value: "log.", Text: "The log"}, {Value: "server.", Text: "The server"},
	}
}

// entryWords is an entry in words: what happened, in what tone, and more that
// somebody wrote.
func entryWords(e journal.Entry) (component.Tone, string, string) {
	if strings.HasPrefix(e.Kind, "incident.") {
		m := told(incident.Event{Seq: e.Seq, Time: e.Time, Actor: e.Actor, Kind: e.Kind, Body: e.Body})
		return m.tone, capital(m.text), m.more
	}
	var b map[string]any
	_ = json.Unmarshal(e.Body, &b) // a body that is no object has no words
	said := func(key string) string {
		s, _ := b[key].(string)
		return strings.TrimSpace(s)
	}
	switch e.Kind {
	case "backup.taken":
		return component.Good, "A base backup was taken (" + said("kind") + ")", ""
	case "backup.asked", "drill.asked", "check.asked":
		return component.Busy, "A " + map[string]string{"backup": "base backup", "drill": "drill", "check": "check"}[strings.TrimSuffix(e.Kind, ".asked")] + " was asked for", said("reason")
	case "drill.ended", "drill.foreign":
		switch said("verdict") {
		case "proven":
			return component.Good, "A drill proved that it can be restored", said("summary")
		case "failed":
			return component.Bad, "A drill failed", said("summary")
		}
		return component.Warn, "A drill was not certain", said("summary")
	case "outage.confirmed":
		return component.Bad, "It does not serve", said("reason")
	case "outage.recovered":
		return component.Good, "It serves again", said("reason")
	case "alarm.raised":
		return component.Warn, "An alarm was raised: " + said("code"), said("detail")
	case "alarm.cleared":
		return component.Quiet, "An alarm ended: " + said("code"), ""
	case "alert.acknowledged":
		return component.Busy, said("by") + " acknowledged the alert, " + said("after") + " after it began", ""
	case "page.sent":
		return component.Quiet, "A message was handed over to " + said("contact"), said("said")
	case "page.failed":
		return component.Bad, "A message to " + said("contact") + " could not be sent", said("error")
	case "finding.appeared":
		return component.Warn, "The audit found: " + said("rule"), said("evidence")
	case "finding.gone":
		return component.Good, "No longer found: " + said("rule"), said("evidence")
	case "log.gap":
		return component.Bad, "A stretch of the log is lost", said("reason")
	case "slot.given-up":
		return component.Bad, "The slot was given up, to save the server's disk", ""
	case "silence.set":
		return component.Quiet, said("owner") + " silenced alerts", said("reason")
	case "server.started":
		return component.Quiet, "The server started, version " + said("version"), ""
	case "server.stopped":
		return component.Quiet, "The server stopped", ""
	case "restore.done":
		return component.Good, "A restore ended", ""
	case "retention.applied":
		return component.Quiet, "Old backups were removed", ""
	case "passphrase.verified":
		return component.Good, "Somebody showed that they have the passphrase", ""
	}
	if what, failed := strings.CutSuffix(e.Kind, ".failed"); failed {
		return component.Bad, capital(what) + " failed", said("error")
	}
	return component.Quiet, capital(strings.NewReplacer(".", " ", "-", " ").Replace(e.Kind)), firstOf(said("summary"), said("reason"), said("detail"), said("error"))
}

func firstOf(all ...string) string {
	if i := slices.IndexFunc(all, func(s string) bool { return s != "" }); i >= 0 {
		return all[i]
	}
	return ""
}

// subjectPath is the page of what an entry is about; empty when it has none.
func subjectPath(subject string) string {
	what, name, _ := strings.Cut(subject, "/")
	switch what {
	case "target":
		return targetPath(name)
	case "incident":
		return "/incidents/" + escapePath(name)
	case "alert":
		return "/alerts/" + escapePath(name)
	}
	return ""
}

func pretty(e journal.Entry) string {
	var v any
	if json.Unmarshal(e.Body, &v) != nil || v == nil {
		return ""
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(e.Body)
	}
	return string(b)
}
