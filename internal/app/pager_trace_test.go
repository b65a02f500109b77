package app

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/tracing"
)

// A page is one trace, from the first bad look to who took it on.
func TestAPageIsOneTrace(t *testing.T) {
	var mu sync.Mutex
	spans := map[string]*otlp.Span{}
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		var m collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &m) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, x := range m.GetResourceSpans() {
			for _, y := range x.GetScopeSpans() {
				for _, s := range y.GetSpans() {
					if s.GetName() == "send" || s.GetName() == "queue" {
						for _, a := range s.GetAttributes() {
							if a.GetKey() == "refloat.kind" && a.GetValue().GetStringValue() != "page" {
								s.Name += "." + a.GetValue().GetStringValue()
							}
						}
					}
					spans[s.GetName()] = s
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	tr, err := tracing.New(t.Context(), tracing.Options{URL: c.URL + "/v1/traces"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	phone, eyes := &phones{}, &staged{}
	eyes.set(target.Serving)
	care := (&fakeTarget{slot: target.Slot{Name: "refloat_shop", Exists: true, Active: true}, gap: make(chan backup.Gap)}).care()
	care.Eyes, care.WatchEvery, care.WatchRules = eyes, 50*time.Millisecond, monitor.DefaultRules()
	d, err := NewDaemon(DaemonOptions{
		StateDir: t.TempDir(), Listen: "off", Version: "test", StopTimeout: 20 * time.Second, Trace: tr, Targets: []Care{care},
		Paging: PagerOptions{Roster: roster(), Sender: phone, Charges: map[string]Charge{"shop": {Tier: alert.Critical}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	eventually(t, "the target to be up", func() bool { return d.running.targets[0].seen.Standing(time.Now()).State == monitor.Up })
	eyes.set(target.Refused)
	var m alert.Message
	eventually(t, "a page", func() (paged bool) { m, paged = phone.first("outage/shop"); return paged })
	if _, err := d.running.pager.Acknowledge(t.Context(), m.Alert.ID, "ada", time.Now()); err != nil {
		t.Fatal(err)
	}
	want := []string{spanAcknowledge, spanNotice, spanObserve, spanPage, spanQueue, spanSend}
	eventually(t, "all spans", func() bool {
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, name := range want {
			if spans[name] == nil {
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	root := spans[spanPage]
	for _, name := range want {
		s := spans[name]
		if string(s.GetTraceId()) != string(root.GetTraceId()) || s.GetStartTimeUnixNano() > s.GetEndTimeUnixNano() || s.GetStartTimeUnixNano() < root.GetStartTimeUnixNano() {
			t.Errorf("%s: %v, in %v", name, s, slices.Sorted(maps.Keys(spans)))
		}
		if name != spanPage && string(s.GetParentSpanId()) != string(root.GetSpanId()) {
			t.Errorf("%s hangs on nothing", name)
		}
	}
	if spans[spanSend].GetEndTimeUnixNano() != root.GetEndTimeUnixNano() || spans[spanObserve].GetStartTimeUnixNano() != root.GetStartTimeUnixNano() {
		t.Errorf("the page does not last from the first bad look to its delivery: %v", root)
	}
}
