package inbound

import (
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

var now = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

// Written after the documented message, with its fields and its zero time; not
// recorded from a running Alertmanager.
const fromAlertmanager = `{"receiver":"refloat","status":"firing","alerts":[
 {"status":"firing","labels":{"alertname":"DiskFull","instance":"db1:9100","severity":"critical","team":"db"},"annotations":{"summary":"db1 has 2% left","description":"/var is at 98%","runbook_url":"https://runbooks.example.org/disk"},"startsAt":"2026-03-01T01:58:00.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus:9090/graph?g0.expr=x","fingerprint":"5ef77f1f8a3ecf8d"},
 {"status":"resolved","labels":{"alertname":"Slow","severity":"warning"},"annotations":{},"startsAt":"2026-03-01T01:00:00Z","endsAt":"2026-03-01T01:30:00Z","generatorURL":"","fingerprint":"aa"}],
 "groupLabels":{"alertname":"DiskFull"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager:9093","version":"4","groupKey":"{}:{alertname=\"DiskFull\"}","truncatedAlerts":0}`

func TestAlertmanagerIsUnderstood(t *testing.T) {
	all, err := Alertmanager("prom", []byte(fromAlertmanager), now)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	a, b := all[0], all[1]
	if a.Key != "in/prom/5ef77f1f8a3ecf8d" || !a.Firing || a.Severity != alert.Critical || a.Summary != "db1 has 2% left" || a.Detail != "/var is at 98%" || a.Team != "db" || a.Next != "https://runbooks.example.org/disk" || !a.At.Equal(now.Add(-2*time.Minute+123*time.Millisecond)) {
		t.Errorf("%+v", a)
	}
	if b.Firing || b.Severity != alert.Medium || b.Summary != "Slow" || !b.At.Equal(now.Add(-30*time.Minute)) {
		t.Errorf("%+v", b)
	}
}

func TestGenericIsUnderstoodAndStrict(t *testing.T) {
	all, err := Generic("cron", []byte(`{"key":"nightly","summary":"the nightly export failed","severity":"medium","target":"shop","at":"2026-03-01T01:59:00+01:00"}`), now)
	if err != nil || len(all) != 1 || all[0].Key != "in/cron/nightly" || !all[0].Firing || all[0].Severity != alert.Medium || all[0].Target != "shop" || !all[0].At.Equal(now.Add(-61*time.Minute)) {
		t.Fatal(all, err)
	}
	all, err = Generic("cron", []byte(`[{"key":"a","summary":"x"},{"key":"b","status":"resolved"}]`), now)
	if err != nil || len(all) != 2 || all[0].Severity != alert.High || all[1].Firing {
		t.Fatal(all, err)
	}
	for body, want := range map[string]string{
		`{"summary":"x"}`: "key of alert 1",
		`{"key":"a"}`:     "summary of alert 1",
		`{"key":"a","summary":"x","status":"open"}`: "status of alert 1",
		`{"key":"a","summary":"x","severity":"P1"}`: "severity of alert 1",
		`{"key":"a","summary":"x","summery":"y"}`:   "summery",
		`{"key":"a","summary":"x"} {"key":"b"}`:     "more after",
		`[]`:                                        "0 alerts",
		``:                                          "EOF",
		`{"key":"a","summary":"x","at":"yesterday"}`: "parsing time",
	} {
		if _, err := Generic("cron", []byte(body), now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func TestAClockAheadMovesNothingIntoTheFuture(t *testing.T) {
	all, err := Generic("cron", []byte(`{"key":"a","summary":"x","at":"2030-01-01T00:00:00Z"}`), now)
	if err != nil || !all[0].At.Equal(now) {
		t.Fatal(all, err)
	}
}

func FuzzInbound(f *testing.F) {
	f.Add([]byte(fromAlertmanager))
	f.Add([]byte(`{"key":"a","summary":"x"}`))
	f.Add([]byte(`{"key":"a","summary":"x","incident":true}`))
	f.Add([]byte(`{"key":"a","summary":"x","incident":"yes"}`))
	f.Add([]byte(`[{"key":"\xff","summary":"x","status":"resolved"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, read := range []func(string, []byte, time.Time) ([]alert.Signal, error){Alertmanager, Generic} {
			all, err := read("x", body, now)
			if err != nil {
				continue
			}
			for _, s := range all {
				if s.Severity.Rank() == 0 || s.At.After(now) || s.At.IsZero() || !strings.HasPrefix(s.Key, "in/x/") || len(s.Summary) > 5*maxText {
					t.Errorf("%+v", s)
				}
				if s.Opens && !strings.Contains(strings.ToLower(string(body)), "incident") && !strings.Contains(string(body), "\\u") {
					t.Errorf("asks for an incident that nobody asked for: %+v", s)
				}
			}
		}
	})
}
