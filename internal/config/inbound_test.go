package config

import (
	"strings"
	"testing"
	"time"
)

func TestInbound(t *testing.T) {
	const base = "version: 1\nrepository: {url: \"file:///r\", passphrase_env: PASS}\n"
	longer := func(k string) (string, bool) {
		if k == "TOKEN" {
			return "a-token-of-some-length", true
		}
		if k == "SHORT" {
			return "short", true
		}
		return env(k)
	}
	c, err := Parse("refloat.yaml", []byte(base+"server: {public_url: \"https://refloat.example.org\"}\ninbound:\n  sources: [{name: prom, kind: alertmanager, token_env: TOKEN}]\n  heartbeats: [{name: nightly, every: 1d, token_env: TOKEN}]\n"), longer)
	if err != nil {
		t.Fatal(err)
	}
	if h := c.Inbound.Heartbeats[0]; h.Grace.Std() != 12*time.Hour || h.Severity != "high" || h.Token.Reveal() == "" {
		t.Errorf("%+v", h)
	}
	for text, want := range map[string]string{
		"inbound: {sources: [{name: prom, kind: alertmanager}]}":                                                       "needs token_file",
		"inbound: {sources: [{name: prom, kind: alertmanager, token_env: SHORT}]}":                                     "could be guessed",
		"inbound: {sources: [{name: prom, kind: nagios, token_env: TOKEN}]}":                                           "alertmanager or generic",
		"inbound: {sources: [{name: Prom, kind: generic, token_env: TOKEN}]}":                                          "needs a name",
		"inbound: {sources: [{name: a, kind: generic, token_env: TOKEN}, {name: a, kind: generic, token_env: TOKEN}]}": "two of the name",
		"inbound: {sources: [{name: a, kind: generic, token_env: TOKEN, team: nobody}]}":                               "nobody",
		"inbound: {heartbeats: [{name: a, token_env: TOKEN}]}":                                                         "needs every",
		"inbound: {heartbeats: [{name: a, every: 1h, severity: bad, token_env: TOKEN}]}":                               "severity wants",
		"server: {public_url: refloat}":                                                                                "server.public_url",
	} {
		if _, err := Parse("refloat.yaml", []byte(base+text+"\n"), longer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPeers(t *testing.T) {
	const base = "version: 1\nrepository: {url: \"file:///r\", passphrase_env: PASS}\n"
	longer := func(k string) (string, bool) {
		if k == "TOKEN" {
			return "a-token-of-some-length", true
		}
		return env(k)
	}
	c, err := Parse("refloat.yaml", []byte(base+"peers: [{name: fra, url: \"https://refloat.example.org\", token_env: TOKEN}, {name: here, url: \"http://127.0.0.1:9465\", token_env: TOKEN}]\n"), longer)
	if err != nil || len(c.Peers) != 2 || c.Peers[0].Token.Reveal() == "" {
		t.Fatalf("%v %+v", err, c.Peers)
	}
	for text, want := range map[string]string{
		"{name: fra, url: \"http://refloat.example.org\", token_env: TOKEN}":      "http only to this machine",
		"{name: fra, url: \"https://u:p@refloat.example.org\", token_env: TOKEN}": "wants the form",
		"{name: fra, url: \"https://refloat.example.org\"}":                       "needs token_file",
		"{name: Fra, url: \"https://refloat.example.org\", token_env: TOKEN}":     "needs a name",
		"{name: fra, token_env: TOKEN}":                                           "wants the form",
	} {
		if _, err := Parse("refloat.yaml", []byte(base+"peers: ["+text+"]\n"), longer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTracing(t *testing.T) {
	const base = "version: 1\nrepository: {url: \"file:///r\", passphrase_env: PASS}\n"
	for text, want := range map[string]string{
		"tracing: {url: \"http://127.0.0.1:4318/v1/traces\"}":                          "",
		"tracing: {url: \"https://collector.example.org/v1/traces\", token_env: PASS}": "",
		"tracing: {url: \"http://collector.example.org/v1/traces\"}":                   "http only to this machine",
		"tracing: {url: collector}":                                                    "wants the form",
		"tracing: {token_env: PASS}":                                                   "wants the form",
	} {
		_, err := Parse("refloat.yaml", []byte(base+text+"\n"), env)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
