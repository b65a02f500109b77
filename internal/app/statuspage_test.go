package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/target"
)

// paged is a server with a status page, and the app beside it.
func paged(t *testing.T, dir string, eyes *staged, page string, set ...func(*DaemonOptions)) (*Daemon, *App) {
	t.Helper()
	a := pagedApp(t, dir, page)
	f := &fakeTarget{slot: target.Slot{Name: "refloat_shop", Exists: true, Active: true}, gap: make(chan backup.Gap)}
	care := f.care()
	care.Eyes, care.WatchEvery, care.WatchRules = eyes, 50*time.Millisecond, monitor.DefaultRules()
	o := DaemonOptions{
		StateDir: dir, Listen: "off", Version: "test", StopTimeout: 20 * time.Second, Targets: []Care{care}, Incidents: a.circles(),
		Paging: PagerOptions{Roster: roster(), Sender: &phones{}, Charges: map[string]Charge{"shop": {Tier: alert.Critical}}},
	}
	var err error
	if o.StatusPage, err = a.statusPage(); err != nil {
		t.Fatal(err)
	}
	for _, f := range set {
		f(&o)
	}
	d, err := NewDaemon(o)
	if err == nil {
		err = d.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	return d, a
}

func pagedApp(t *testing.T, dir, page string) *App {
	t.Helper()
	text := fmt.Sprintf(`version: 1
state_dir: %s
repository: {url: file:///nowhere, passphrase_env: PASS}
targets: {shop: {dsn: postgres://r@h/postgres, tier: critical, maintenance: [{from: 2026-01-01 00:00, until: 2026-01-02 00:00, owner: HIDDENOWNER, reason: HIDDENREASON, announce: over long since}]}}
status_page:
  title: Acme status
  listen: 127.0.0.1:0
  services: [{name: The web shop, targets: [shop]}]
%s`, dir, page)
	c, err := config.Parse("refloat.yaml", []byte(text), func(string) (string, bool) { return "correct-horse", true })
	if err != nil {
		t.Fatal(err)
	}
	return New(c, nil)
}

// get reads one page.
func get(t *testing.T, d *Daemon, name string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + d.running.page.Address() + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func shows(t *testing.T, d *Daemon, name, text string) bool {
	t.Helper()
	code, body := get(t, d, name)
	return code == http.StatusOK && strings.Contains(body, text)
}

// allPages are the files that the server keeps, as one text.
func allPages(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, pageFolder))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, pageFolder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(e.Name() + "\n" + string(text))
	}
	return b.String()
}

// What the watch sees is on the page where that is wanted; what people say in an
// incident is once they say it to clients, and nothing else is.
func TestThePageShowsWhatWasPublished(t *testing.T) {
	dir, eyes := t.TempDir(), &staged{}
	eyes.set(target.Serving)
	copied := t.TempDir()
	d, a := paged(t, dir, eyes, "  automatic: true\n  publish: [\"file://"+copied+"\"]\n")
	eventually(t, "the page to say that all is well", func() bool { return shows(t, d, "", "All services are available") })
	eyes.set(target.Refused)
	eventually(t, "the page to say that the shop is disrupted", func() bool { return shows(t, d, "", "Disrupted: The web shop") })
	eventually(t, "an incident", func() bool { return len(incidentsOf(t, a)) == 1 })
	for _, c := range []IncidentCommand{IncidentNote{Text: "HIDDENNOTE"}, IncidentTask{Text: "HIDDENTASK", Owner: "HIDDENPERSON"}, TakeRole{Role: incident.Commander}, SetStatus{To: incident.Identified, Why: "HIDDENWHY"}} {
		if _, err := a.ActOnIncident(t.Context(), "1", c, "HIDDENACTOR"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.SendUpdate(t.Context(), UpdateRequest{Incident: "1", Audience: "teams", Text: "HIDDENTEAMS", By: "HIDDENACTOR"}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(allPages(t, dir), "Disruption:") {
		t.Error("an incident of which clients were not told is on the page")
	}
	if _, err := a.SendUpdate(t.Context(), UpdateRequest{Incident: "1", Audience: "clients", Text: "Orders cannot be taken at the moment.", By: "HIDDENACTOR"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page to show what clients were told", func() bool { return shows(t, d, "", "Orders cannot be taken at the moment.") })
	eyes.set(target.Serving)
	eventually(t, "service to be back", func() bool { return !incidentsOf(t, a)[0].Mitigated.IsZero() })
	if !shows(t, d, "", "Disrupted: The web shop") {
		t.Error("clients were told of a disruption, and not of its end: the page must not end it")
	}
	if _, err := a.ActOnIncident(t.Context(), "1", ResolveIncident{Summary: "HIDDENSUMMARY"}, "HIDDENACTOR"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SendUpdate(t.Context(), UpdateRequest{Incident: "1", Audience: "clients", Text: "Orders are taken again.", By: "HIDDENACTOR"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page to be well again", func() bool {
		return shows(t, d, "", "All services are available") && shows(t, d, "", "Orders are taken again.") && shows(t, d, "feed.atom", "Orders are taken again.")
	})
	for _, text := range []string{allPages(t, dir), allPages(t, filepath.Dir(linked(t, copied)))} {
		for _, never := range []string{"HIDDEN", "inc-1", "shop does not serve", "refuses", "postgres"} {
			if strings.Contains(text, never) {
				t.Errorf("the page holds %q", never)
			}
		}
	}
	p, kept, err := a.StatusPage(t.Context())
	if err != nil || kept != "" || len(p.Incidents) != 1 || p.State != statuspage.Operational || len(p.Services[0].Outages) != 1 {
		t.Errorf("%+v %s %v", p, kept, err)
	}
	if share, known := statuspage.Uptime(p.Services[0].Days); known == 0 || share >= 1 {
		t.Errorf("uptime %v in %d days", share, known)
	}
	stopped(t, d)
	into := filepath.Join(t.TempDir(), "w")
	r, err := a.WriteStatusPage(t.Context(), into)
	if err != nil || r.Kept != "" || r.Files < 8 {
		t.Fatalf("%+v %v", r, err)
	}
	if err := os.Rename(filepath.Join(dir, "refloat.db"), filepath.Join(dir, "gone.db")); err != nil {
		t.Fatal(err)
	}
	if r, err = a.WriteStatusPage(t.Context(), into); err != nil || r.Kept == "" {
		t.Errorf("without the store: %+v %v", r, err)
	}
	if text, err := os.ReadFile(filepath.Join(into, "index.html")); err != nil || !strings.Contains(string(text), "Orders are taken again.") {
		t.Error(err)
	}
}

// linked gives a folder the name under which allPages looks.
func linked(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), pageFolder)
	if err := os.Symlink(dir, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// Whatever happens in an incident, only what clients were told comes out of it.
func TestNothingInternalGetsOut(t *testing.T) {
	pages, err := statuspage.NewPages()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var hidden []string
		secret := rapid.StringMatching(`[QXZJ]{10}`)
		word := func() string {
			hidden = append(hidden, secret.Draw(t, "secret"))
			return hidden[len(hidden)-1]
		}
		now, seq := start, int64(0)
		s := incident.Fold(nil)
		do := func(c incident.Command, who string) {
			now = now.Add(time.Minute)
			events, err := incident.Decide(s, c, who, now)
			if errors.Is(err, incident.ErrRefused) || errors.Is(err, incident.ErrNothing) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				seq++
				e.Seq = seq
				s = s.With(e)
			}
		}
		cause := incident.Cause{Key: "outage/" + word(), Kind: incident.FromOutage, Target: "shop", Reason: word(), Started: now, Detected: now}
		do(incident.Open{ID: "inc-7", Opened: incident.Opened{Title: word(), Severity: incident.Sev1, Targets: []string{"shop"}, Team: word(), Cause: cause}}, incident.Server)
		told := 0
		for range rapid.IntRange(1, 12).Draw(t, "acts") {
			switch rapid.IntRange(0, 8).Draw(t, "act") {
			case 0:
				do(incident.AddNote{Text: word()}, word())
			case 1:
				do(incident.AddTask{Text: word(), Owner: word()}, word())
			case 2:
				do(incident.AddLink{URL: "https://x/" + word(), Title: word()}, word())
			case 3:
				do(incident.SetStatus{To: rapid.SampledFrom(incident.Statuses()[:4]).Draw(t, "status"), Why: word()}, word())
			case 4:
				do(incident.TakeRole{Role: rapid.SampledFrom(incident.Roles()).Draw(t, "role"), Why: word()}, word())
			case 5:
				do(incident.PublishUpdate{Audience: rapid.SampledFrom([]incident.Audience{incident.Responders, incident.Teams}).Draw(t, "to"), Text: word(), Subject: word(), To: []incident.Recipient{{Person: word(), Contact: word(), Address: word()}}}, word())
			case 6:
				do(incident.PublishUpdate{Audience: incident.Clients, Text: "said to clients", To: []incident.Recipient{{Person: word(), Contact: word(), Address: word()}}}, word())
				told++
			case 7:
				do(incident.GatherAlert{Alert: incident.GatheredAlert{ID: word(), Key: word(), Code: word(), Summary: word(), Started: now}}, incident.Server)
			default:
				do(incident.Join{Cause: incident.Cause{Key: "outage/" + word(), Kind: incident.FromOutage, Target: word(), Reason: word(), Started: now, Detected: now}, Severity: incident.Sev2}, incident.Server)
			}
		}
		in := statuspage.Input{Title: "Acme", Services: []statuspage.Offer{{Name: "Shop", Targets: []string{"shop"}}}, Told: []statuspage.Told{clientsTold(s)}}
		p := statuspage.Make(in, now)
		if (len(p.Incidents) == 1) != (told > 0) || told > 0 && len(p.Incidents[0].Updates) != told {
			t.Fatalf("told %d times: %+v", told, p.Incidents)
		}
		files, err := pages.Files(p, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, w := range append(hidden, "inc-7") {
				if bytes.Contains(f.Body, []byte(w)) {
					t.Fatalf("%s holds %s", f.Name, w)
				}
			}
		}
	})
}

// A place that cannot be written is an alert until it can, and then has the
// newest.
func TestAPlaceThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrote []string
		var broken atomic.Bool
		broken.Store(true)
		var firing atomic.Bool
		w := &placeWriter{box: make(chan []statuspage.File, 1), log: slog.New(slog.DiscardHandler)}
		w.statusPlace = statusPlace{"s3://gone", func(_ context.Context, all []statuspage.File) error {
			if broken.Load() {
				return errors.New("the bucket is gone")
			}
			wrote = append(wrote, all[0].Name)
			return nil
		}}
		w.tell = func(_ context.Context, s alert.Signal) {
			firing.Store(s.Firing)
			if s.Key != "status-page/s3://gone" || s.Severity != alert.High || s.Firing && s.Detail != "the bucket is gone" {
				t.Errorf("%+v", s)
			}
		}
		ctx, end := context.WithCancel(t.Context())
		go w.run(ctx)
		w.offer([]statuspage.File{{Name: "first"}})
		synctest.Wait()
		if firing.Load() {
			t.Error("one failure pages")
		}
		time.Sleep(placeRetry)
		synctest.Wait()
		if !firing.Load() {
			t.Error("failing again is not told")
		}
		w.offer([]statuspage.File{{Name: "second"}})
		w.offer([]statuspage.File{{Name: "third"}})
		synctest.Wait()
		broken.Store(false)
		time.Sleep(placeRetry)
		synctest.Wait()
		if firing.Load() || len(wrote) != 1 || wrote[0] != "third" {
			t.Errorf("firing %v, wrote %v", firing.Load(), wrote)
		}
		end()
		synctest.Wait()
	})
}

// A server that cannot keep its page tells so, and goes on once it can; alerts
// about places that are no longer configured end.
func TestAPageThatCannotBeKeptIsTold(t *testing.T) {
	dir, eyes := t.TempDir(), &staged{}
	eyes.set(target.Serving)
	folder := filepath.Join(dir, pageFolder)
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, _ := paged(t, dir, eyes, "")
	fires := func() bool { _, open := d.running.pager.openAlert("status-page/here"); return open }
	eventually(t, "an alert", fires)
	if code, body := get(t, d, ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "Nothing has been published") {
		t.Errorf("%d %s", code, body)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page", func() bool { return shows(t, d, "", "Acme status") && !fires() })
}

func TestWatchedSpans(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	var all []statuspage.Span
	for i := range 10 {
		all = watchedAfter(all, at.Add(time.Duration(i)*30*time.Second))
	}
	all = watchedAfter(all, at.Add(time.Hour))
	all = watchedAfter(all, at.Add(time.Hour+30*time.Second))
	if len(all) != 2 || !all[0].From.Equal(at) || !all[0].Until.Equal(at.Add(270*time.Second)) || !all[1].Until.Equal(at.Add(time.Hour+30*time.Second)) {
		t.Errorf("%+v", all)
	}
	if all = watchedAfter(all, at.Add(100*24*time.Hour)); len(all) != 1 {
		t.Errorf("old ones are kept: %+v", all)
	}
	if all = watchedAfter(all, at.Add(99*24*time.Hour)); len(all) != 2 { // the clock was put back
		t.Errorf("%+v", all)
	}
}
