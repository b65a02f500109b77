package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/refloat-db/refloat/internal/statuspage"
)

// A node that another has replaced publishes no page over the newer one, and sends
// no second message to an endpoint; what it had under way is broken off.
func TestAnOldLeaderPublishesNothing(t *testing.T) {
	writes, posts := 0, 0
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posts++ }))
	t.Cleanup(hook.Close)
	term, end := context.WithCancel(t.Context())
	var replaced error
	var under context.Context
	place := statusPlace{"there", func(ctx context.Context, _ []statuspage.File) error {
		writes++
		under = ctx
		if writes == 2 {
			end()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	given := StatusPageOptions{Places: []statusPlace{place}, AllowPrivate: true}
	o := given.guarded(term, func(context.Context) error { return replaced })
	box := newSubscriptions(o, nil, []byte("a key of the tests"), nil)
	d := statuspage.Delivery{Key: "inc-1.u1", Subscriber: statuspage.Subscriber{ID: "s", Via: statuspage.ByWebhook, Address: hook.URL, Secret: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}}
	if err := o.Places[0].Write(t.Context(), nil); err != nil || writes != 1 || under.Err() == nil {
		t.Fatalf("a leader publishes: %v, %d times", err, writes)
	}
	if _, err := box.deliver(t.Context(), d); err != nil || posts != 1 {
		t.Fatalf("a leader sends: %v, %d times", err, posts)
	}
	if err := o.Places[0].Write(t.Context(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("what is under way goes on: %v", err)
	}
	replaced = errLostLead
	if err := o.Places[0].Write(t.Context(), nil); !errors.Is(err, errLostLead) || writes != 2 {
		t.Errorf("an old leader publishes: %v, %d times", err, writes)
	}
	if _, err := box.deliver(t.Context(), d); !errors.Is(err, errLostLead) || posts != 1 {
		t.Errorf("an old leader sends: %v, %d times", err, posts)
	}
	if err := given.Places[0].Write(t.Context(), nil); err != nil {
		t.Errorf("the options that it was made from are as they were: %v", err)
	}
}
