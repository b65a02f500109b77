// Package webhook delivers messages as signed HTTP requests, as the Standard
// Webhooks specification has it (https://www.standardwebhooks.com).
// docs/formats/webhook.md describes what is sent.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Options say where a message goes.
type Options struct {
	// URL may hold a token, and is shown nowhere. https, or http to this machine.
	URL secret.Value
	// Secret signs each request; empty for no signature. A value of the form
	// whsec_BASE64 is decoded, anything else is used as it is.
	Secret     secret.Value
	RootCAFile string        // certificates that the receiver's is checked against; none for the system's
	Timeout    time.Duration // for one request; default 10 s
	Version    string        // of Refloat, for User-Agent

	// Guard is asked before each connection with the address that it goes to, as
	// it was resolved; an error refuses it. With it no proxy is used, and no
	// connection kept. Nil for none.
	Guard func(netip.AddrPort) error
	Plain bool // allow http to any host
}

// Sender posts to one address.
type Sender struct {
	o      Options
	key    []byte
	client *http.Client
}

var _ alert.Sender = (*Sender)(nil)

// New checks the options. It does not connect.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(o.URL.Reveal())
	if err != nil || u.Host == "" {
		return nil, errors.New("webhook: the URL cannot be read") // the parser's error would quote it
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !alert.OnThisMachine(u.Hostname()) && !o.Plain) {
		return nil, errors.New("webhook: the URL must begin with https://, since its host is not this machine")
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	s := &Sender{o: o, key: []byte(o.Secret.Reveal())}
	if coded, is := strings.CutPrefix(o.Secret.Reveal(), "whsec_"); is {
		if s.key, err = base64.StdEncoding.DecodeString(coded); err != nil {
			return nil, errors.New("webhook: the secret begins with whsec_ and is not base64 after it")
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.RootCAFile != "" {
		pem, err := os.ReadFile(o.RootCAFile)
		if err != nil {
			return nil, fmt.Errorf("webhook: read root_ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("webhook: %s holds no certificate", o.RootCAFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	if o.Guard != nil {
		transport.Proxy, transport.DisableKeepAlives = nil, true
		transport.DialContext = (&net.Dialer{Timeout: o.Timeout, Control: guarded(o.Guard)}).DialContext
	}
	s.client = &http.Client{
		Transport: transport, Timeout: o.Timeout,
		// A redirect could carry the message, and its link, anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// guarded asks a guard when a name is resolved already: what was asked for before
// may lead elsewhere by then.
func guarded(guard func(netip.AddrPort) error) func(string, string, syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return guard(to)
	}
}

// Later is an answer that asks to wait.
type Later struct{ Wait time.Duration }

// Error implements error.
func (l Later) Error() string { return "the receiver asks to wait " + l.Wait.String() }

// Send posts a message. An answer of 2xx takes it over; 4xx, but for 408, 425
// and 429, is alert.ErrRefused.
func (s *Sender) Send(ctx context.Context, m alert.Message) (alert.Receipt, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return alert.Receipt{}, fmt.Errorf("%w: encode the message: %w", alert.ErrRefused, err)
	}
	_, receipt, err := s.Post(ctx, m.ID, m.To.Address, body)
	return receipt, err
}

// answerMost is how much of an answer is read.
const answerMost = 500

// Post posts a body of JSON, signed, and returns the beginning of the answer. id
// is the same at each attempt; to is what the receiver is called in errors.
func (s *Sender) Post(ctx context.Context, id, to string, body []byte) ([]byte, alert.Receipt, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return nil, alert.Receipt{}, fmt.Errorf("%w: the webhook's URL cannot be used", alert.ErrRefused)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "refloat/"+s.o.Version)
	s.sign(r, id, time.Now(), body)
	resp, err := s.client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return nil, alert.Receipt{}, fmt.Errorf("post to webhook %s: %w", to, err)
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	text := resp.Status
	if t := strings.Join(strings.Fields(string(said)), " "); t != "" {
		text += ": " + strings.ToValidUTF8(t, "")
	}
	if resp.StatusCode/100 == 2 {
		return said, alert.Receipt{Said: text}, nil
	}
	err = fmt.Errorf("post to webhook %s: it answered %s", to, text)
	switch c := resp.StatusCode; {
	case c == 408 || c == 425 || c == 429:
		if n, e := strconv.Atoi(resp.Header.Get("Retry-After")); e == nil && n > 0 {
			err = fmt.Errorf("%w: %w", err, Later{Wait: min(time.Duration(n)*time.Second, 5*time.Minute)})
		}
	case c/100 == 4 || c/100 == 3:
		err = fmt.Errorf("%w: %w", alert.ErrRefused, err)
	}
	return nil, alert.Receipt{}, err
}

// sign adds the headers of the specification. The ID stays the same at each
// attempt, so that a receiver can drop repeats.
func (s *Sender) sign(r *http.Request, id string, now time.Time, body []byte) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	if len(s.key) > 0 {
		r.Header.Set("Webhook-Signature", Signature(s.key, id, stamp, body))
	}
}

// Signature is the value of Webhook-Signature: "v1," and the base64 of the
// HMAC-SHA256 of id, timestamp and body, joined by dots.
func Signature(key []byte, id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(id + "." + stamp + "."))
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
