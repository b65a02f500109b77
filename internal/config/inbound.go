package config

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Inbound is who may tell us of trouble.
type Inbound struct {
	Sources    []Source   `yaml:"sources" jsonschema_description:"Who may post alerts, to /in/NAME."`
	Heartbeats []Expected `yaml:"heartbeats" jsonschema_description:"Signs of life that are expected at /heartbeat/NAME: one that does not come is an alert."`
}

// Source may post alerts.
type Source struct {
	Name      string `yaml:"name" jsonschema:"required" jsonschema_description:"Its name, and the end of its address."`
	Kind      string `yaml:"kind" jsonschema:"required,enum=alertmanager,enum=generic" jsonschema_description:"What it posts."`
	TokenFile string `yaml:"token_file" jsonschema_description:"File that holds its token, of 16 characters at least, which it sends as Authorization: Bearer."`
	TokenEnv  string `yaml:"token_env" jsonschema_description:"Environment variable that holds the token."`
	Team      string `yaml:"team" jsonschema_description:"Which team answers for alerts that name none."`
	Incidents bool   `yaml:"incidents" jsonschema_description:"It may ask that an incident be opened for an alert, however grave it is. Default: false."`

	Token secret.Value `yaml:"-"`
}

// Expected is a sign of life that somebody else gives.
type Expected struct {
	Name      string   `yaml:"name" jsonschema:"required" jsonschema_description:"Its name, and the end of its address."`
	Every     Duration `yaml:"every" jsonschema:"required" jsonschema_description:"How often it comes."`
	Grace     Duration `yaml:"grace" jsonschema_description:"How late it may be. Default: half of every, a minute at least."`
	TokenFile string   `yaml:"token_file" jsonschema_description:"File that holds its token, of 16 characters at least."`
	TokenEnv  string   `yaml:"token_env" jsonschema_description:"Environment variable that holds the token."`
	Team      string   `yaml:"team" jsonschema_description:"Which team answers for it."`
	Severity  string   `yaml:"severity" jsonschema:"enum=critical,enum=high,enum=medium,enum=low" jsonschema_description:"How grave it is when it does not come. Default: high."`

	Token secret.Value `yaml:"-"`
}

// leastToken is the least length of a token: shorter ones can be guessed.
const leastToken = 16

func (l *loader) inbound(c *Config) {
	seen := map[string]bool{}
	for i := range c.Inbound.Sources {
		s, at := &c.Inbound.Sources[i], fmt.Sprintf("$.inbound.sources[%d]", i)
		s.Token = l.door(at, s.Name, seen, &s.TokenFile, s.TokenEnv)
		if s.Kind != "alertmanager" && s.Kind != "generic" {
			l.fail(at, "kind wants alertmanager or generic, not %q", s.Kind)
		}
		if s.Team != "" {
			known(l, at+".team", "team", s.Team, c.Roster.Teams)
		}
	}
	seen = map[string]bool{}
	for i := range c.Inbound.Heartbeats {
		h, at := &c.Inbound.Heartbeats[i], fmt.Sprintf("$.inbound.heartbeats[%d]", i)
		h.Token = l.door(at, h.Name, seen, &h.TokenFile, h.TokenEnv)
		if h.Every < Duration(time.Second) {
			l.fail(at, "heartbeat %s needs every, 1s at least", h.Name)
		}
		if h.Grace == 0 {
			h.Grace = max(h.Every/2, Duration(time.Minute))
		}
		if h.Severity == "" {
			h.Severity = string(alert.High)
		}
		if alert.Severity(h.Severity).Rank() == 0 {
			l.fail(at+".severity", "severity wants critical, high, medium or low, not %q", h.Severity)
		}
		if h.Team != "" {
			known(l, at+".team", "team", h.Team, c.Roster.Teams)
		}
	}
	if p := c.Server.PublicURL; p != "" {
		u, err := url.Parse(p)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.RawQuery != "" {
			l.fail("$.server.public_url", "server.public_url wants the form https://refloat.example.org")
		}
	}
}

// door checks what a source and a heartbeat have in common.
func (l *loader) door(at, name string, seen map[string]bool, file *string, env string) secret.Value {
	token := l.either(at, "token", file, env)
	switch {
	case !personName.MatchString(name):
		l.fail(at, "it needs a name: lower-case letters, digits and inner hyphens, at most 63")
	case seen[name]:
		l.fail(at+".name", "there are two of the name %s", name)
	case *file == "" && env == "":
		l.fail(at, "%s needs token_file or token_env: anybody could post otherwise", name)
	case !token.IsZero() && len(token.Reveal()) < leastToken:
		l.fail(at, "the token of %s is shorter than %d characters: it could be guessed", name, leastToken)
	}
	seen[name] = true
	return token
}
