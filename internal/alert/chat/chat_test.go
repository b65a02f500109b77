package chat

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

func message() alert.Message {
	return alert.Message{ID: "m1", Kind: alert.Page, To: alert.Contact{ID: "ada.ntfy", Via: alert.Chat, Address: "ntfy"}, Subject: "[HIGH] shop", Body: "shop refuses connections", AckCommand: "refloat ack a7"}
}

// ntfy is what a server of that service does with a request
// (https://docs.ntfy.sh/publish).
func TestNtfyGetsTitleAndText(t *testing.T) {
	var title, body, path string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		title, body, path = r.Header.Get("Title"), string(b), r.URL.Path
		_, _ = io.WriteString(w, `{"id":"x","event":"message"}`)
	}))
	defer srv.Close()
	s, err := New(secret.New("ntfy://" + strings.TrimPrefix(srv.URL, "http://") + "/sesame-topic?scheme=http"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if path != "/sesame-topic" || !strings.Contains(title, "[HIGH] shop") || !strings.Contains(body, "refuses connections") || !strings.Contains(body, "refloat ack a7") {
		t.Fatalf("path %q, title %q, body %q", path, title, body)
	}
}

func TestFailuresShowNoSecret(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such topic "+r.URL.Path, http.StatusForbidden)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, u := range []string{
		"ntfy://user:sesame-password@" + host + "/sesame-topic?scheme=http",
		"generic://" + host + "/sesame-path?disabletls=yes&@authorization=sesame-token",
		"ntfy://127.0.0.1:1/sesame-topic?scheme=http",
	} {
		s, err := New(secret.New(u))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Send(t.Context(), message())
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v", err)
		}
	}
	for _, u := range []string{"", "nosuch://sesame-token", "logger://sesame-token", "telegram://sesame-token", "%zz://sesame-token"} {
		if _, err := New(secret.New(u)); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestAServiceThatHangsIsLeft(t *testing.T) {
	end := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer srv.Close()
	defer close(end)
	s, err := New(secret.New("ntfy://" + strings.TrimPrefix(srv.URL, "http://") + "/topic?scheme=http"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Send(ctx, message()); err == nil {
		t.Fatal("no error")
	}
}
