// Package tracker speaks with issue trackers: GitHub, GitLab and Jira. It makes an
// entry for an action and says how far one is. It changes nothing else there.
package tracker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/secret"
)

// Kind is a kind of tracker.
type Kind string

// The kinds.
const (
	GitHub Kind = "github"
	GitLab Kind = "gitlab"
	Jira   Kind = "jira"
)

// Options are what a Tracker is given.
type Options struct {
	Kind Kind
	// URL is the API's address for GitHub (https://api.github.com), the site's for
	// GitLab and Jira, without a path of the API.
	URL     string
	Project string // owner/repository, group/project or the key of a project
	User    string // of Jira's cloud, with an API token; empty for a personal access token
	Token   secret.Value
	Type    string       // of issue, for Jira; Task when empty
	Client  *http.Client // default one that gives up after 20 s
}

// Errors that callers tell apart.
var (
	ErrDenied = errors.New("the tracker does not accept the token, or the token may not do this")
	ErrGone   = errors.New("the tracker does not know it")
	ErrBusy   = errors.New("the tracker is busy or not well; try again later")
)

// Entry is an issue in a tracker.
type Entry struct {
	Key  string // number or key
	URL  string // for people
	Done bool
}

// Tracker is one project of an issue tracker. Safe for concurrent use.
type Tracker struct{ o Options }

// New makes a Tracker; it does no I/O.
func New(o Options) *Tracker {
	if o.Client == nil {
		// Not followed: a token must not go to where an answer sends us.
		o.Client = &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	return &Tracker{o}
}

// Create makes an entry for an action. It is not idempotent: the caller writes
// the key down at once.
//
// API: GitHub REST 2022-11-28 "Create an issue", GitLab REST v4 "New issue", Jira
// REST v2 "Create issue".
func (t *Tracker) Create(ctx context.Context, s action.State) (Entry, error) {
	title, body := title(s), Body(s)
	switch t.o.Kind {
	case GitHub:
		var got githubIssue
		err := t.call(ctx, http.MethodPost, "/repos/"+t.o.Project+"/issues", map[string]any{"title": title, "body": body}, http.StatusCreated, &got)
		return got.entry(), err
	case GitLab:
		in := map[string]any{"title": title, "description": body}
		if !s.Due.IsZero() {
			in["due_date"] = s.Due.String()
		}
		var got gitlabIssue
		err := t.call(ctx, http.MethodPost, "/api/v4/projects/"+url.PathEscape(t.o.Project)+"/issues", in, http.StatusCreated, &got)
		return got.entry(), err
	case Jira:
		kind := t.o.Type
		if kind == "" {
			kind = "Task"
		}
		fields := map[string]any{"project": map[string]string{"key": t.o.Project}, "summary": title, "description": body, "issuetype": map[string]string{"name": kind}}
		if !s.Due.IsZero() {
			fields["duedate"] = s.Due.String()
		}
		var got struct{ Key string }
		err := t.call(ctx, http.MethodPost, "/rest/api/2/issue", map[string]any{"fields": fields}, http.StatusCreated, &got)
		return Entry{Key: got.Key, URL: t.o.URL + "/browse/" + got.Key}, err
	}
	return Entry{}, fmt.Errorf("%q is no kind of tracker", t.o.Kind)
}

// Look says how an entry stands.
func (t *Tracker) Look(ctx context.Context, key string) (Entry, error) {
	if key == "" || strings.ContainsAny(key, "/?#%") {
		return Entry{}, fmt.Errorf("%w: %q is no key of an entry", ErrGone, key)
	}
	switch t.o.Kind {
	case GitHub:
		var got githubIssue
		err := t.call(ctx, http.MethodGet, "/repos/"+t.o.Project+"/issues/"+key, nil, http.StatusOK, &got)
		return got.entry(), err
	case GitLab:
		var got gitlabIssue
		err := t.call(ctx, http.MethodGet, "/api/v4/projects/"+url.PathEscape(t.o.Project)+"/issues/"+key, nil, http.StatusOK, &got)
		return got.entry(), err
	case Jira:
		var got struct {
			Key    string
			Fields struct {
				Status struct {
					StatusCategory struct{ Key string } `json:"statusCategory"`
				}
			}
		}
		err := t.call(ctx, http.MethodGet, "/rest/api/2/issue/"+key+"?fields=status", nil, http.StatusOK, &got)
		return Entry{Key: got.Key, URL: t.o.URL + "/browse/" + got.Key, Done: got.Fields.Status.StatusCategory.Key == "done"}, err
	}
	return Entry{}, fmt.Errorf("%q is no kind of tracker", t.o.Kind)
}

type githubIssue struct {
	Number int    `json:"number"`
	URL    string `json:"html_url"`
	State  string `json:"state"`
}

func (g githubIssue) entry() Entry {
	return Entry{Key: strconv.Itoa(g.Number), URL: g.URL, Done: g.State == "closed"}
}

type gitlabIssue struct {
	Number int    `json:"iid"`
	URL    string `json:"web_url"`
	State  string `json:"state"`
}

func (g gitlabIssue) entry() Entry {
	return Entry{Key: strconv.Itoa(g.Number), URL: g.URL, Done: g.State == "closed"}
}

func title(s action.State) string {
	t, _, _ := strings.Cut(strings.TrimSpace(s.Text), "\n")
	if r := []rune(t); len(r) > 200 {
		t = string(r[:199]) + "…"
	}
	return t
}

// Body is what an entry says of an action.
func Body(s action.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(s.Text))
	for _, x := range [][2]string{{"Owner", s.Owner}, {"Due", s.Due.String()}, {"Priority", string(s.Priority)}, {"Kind", string(s.Kind)}, {"Incident", s.Source.Incident}} {
		if x[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", x[0], x[1])
		}
	}
	if s.Source.Text != "" {
		fmt.Fprintf(&b, "Mends the %s: %s\n", cmp.Or(s.Source.Of, "finding"), s.Source.Text)
	}
	if s.Check != nil {
		fmt.Fprintf(&b, "It is done when this check passes: %s\n", s.Check)
	}
	fmt.Fprintf(&b, "\n%s in Refloat.\n", s.ID)
	return b.String()
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 4 << 20

func (t *Tracker) call(ctx context.Context, method, path string, in any, want int, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("speak with the tracker: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, t.o.URL+path, body)
	if err != nil {
		return fmt.Errorf("speak with the tracker: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case t.o.Kind == GitHub:
		r.Header.Set("Accept", "application/vnd.github+json")
		r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
		r.Header.Set("Authorization", "Bearer "+t.o.Token.Reveal())
	case t.o.Kind == GitLab:
		r.Header.Set("PRIVATE-TOKEN", t.o.Token.Reveal())
	case t.o.User != "":
		r.SetBasicAuth(t.o.User, t.o.Token.Reveal())
	default:
		r.Header.Set("Authorization", "Bearer "+t.o.Token.Reveal())
	}
	a, err := t.o.Client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer func() { _ = a.Body.Close() }() // it was read as far as it is wanted
	raw, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if a.StatusCode != want {
		return refusal(a.StatusCode, raw, t.o.Token)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the tracker's answer is not understood: %w", err)
	}
	return nil
}

func refusal(code int, raw []byte, token secret.Value) error {
	said := strings.Join(strings.Fields(string(raw[:min(len(raw), 300)])), " ")
	if token.Reveal() != "" {
		said = strings.ReplaceAll(said, token.Reveal(), token.String())
	}
	kind := errors.New("the tracker refuses")
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		kind = ErrDenied
	case code == http.StatusNotFound || code == http.StatusGone:
		kind = ErrGone
	case code == http.StatusTooManyRequests || code >= 500:
		kind = ErrBusy
	}
	return fmt.Errorf("%w (HTTP %d: %s)", kind, code, said)
}
