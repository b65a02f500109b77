package server

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
)

// open lets everybody in.
type openGate struct{}

func (openGate) Guard(r Route) http.Handler { return r.Handler }

// An answer without an end does not hold up the end of the server.
func TestStreamsEndWithTheServer(t *testing.T) {
	began := make(chan struct{})
	s, err := Listen(context.Background(), Options{Address: "127.0.0.1:0", Gate: openGate{}, Routes: []Route{{Pattern: "GET /stream", Need: access.Nobody, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		select {
		case <-Closing(r.Context()):
			_, _ = io.WriteString(w, "end")
		case <-r.Context().Done():
		}
	})}}})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + s.Address() + "/stream")
		if err != nil {
			heard <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		heard <- string(text)
	}()
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if got := <-heard; got != "end" {
		t.Errorf("heard %q", got)
	}
}
