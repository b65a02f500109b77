package config

import (
	"fmt"
	"net/url"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Peer is another node that watches the same targets.
type Peer struct {
	Name       string `yaml:"name" jsonschema:"required" jsonschema_description:"What it is called here; shown where it sees a target that this one does not."`
	URL        string `yaml:"url" jsonschema:"required" jsonschema_description:"Where its refloat server is reached, like https://refloat.other.example.org; http only on this machine."`
	TokenFile  string `yaml:"token_file" jsonschema_description:"File that holds the token, of 16 characters at least, that both show each other."`
	TokenEnv   string `yaml:"token_env" jsonschema_description:"Environment variable that holds the token."`
	RootCAFile string `yaml:"root_ca_file" jsonschema_description:"Certificates that its own is checked against; none for the system's."`

	Token secret.Value `yaml:"-"`
}

func (l *loader) peers(c *Config) {
	seen := map[string]bool{}
	for i := range c.Peers {
		p, at := &c.Peers[i], fmt.Sprintf("$.peers[%d]", i)
		p.Token = l.door(at, p.Name, seen, &p.TokenFile, p.TokenEnv)
		if p.RootCAFile != "" {
			l.place(&p.RootCAFile)
		}
		u, err := url.Parse(p.URL)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && (u.Scheme != "http" || !alert.OnThisMachine(u.Hostname())) {
			l.fail(at, "peer %s: its url wants the form https://refloat.example.org; http only to this machine", p.Name)
		}
	}
}
