package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Chat is how people work with incidents where they talk.
type Chat struct {
	Slash  []Slash  `yaml:"slash" jsonschema_description:"Who sends slash commands, to /in/slash/NAME."`
	Mirror []Mirror `yaml:"mirror" jsonschema_description:"Rooms of responders that are told the important events of incidents."`
}

// Slash is a workspace that sends slash commands.
type Slash struct {
	Name       string            `yaml:"name" jsonschema:"required" jsonschema_description:"Its name, and the end of its address."`
	SecretFile string            `yaml:"secret_file" jsonschema_description:"File that holds the signing secret of the chat's app."`
	SecretEnv  string            `yaml:"secret_env" jsonschema_description:"Environment variable that holds it."`
	People     map[string]string `yaml:"people" jsonschema_description:"Person in this file by the chat's user ID, like U012AB3CD: ada. They may do what their account may; without an account, work in incidents of their teams."`
	OthersRead bool              `yaml:"others_read" jsonschema_description:"Users who are not among people may read status and incidents of every team. Default: they may nothing."`

	Secret secret.Value `yaml:"-"`
}

// Mirror is a room of responders.
type Mirror struct {
	Name     string    `yaml:"name" jsonschema:"required" jsonschema_description:"Its name."`
	Teams    []string  `yaml:"teams" jsonschema_description:"Only incidents that these teams answer for. Default: all."`
	Least    string    `yaml:"least" jsonschema:"enum=sev1,enum=sev2,enum=sev3,enum=sev4" jsonschema_description:"Only incidents that are at least so grave. Default: sev4, which is all."`
	Contacts []Contact `yaml:"contacts" jsonschema:"required" jsonschema_description:"Where it is: via chat or webhook."`

	// Rooms are the contacts, read and checked.
	Rooms []alert.Contact `yaml:"-"`
}

func (l *loader) chat(c *Config) {
	seen := map[string]bool{}
	for i := range c.Chat.Slash {
		s, at := &c.Chat.Slash[i], fmt.Sprintf("$.chat.slash[%d]", i)
		s.Secret = l.either(at, "secret", &s.SecretFile, s.SecretEnv)
		switch {
		case !personName.MatchString(s.Name):
			l.fail(at, "it needs a name: lower-case letters, digits and inner hyphens, at most 63")
		case seen[s.Name]:
			l.fail(at+".name", "there are two of the name %s", s.Name)
		case s.SecretFile == "" && s.SecretEnv == "":
			l.fail(at, "%s needs secret_file or secret_env: anybody could send commands otherwise", s.Name)
		case !s.Secret.IsZero() && len(s.Secret.Reveal()) < leastToken:
			l.fail(at, "the signing secret of %s is shorter than %d characters: it could be guessed", s.Name, leastToken)
		}
		seen[s.Name] = true
		for _, user := range slices.Sorted(maps.Keys(s.People)) {
			known(l, at+".people."+user, "person", s.People[user], c.People)
		}
	}
	seen = map[string]bool{}
	for i := range c.Chat.Mirror {
		m, at := &c.Chat.Mirror[i], fmt.Sprintf("$.chat.mirror[%d]", i)
		switch {
		case !personName.MatchString(m.Name):
			l.fail(at, "it needs a name: lower-case letters, digits and inner hyphens, at most 63")
		case seen[m.Name]:
			l.fail(at+".name", "there are two of the name %s", m.Name)
		case len(m.Contacts) == 0:
			l.fail(at, "%s needs contacts: where the room is", m.Name)
		}
		seen[m.Name] = true
		for _, t := range m.Teams {
			known(l, at+".teams", "team", t, c.Roster.Teams)
		}
		if m.Least == "" {
			m.Least = "sev4"
		}
		if !slices.Contains([]string{"sev1", "sev2", "sev3", "sev4"}, m.Least) {
			l.fail(at+".least", "least wants sev1, sev2, sev3 or sev4, not %q", m.Least)
		}
		m.Rooms = l.contacts(at, "mirror."+m.Name, m.Contacts)
		for j, x := range m.Rooms {
			if x.Via == alert.Email {
				l.fail(fmt.Sprintf("%s.contacts[%d]", at, j), "a room is reached via chat or webhook; mail goes to audiences (incidents.audiences)")
			}
		}
	}
}
