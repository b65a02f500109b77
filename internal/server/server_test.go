package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

const password = `pa"ss wörd<1>`

var at = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

func report() status.Report {
	loss, lag := time.Second, int64(4096)
	return status.Evaluate(status.Facts{
		Target:     "shop",
		Objectives: proof.Objectives{DataLoss: time.Minute, ProofAge: time.Hour},
		Proof:      &status.Proof{ID: "p", Verdict: proof.Proven, EndedAt: at.Add(-time.Minute), DataLoss: &loss, Resolution: 90 * time.Second},
		Backup:     &status.Backup{ID: "b", EndedAt: at.Add(-2 * time.Hour), Took: time.Minute, Bytes: 1000, Stored: 300},
		Log:        &status.Log{Restorable: at.Add(-3 * time.Second), WrittenAt: at.Add(-2 * time.Second), LagBytes: &lag},
		Slot:       &status.Slot{Slot: target.Slot{Name: "s", Exists: true, Retained: 777}, SeenAt: at},
		Heartbeat:  &status.Heartbeat{At: at.Add(-time.Second)},
		Alarms:     []status.Alarm{{Code: status.AlarmGap, Key: "1:0/5", Detail: "connect to postgres://u:" + password + "@h failed", Next: "n", Raised: at}},
		Server:     status.Server{Running: true},
	}, at)
}

func listen(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Status == nil {
		o.Status = func(context.Context) ([]status.Report, error) { return []status.Report{report()}, nil }
	}
	o.Version, o.Secrets = "1.2.3", []secret.Value{secret.New(password), secret.New("")}
	s, err := Listen(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // idempotent
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func get(t *testing.T, s *Server, path, host string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+s.Address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func TestMetrics(t *testing.T) {
	s := listen(t, Options{})
	code, body, _ := get(t, s, "/metrics", "")
	if code != 200 {
		t.Fatal(code, body)
	}
	for _, want := range []string{
		`refloat_build_info{version="1.2.3"} 1`, `refloat_status_up 1`,
		`refloat_proof_verdict{target="shop",verdict="proven"} 1`, `refloat_proof_verdict{target="shop",verdict="failed"} 0`,
		`refloat_proof_age_seconds{target="shop"} 60`, `refloat_proof_stale{target="shop"} 0`, `refloat_proof_resolution_seconds{target="shop"} 90`,
		`refloat_restorable_age_seconds{target="shop"} 3`, `refloat_log_lag_seconds{target="shop"} 2`, `refloat_log_lag_bytes{target="shop"} 4096`,
		`refloat_backup_age_seconds{target="shop"} 7200`, `refloat_backup_size_bytes{target="shop"} 1000`, `refloat_backup_duration_seconds{target="shop"} 60`,
		`refloat_slot_retained_bytes{target="shop"} 777`, `refloat_heartbeat_age_seconds{target="shop"} 1`,
		`refloat_alarm{code="log-gap",key="1:0/5",target="shop"} 1`, `refloat_standing{class="bad",target="shop"} 1`,
		`refloat_objective_promised_seconds{objective="data loss",target="shop"} 60`, `refloat_problems{severity="critical",target="shop"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

func TestUnknownFiguresAreAbsent(t *testing.T) {
	s := listen(t, Options{Status: func(context.Context) ([]status.Report, error) {
		return []status.Report{status.Evaluate(status.Facts{Target: "shop"}, at)}, nil
	}})
	_, body, _ := get(t, s, "/metrics", "")
	for _, absent := range []string{"refloat_proof_age", "refloat_log_lag", "refloat_backup_age", "refloat_slot", "refloat_heartbeat"} {
		if strings.Contains(body, absent) {
			t.Errorf("%s of a target of which nothing is known", absent)
		}
	}
	if !strings.Contains(body, `refloat_standing{class="bad",target="shop"} 1`) {
		t.Error("standing is missing")
	}
}

func TestFailureToGatherShows(t *testing.T) {
	s := listen(t, Options{Status: func(context.Context) ([]status.Report, error) { return nil, errors.New("disk on fire at " + password) }})
	if code, body, _ := get(t, s, "/metrics", ""); code != 200 || !strings.Contains(body, "refloat_status_up 0") || strings.Contains(body, "refloat_standing{") {
		t.Error(code, body)
	}
	if code, body, _ := get(t, s, "/status.json", ""); code != 500 || strings.Contains(body, "fire") {
		t.Error(code, body)
	}
}

func TestStatusDocument(t *testing.T) {
	s := listen(t, Options{})
	code, body, h := get(t, s, "/status.json", "")
	var doc Document
	if err := json.Unmarshal([]byte(body), &doc); err != nil || code != 200 || h.Get("Content-Type") != "application/json" {
		t.Fatal(code, err, body)
	}
	if len(doc.Targets) != 1 || doc.Targets[0].Answer != status.Proven || doc.Targets[0].Class != status.Bad || doc.Version != "1.2.3" {
		t.Errorf("%+v", doc)
	}
}

func TestNoSecretIsServed(t *testing.T) {
	s := listen(t, Options{Ready: func() error { return fmt.Errorf("no %s", password) }})
	for _, path := range []string{"/status.json", "/metrics", "/readyz", "/healthz", "/nothing"} {
		_, body, _ := get(t, s, path, "")
		if strings.Contains(body, "wörd") || strings.Contains(body, `w\u00f6rd`) {
			t.Errorf("%s serves the password: %s", path, body)
		}
	}
}

func TestHealth(t *testing.T) {
	ready := errors.New("starting")
	s := listen(t, Options{Ready: func() error { return ready }})
	if code, body, _ := get(t, s, "/healthz", ""); code != 200 || body != "ok\n" {
		t.Error(code, body)
	}
	if code, body, _ := get(t, s, "/readyz", ""); code != 503 || !strings.Contains(body, "starting") {
		t.Error(code, body)
	}
	s = listen(t, Options{})
	if code, _, _ := get(t, s, "/readyz", ""); code != 200 {
		t.Error(code)
	}
}

func TestOnlyLoopbackUnlessAllowed(t *testing.T) {
	ctx := context.Background()
	for _, a := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "db.example.org:0"} {
		if s, err := Listen(ctx, Options{Address: a}); !errors.Is(err, ErrRemote) {
			t.Errorf("%s: %v", a, err)
			_ = s.Close(ctx)
		}
	}
	if _, err := Listen(ctx, Options{Address: "nonsense"}); err == nil {
		t.Error("an address without a port was taken")
	}
	listen(t, Options{Address: "0.0.0.0:0", Remote: true})
}

func TestRebindingIsRefused(t *testing.T) {
	s := listen(t, Options{})
	_, port, _ := net.SplitHostPort(s.Address())
	for host, want := range map[string]int{"localhost:" + port: 200, "127.0.0.1": 200, "[::1]:9": 200, "evil.example.org": 421, "127.0.0.1.evil.example.org:80": 421} {
		if code, _, _ := get(t, s, "/status.json", host); code != want {
			t.Errorf("Host %s: %d, want %d", host, code, want)
		}
	}
}

func TestGatheringIsShared(t *testing.T) {
	var n atomic.Int32
	s := listen(t, Options{Status: func(context.Context) ([]status.Report, error) { n.Add(1); return nil, nil }})
	for range 5 {
		get(t, s, "/metrics", "")
	}
	if n.Load() > 2 {
		t.Errorf("gathered %d times", n.Load())
	}
}

// docs/server.md names every metric, and none that does not exist.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	full := strings.NewReplacer("`_size_bytes`", "`refloat_backup_size_bytes`", "`_stored_bytes`", "`refloat_backup_stored_bytes`",
		"`_duration_seconds`", "`refloat_backup_duration_seconds`", "`_findings`", "`refloat_backup_findings`").Replace(string(doc))
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(refloat_[a-z_]+)").FindAllStringSubmatch(full, -1) {
		named[m[1]] = true
	}
	s := listen(t, Options{})
	descs := make(chan *prometheus.Desc, 100)
	(&collector{s: s, all: descriptions()}).Describe(descs)
	close(descs)
	exists := map[string]bool{"refloat_build_info": true}
	for d := range descs {
		exists[regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	for name := range exists {
		if !named[name] {
			t.Errorf("%s is not in docs/server.md", name)
		}
	}
	for name := range named {
		if !exists[name] {
			t.Errorf("docs/server.md names %s", name)
		}
	}
}

// The alert rules and the dashboard ask for metrics that exist.
func TestContributedFilesKnowTheMetrics(t *testing.T) {
	s := listen(t, Options{})
	descs := make(chan *prometheus.Desc, 100)
	(&collector{s: s, all: descriptions()}).Describe(descs)
	close(descs)
	exists := map[string]bool{"refloat_build_info": true}
	for d := range descs {
		exists[regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	for _, file := range []string{"prometheus/refloat.rules.yml", "grafana/refloat.json"} {
		text, err := os.ReadFile("../../contrib/" + file)
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`\brefloat_[a-z_]+`).FindAllString(string(text), -1)
		if len(asked) < 8 {
			t.Errorf("%s asks for %d metrics", file, len(asked))
		}
		for _, name := range asked {
			if !exists[name] {
				t.Errorf("%s asks for %s", file, name)
			}
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is not JSON", file)
		}
	}
}

// A name told twice, or one that is no UTF-8, does not spoil the other figures.
func TestMetricsOfHeadroom(t *testing.T) {
	s := listen(t, Options{Headroom: func() []Gauge {
		return []Gauge{
			{Target: "shop", Code: "sequence", Object: "db:t.id", Ratio: 0.5, Runs: time.Unix(2000000000, 0)},
			{Target: "shop", Code: "sequence", Object: "db:t.id", Ratio: 0.4},
			{Target: "shop", Code: "sequence", Object: "db:\xff", Ratio: 0.25},
		}
	}})
	code, body, _ := get(t, s, "/metrics", "")
	for _, want := range []string{
		`refloat_headroom_used_ratio{kind="sequence",object="db:t.id",target="shop"} 0.5`,
		`refloat_headroom_exhausted_timestamp_seconds{kind="sequence",object="db:t.id",target="shop"} 2e+09`,
		`refloat_headroom_used_ratio{kind="sequence",object="db:�",target="shop"} 0.25`, `refloat_status_up 1`,
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d: no %s", code, want)
		}
	}
	if strings.Count(body, "refloat_headroom_exhausted_timestamp_seconds{") != 1 {
		t.Error("a date for what does not grow")
	}
}

// What comes from outside through a proxy may use the doors, and read nothing.
func TestFromOutsideOnlyTheDoorsAreOpen(t *testing.T) {
	s := listen(t, Options{PublicHost: "refloat.example.org", Doors: Doors{
		Calendar: func(token string, _ time.Time) ([]byte, error) {
			if token != "good" {
				return nil, ErrLink
			}
			return []byte("BEGIN:VCALENDAR"), nil
		},
		Show: func(string) (Acknowledgement, error) { return Acknowledgement{}, ErrLink },
		Acknowledge: func(context.Context, string) (Acknowledgement, error) {
			return Acknowledgement{}, ErrLink
		},
	}})
	for path, want := range map[string]int{
		"/metrics": 404, "/status.json": 404, "/readyz": 404, "/": 404, "/calendarx": 404,
		"/healthz": 200, "/calendar/good.ics": 200, "/calendar/bad.ics": 404, "/ack.css": 200,
	} {
		if code, _, _ := get(t, s, path, "refloat.example.org"); code != want {
			t.Errorf("%s under the public name: %d, want %d", path, code, want)
		}
		req, err := http.NewRequest(http.MethodGet, "http://"+s.Address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s through a proxy that hides the name: %d, want %d", path, res.StatusCode, want)
		}
	}
	if code, body, h := get(t, s, "/calendar/good.ics", ""); code != 200 || body != "BEGIN:VCALENDAR" || !strings.HasPrefix(h.Get("Content-Type"), "text/calendar") {
		t.Errorf("%d %q %v", code, body, h)
	}
	for _, path := range []string{"/metrics", "/status.json"} {
		if code, _, _ := get(t, s, path, ""); code != 200 {
			t.Errorf("%s on this machine: %d", path, code)
		}
	}
}
