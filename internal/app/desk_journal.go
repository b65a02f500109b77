package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
)

// guarded are the subjects of what only admins for every team see: who signs in,
// and who was given what.
var guarded = [...]string{"account/", "session/", "token/", "access/", "setup/"}

// sees reports whether somebody may see an entry. What it is about says which
// team it belongs to; what belongs to none is for all who see anything.
func (d *desk) sees(ctx context.Context, who access.Principal, e journal.Entry) bool {
	for _, g := range guarded {
		if strings.HasPrefix(e.Subject, g) {
			return who.Has(access.Administer, "")
		}
	}
	if !who.Somewhere(access.View) {
		return false
	}
	kind, name, _ := strings.Cut(e.Subject, "/")
	if who.Everywhere != "" && kind != "call" {
		return who.Has(access.View, "")
	}
	switch kind {
	case "target", "job":
		return d.roleOn(who, name) != "" // nor, for one team, of what is in nobody's care any more
	case "incident", "postmortem":
		s := d.follow.incident(name)
		return s != nil && d.roleAt(who, s) != ""
	case "action":
		s, known := d.follow.actions.one(name)
		return known && d.roleOnAction(who, s) != ""
	case "alert":
		team, known := d.homeOfAlert(ctx, name)
		return known && who.Has(access.View, team)
	case "silence":
		var s alert.Silence
		return json.Unmarshal(e.Body, &s) == nil && who.Has(access.View, d.teamOf(s.Target))
	case "person":
		return false // of another team, perhaps
	case "call":
		return who.Has(access.Administer, "") // it says nothing to anybody else
	}
	return who.Has(access.View, "")
}

// homesKept bounds what is remembered of alerts that are over.
const homesKept = 10_000

// homeOfAlert is the team of an alert.
func (d *desk) homeOfAlert(ctx context.Context, id string) (team string, known bool) {
	d.mu.Lock()
	team, known = d.homes[id]
	d.mu.Unlock()
	if known {
		return team, true
	}
	a, err := d.findAlert(ctx, id)
	if err != nil {
		return "", false
	}
	team = d.teamOfAlert(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.homes) >= homesKept {
		clear(d.homes)
	}
	d.homes[id] = team
	return team, true
}

// findAlert is an alert, also one that ended long ago.
func (d *desk) findAlert(ctx context.Context, id string) (a alert.Alert, err error) {
	if r := d.lead(); r != nil {
		return r.pager.find(id)
	}
	r, err := d.state.OneRecord(ctx, alert.KindAlert, id)
	if err == nil {
		err = r.Read(&a)
	}
	return a, err
}

const (
	journalScan  = 500   // entries read at a time
	journalReach = 2_000 // entries that one page looks through at most
)

// Journal implements server.Reader. A page that looked through many entries in
// which little matched ends early: Older goes on from there.
func (d *desk) Journal(ctx context.Context, who access.Principal, q server.JournalQuery) (server.JournalPage, error) {
	out := server.JournalPage{Entries: []journal.Entry{}}
	if !who.Somewhere(access.View) {
		return out, fmt.Errorf("%w: the journal", server.ErrNotFound)
	}
	d.follow.catchUp(ctx)
	limit := q.Limit
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	takes := func(e journal.Entry) bool {
		scoped := q.Scope == "" || e.Subject == q.Scope || strings.HasSuffix(q.Scope, "/") && strings.HasPrefix(e.Subject, q.Scope)
		return scoped && strings.HasPrefix(e.Kind, q.Kind) && d.sees(ctx, who, e)
	}
	if q.Forward {
		return out, d.journalForward(ctx, q.After, limit, takes, &out)
	}
	at := q.Before
	if at <= 0 {
		at = d.follow.seq() + 1
	}
	if q.Scope != "" && !strings.HasSuffix(q.Scope, "/") {
		return out, d.journalOf(ctx, q.Scope, at, limit, takes, &out)
	}
	for looked := 0; at > 1 && looked < journalReach; {
		n := int(min(journalScan, at-1))
		if q.Kind == "" && q.Scope == "" {
			n = min(n, limit)
		}
		entries, err := d.state.Read(ctx, at-1-int64(n), n)
		if err != nil {
			return out, err
		}
		for _, e := range slices.Backward(entries) {
			looked++
			at = e.Seq
			if takes(e) {
				out.Entries = append(out.Entries, e)
			}
			if len(out.Entries) == limit {
				break
			}
		}
		if len(entries) == 0 || len(out.Entries) == limit {
			break
		}
	}
	if at > 1 {
		out.Older = at
	}
	return out, nil
}

// journalOf is a page of one subject's entries.
func (d *desk) journalOf(ctx context.Context, subject string, before int64, limit int, takes func(journal.Entry) bool, out *server.JournalPage) error {
	entries, err := d.state.ReadScope(ctx, subject, 0)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(entries) {
		if e.Seq >= before || !takes(e) {
			continue
		}
		if len(out.Entries) == limit {
			out.Older = out.Entries[limit-1].Seq
			break
		}
		out.Entries = append(out.Entries, e)
	}
	return nil
}

func (d *desk) journalForward(ctx context.Context, after int64, limit int, takes func(journal.Entry) bool, out *server.JournalPage) error {
	for looked := 0; looked < journalReach; {
		entries, err := d.state.Read(ctx, after, journalScan)
		if err != nil {
			return err
		}
		for _, e := range entries {
			looked++
			after = e.Seq
			if takes(e) {
				if out.Entries = append(out.Entries, e); len(out.Entries) == limit {
					return nil
				}
			}
		}
		if len(entries) < journalScan {
			break
		}
	}
	return nil
}

// errNoSettings means that the daemon was not told what it was configured with.
var errNoSettings = errors.New("the settings are not known here")

// Settings implements server.Reader. They name people, addresses and servers of
// every team.
func (d *desk) Settings(_ context.Context, who access.Principal) (server.Settings, error) {
	if err := allowed(everywhere(who), access.Administer, "page of", "settings"); err != nil {
		return server.Settings{}, err
	}
	if d.o.Settings.Text == "" {
		return server.Settings{}, errNoSettings
	}
	return d.o.Settings, nil
}
