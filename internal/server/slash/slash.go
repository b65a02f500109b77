// Package slash answers slash commands of Slack, and of services that send the
// same. docs/chat.md is the guide.
package slash

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

const (
	window       = 5 * time.Minute         // a request's clock may be off by so much
	answerWithin = 2500 * time.Millisecond // the service waits 3 s
	maxBody      = 32 << 10
	kindSeen     = "slash-seen"
)

// Door is where one chat workspace sends its commands.
type Door struct {
	Name   string
	Secret secret.Value      // that it signs with
	People map[string]string // person in the configuration by the chat's user ID
	// OthersRead lets users who are not among People read as a viewer of every
	// team; false for nothing at all.
	OthersRead bool
}

// Seen keeps which requests were answered, so that none is played again. A store
// is one.
type Seen interface {
	Save(ctx context.Context, all ...alert.Record) error
	// OneRecord is status.ErrNothing when there is none.
	OneRecord(ctx context.Context, kind, id string) (alert.Record, error)
	Forget(ctx context.Context, kind string, before time.Time) (int, error)
}

// Options are what a Handler is given.
type Options struct {
	Doors []Door
	Desk  server.Desk
	Seen  Seen
	// Principal is who a person is; a stranger for one who may nothing.
	Principal func(ctx context.Context, person string) (access.Principal, error)
	Redact    func(string) string // takes secrets out of a text; nil for none
	Logger    *slog.Logger
	Now       func() time.Time // nil for the clock
}

// Handler answers.
type Handler struct {
	o  Options
	mu sync.Mutex // one request of a signature at a time
}

// Errors of a request that is not let in.
var (
	ErrSignature = errors.New("the signature is missing or wrong")
	ErrStale     = errors.New("the request is too old, or from the future")
	ErrReplayed  = errors.New("the request was answered before")
)

// New makes a Handler.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	return &Handler{o: o}
}

// Routes are the doors. Each request proves by its signature whose it is.
func (h *Handler) Routes() []server.Route {
	if len(h.o.Doors) == 0 {
		return nil
	}
	return []server.Route{{Pattern: "POST /in/slash/{name}", Need: access.Nobody, Handler: h}}
}

// ServeHTTP implements http.Handler. Why a request is not let in, the log says;
// the other side is told only that it is not.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the request is too large, or did not arrive whole", http.StatusRequestEntityTooLarge)
		return
	}
	d, err := h.admit(ctx, r.PathValue("name"), r.Header.Get("X-Slack-Request-Timestamp"), r.Header.Get("X-Slack-Signature"), body)
	if err != nil {
		h.o.Logger.WarnContext(ctx, "a slash command is not let in", "door", r.PathValue("name"), "error", err)
		http.Error(w, "not let in", http.StatusUnauthorized)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, "the request is no form", http.StatusBadRequest)
		return
	}
	if form.Get("ssl_check") == "1" {
		return // only whether we are here
	}
	sum := sha256.Sum256([]byte(d.Name + "/" + r.Header.Get("X-Slack-Signature")))
	ctx = server.WithOnce(ctx, "slash-"+hex.EncodeToString(sum[:])) // what it does is done once, whatever happens
	h.reply(w, h.run(ctx, d, form.Get("user_id"), form.Get("text")))
}

// reply answers to the one who asked alone.
func (h *Handler) reply(w http.ResponseWriter, text string) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	// A map of strings and booleans always encodes.
	_ = e.Encode(map[string]any{"response_type": "ephemeral", "text": Escape(h.o.Redact(text)), "mrkdwn": false})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // the reader went away
}

// admit finds the door of a request that is signed, fresh and new.
func (h *Handler) admit(ctx context.Context, name, stamp, signature string, body []byte) (Door, error) {
	var door Door
	for _, d := range h.o.Doors {
		if d.Name == name {
			door = d
		}
	}
	now := h.o.Now()
	// A name that does not exist takes as long as a wrong signature.
	if err := Verify([]byte(door.Secret.Reveal()), stamp, signature, body, now); err != nil {
		return Door{}, err
	}
	if door.Name == "" {
		return Door{}, ErrSignature
	}
	return door, h.remember(ctx, door.Name+"/"+signature, now)
}

// remember keeps a signature before anything is done, and refuses one that is
// kept.
func (h *Handler) remember(ctx context.Context, id string, now time.Time) error {
	sum := sha256.Sum256([]byte(id))
	id = hex.EncodeToString(sum[:])
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.o.Seen.OneRecord(ctx, kindSeen, id)
	if err == nil {
		return ErrReplayed
	}
	if !errors.Is(err, status.ErrNothing) {
		return err
	}
	if _, err := h.o.Seen.Forget(ctx, kindSeen, now.Add(-3*window)); err != nil {
		return err
	}
	rec, err := alert.NewRecord(kindSeen, id, "", false, now, nil)
	if err != nil {
		return err
	}
	return h.o.Seen.Save(ctx, rec)
}

// Verify checks a signature of the form v0=HEX: the HMAC-SHA256 of v0, the
// timestamp and the body, joined by colons. An empty key lets nothing in.
func Verify(key []byte, stamp, signature string, body []byte, now time.Time) error {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("v0:" + stamp + ":")) // a hash never fails
	_, _ = mac.Write(body)
	given, err := hex.DecodeString(strings.TrimPrefix(signature, "v0="))
	right := hmac.Equal(given, mac.Sum(nil))
	if err != nil || !right || len(key) == 0 || !strings.HasPrefix(signature, "v0=") {
		return ErrSignature
	}
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrStale
	}
	if off := now.Sub(time.Unix(at, 0)); off > window || off < -window {
		return ErrStale
	}
	return nil
}

// maxReply is how long an answer is: the service cuts longer ones.
const maxReply = 3000

// Escape makes a text that a chat service shows as it is: nothing in it is a
// link, names a channel or calls anybody.
func Escape(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r == 0x7f || r >= 0x80 && r <= 0x9f || r == utf8.RuneError:
			return -1
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r >= 0xe0000 && r <= 0xe007f:
			return -1 // turns the direction of a line, or is not seen
		}
		return r
	}, text)
	if r := []rune(text); len(r) > maxReply {
		text = string(r[:maxReply]) + "…"
	}
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	// Services that read plain text call people by @.
	return strings.ReplaceAll(text, "@", "@\u200b")
}
