package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

const withOnCall = good + `    team: db
    tier: critical
people:
  ada:
    name: Ada Lovelace
    zone: Europe/London
    contacts:
      - {via: email, to: ada@example.org}
      - {via: webhook, name: pager, url_env: PASS, secret_env: PASS}
  ben:
    contacts: [{via: chat, name: ntfy, url_env: PASS}]
teams:
  db:
    members: [ada, ben]
    policy: nights
    contacts: [{via: chat, url_env: PASS}]
    rotations:
      - {turn: weekly, handover: tue 09:30, zone: Europe/Berlin}
      - {turn: 3d, people: [ben, ada]}
      - name: sun
        hours:
          - {from: 08:00, zone: Europe/Berlin, people: [ada]}
          - {from: 20:00, to: 06:30, days: [mon, fri], people: [ben]}
    overrides:
      - {person: ben, from: 2026-12-24 09:00, to: 2026-12-25T09:00:00Z}
      - {person: ada, instead_of: ben, from: 2026-12-27 09:00, to: 2026-12-28 09:00, rotation: sun}
policies:
  nights:
    steps:
      - page: [oncall:db/primary]
      - {after: 5m, page: [oncall:db, team:db], via: [email, chat]}
    every: 20m
email: {host: 127.0.0.1, tls: plaintext, from: refloat@example.org}
`

func TestOnCall(t *testing.T) {
	c, err := Parse("refloat.yaml", []byte(withOnCall), env)
	if err != nil {
		t.Fatal(err)
	}
	db, p := c.Roster.Teams["db"], c.Roster.Policies["nights"]
	r := db.Rotations
	if len(r) != 3 || r[0].Name != "primary" || r[0].Days != 7 || r[0].Start.String() != "2024-01-02" || r[0].Handover.String() != "09:30" || r[0].Zone.String() != "Europe/Berlin" ||
		r[1].Name != "secondary" || r[1].Days != 3 || r[1].People[0] != "ben" || r[2].Days != 1 || len(r[2].Hours) != 2 || r[2].Hours[0].To != r[2].Hours[0].From {
		t.Errorf("rotations %+v", r)
	}
	if o := db.Overrides; !o[0].From.Equal(time.Date(2026, 12, 24, 8, 0, 0, 0, time.UTC)) || !o[0].To.Equal(time.Date(2026, 12, 25, 9, 0, 0, 0, time.UTC)) || o[1].InsteadOf != "ben" || o[1].Rotation != "sun" {
		t.Errorf("overrides %+v", o)
	}
	if p.Repeat != 2 || p.Every != 20*time.Minute || p.Slow != 30*time.Minute || len(p.Steps) != 2 || p.Steps[1].After != 5*time.Minute || p.Steps[1].Via[1] != alert.Chat {
		t.Errorf("policy %+v", p)
	}
	if ada := c.Roster.People["ada"]; ada.Shown() != "Ada Lovelace" || ada.Zone.String() != "Europe/London" || ada.Contacts[1] != (alert.Contact{ID: "ada.pager", Via: alert.Webhook, Address: "pager"}) {
		t.Errorf("ada %+v", ada)
	}
	all := c.Contacts()
	if len(all) != 4 || all["ada.email"].To != "ada@example.org" || all["ada.pager"].URL.Reveal() != "s3cret-words" || all["ada.pager"].Secret.Reveal() == "" || all["db.chat"].ID != "db.chat" {
		t.Errorf("contacts %+v", all)
	}
	if c.Targets["main"].Team != "db" || c.Targets["main"].Tier != "critical" {
		t.Errorf("target %+v", c.Targets["main"])
	}
}

func TestMistakesOfOnCall(t *testing.T) {
	for _, x := range []struct{ name, old, new, want string }{
		{"unknown member", "members: [ada, ben]", "members: [ada, bem]", `refloat.yaml:24:20: there is no person "bem" in this file; did you mean "ben"?`},
		{"unknown in rotation", "people: [ben, ada]", "people: [eve]", `refloat.yaml:29:29: there is no person "eve"`},
		{"unknown policy", "policy: nights", "policy: night", `refloat.yaml:25:13: there is no policy "night" in this file; did you mean "nights"?`},
		{"unknown team of target", "team: db", "team: dbb", `refloat.yaml:11:11: there is no team "dbb"`},
		{"tier", "tier: critical", "tier: gold", `refloat.yaml:12:11: tier wants`},
		{"zone", "zone: Europe/London", "zone: Europe/Londn", `refloat.yaml:16:11: there is no time zone "Europe/Londn"`},
		{"handover", "tue 09:30", "tue 9:30", `refloat.yaml:28:34: "tue 9:30" is not a handover`},
		{"weekday of days", "turn: 3d,", "turn: 3d, handover: mon 09:00,", `refloat.yaml:29:30: a handover on a weekday`},
		{"start", "handover: tue 09:30", "handover: tue 09:30, start: 2026-01-05", `refloat.yaml:28:52: start is a mon`},
		{"turn", "turn: 3d", "turn: monthly", `refloat.yaml:29:16: "monthly" is not the length of a turn`},
		{"clock", "from: 20:00", "from: 24:00", `refloat.yaml:33:20: "24:00" is not a time of day`},
		{"day", "[mon, fri]", "[mon, friday]", `refloat.yaml:33:50: "friday" is not a day`},
		{"override's order", "to: 2026-12-25T09:00:00Z", "to: 2026-12-23 09:00", `refloat.yaml:35:51: an override ends after it begins`},
		{"moment", "from: 2026-12-24 09:00", "from: tomorrow", `refloat.yaml:35:29: "tomorrow" is not a moment`},
		{"override's rotation", "rotation: sun", "rotation: moon", `refloat.yaml:36:96: team db has no rotation "moon"`},
		{"reference", "oncall:db/primary", "oncall:db/third", `refloat.yaml:40:16: "oncall:db/third": team db has no rotation "third"`},
		{"reference's kind", "oncall:db/primary", "db", `refloat.yaml:40:16: "db" is nobody`},
		{"via", "[email, chat]", "[email, pigeon]", `refloat.yaml:41:62: via wants email, webhook or chat`},
		{"contact's kind", "{via: email, to", "{via: mail, to", `refloat.yaml:18:15: via wants`},
		{"no address", "{via: email, to: ada@example.org}", "{via: email}", `refloat.yaml:18:`},
		{"no url", "{via: chat, name: ntfy, url_env: PASS}", "{via: chat, name: ntfy}", `refloat.yaml:21:`},
		{"two of one name", "{via: webhook, name: pager, url_env: PASS, secret_env: PASS}", "{via: email, to: ada@home.example}", `refloat.yaml:19:`},
		{"no contacts", "[{via: chat, name: ntfy, url_env: PASS}]", "[]", `refloat.yaml:21:`},
		{"no url in the environment", "ntfy, url_env: PASS", "ntfy, url_env: NONE", `refloat.yaml:21:49: the environment variable NONE is not set`},
		{"too fast", "every: 20m", "every: 1s", "refloat.yaml:42:12: every wants at least 1m"},
		{"never silent", "every: 20m", "slow: 100d", "refloat.yaml:42:11: slow wants 1m to 1d"},
		{"unknown key", "every: 20m", "evry: 20m", `refloat.yaml:42:5: unknown key "evry"; did you mean "every"?`},
		{"calendar", "turn: 3d,", "calendar_file: /nowhere.ics,", `refloat.yaml:29:25: stat /nowhere.ics`},
		{"calendar that is none", "turn: 3d,", "calendar_file: /dev/zero,", `refloat.yaml:29:25: /dev/zero is not a plain file`},
		{"name of both", "people:\n", "people:\n  db: {contacts: [{via: email, to: db@example.org}]}\n", "refloat.yaml:25:"},
	} {
		t.Run(x.name, func(t *testing.T) {
			text := strings.Replace(withOnCall, x.old, x.new, 1)
			if text == withOnCall {
				t.Fatal("nothing was changed")
			}
			_, err := Parse("refloat.yaml", []byte(text), env)
			if err == nil || !strings.HasPrefix(err.Error(), x.want) {
				t.Errorf("got %v\nwant %s", err, x.want)
			}
		})
	}
}

func TestCalendarFile(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(withOnCall, "{turn: 3d, people: [ben, ada]}", "{calendar_file: rota.ics}", 1)
	ics := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20261224T090000Z\r\nDTEND:20261225T090000Z\r\nSUMMARY:on call: Ada Lovelace\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if err := os.WriteFile(filepath.Join(dir, "rota.ics"), []byte(ics), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(filepath.Join(dir, "refloat.yaml"), []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Roster.Teams["db"].Rotations[1]; len(r.People) != 0 || len(r.Calendar) != 1 || r.Calendar[0].Person != "ada" {
		t.Errorf("%+v", r)
	}
}

func TestDocumentedRosterIsUnderstood(t *testing.T) {
	doc, err := os.ReadFile("../../docs/on-call.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, rest, _ := strings.Cut(rest, "```")
	_, sun, _ := strings.Cut(rest, "```yaml\n")
	sun, _, _ = strings.Cut(sun, "```")
	sun = strings.Replace(text, "    rotations:\n", sun, 1) // its rotation goes before the others
	sun = strings.Replace(sun, "teams:\n", "  ken: {contacts: [{via: email, to: ken@example.org}]}\nteams:\n", 1)
	for _, text := range []string{text, sun} {
		_, err := Parse("refloat.yaml", []byte(text), env)
		if err == nil {
			continue
		}
		for line := range strings.Lines(err.Error()) { // its secret files are not on this machine
			if !strings.Contains(line, "secret file: stat /etc/refloat/") {
				t.Errorf("%s\nin\n%s", line, text)
			}
		}
	}
}
