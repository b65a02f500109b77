package server

import (
	"context"
	"fmt"
)

// Call is a request that is done once, however often it is sent: by an API client
// that tries again, or by a chat service. What it adds to an incident carries it
// into the journal, in the same transaction, so that it holds through kills and
// on several nodes.
type Call struct {
	ID        string // the same each time, and nobody else's: hexadecimal
	Operation string // what was asked for
}

type callKey struct{}

// WithCall says that what is done in ctx is done for a call.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf is the call that something is done for; its ID is empty for none.
func CallOf(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// DoneError means that a call was done before, in Incident.
type DoneError struct{ Incident string }

// Error implements error.
func (e *DoneError) Error() string {
	return fmt.Sprintf("this was done before, in %s", e.Incident)
}
