// Package tracing tells an OpenTelemetry collector where time went: from the
// first bad look at a target to the message that a person got. Spans are made from
// times that are on record anyway, so that one that a restart interrupts is whole.
package tracing

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/refloat-db/refloat/internal/secret"
)

// Options say where spans go.
type Options struct {
	URL     string // of the collector, such as http://127.0.0.1:4318/v1/traces (OTLP over HTTP)
	Token   secret.Value
	TLS     *tls.Config // nil for the system's certificates
	Version string      // of Refloat
	Logger  *slog.Logger
}

// Tracer sends spans. It never blocks and never fails: what the collector does
// not take is dropped. A nil Tracer does nothing.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New makes a Tracer; it does not connect.
func New(ctx context.Context, o Options) (*Tracer, error) {
	if o.Logger != nil { // the library has one handler for the whole process
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("send traces", "error", err) }))
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(o.URL), otlptracehttp.WithTimeout(5 * time.Second)}
	if !o.Token.IsZero() {
		options = append(options, otlptracehttp.WithHeaders(map[string]string{"Authorization": "Bearer " + o.Token.Reveal()}))
	}
	if o.TLS != nil {
		options = append(options, otlptracehttp.WithTLSClientConfig(o.TLS))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare to send traces: %w", err)
	}
	p := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithBatchTimeout(time.Second), sdk.WithExportTimeout(5*time.Second)),
		sdk.WithIDGenerator(named{}), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "refloat"), attribute.String("service.version", o.Version))),
	)
	return &Tracer{provider: p, tracer: p.Tracer("refloat")}, nil
}

// Span is one stretch of time.
type Span struct {
	// Trace and Name name the span: the same names make the same IDs, in whichever
	// process. Parent is the Name of another of the trace; empty for the root.
	Trace, Name, Parent string
	Kind                string // what is shown; Name when empty
	Start, End          time.Time
	Attributes          map[string]string // no secrets
	Error               string            // what went wrong; empty for nothing
}

// Send sends a span.
func (t *Tracer) Send(s Span) {
	if t == nil {
		return
	}
	ids := spanIDs{traceID(s.Trace), spanID(s.Trace, s.Name)}
	ctx := context.WithValue(context.Background(), idKey{}, ids)
	if s.Parent != "" {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: ids.trace, SpanID: spanID(s.Trace, s.Parent), TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	kind := s.Kind
	if kind == "" {
		kind = s.Name
	}
	var attributes []attribute.KeyValue
	for k, v := range s.Attributes {
		attributes = append(attributes, attribute.String("refloat."+k, v))
	}
	slices.SortFunc(attributes, func(a, b attribute.KeyValue) int { return strings.Compare(string(a.Key), string(b.Key)) })
	_, span := t.tracer.Start(ctx, kind, trace.WithTimestamp(s.Start), trace.WithAttributes(attributes...))
	if s.Error != "" {
		span.SetStatus(codes.Error, s.Error)
	}
	span.End(trace.WithTimestamp(s.End))
}

// Flush sends what is left, at most until ctx ends.
func (t *Tracer) Flush(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.ForceFlush(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// Close ends the Tracer; what was not flushed is lost.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = t.provider.Shutdown(ctx) // there is nobody left to wait
}

type (
	idKey   struct{}
	spanIDs struct {
		trace trace.TraceID
		span  trace.SpanID
	}
)

// named takes IDs from the context rather than making some up.
type named struct{}

func (named) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	ids, _ := ctx.Value(idKey{}).(spanIDs) // Send always gives them
	return ids.trace, ids.span
}

func (n named) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, span := n.NewIDs(ctx)
	return span
}

func traceID(name string) (id trace.TraceID) {
	sum := sha256.Sum256([]byte("trace\n" + name))
	copy(id[:], sum[:])
	return id
}

func spanID(traceName, name string) (id trace.SpanID) {
	sum := sha256.Sum256([]byte("span\n" + traceName + "\n" + name))
	copy(id[:], sum[:])
	return id
}
