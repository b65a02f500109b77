package webtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

const gib = int64(1) << 30

func fleet() []care {
	return []care{
		{id: "shop", shown: "Shop orders", team: "commerce", tier: "critical", size: 412 * gib},
		{id: "billing", shown: "Billing", team: "finance", tier: "critical", size: 188 * gib},
		{id: "identity", shown: "Identity", team: "platform", tier: "critical", size: 61 * gib},
		{id: "warehouse", shown: "Warehouse", team: "logistics", tier: "standard", size: 96 * gib},
		{id: "analytics", shown: "Analytics", team: "data", tier: "standard", size: 2310 * gib},
		{id: "search-index", shown: "Search index", team: "commerce", tier: "standard", size: 44 * gib},
		{id: "mail-archive", shown: "Mail archive", team: "platform", tier: "low", size: 730 * gib},
		{id: "wiki", shown: "Wiki", team: "platform", tier: "low", size: 3 * gib},
	}
}

// Empty is a server that takes care of nothing yet.
func Empty() *Desk {
	d := &Desk{Now: At(), Conf: settings()}
	d.Add(ago(time.Hour), "server", "server", "server.started", map[string]any{"version": "0.9.0", "targets": 0})
	return d
}

// Healthy is a quiet night: everything is proven.
func Healthy() *Desk { return world(fleet()) }

// Broken is a bad night: one target is down, others have troubles of their own.
func Broken() *Desk {
	all := fleet()
	all[0].change = down
	all[1].change = stale
	all[3].change = neverDrilled
	all[4].change = gap
	all[5].change = failedDrill
	all[7].change = unsure
	d := world(all)
	night(d)
	return d
}

// Many is a server that takes care of n targets, some of them in trouble.
func Many(n int) *Desk {
	var all []care
	for i := range n {
		c := care{id: fmt.Sprintf("shard-%03d", i), shown: fmt.Sprintf("Shard %03d", i), team: []string{"commerce", "finance", "platform", "data"}[i%4], tier: []string{"critical", "standard", "low"}[i%3], size: int64(20+i%90) * gib}
		switch {
		case i%97 == 13:
			c.change = stale
		case i%61 == 7:
			c.change = gap
		case i%83 == 29:
			c.change = neverDrilled
		}
		all = append(all, c)
	}
	return world(all)
}

// Strange holds names and words as long and as strange as they come.
func Strange() *Desk {
	long := strings.Repeat("very-long-name-without-end-", 8)
	rtl := "قاعدة بيانات الطلبات \u202e drowssap"
	html := `<script>alert("x")</script><img src=x onerror=alert(1)>`
	all := fleet()[:4]
	all[0].shown, all[0].team, all[0].change = long, strings.Repeat("team", 20), down
	all[1].shown, all[1].change = rtl, stale
	all[2].shown, all[2].change = html, func(f *status.Facts, v *server.TargetView) {
		failedDrill(f, v)
		v.Proofs[0].Summary, v.Proofs[0].Checks[0].Detail, v.Proofs[0].Host = html, html+long, html
		v.Runbook = "# " + html + "\n\n[a link](javascript:alert(1)) " + html + "\n\n" + long + "\n\n```\n" + strings.Repeat("x", 400) + "\n```\n"
		v.Findings = reportOf("identity", finding("server-fsync", html, long+" "+html))
		v.Missing = map[string]string{"outages": html}
	}
	all[3].shown, all[3].change = "  ", neverDrilled
	d := world(all)
	night(d)
	d.Add(ago(time.Minute), html, "target/"+long, rtl, map[string]string{html: long})
	d.Conf.Text += "# " + html + "\n# " + long + "\n"
	return d
}

// Failing is a desk that cannot answer.
func Failing() *Desk {
	return &Desk{Now: At(), Err: fmt.Errorf("read the state: disk I/O error at /var/lib/refloat")}
}

// Long is Healthy with a journal of n entries.
func Long(d *Desk, n int64) *Desk {
	kinds := []string{"page.sent", "backup.taken", "drill.ended", "alarm.raised", "alarm.cleared", "log.gap"}
	d.Length = n
	d.Entry = func(seq int64) journal.Entry {
		return journal.Entry{Seq: seq, Time: ago(time.Duration(n-seq) * time.Minute), Actor: "server", Subject: fmt.Sprintf("target/shard-%03d", seq%500), Kind: kinds[seq%6], Body: body(map[string]any{"kind": "delta", "verdict": "proven", "code": "log-lag"}), Hash: fmt.Sprintf("%064x", seq)}
	}
	return d
}

func world(all []care) *Desk {
	d := &Desk{Now: At(), Views: map[string]server.TargetView{}, Conf: settings(), Roster: roster()}
	for _, c := range all {
		r, v := c.row()
		d.Rows = append(d.Rows, r)
		d.Views[c.id] = v
		if v.Findings != nil {
			d.Found = append(d.Found, server.TargetFindings{Target: c.id, Team: c.team, Report: *v.Findings})
		}
	}
	rank := map[status.Class]int{status.Bad: 0, status.Uncertain: 1, status.Good: 2}
	slices.SortStableFunc(d.Rows, func(a, b server.TargetRow) int {
		if a.Watch.State == "down" || b.Watch.State == "down" {
			return strings.Compare(a.Watch.State, b.Watch.State)
		}
		if x := rank[a.Class] - rank[b.Class]; x != 0 {
			return x
		}
		return -strings.Compare(string(a.Grade.Letter), string(b.Grade.Letter))
	})
	write(d, all)
	return d
}

func down(f *status.Facts, v *server.TargetView) {
	first := ago(12*time.Minute + 9*time.Second)
	f.Watch = &status.Watch{State: "down", At: ago(400 * time.Millisecond), Took: time.Second, Reason: "refuses connections since 02:35:03 UTC"}
	f.Alarms = append(f.Alarms, status.Alarm{Code: status.AlarmOutage, Detail: "it refuses connections since 02:35:03 UTC", Next: "open the incident and choose a way back", Raised: first})
	f.Log.Restorable, f.Log.WrittenAt, f.Heartbeat.At, f.Slot.SeenAt = first.Add(-time.Second), first, first, first
	f.Coverage.To = f.Log.Restorable
	v.Outages = []monitor.Outage{
		{Target: f.Target, Sees: target.Refused, Reason: "refuses connections since 02:35:03 UTC", FirstBad: first, Confirmed: first.Add(400 * time.Millisecond)},
		{Target: f.Target, Sees: target.Silent, Reason: "accepts connections but does not answer since 14:02:11 UTC", FirstBad: ago(11 * day), Confirmed: ago(11*day - 1400*time.Millisecond), Recovered: ago(11*day - 4*time.Minute)},
	}
	v.Coverage.Spans[0].ToTime, v.Coverage.Newest.Time, v.Coverage.Newest.Age = f.Log.Restorable, f.Log.Restorable, At().Sub(f.Log.Restorable)
	for i := range v.Lag {
		if d := v.Lag[i].At.Sub(first); d > 0 {
			v.Lag[i].Lag, v.Lag[i].Bytes = d, nil
		}
	}
	v.Lag = append(v.Lag, server.LagPoint{At: At(), Lag: At().Sub(first)})
}

func stale(f *status.Facts, v *server.TargetView) {
	v.Proofs = v.Proofs[9:]
	f.Work[1] = status.Work{Kind: "drill", Next: ago(-time.Hour), Succeeded: v.Proofs[0].EndedAt, Error: "the scratch disk is too small: 210 GiB are needed, 150 GiB are free", Failures: 9}
	v.Findings = reportOf(string(f.Target),
		finding("backup-same-host", "/srv/backups", "/srv/backups is a folder on the machine that has the data directory /srv/postgres/17/billing"),
		finding("server-slot-unbounded", "max_slot_wal_keep_size", "max_slot_wal_keep_size is -1 (the default); slots: refloat_billing"),
		accepted(finding("server-checksums", "", "data_checksums is off"), "bob", "the cluster moves to a new machine with checksums in December", ago(-21*day)))
}

func neverDrilled(f *status.Facts, v *server.TargetView) {
	v.Proofs, f.Proof, f.Work[1] = nil, nil, status.Work{Kind: "drill", Next: ago(-3 * time.Hour)}
	f.Detection = nil
}

func gap(f *status.Facts, v *server.TargetView) {
	from, to := ago(6*day+3*time.Hour), ago(5*day+20*time.Hour)
	f.Coverage.Gaps = 1
	s := v.Coverage.Spans[0]
	a, b := s, s
	a.To, a.ToTime, b.From, b.FromTime = position(from), from, position(to), to
	v.Coverage.Spans = []backup.Span{a, b}
	v.Coverage.Gaps = []backup.CoverageGap{{From: position(from), To: position(to), At: to.Add(-30 * time.Minute), Reason: "the slot was given up at 64 GiB of log, while the repository could not be reached"}}
	v.Maintenance = []alert.Silence{{ID: "s-9", Target: string(f.Target), Owner: "cleo", Reason: "move to new disks", From: ago(-26 * time.Hour), Until: ago(-30 * time.Hour), Planned: true}}
}

func failedDrill(f *status.Facts, v *server.TargetView) {
	v.Proofs[0] = failedProof(care{id: string(f.Target), size: 44 * gib}, 412, ago(42*time.Minute))
	v.Findings = reportOf(string(f.Target), finding("server-fsync", "fsync", "fsync is off, set in /etc/postgresql/17/main/postgresql.conf line 214"))
}

func unsure(f *status.Facts, v *server.TargetView) {
	f.Proof, v.Proofs = nil, nil
	f.Unread = []status.Unread{{What: status.UnreadProof, Error: "s3://refloat-backups/wiki: connection reset by peer"}, {What: status.UnreadCoverage, Error: "s3://refloat-backups/wiki: connection reset by peer"}}
	f.Coverage, v.Coverage, v.Backups = nil, nil, nil
	f.Watch = &status.Watch{State: "unknown", At: ago(time.Second), Reason: "no route to host: this machine's own network may be down"}
	f.Audit, v.Findings = nil, nil
	v.Missing = map[string]string{"coverage": "s3://refloat-backups/wiki: connection reset by peer", "backups": "s3://refloat-backups/wiki: connection reset by peer", "proofs": "s3://refloat-backups/wiki: connection reset by peer"}
}

// night adds the incident and the alerts of a bad night, through the commands that
// make them.
func night(d *Desk) {
	ctx := context.Background()
	first := ago(12*time.Minute + 9*time.Second)
	open := func(id, title, on, team string, sev incident.Severity, since time.Time) {
		events, err := incident.Decide(incident.Fold(nil), incident.Open{ID: id, Opened: incident.Opened{Title: title, Severity: sev, Targets: []string{on}, Team: team,
			Cause:      incident.Cause{Key: "outage/" + on + "/" + id, Kind: incident.FromOutage, Target: on, Reason: "refuses connections since " + since.UTC().Format("15:04:05 UTC"), Started: since, Detected: since.Add(400 * time.Millisecond), Restorable: since.Add(-time.Second)},
			Objectives: incident.Objectives{Detection: 30 * time.Second, Resolution: 4 * time.Hour, DataLoss: time.Minute}}}, incident.Server, since.Add(time.Second))
		if err == nil {
			_, err = d.Append(ctx, "", 0, events)
		}
		must(err)
	}
	act := func(id, who string, at time.Time, c incident.Command) {
		_, _, err := incident.Act(ctx, d, id, c, who, at)
		must(err)
	}
	row := d.Rows[slices.IndexFunc(d.Rows, func(r server.TargetRow) bool { return r.Target == "shop" })]
	open("inc-6", "Shop orders does not answer", "shop", row.Team, incident.Sev2, ago(11*day))
	act("inc-6", "ada", ago(11*day-2*time.Minute), incident.TakeRole{Role: incident.Commander})
	act("inc-6", incident.Server, ago(11*day-4*time.Minute), incident.EndCause{Key: "outage/shop/inc-6", At: ago(11*day - 4*time.Minute)})
	act("inc-6", "ada", ago(11*day-30*time.Minute), incident.Resolve{Summary: "a lock held every session; the query was ended and the timeout lowered"})
	open("inc-7", "Shop orders refuses connections", "shop", row.Team, incident.Sev1, first)
	act("inc-7", incident.Server, first.Add(2*time.Second), incident.GatherAlert{Alert: incident.GatheredAlert{ID: "a-31", Key: "outage/shop", Code: "outage", Severity: "critical", Target: "shop", Summary: "shop refuses connections", Started: first}})
	act("inc-7", incident.Server, first.Add(3*time.Second), incident.OfferRoles{To: []string{"ada", "bob"}})
	act("inc-7", "ada", first.Add(4*time.Minute), incident.TakeRole{Role: incident.Commander})
	act("inc-7", "ada", first.Add(6*time.Minute), incident.AddNote{Text: "The host answers ping, the postmaster is gone. Kernel log shows the out-of-memory killer."})
	act("inc-7", "bob", first.Add(7*time.Minute), incident.TakeRole{Role: incident.Operations})
	act("inc-7", "ada", first.Add(8*time.Minute), incident.AddTask{Text: "Ask hosting for the memory graph of the last hour", Owner: "bob"})
	toDo(d)
	d.Bells = bells(d, first)
}

func bells(d *Desk, first time.Time) []server.AlertView {
	a := func(id, code, on, summary, detail, next string, sev alert.Severity, at time.Time) server.AlertView {
		team := ""
		if v, ok := d.Views[on]; ok {
			team = v.Team
		}
		return server.AlertView{Alert: alert.Alert{ID: id, State: alert.Firing, Count: 1, StartedAt: at, PagedFrom: at, Policy: "default",
			Signal: alert.Signal{Key: code + "/" + on, At: at, Firing: true, Code: code, Target: on, Source: "monitor", Severity: sev, Summary: summary, Detail: detail, Next: next, Team: team}}}
	}
	out := []server.AlertView{
		a("a-33", "proof-stale", "billing", "billing: the last proof is 9 d 0 h old, 7 d 0 h was promised", "Drills fail since 16 November: the scratch disk is too small.", "make room on drill-1, then run: refloat drill billing", alert.High, ago(34*time.Minute)),
		a("a-32", "drill-failed", "search-index", "search-index: the last drill failed", "Two segments of the log are missing.", "run: refloat proof show search-index", alert.Critical, ago(41*time.Minute)),
		a("a-31", "outage", "shop", "shop refuses connections since 02:35:03 UTC", "connection refused (SQLSTATE 08001)", "open the incident and choose a way back", alert.Critical, first),
	}
	out[2].AcknowledgedAt, out[2].AcknowledgedBy, out[2].Incident = first.Add(4*time.Minute), "ada", "inc-7"
	out[2].Deliveries = []alert.Delivery{
		{ID: "a-31-0-0-ada.email", AlertID: "a-31", Kind: alert.Page, Person: "ada", Contact: alert.Contact{ID: "ada.email", Via: alert.Email, Address: "ada@example.net"}, State: alert.Sent, CreatedAt: first.Add(time.Second), Attempts: 1, SentAt: first.Add(2 * time.Second), Said: "250 2.0.0 Ok: queued as 4F1C"},
		{ID: "a-31-0-0-ada.chat", AlertID: "a-31", Kind: alert.Page, Person: "ada", Contact: alert.Contact{ID: "ada.chat", Via: alert.Chat, Address: "ntfy"}, State: alert.Failed, CreatedAt: first.Add(time.Second), Attempts: 3, Error: "ntfy: 503 Service Unavailable"},
		{ID: "a-31-0-1-bob.email", AlertID: "a-31", Kind: alert.Page, Person: "bob", Contact: alert.Contact{ID: "bob.email", Via: alert.Email, Address: "bob@example.net"}, State: alert.Cancelled, CreatedAt: first.Add(time.Second)},
	}
	return out
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("fixed data: %v", err))
	}
}

func roster() server.OnCall {
	monday := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	shift := func(team, person string, week int) alert.Shift {
		return alert.Shift{Team: team, Rotation: "primary", Person: person, Since: monday.AddDate(0, 0, 7*week), Until: monday.AddDate(0, 0, 7*week+7), Source: alert.FromRotation}
	}
	people := map[string]string{"ada": "Ada Byron", "bob": "Bob Frank", "cleo": "Cléo Núñez", "dan": "Dan Østergård"}
	return server.OnCall{From: monday, Until: monday.AddDate(0, 0, 28), Names: people, Teams: []server.TeamOnCall{
		{Team: "commerce", Policy: "default", Members: []string{"ada", "bob"}, Now: []alert.Shift{shift("commerce", "ada", 0)}, Shifts: []alert.Shift{shift("commerce", "ada", 0), shift("commerce", "bob", 1), shift("commerce", "ada", 2), shift("commerce", "bob", 3)}},
		{Team: "platform", Policy: "default", Members: []string{"cleo", "dan"}, Now: []alert.Shift{shift("platform", "cleo", 0)}, Shifts: []alert.Shift{shift("platform", "cleo", 0), shift("platform", "dan", 1), shift("platform", "cleo", 3)}, Gaps: []alert.Gap{{Team: "platform", Since: monday.AddDate(0, 0, 14), Until: monday.AddDate(0, 0, 21)}}},
	}}
}

func settings() server.Settings {
	return server.Settings{Path: "/etc/refloat/refloat.yaml", Read: ago(3*day + 4*time.Hour), Text: `repository:
  location: s3://refloat-backups
  passphrase: '[redacted]'
server:
  address: 127.0.0.1:9464
  state_dir: /var/lib/refloat
watch:
  every: 500ms
targets:
  shop:
    name: Shop orders
    team: commerce
    tier: critical
    dsn: host=shop-db-1.example.net user=refloat sslmode=verify-full
    objectives:
      data_loss: 1m
      resolution: 4h
      detection: 30s
      proof_age: 7d
    backup:
      at: "01:00"
      full_every: 7d
    drill:
      at: "01:55"
    retention:
      keep: 30d
`}
}

func write(d *Desk, all []care) {
	d.Add(ago(3*day+4*time.Hour), "server", "server", "server.started", map[string]any{"version": "0.9.0", "targets": len(all)})
	for n := 2; n >= 0; n-- {
		for _, c := range all[:min(len(all), 8)] {
			s := "target/" + c.id
			d.Add(ago(time.Duration(n)*day+95*time.Minute), "server", s, "backup.taken", map[string]any{"backup": "20261124T010002Z-4711", "kind": "delta", "took": "11m3s", "bytes": c.size, "stored_bytes": c.size / 160})
			if v := d.Views[c.id]; n < len(v.Proofs) {
				p := v.Proofs[n]
				d.Add(p.EndedAt, "server", s, "drill.ended", map[string]any{"proof": p.ID, "verdict": p.Verdict, "summary": p.Summary, "resolution": p.Resolution.String()})
			}
		}
	}
	d.Add(ago(41*time.Minute), "server", "target/analytics", "finding.appeared", finding("server-slot-unbounded", "max_slot_wal_keep_size", "max_slot_wal_keep_size is -1 (the default)"))
	d.Add(ago(30*time.Minute), "ada", "target/identity", "drill.asked", map[string]string{"reason": "asked for on the console"})
	d.Add(ago(12*time.Minute), "server", "target/shop", "outage.confirmed", monitor.Outage{Target: "shop", Sees: target.Refused, Reason: "refuses connections since 02:35:03 UTC", FirstBad: ago(12 * time.Minute), Confirmed: ago(12 * time.Minute)})
	d.Add(ago(11*time.Minute), "server", "alert/a-31", "page.sent", map[string]any{"delivery": "a-31-0-0-ada.email", "person": "ada", "contact": "ada.email", "kind": "page", "said": "250 2.0.0 Ok: queued as 4F1C"})
	d.Add(ago(8*time.Minute), "ada", "alert/a-31", "alert.acknowledged", map[string]any{"by": "ada", "at": ago(8 * time.Minute), "after": "4m0s"})
}
