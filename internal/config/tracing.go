package config

import (
	"net/url"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Tracing says where traces go.
type Tracing struct {
	URL        string `yaml:"url" jsonschema_description:"An OpenTelemetry collector that takes OTLP over HTTP, like http://127.0.0.1:4318/v1/traces; http only on this machine."`
	TokenFile  string `yaml:"token_file" jsonschema_description:"File that holds a token, sent as Authorization: Bearer."`
	TokenEnv   string `yaml:"token_env" jsonschema_description:"Environment variable that holds the token."`
	RootCAFile string `yaml:"root_ca_file" jsonschema_description:"Certificates that the collector's is checked against; none for the system's."`

	Token secret.Value `yaml:"-"`
}

func (l *loader) tracing(c *Config) {
	t := &c.Tracing
	t.Token = l.either("$.tracing", "token", &t.TokenFile, t.TokenEnv)
	if *t == (Tracing{}) {
		return
	}
	if t.RootCAFile != "" {
		l.place(&t.RootCAFile)
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !alert.OnThisMachine(u.Hostname())) {
		l.fail("$.tracing", "tracing.url wants the form https://collector.example.org:4318/v1/traces; http only to this machine")
	}
}
