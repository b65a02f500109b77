package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/refloat-db/refloat/internal/access"
)

// Route is one thing that can be asked for over HTTP, with what it needs.
type Route struct {
	Pattern string // as http.ServeMux takes it, with its method: "GET /incidents/{id}"
	// Need is what who asks must have for any team at all; whether they have it
	// for the team that the thing belongs to is for the Desk to say.
	Need    access.Need
	Handler http.Handler
}

// Gate finds out who asks, and refuses who may not.
type Gate interface {
	// Guard wraps a route's handler. The handler finds who asks with Who.
	Guard(r Route) http.Handler
}

type whoKey struct{}

// WithWho keeps who asks for handlers behind a Gate.
func WithWho(ctx context.Context, p access.Principal) context.Context {
	return context.WithValue(ctx, whoKey{}, p)
}

// Who is who asks; a stranger where no Gate said otherwise.
func Who(ctx context.Context) access.Principal {
	p, _ := ctx.Value(whoKey{}).(access.Principal)
	return p
}

type stillKey struct{}

// WithStill keeps what says whether who asks may still, for answers that take
// long: a session may be revoked meanwhile. A Gate sets it.
func WithStill(ctx context.Context, still func(context.Context) bool) context.Context {
	return context.WithValue(ctx, stillKey{}, still)
}

// Still reports whether who asks may still.
func Still(ctx context.Context) bool {
	still, set := ctx.Value(stillKey{}).(func(context.Context) bool)
	return !set || still(ctx)
}

type closingKey struct{}

// WithClosing keeps what is closed when the server ends.
func WithClosing(ctx context.Context, closing <-chan struct{}) context.Context {
	return context.WithValue(ctx, closingKey{}, closing)
}

// Closing is closed when the server ends, so that answers without an end stop;
// nil, which never is, where nobody said so.
func Closing(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(closingKey{}).(<-chan struct{})
	return c
}

type onceKey struct{}

// WithOnce names an act, so that it is done once however often it is asked for.
func WithOnce(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, onceKey{}, key)
}

// Once is the name of an act; empty for none.
func Once(ctx context.Context) string {
	key, _ := ctx.Value(onceKey{}).(string)
	return key
}

// Errors of a Desk. Anything else that it returns is a failure of ours, unless it
// is one of a room's own (incident.ErrRefused, incident.ErrNone, …).
var (
	ErrForbidden = errors.New("your role does not allow this")
	ErrNotFound  = errors.New("not found")
	ErrRefused   = errors.New("refused") // the message says why and what to do instead
)
