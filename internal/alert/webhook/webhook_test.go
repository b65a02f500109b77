package webhook

import (
	"encoding/json"
	"errors"
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
	return alert.Message{ID: "m1", Kind: alert.Page, To: alert.Contact{ID: "ada.pager", Via: alert.Webhook, Address: "pager"}, Subject: "[HIGH] shop", Body: "shop is down\n", At: time.Now()}
}

func send(t *testing.T, h http.HandlerFunc, o Options) (alert.Receipt, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	o.URL = secret.New(srv.URL + "/hook?token=sesame")
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Send(t.Context(), message())
}

func TestARequestIsSignedAndWhole(t *testing.T) {
	r, err := send(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m alert.Message
		if err := json.Unmarshal(body, &m); err != nil || m.Subject != "[HIGH] shop" || m.To.ID != "ada.pager" {
			t.Errorf("body %s: %v", body, err)
		}
		if want := Signature([]byte("key"), "m1", r.Header.Get("Webhook-Timestamp"), body); r.Header.Get("Webhook-Signature") != want {
			t.Errorf("signature %q, want %q", r.Header.Get("Webhook-Signature"), want)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "queued as 7")
	}, Options{Secret: secret.New("whsec_a2V5")})
	if err != nil || r.Said != "202 Accepted: queued as 7" {
		t.Fatal(r, err)
	}
}

// The example of the specification's own test vectors.
func TestSignatureIsTheSpecifications(t *testing.T) {
	key := "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	s, err := New(Options{URL: secret.New("https://example.org/x"), Secret: secret.New("whsec_" + key)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Signature(s.key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestAnswersMeanWhatTheySay(t *testing.T) {
	for code, refused := range map[int]bool{200: false, 302: true, 400: true, 401: true, 404: true, 408: false, 429: false, 500: false, 503: false} {
		_, err := send(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "https://elsewhere.example.org/")
			w.WriteHeader(code)
		}, Options{})
		if (code == 200) != (err == nil) || errors.Is(err, alert.ErrRefused) != refused {
			t.Errorf("%d: %v", code, err)
		}
		var wait Later
		if errors.As(err, &wait) != (code == 408 || code == 429) || (wait.Wait != 0 && wait.Wait != 7*time.Second) {
			t.Errorf("%d: wait %v", code, wait)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%d: the error shows the token: %v", code, err)
		}
	}
}

func TestAReceiverThatHangsOrDiesIsAnErrorWithoutTheURL(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"hang": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
			<-r.Context().Done()
		},
		"die": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		_, err := send(t, h, Options{Timeout: 200 * time.Millisecond})
		if err == nil || errors.Is(err, alert.ErrRefused) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	for _, u := range []string{"", "http://example.org/x?token=sesame", "ftp://example.org/", "://sesame", "https:///x"} {
		if _, err := New(Options{URL: secret.New(u)}); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", u, err)
		}
	}
}
