// Package component is the console's design system: the parts that pages are
// made of. A part takes values and draws them; it asks for nothing. Who looks,
// when and where, is in the context (WithViewer).
package component

import (
	"context"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/status"
)

// Viewer is what a page must know of who looks at it.
type Viewer struct {
	Now  time.Time      // when the page is made
	Zone *time.Location // where they are; nil when that is not known
}

type viewerKey struct{}

// WithViewer keeps who looks for the parts of a page.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// ViewerOf is who looks. Without one a page has no now, and shows no ages.
func ViewerOf(ctx context.Context) Viewer {
	v, _ := ctx.Value(viewerKey{}).(Viewer)
	return v
}

// Tone is what a colour and a sign mean. Each tone has a sign of its own shape,
// and always words beside it: nothing is told by colour alone.
type Tone string

// The tones.
const (
	Good  Tone = "good"  // shown to be well
	Warn  Tone = "warn"  // it will not stay well by itself, or is not certain
	Bad   Tone = "bad"   // it is not well
	Busy  Tone = "busy"  // being worked on
	Quiet Tone = "quiet" // nothing to say
)

// Span is a duration in words, two units at most, that does not break into two
// lines.
func Span(d time.Duration) string {
	if d == 0 {
		return "0\u00a0s"
	}
	if d > -time.Second && d < time.Second {
		return number(float64(d)/float64(time.Millisecond), false) + "\u00a0ms"
	}
	words := status.Age(d)
	for _, none := range []string{" 0 s", " 0 min", " 0 h"} {
		words = strings.TrimSuffix(words, none)
	}
	return unbroken(words)
}

// SpanOr is a duration, or words where there is none.
func SpanOr(d *time.Duration, none string) string {
	if d == nil {
		return none
	}
	return Span(*d)
}

func unbroken(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") }

// Bytes is a size in words, in units of 1024.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return unbroken(number(f, u > 0 && f < 100) + " " + units[u])
}

// BytesOr is a size, or words where there is none.
func BytesOr(n *int64, none string) string {
	if n == nil {
		return none
	}
	return Bytes(*n)
}
