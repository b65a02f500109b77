package config

import (
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/refloat-db/refloat/internal/secret"
)

// Store says where the server keeps its own state, and shares it with other
// nodes.
type Store struct {
	URL          string `yaml:"url" jsonschema_description:"postgres://role@host:5432/database, without a password, for nodes that share their state; empty for a file in state_dir."`
	PasswordFile string `yaml:"password_file" jsonschema_description:"File that holds the role's password; others must not be able to read it."`
	PasswordEnv  string `yaml:"password_env" jsonschema_description:"Environment variable that holds the role's password."`
	RootCAFile   string `yaml:"root_ca_file" jsonschema_description:"Certificates that the server's is checked against; none for the system's."`
	Node         string `yaml:"node" jsonschema_description:"What this node is called among those that share the state. Default: this machine's name."`

	Password secret.Value `yaml:"-"`
}

var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,34}[a-z0-9])?$`)

func (l *loader) store(c *Config) {
	s := &c.Store
	s.Password = l.either("$.store", "password", &s.PasswordFile, s.PasswordEnv)
	if s.RootCAFile != "" {
		l.place(&s.RootCAFile)
	}
	if s.URL == "" {
		if *s != (Store{}) {
			l.fail("$.store", "store.url is missing: say where the state is, like postgres://refloat@db.example.org/refloat, or leave store out for a file in state_dir")
		}
		return
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		l.fail("$.store.url", "store.url wants the form postgres://role@host:5432/database") // it may hold a password, so it is not shown
		return
	case keyedPassword.MatchString(s.URL):
		l.fail("$.store.url", "store.url holds a password: use password_file or password_env")
	case u.User != nil:
		if _, has := u.User.Password(); has {
			l.fail("$.store.url", "store.url holds a password: use password_file or password_env")
		}
	}
	for name, t := range c.Targets {
		if d, err := url.Parse(t.DSN); err == nil && d.Host != "" && hostPort(d) == hostPort(u) {
			l.fail("$.store.url", "store.url leads to the server of target %s: when that is down the state would be too; keep it on another server", name)
		}
	}
	if s.Node == "" {
		s.Node = thisMachine()
	}
	if !nodeName.MatchString(s.Node) {
		l.fail("$.store.node", "store.node wants lower-case letters, digits, dots and inner hyphens, at most 36")
	}
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

var notInName = regexp.MustCompile(`[^a-z0-9.-]+`)

// thisMachine is the machine's name as a node's.
func thisMachine() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	name = notInName.ReplaceAllString(strings.ToLower(name), "-")
	return strings.Trim(name[:min(len(name), 36)], ".-")
}
