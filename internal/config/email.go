package config

import (
	"strings"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Email is the server that takes our mail.
type Email struct {
	Host         string `yaml:"host" jsonschema_description:"Mail server."`
	Port         int    `yaml:"port" jsonschema:"minimum=0,maximum=65535" jsonschema_description:"Default: 587, 465 with tls: implicit, 25 with tls: plaintext."`
	TLS          string `yaml:"tls" jsonschema:"enum=starttls,enum=implicit,enum=plaintext" jsonschema_description:"How the connection is protected; plaintext to this machine only. Default: starttls, which is then required."`
	From         string `yaml:"from" jsonschema_description:"Sender's address."`
	Username     string `yaml:"username" jsonschema_description:"For a server that asks for it."`
	PasswordFile string `yaml:"password_file" jsonschema_description:"File that holds the password; others must not be able to read it."`
	PasswordEnv  string `yaml:"password_env" jsonschema_description:"Environment variable that holds the password."`
	RootCAFile   string `yaml:"root_ca_file" jsonschema_description:"Certificates that the server's is checked against; none for the system's."`

	Password secret.Value `yaml:"-"`
}

func (l *loader) email(c *Config) {
	e := &c.Email
	wanted := false
	for _, p := range c.People {
		for _, x := range p.Contacts {
			wanted = wanted || x.Via == "email"
		}
	}
	for _, t := range c.Teams {
		for _, x := range t.Contacts {
			wanted = wanted || x.Via == "email"
		}
	}
	e.Password = l.either("$.email", "password", &e.PasswordFile, e.PasswordEnv)
	if e.RootCAFile != "" {
		l.place(&e.RootCAFile)
	}
	switch {
	case *e == (Email{}) && !wanted:
	case e.Host == "":
		l.fail("$.email", "email.host is missing: contacts via email need a mail server")
	case !strings.Contains(e.From, "@"):
		l.fail("$.email", "email.from is missing or no address: say who the mail is from")
	case e.TLS != "" && e.TLS != "starttls" && e.TLS != "implicit" && e.TLS != "plaintext":
		l.fail("$.email.tls", "email.tls wants starttls, implicit or plaintext, not %q", e.TLS)
	case e.TLS == "plaintext" && !alert.OnThisMachine(e.Host):
		l.fail("$.email.tls", "email.tls: plaintext is for this machine only, and %s is another", e.Host)
	case e.Username != "" && e.PasswordFile == "" && e.PasswordEnv == "":
		l.fail("$.email.username", "email.username needs password_file or password_env")
	}
}
