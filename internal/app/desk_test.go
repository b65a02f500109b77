package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
)

// quiet sends nothing anywhere.
type quiet struct{}

func (quiet) Send(context.Context, alert.Message) (alert.Receipt, error) {
	return alert.Receipt{Said: "taken"}, nil
}

// deskRoster has two teams: red answers for shop, blue for books.
func deskRoster() alert.Roster {
	person := func(name string) alert.Person {
		return alert.Person{Name: name, Contacts: []alert.Contact{{ID: name + ".email", Via: alert.Email, Address: name + "@example.org"}}}
	}
	return alert.Roster{
		People: map[string]alert.Person{"ada": person("ada"), "bob": person("bob")},
		Teams:  map[string]alert.Team{"red": {Name: "red", Members: []string{"ada"}}, "blue": {Name: "blue", Members: []string{"bob"}}},
	}
}

// deskOver is a running server with a desk, over targets that serve nobody.
func deskOver(t testing.TB, o DaemonOptions) *desk {
	t.Helper()
	o.Listen = "off"
	return daemonOver(t, o).node.desk
}

func daemonOver(t testing.TB, o DaemonOptions) *Daemon {
	t.Helper()
	for i := range o.Targets {
		o.Targets[i] = Care{
			Target: o.Targets[i].Target, Facts: o.Targets[i].Facts, NoLog: true,
			Objectives: proof.Objectives{Resolution: time.Hour, Detection: time.Minute, DataLoss: time.Minute},
			Receive: func(ctx context.Context, _ LogEvents) error {
				<-ctx.Done()
				return nil
			},
			Slot:        func(context.Context) (SlotView, error) { return SlotView{}, nil },
			Backup:      func(context.Context) (backup.Backup, error) { return backup.Backup{}, nil },
			NeedsBackup: func(context.Context) (string, error) { return "", nil },
		}
	}
	o.StopTimeout = 20 * time.Second
	d, err := NewDaemon(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return d
}

func twoTeams(t testing.TB) *desk { return deskOver(t, twoTeamsOptions(t)) }

func twoTeamsOptions(t testing.TB) DaemonOptions {
	rules := config.IncidentRules{WarnAt: incident.DefaultWarnAt(), Cadence: incident.DefaultCadence(), Names: map[string]string{"shop": "The shop"}}
	return DaemonOptions{
		StateDir: t.TempDir(), Targets: []Care{{Target: "shop", Facts: Sources{OneProof: func(_ context.Context, id string) (proof.Proof, error) {
			if id == "shop-1-x" {
				return proof.Proof{ID: id, Target: "shop"}, nil
			}
			return proof.Proof{}, proof.ErrNoProof
		}}}, {Target: "books"}},
		Paging:    PagerOptions{Roster: deskRoster(), Sender: quiet{}, Charges: map[string]Charge{"shop": {Team: "red", Tier: alert.Critical}, "books": {Team: "blue", Tier: alert.High}}},
		Incidents: IncidentOptions{Rules: rules, Roster: deskRoster()}, Settings: server.Settings{Text: "version: 1\n"},
	}
}

func in(team string, r access.Role) access.Principal {
	return access.Principal{Kind: access.Session, ID: "1", Name: "ada", Teams: map[string]access.Role{team: r}}
}

func all(r access.Role) access.Principal {
	return access.Principal{Kind: access.Session, ID: "1", Name: "root", Everywhere: r}
}

// What everybody may see and do about what belongs to team red, and about what
// belongs to none.
func TestDeskLetsEachDoWhatTheirRoleAllows(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	root := all(access.Admin)
	v, err := d.OpenIncident(ctx, root, server.NewIncident{Title: "the shop is slow", Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	id := v.ID
	other, err := d.OpenIncident(ctx, root, server.NewIncident{Title: "again", Target: "shop", Another: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Attach(ctx, root, id, "a.txt", []byte("text")); err != nil {
		t.Fatal(err)
	}
	file := d.follow.incident(id).Attachments[0].SHA256
	r := d.lead()
	r.pager.Signal(ctx, alert.Signal{Key: "k", Code: "outage", Target: "shop", Firing: true, At: time.Now(), Severity: alert.Medium, Summary: "s", Source: "t"})
	var page alert.Alert
	for _, a := range first(r.pager.whole()) {
		page = a
	}
	silence, err := d.Silence(ctx, root, alert.Silence{Target: "shop", Code: "x", Reason: "r", Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	why := func() string { n++; return fmt.Sprint("note ", n) }
	calls := map[string]struct {
		need access.Need // for red; empty for what anybody who sees anything may ask for
		do   func(access.Principal) error
	}{
		"target": {access.View, func(p access.Principal) error { _, err := d.Target(ctx, p, "shop"); return err }},
		"proof":  {access.View, func(p access.Principal) error { _, err := d.Proof(ctx, p, "shop-1-x"); return err }},
		"incidents": {access.View, func(p access.Principal) error {
			_, err := d.Incidents(ctx, p, server.IncidentQuery{Target: "shop"})
			return err
		}},
		"incident":   {access.View, func(p access.Principal) error { _, err := d.Incident(ctx, p, id); return err }},
		"attachment": {access.View, func(p access.Principal) error { _, _, err := d.Attachment(ctx, p, id, file); return err }},
		"draft":      {access.Respond, func(p access.Principal) error { _, err := d.Draft(ctx, p, id, incident.Teams); return err }},
		"alerts": {access.View, func(p access.Principal) error {
			_, err := d.Alerts(ctx, p, server.AlertQuery{Target: "shop"})
			return err
		}},
		"alert": {access.View, func(p access.Principal) error { _, err := d.Alerts(ctx, p, server.AlertQuery{ID: page.ID}); return err }},
		"simulate": {access.View, func(p access.Principal) error {
			_, err := d.Simulate(ctx, p, server.PageQuery{Target: "shop"})
			return err
		}},
		"simulate team": {access.View, func(p access.Principal) error {
			_, err := d.Simulate(ctx, p, server.PageQuery{Team: "red"})
			return err
		}},
		"open": {access.Respond, func(p access.Principal) error {
			_, err := d.OpenIncident(ctx, p, server.NewIncident{Title: why(), Target: "shop", Another: true})
			return err
		}},
		"act":    {access.Respond, func(p access.Principal) error { _, err := d.Act(ctx, p, id, incident.AddNote{Text: why()}); return err }},
		"merge":  {access.Respond, func(p access.Principal) error { return done(d.Merge(ctx, p, other.ID, id, "")) }},
		"attach": {access.Respond, func(p access.Principal) error { _, err := d.Attach(ctx, p, id, "b.txt", []byte(why())); return err }},
		"publish": {access.Respond, func(p access.Principal) error {
			_, err := d.Publish(ctx, p, id, server.Draft{Audience: incident.Responders, Text: why(), After: "*"})
			return err
		}},
		"acknowledge": {access.Respond, func(p access.Principal) error { _, err := d.Acknowledge(ctx, p, page.ID); return err }},
		"silence": {access.Respond, func(p access.Principal) error {
			_, err := d.Silence(ctx, p, alert.Silence{Target: "shop", Code: "y", Reason: "r", Until: time.Now().Add(time.Hour)})
			return err
		}},
		"end silence": {access.Respond, func(p access.Principal) error {
			defer func() { // there is one again for the next
				r.pager.Silence(ctx, silence)
			}()
			return d.EndSilence(ctx, p, silence.ID)
		}},
		"ask":       {access.Respond, func(p access.Principal) error { _, err := d.Ask(ctx, p, "shop", JobBackup); return err }},
		"test page": {access.Respond, func(p access.Principal) error { return d.TestPage(ctx, p, "ada") }},
	}
	who := map[string]struct {
		p    access.Principal
		role access.Role // for red
	}{
		"stranger":         {access.Principal{}, ""},
		"viewer of blue":   {in("blue", access.Viewer), ""},
		"admin of blue":    {in("blue", access.Admin), ""},
		"viewer of red":    {in("red", access.Viewer), access.Viewer},
		"responder of red": {in("red", access.Responder), access.Responder},
		"admin of red":     {in("red", access.Admin), access.Admin},
		"viewer":           {all(access.Viewer), access.Viewer},
		"responder":        {all(access.Responder), access.Responder},
		"admin":            {all(access.Admin), access.Admin},
		"limited token":    {access.Principal{Kind: access.Token, Name: "ci", Everywhere: access.Admin, Limit: access.Viewer}, access.Viewer},
		"no name":          {access.Principal{Kind: access.Session, Everywhere: access.Admin}, ""},
	}
	for what, c := range calls {
		for name, w := range who {
			p := w.p
			if what == "test page" && p.Name == "ada" {
				p.Name = "cyd" // herself she may always
			}
			err := c.do(p)
			var want error
			switch {
			case w.role == "":
				want = server.ErrNotFound
			case !may(w.role, c.need):
				want = server.ErrForbidden
			}
			if want == nil && err != nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s by %s: %v, want %v", what, name, err, want)
			}
		}
	}
	if err := d.TestPage(ctx, in("blue", access.Viewer), "ada"); err != nil { // her name is ada
		t.Errorf("a test page to herself: %v", err)
	}
}

func first[A, B any](a A, _ B) A { return a }

// done takes what was done before for done.
func done(_ server.IncidentView, err error) error {
	if errors.Is(err, incident.ErrNothing) {
		return nil
	}
	return err
}

// Lists leave out what may not be seen; what belongs to no team needs a role for
// every team.
func TestDeskListsOnlyWhatMayBeSeen(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	root := all(access.Admin)
	red, err := d.OpenIncident(ctx, root, server.NewIncident{Title: "red trouble", Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	free, err := d.OpenIncident(ctx, root, server.NewIncident{Title: "of nobody"})
	if err != nil {
		t.Fatal(err)
	}
	r := d.lead()
	r.pager.Signal(ctx, alert.Signal{Key: "k", Code: "c", Target: "shop", Firing: true, At: time.Now(), Severity: alert.Low, Summary: "s", Source: "t"})
	if _, err := d.Silence(ctx, root, alert.Silence{Target: "shop", Code: "x", Reason: "r", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	r.record(ctx, "account/eve", "account.added", nil)
	blue, viewer := in("blue", access.Viewer), all(access.Viewer)
	b, err := d.Board(ctx, blue)
	if err != nil || len(b.Targets) != 1 || b.Targets[0].Target != "books" || len(b.Alerts) != 0 || len(b.Incidents) != 1 || b.Incidents[0].ID != free.ID || b.Incidents[0].Can != access.Viewer {
		t.Errorf("blue's board: %v %+v", err, b)
	}
	b, err = d.Board(ctx, viewer)
	if err != nil || len(b.Targets) != 2 || len(b.Alerts) != 1 || len(b.Incidents) != 2 || b.Seq == 0 || !b.Leads || b.Targets[0].Shown+b.Targets[1].Shown != "The shop" {
		t.Errorf("the whole board: %v %+v", err, b)
	}
	if s, err := d.Silences(ctx, blue); err != nil || len(s) != 0 {
		t.Errorf("blue sees silences %v %v", s, err)
	}
	if o, err := d.OnCall(ctx, blue, time.Now(), time.Now().Add(time.Hour)); err != nil || len(o.Teams) != 1 || o.Names["ada"] != "" {
		t.Errorf("blue sees on call %+v %v", o, err)
	}
	if _, err := d.Act(ctx, blue, free.ID, incident.AddNote{Text: "n"}); !errors.Is(err, server.ErrForbidden) {
		t.Errorf("a viewer acts in what belongs to nobody: %v", err)
	}
	if _, err := d.Act(ctx, in("blue", access.Admin), free.ID, incident.AddNote{Text: "n"}); !errors.Is(err, server.ErrForbidden) {
		t.Errorf("one of a team acts in what belongs to nobody: %v", err)
	}
	own, err := d.OpenIncident(ctx, in("blue", access.Responder), server.NewIncident{Title: "ours"})
	if err != nil || own.Team != "blue" {
		t.Errorf("an incident of one's own team: %v %+v", err, own.Team)
	}
	if _, err := d.OpenIncident(ctx, in("blue", access.Responder), server.NewIncident{Title: "theirs", Team: "red"}); !errors.Is(err, server.ErrForbidden) {
		t.Errorf("an incident of another team: %v", err)
	}
	if _, err := d.OpenIncident(ctx, blue, server.NewIncident{Title: "ours"}); !errors.Is(err, server.ErrForbidden) {
		t.Errorf("a viewer opens an incident: %v", err)
	}
	for name, c := range map[string]struct {
		p     access.Principal
		sees  []string
		never []string
	}{
		"blue":   {in("blue", access.Viewer), []string{"incident/" + free.ID, "server"}, []string{"incident/" + red.ID, "alert/", "silence/", "account/", "target/shop"}},
		"viewer": {viewer, []string{"incident/" + red.ID, "incident/" + free.ID, "alert/", "silence/", "server"}, []string{"account/"}},
		"admin":  {root, []string{"account/", "incident/" + red.ID}, nil},
	} {
		eventually(t, "the journal holds all", func() bool {
			p, err := d.Journal(ctx, root, server.JournalQuery{Scope: "alert/"})
			return err == nil && len(p.Entries) > 0
		})
		page, err := d.Journal(ctx, c.p, server.JournalQuery{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		streaming, end := context.WithCancel(ctx)
		last := page.Entries[0].Seq
		_ = d.Stream(streaming, c.p, 0, func(e journal.Entry) error {
			told = append(told, e.Subject)
			if e.Seq >= last {
				end()
			}
			return nil
		})
		end()
		var read []string
		for _, e := range page.Entries {
			read = append(read, e.Subject)
		}
		has := func(all []string, s string) bool {
			return slices.ContainsFunc(all, func(x string) bool {
				return x == s || len(s) > 0 && s[len(s)-1] == '/' && len(x) > len(s) && x[:len(s)] == s
			})
		}
		for _, s := range c.sees {
			if !has(read, s) || !has(told, s) {
				t.Errorf("%s does not see %s", name, s)
			}
		}
		for _, s := range c.never {
			if has(read, s) || has(told, s) {
				t.Errorf("%s sees %s", name, s)
			}
		}
	}
	if _, err := d.Settings(ctx, viewer); !errors.Is(err, server.ErrForbidden) {
		t.Errorf("a viewer reads the settings: %v", err)
	}
	if s, err := d.Settings(ctx, root); err != nil || s.Text == "" {
		t.Errorf("the settings: %v", err)
	}
	if _, err := d.Journal(ctx, access.Principal{}, server.JournalQuery{}); !errors.Is(err, server.ErrNotFound) {
		t.Errorf("a stranger reads the journal: %v", err)
	}
}

// Whatever two people do at once, both acts are kept, or one is told why not; and
// what is sent twice is done once.
func TestDeskLosesNoActAndDoublesNone(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	ada, bob := all(access.Responder), all(access.Responder)
	ada.Name, bob.Name = "ada", "bob"
	v, err := d.OpenIncident(server.WithOnce(ctx, "k0"), ada, server.NewIncident{Title: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := d.OpenIncident(server.WithOnce(ctx, "k0"), ada, server.NewIncident{Title: "slow"}); !errors.Is(err, incident.ErrNothing) || twice.ID != v.ID {
		t.Errorf("an incident that was asked for twice: %v %s", err, twice.ID)
	}
	var work sync.WaitGroup
	for i := range 20 {
		for _, p := range []access.Principal{ada, bob} {
			work.Go(func() {
				key := server.WithOnce(ctx, fmt.Sprint(p.Name, i))
				for range 2 {
					if _, err := d.Act(key, p, v.ID, incident.AddNote{Text: fmt.Sprint("note ", i)}); err != nil && !errors.Is(err, incident.ErrNothing) {
						t.Error(err)
					}
				}
			})
		}
	}
	work.Wait()
	var took []error
	for _, p := range []access.Principal{ada, bob} {
		_, err := d.Act(ctx, p, v.ID, incident.TakeRole{Role: incident.Commander})
		took = append(took, err)
	}
	if took[0] != nil || !errors.Is(took[1], incident.ErrRefused) {
		t.Errorf("a role that two take: %v", took)
	}
	one, err := d.Draft(ctx, ada, v.ID, incident.Teams)
	if err != nil {
		t.Fatal(err)
	}
	two := one
	if _, err := d.Publish(server.WithOnce(ctx, "u"), ada, v.ID, one); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(server.WithOnce(ctx, "u"), ada, v.ID, one); !errors.Is(err, incident.ErrNothing) {
		t.Errorf("an update that was sent twice: %v", err)
	}
	if _, err := d.Publish(ctx, bob, v.ID, two); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("an update by who has not seen the last: %v", err)
	}
	got, err := d.Incident(ctx, ada, v.ID)
	if err != nil || len(got.Notes) != 40 || len(got.Updates) != 1 || got.Roles[incident.Commander].Person != "ada" {
		t.Errorf("%v: %d notes, %d updates, %+v", err, len(got.Notes), len(got.Updates), got.Roles)
	}
	// What another process writes is seen, too.
	other, err := storeIn(d.o.StateDir)(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, _, err := incident.Act(ctx, incidentLog{other}, v.ID, incident.AddNote{Text: "from the command line"}, "cyd", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, err = d.Incident(ctx, ada, v.ID); err != nil || len(got.Notes) != 41 {
		t.Errorf("%v: %d notes", err, len(got.Notes))
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}
