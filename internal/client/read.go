package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
)

// query is a query of those values that are not empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// nextOf is a value of the query of the next page; empty on the last.
func nextOf(h http.Header, name string) string {
	link, _, is := strings.Cut(h.Get("Link"), ">; rel=\"next\"")
	if !is {
		return ""
	}
	u, err := url.Parse(strings.TrimPrefix(link, "<"))
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}

// Me is who asks.
func (c *Client) Me(ctx context.Context) (access.Principal, error) {
	out, _, err := get[access.Principal](ctx, c, "/me", nil)
	return out, err
}

// Board implements server.Reader.
func (c *Client) Board(ctx context.Context, _ access.Principal) (server.Board, error) {
	out, _, err := get[server.Board](ctx, c, "/board", nil)
	return out, err
}

// Targets are those of the board alone.
func (c *Client) Targets(ctx context.Context) ([]server.TargetRow, error) {
	out, _, err := get[[]server.TargetRow](ctx, c, "/targets", nil)
	return out, err
}

// Target implements server.Reader.
func (c *Client) Target(ctx context.Context, _ access.Principal, name string) (server.TargetView, error) {
	out, _, err := get[server.TargetView](ctx, c, "/targets/"+url.PathEscape(name), nil)
	return out, err
}

// Proof implements server.Reader.
func (c *Client) Proof(ctx context.Context, _ access.Principal, id string) (proof.Proof, error) {
	out, _, err := get[proof.Proof](ctx, c, "/proofs/"+url.PathEscape(id), nil)
	return out, err
}

// mostIncidents is how many are asked for at a time.
const mostIncidents = 200

// Incidents implements server.Reader. It asks for as many pages as it takes.
func (c *Client) Incidents(ctx context.Context, _ access.Principal, q server.IncidentQuery) ([]server.IncidentView, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	out := []server.IncidentView{}
	for before := q.Before; ; {
		page, h, err := get[[]server.IncidentView](ctx, c, "/incidents", query("all", yes(q.All), "target", q.Target, "before", before, "limit", strconv.Itoa(min(limit-len(out), mostIncidents))))
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if before = nextOf(h, "before"); before == "" || len(out) >= limit {
			return out, nil
		}
	}
}

func incidentPath(id string) string { return "/incidents/" + url.PathEscape(id) }

// Incident implements server.Reader.
func (c *Client) Incident(ctx context.Context, _ access.Principal, id string) (server.IncidentView, error) {
	out, _, err := get[server.IncidentView](ctx, c, incidentPath(id), nil)
	return out, err
}

// Timeline are the events of an incident after a sequence number.
func (c *Client) Timeline(ctx context.Context, id string, after int64) ([]incident.Event, error) {
	out, _, err := get[[]incident.Event](ctx, c, incidentPath(id)+"/timeline", query("after", number(after)))
	return out, err
}

// Attachment implements server.Reader.
func (c *Client) Attachment(ctx context.Context, _ access.Principal, id, sha256 string) (incident.Attached, []byte, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, path: incidentPath(id) + "/attachments/" + url.PathEscape(sha256)})
	if err != nil {
		return incident.Attached{}, nil, err
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	_, disposal, err := mime.ParseMediaType(a.header.Get("Content-Disposition"))
	if err != nil {
		return incident.Attached{}, nil, fmt.Errorf("read the name of the file: %w", err)
	}
	return incident.Attached{Name: disposal["filename"], Type: kind, Size: len(a.body), SHA256: sha256}, a.body, nil
}

// Draft implements server.Reader.
func (c *Client) Draft(ctx context.Context, _ access.Principal, id string, to incident.Audience) (server.Draft, error) {
	out, _, err := get[server.Draft](ctx, c, incidentPath(id)+"/draft", query("audience", string(to)))
	return out, err
}

// Alerts implements server.Reader.
func (c *Client) Alerts(ctx context.Context, _ access.Principal, q server.AlertQuery) ([]server.AlertView, error) {
	if q.ID != "" {
		out, _, err := get[server.AlertView](ctx, c, "/alerts/"+url.PathEscape(q.ID), nil)
		return []server.AlertView{out}, err
	}
	out, _, err := get[[]server.AlertView](ctx, c, "/alerts", query("all", yes(q.All), "target", q.Target, "limit", number(int64(q.Limit))))
	return out, err
}

// Silences implements server.Reader.
func (c *Client) Silences(ctx context.Context, _ access.Principal) ([]alert.Silence, error) {
	out, _, err := get[[]alert.Silence](ctx, c, "/silences", nil)
	return out, err
}

// OnCall implements server.Reader.
func (c *Client) OnCall(ctx context.Context, _ access.Principal, from, until time.Time) (server.OnCall, error) {
	out, _, err := get[server.OnCall](ctx, c, "/oncall", query("from", moment(from), "until", moment(until)))
	return out, err
}

// Simulate implements server.Reader.
func (c *Client) Simulate(ctx context.Context, _ access.Principal, q server.PageQuery) (server.PageSimulation, error) {
	out, _, err := get[server.PageSimulation](ctx, c, "/oncall/simulation", query("target", q.Target, "team", q.Team, "severity", string(q.Severity), "at", moment(q.At)))
	return out, err
}

// Findings implements server.Reader.
func (c *Client) Findings(ctx context.Context, _ access.Principal) ([]server.TargetFindings, error) {
	out, _, err := get[[]server.TargetFindings](ctx, c, "/findings", nil)
	return out, err
}

// Journal implements server.Reader.
func (c *Client) Journal(ctx context.Context, _ access.Principal, q server.JournalQuery) (server.JournalPage, error) {
	entries, h, err := get[[]journal.Entry](ctx, c, "/journal", query("before", number(q.Before), "after", number(q.After), "forward", yes(q.Forward), "scope", q.Scope, "kind", q.Kind, "limit", number(int64(q.Limit))))
	older, _ := strconv.ParseInt(nextOf(h, "before"), 10, 64) // 0 at the beginning
	return server.JournalPage{Entries: entries, Older: older}, err
}

// Settings implements server.Reader.
func (c *Client) Settings(ctx context.Context, _ access.Principal) (server.Settings, error) {
	out, _, err := get[server.Settings](ctx, c, "/settings", nil)
	return out, err
}

// Last implements server.Reader, for those entries that who asks may see.
func (c *Client) Last(ctx context.Context) (int64, error) {
	p, err := c.Journal(ctx, access.Principal{}, server.JournalQuery{Limit: 1})
	if err != nil || len(p.Entries) == 0 {
		return 0, err
	}
	return p.Entries[0].Seq, nil
}

// Stream implements server.Reader. A connection that breaks is made anew, and
// goes on after the last entry that was told.
func (c *Client) Stream(ctx context.Context, _ access.Principal, after int64, tell func(journal.Entry) error) error {
	pause := 200 * time.Millisecond
	for {
		began := after
		err := c.follow(ctx, &after, tell)
		var told toldError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case asError(err, &told):
			return told.error
		case asProblem(err) && after == began:
			return err
		}
		if after > began {
			pause = 200 * time.Millisecond
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// toldError is an error of who is told, which ends a stream.
type toldError struct{ error }

// follow reads one connection until it ends.
func (c *Client) follow(ctx context.Context, after *int64, tell func(journal.Entry) error) error {
	r, err := c.request(ctx, request{method: http.MethodGet, path: "/events"}, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Last-Event-ID", strconv.FormatInt(*after, 10))
	res, err := c.long.Do(r)
	if err != nil {
		return fmt.Errorf("follow %s: %w", c.base.Host, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	if res.StatusCode != http.StatusOK {
		body := make([]byte, 64<<10)
		n, _ := res.Body.Read(body) // for the eye
		return problemOf(res, body[:n])
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var e journal.Entry
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := tell(e); err != nil {
			return toldError{err}
		}
		*after = e.Seq
	}
	return lines.Err()
}
