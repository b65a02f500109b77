// Package client is the HTTP API from another machine: a desk over a connection.
// Who asks is whoever the token belongs to. docs/api.md is the guide.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
)

const (
	prefix    = "/api/v1"
	attempts  = 4
	maxAnswer = 64 << 20
)

// Options say which server, and who asks.
type Options struct {
	URL     string // https://host, or http:// on this machine
	Token   secret.Value
	CAFile  string        // certificates that the server's is checked against; empty for the system's
	Timeout time.Duration // for one attempt; default 30 s
	Version string        // of Refloat
}

// Client asks a server. Safe for concurrent use.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
	long *http.Client // for streams, which last
}

var _ server.Desk = (*Client)(nil)

// Errors of New.
var (
	ErrURL   = errors.New("not the address of a server")
	ErrToken = errors.New("no token")
)

// New checks the options. It does not connect.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%w: it wants the form https://refloat.example.org", ErrURL)
	}
	if u.Scheme == "http" && !here(u.Hostname()) {
		return nil, fmt.Errorf("%w: a token is not sent in the open: use https:// (http:// is for this machine)", ErrURL)
	}
	if o.Token.Reveal() == "" || strings.ContainsAny(o.Token.Reveal(), " \r\n\t") {
		return nil, fmt.Errorf("%w: the file wants to hold one token and nothing else", ErrToken)
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.CAFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.ForceAttemptHTTP2 = config, true
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a redirect could carry the token anywhere
	u.Path = strings.TrimSuffix(u.Path, "/")
	return &Client{
		o: o, base: u,
		http: &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: stay},
		long: &http.Client{Transport: transport, CheckRedirect: stay},
	}, nil
}

func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Problem is an answer that is an error, as the server tells it.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Next   string `json:"next"`
	Faults []struct {
		Where   string `json:"where"`
		Message string `json:"message"`
	} `json:"faults"`
}

// Error implements error.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, f := range p.Faults {
		text += fmt.Sprintf("; %s: %s", f.Where, f.Message)
	}
	return "the server answers: " + text
}

// Unwrap gives the error of the desk or of a room that the server had.
func (p *Problem) Unwrap() error {
	switch p.Code {
	case "forbidden":
		return server.ErrForbidden
	case "not-found":
		return server.ErrNotFound
	case "no-incident":
		return incident.ErrNone
	case "refused":
		return server.ErrRefused
	case "nothing-to-do":
		return incident.ErrNothing
	}
	return nil
}

// request is one thing that is asked for.
type request struct {
	method, path string
	query        url.Values
	body         any    // sent as JSON; nil for none
	raw          []byte // sent as it is
	key          string
}

// answer is what came.
type answer struct {
	header http.Header
	body   []byte
}

// do asks, and asks again when the connection or the server breaks: with the same
// key, so that what is asked for is done once.
func (c *Client) do(ctx context.Context, q request) (answer, error) {
	body, kind := q.raw, "application/octet-stream"
	if q.body != nil {
		raw, err := json.Marshal(q.body)
		if err != nil {
			return answer{}, fmt.Errorf("write the request: %w", err)
		}
		body, kind = raw, "application/json"
	}
	if q.method != http.MethodGet {
		q.key = key(ctx)
	}
	pause := 200 * time.Millisecond
	for n := 1; ; n++ {
		a, again, err := c.once(ctx, q, body, kind)
		if err == nil || !again || n == attempts {
			return a, err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return answer{}, err
		case <-t.C:
		}
		pause *= 3
	}
}

// key is the name of an act: that of the context, or a new one.
func key(ctx context.Context) string {
	if k := server.Once(ctx); k != "" {
		return k
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return hex.EncodeToString(b)
}

func (c *Client) request(ctx context.Context, q request, body []byte) (*http.Request, error) {
	at := *c.base
	at.Path += prefix + q.path
	at.RawQuery = q.query.Encode()
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, at.String(), in)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.base.Host, err)
	}
	r.Header.Set("Authorization", "Bearer "+c.o.Token.Reveal())
	r.Header.Set("User-Agent", "refloat/"+c.o.Version)
	return r, nil
}

// once makes one attempt; again says that another may fare better.
func (c *Client) once(ctx context.Context, q request, body []byte, kind string) (a answer, again bool, err error) {
	r, err := c.request(ctx, q, body)
	if err != nil {
		return a, false, err
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	res, err := c.http.Do(r)
	if err != nil {
		var bad *tls.CertificateVerificationError
		return a, !errors.As(err, &bad) && ctx.Err() == nil, fmt.Errorf("ask %s: %w", c.base.Host, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	a.header = res.Header
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return a, true, fmt.Errorf("read the answer of %s: %w", c.base.Host, err)
	}
	switch {
	case len(a.body) > maxAnswer:
		return a, false, fmt.Errorf("the answer of %s has more than %d bytes", c.base.Host, maxAnswer)
	case res.StatusCode/100 == 2:
		return a, false, nil
	}
	return a, res.StatusCode >= 502 || res.StatusCode == http.StatusTooManyRequests, problemOf(res, a.body)
}

// problemOf is the error of an answer; of one that is none of ours, what it is.
func problemOf(res *http.Response, body []byte) error {
	var p Problem
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(body, &p) == nil && p.Code != "" {
		return &p
	}
	return &Problem{
		Status: res.StatusCode, Title: res.Status, Detail: res.Status, Code: "not-refloat",
		Next: "check the address: what answers there is not the API of refloat server",
	}
}

// get asks for something and reads it.
func get[T any](ctx context.Context, c *Client, path string, q url.Values) (T, http.Header, error) {
	return ask[T](ctx, c, request{method: http.MethodGet, path: path, query: q})
}

func ask[T any](ctx context.Context, c *Client, q request) (out T, h http.Header, err error) {
	a, err := c.do(ctx, q)
	if err != nil {
		return out, nil, err
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		return out, nil, fmt.Errorf("read the answer of %s: %w", c.base.Host, err)
	}
	return out, a.header, nil
}
