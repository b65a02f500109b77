package config

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Person is somebody who can be paged.
type Person struct {
	Name     string    `yaml:"name" jsonschema_description:"As people write it. Default: the key."`
	Zone     string    `yaml:"zone" jsonschema_description:"Time zone, such as Europe/Berlin, in which this person is shown times. Default: UTC."`
	Contacts []Contact `yaml:"contacts" jsonschema:"required" jsonschema_description:"Ways to reach this person; a page goes through all of them that a step allows."`
}

// Contact is one way to reach a person or a team.
type Contact struct {
	Via        string `yaml:"via" jsonschema:"required,enum=email,enum=webhook,enum=chat" jsonschema_description:"email, webhook, or chat for any service that shoutrrr knows."`
	Name       string `yaml:"name" jsonschema_description:"Tells this contact from others of the same person. Default: what via says."`
	To         string `yaml:"to" jsonschema_description:"Address, for email."`
	URLFile    string `yaml:"url_file" jsonschema_description:"File that holds the URL, for webhook and chat; others must not be able to read it."`
	URLEnv     string `yaml:"url_env" jsonschema_description:"Environment variable that holds the URL."`
	SecretFile string `yaml:"secret_file" jsonschema_description:"File that holds the key that messages are signed with, for webhook."`
	SecretEnv  string `yaml:"secret_env" jsonschema_description:"Environment variable that holds that key."`

	// ID is unique in the configuration: the person's or the team's name, and
	// the contact's.
	ID     string       `yaml:"-"`
	URL    secret.Value `yaml:"-"`
	Secret secret.Value `yaml:"-"`
}

// Team answers for targets.
type Team struct {
	Members   []string   `yaml:"members" jsonschema:"required" jsonschema_description:"People."`
	Policy    string     `yaml:"policy" jsonschema_description:"Which policy its alerts follow. Default: the one named default, else whoever is on call, then the team, then everybody."`
	Contacts  []Contact  `yaml:"contacts" jsonschema_description:"The team's own, such as a chat room."`
	Rotations []Rotation `yaml:"rotations" jsonschema_description:"Who is on call when. Each has at most one person on call at a time."`
	Overrides []Override `yaml:"overrides" jsonschema_description:"Exceptions; a later one wins over an earlier."`
}

// Rotation hands over from one person to the next.
type Rotation struct {
	Name         string   `yaml:"name" jsonschema_description:"Default: primary for the first, secondary for the second."`
	People       []string `yaml:"people" jsonschema_description:"In the order of their turns. Default: the team's members."`
	Turn         string   `yaml:"turn" jsonschema_description:"How long each is on call: daily, weekly, or a number of days like 3d. Default: weekly, with hours daily."`
	Handover     string   `yaml:"handover" jsonschema_description:"When, like 09:00 or mon 09:00. Default: mon 09:00; for other turns than weekly 09:00."`
	Zone         string   `yaml:"zone" jsonschema_description:"Time zone of the handover, such as Europe/Berlin. Default: UTC."`
	Start        Date     `yaml:"start" jsonschema_description:"A day on which the first of people takes over. Default: 2024-01-01, or the first such weekday after it."`
	Hours        []Hours  `yaml:"hours" jsonschema_description:"Parts of the day, each with people and a time zone of its own, to follow the sun."`
	CalendarFile string   `yaml:"calendar_file" jsonschema_description:"An .ics file whose events say who is on call. With people it overrides their turns; without it is all there is."`
}

// Hours is a part of the day.
type Hours struct {
	From   string   `yaml:"from" jsonschema:"required" jsonschema_description:"When it begins, like 08:00."`
	To     string   `yaml:"to" jsonschema_description:"When it ends. Default: when another part begins."`
	Days   []string `yaml:"days" jsonschema_description:"mon, tue, wed, thu, fri, sat, sun. Default: all."`
	Zone   string   `yaml:"zone" jsonschema_description:"Time zone of this part. Default: the rotation's."`
	People []string `yaml:"people" jsonschema_description:"In the order of their turns. Default: the rotation's."`
}

// Override puts somebody on call for a while.
type Override struct {
	Person    string `yaml:"person" jsonschema:"required" jsonschema_description:"Who is on call."`
	From      Moment `yaml:"from" jsonschema:"required" jsonschema_description:"From when, like 2026-12-24 09:00 in the rotation's time zone, or 2026-12-24T09:00:00+01:00."`
	To        Moment `yaml:"to" jsonschema:"required" jsonschema_description:"Until when."`
	Rotation  string `yaml:"rotation" jsonschema_description:"In which rotation. Default: the first."`
	InsteadOf string `yaml:"instead_of" jsonschema_description:"Only where this person would be on call, in every rotation unless one is named."`
}

// Policy says who is paged when, until somebody acknowledges.
type Policy struct {
	Steps  []Step   `yaml:"steps" jsonschema:"required" jsonschema_description:"One after the other. When every delivery of a step fails, or it reaches nobody, the next begins at once."`
	Repeat int      `yaml:"repeat" jsonschema:"minimum=0" jsonschema_description:"How often all steps are gone through again. Default: 2."`
	Every  Duration `yaml:"every" jsonschema_description:"Pause between the last step of a round and the next round. Default: 10m."`
	Slow   Duration `yaml:"slow" jsonschema_description:"After the last round the last step is repeated so often, until somebody acknowledges. Default: 30m."`
	Least  string   `yaml:"least_severity" jsonschema:"enum=critical,enum=high,enum=medium,enum=low" jsonschema_description:"Alerts below it are shown and page nobody. Default: high."`
}

// Step is one step of a policy.
type Step struct {
	After Duration `yaml:"after" jsonschema_description:"Pause after the step before. Default: none."`
	Page  []string `yaml:"page" jsonschema:"required" jsonschema_description:"oncall:TEAM, oncall:TEAM/ROTATION, oncall, team:TEAM, channel:TEAM, person:NAME or everybody."`
	Via   []string `yaml:"via" jsonschema:"enum=email,enum=webhook,enum=chat" jsonschema_description:"Only contacts of these kinds. Default: all."`
}

func defaultPolicy() Policy {
	return Policy{Repeat: 2, Every: Duration(alert.DefaultEvery), Slow: Duration(alert.DefaultSlow), Least: string(alert.DefaultLeast)}
}

// Moment is a point in time, with its zone or in one that is known from
// elsewhere.
type Moment string

const momentLayout = "2006-01-02 15:04"

// UnmarshalText reads 2026-12-24 09:00 or 2026-12-24T09:00:00+01:00.
func (m *Moment) UnmarshalText(b []byte) error {
	*m = Moment(b)
	if _, ok := m.in(time.UTC); !ok {
		return fmt.Errorf("%q is not a moment: write it like 2026-12-24 09:00 or 2026-12-24T09:00:00+01:00", b)
	}
	return nil
}

// in is the moment, in zone unless it says another. One that does not exist
// there is when the clock jumps over it; one that exists twice is the first.
func (m Moment) in(zone *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, string(m)); err == nil {
		return t, true
	}
	t, err := time.Parse(momentLayout, string(m))
	if err != nil {
		return time.Time{}, false
	}
	d, err := alert.ParseDay(t.Format(time.DateOnly))
	return d.Instant(alert.Clock(t.Hour()*60+t.Minute()), zone), err == nil
}

// Contacts are those of all people, teams, audiences and rooms, by ID.
func (c Config) Contacts() map[string]Contact {
	all := map[string]Contact{}
	for _, p := range c.People {
		for _, x := range p.Contacts {
			all[x.ID] = x
		}
	}
	for _, t := range c.Teams {
		for _, x := range t.Contacts {
			all[x.ID] = x
		}
	}
	for _, a := range c.Incidents.Audiences {
		for _, x := range a.Contacts {
			all[x.ID] = x
		}
	}
	for _, m := range c.Chat.Mirror {
		for _, x := range m.Contacts {
			all[x.ID] = x
		}
	}
	return all
}
