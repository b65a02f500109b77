package tracing

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/refloat-db/refloat/internal/secret"
)

// receiver is a collector: it takes OTLP over HTTP as the protocol says.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
	auth  []string
}

func collect(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		var m collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &m)
		}
		if err != nil || q.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.auth = append(r.auth, q.Header.Get("Authorization"))
		for _, x := range m.GetResourceSpans() {
			for _, y := range x.GetScopeSpans() {
				r.spans = append(r.spans, y.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func TestSpansOfTwoProcessesAreOneTrace(t *testing.T) {
	r := collect(t)
	at := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	for _, s := range []Span{
		{Trace: "a7", Name: "send/1", Kind: "send", Parent: "page", Start: at, End: at.Add(time.Second), Error: "refused"},
		{Trace: "a7", Name: "page", Start: at, End: at.Add(2 * time.Second), Attributes: map[string]string{"target": "shop"}},
		{Trace: "a8", Name: "page", Start: at, End: at.Add(2 * time.Second)},
	} {
		tr, err := New(t.Context(), Options{URL: r.URL + "/v1/traces", Token: secret.New("sesame"), Version: "1"}) // another process each
		if err != nil {
			t.Fatal(err)
		}
		tr.Send(s)
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spans) != 3 || r.auth[0] != "Bearer sesame" {
		t.Fatalf("%d spans, %v", len(r.spans), r.auth)
	}
	send, page, other := r.spans[0], r.spans[1], r.spans[2]
	if !bytes.Equal(send.GetTraceId(), page.GetTraceId()) || !bytes.Equal(send.GetParentSpanId(), page.GetSpanId()) || len(page.GetParentSpanId()) != 0 {
		t.Errorf("they do not hang together: %v %v", send, page)
	}
	if bytes.Equal(other.GetTraceId(), page.GetTraceId()) || bytes.Equal(other.GetSpanId(), page.GetSpanId()) {
		t.Errorf("two alerts are one trace: %v %v", other, page)
	}
	if send.GetName() != "send" || send.GetStatus().GetMessage() != "refused" || send.GetEndTimeUnixNano()-send.GetStartTimeUnixNano() != uint64(time.Second) {
		t.Errorf("%v", send)
	}
	if a := page.GetAttributes(); len(a) != 1 || a[0].GetKey() != "refloat.target" || a[0].GetValue().GetStringValue() != "shop" {
		t.Errorf("%v", a)
	}
}

// A collector that is not there costs nothing but the spans.
func TestWithoutACollectorNothingWaits(t *testing.T) {
	tr, err := New(t.Context(), Options{URL: "http://127.0.0.1:1/v1/traces"})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for range 10_000 {
		tr.Send(Span{Trace: "a", Name: "b"})
	}
	var none *Tracer
	none.Send(Span{})
	none.Close()
	if err := none.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}
