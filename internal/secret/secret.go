// Package secret holds values that redact themselves wherever they are
// printed, logged or encoded.
package secret

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret. Every way of formatting or encoding it gives
// "[redacted]"; only Reveal gives the text.
type Value struct{ text string }

// New wraps text.
func New(text string) Value { return Value{text: text} }

// Reveal returns the secret itself, for handing to the library that needs it.
func (v Value) Reveal() string { return v.text }

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.text == "" }

func (v Value) String() string { return redacted }

// GoString redacts %#v.
func (v Value) GoString() string { return redacted }

// Format redacts every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText redacts JSON, YAML and the like.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts log/slog attributes.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }
