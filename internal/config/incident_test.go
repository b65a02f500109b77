package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
)

const withIncidents = good + `people:
  ada: {contacts: [{via: email, to: ada@example.org}]}
teams:
  db: {members: [ada]}
email: {host: localhost, from: refloat@example.org, tls: plaintext}
incidents:
  open: {outages: high, alerts: never}
  warn_at: [25, 75]
  audiences:
    teams: {to: [team:db]}
    clients: {contacts: [{via: email, name: acme, to: it@acme.example}]}
  updates:
    sev2: {clients: 15m, teams: 0s}
  names: {main: The web shop}
`

func TestIncidentsAreRead(t *testing.T) {
	c, err := Parse("refloat.yaml", []byte(withIncidents), env)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Incidents.Rules
	if r.Outages != alert.High || r.Alerts != "" || !slices.Equal(r.WarnAt, []int{25, 75}) || r.Names["main"] != "The web shop" {
		t.Errorf("%+v", r)
	}
	if r.Cadence[incident.Sev1][incident.Teams] != 30*time.Minute || r.Cadence[incident.Sev2][incident.Clients] != 15*time.Minute || r.Cadence[incident.Sev2][incident.Teams] != 0 {
		t.Errorf("%+v", r.Cadence)
	}
	if x := r.Circles[incident.Clients].Contacts; len(x) != 1 || x[0].ID != "audience.clients.acme" || c.Contacts()[x[0].ID].To != "it@acme.example" {
		t.Errorf("%+v", x)
	}
	c, err = Parse("refloat.yaml", []byte(good), env)
	if err != nil || c.Incidents.Rules.Outages != alert.Low || c.Incidents.Rules.Alerts != alert.Critical || !slices.Equal(c.Incidents.Rules.WarnAt, []int{50, 80}) {
		t.Errorf("a file that says nothing: %+v %v", c.Incidents.Rules, err)
	}
}

func TestMistakesInIncidents(t *testing.T) {
	for _, x := range []struct{ old, new, want string }{
		{"outages: high", "outages: always", `outages wants critical, high, medium, low or never, not "always"`},
		{"[25, 75]", "[75, 25]", "warn_at wants percentages"},
		{"[25, 75]", "[0]", "warn_at wants percentages"},
		{"    teams: {to", "    press: {to", `there is no audience "press"`},
		{"team:db]", "team:dc]", `there is no team "dc"`},
		{"sev2:", "sev9:", `there is no severity "sev9"`},
		{"clients: 15m", "clients: 5s", "every 1m to 7d"},
		{"clients: 15m", "customers: 15m", `there is no audience "customers"`},
		{"main: The", "mian: The", `there is no target "mian" in this file; did you mean "main"?`},
		{"to: it@acme.example", "url_env: PASS", "a contact via email"},
	} {
		_, err := Parse("refloat.yaml", []byte(strings.Replace(withIncidents, x.old, x.new, 1)), env)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %s", x.new, err, x.want)
		}
	}
}
