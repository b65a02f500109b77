package config

import (
	"net"
	"regexp"
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

	Replies Replies `yaml:"replies" jsonschema_description:"Answers to pages, by which they are acknowledged."`

	Password secret.Value `yaml:"-"`
}

// Replies say where answers to pages arrive.
type Replies struct {
	Address string `yaml:"address" jsonschema_description:"An address whose mail your mail server hands to refloat server, with whatever comes after a + in it: refloat@page.example.org."`
	Listen  string `yaml:"listen" jsonschema_description:"Where refloat server takes it over SMTP; on this machine only. Default: 127.0.0.1:2525."`
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
	l.replies(&e.Replies)
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

var replyAddress = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,15}@[a-z0-9.-]+$`)

func (l *loader) replies(r *Replies) {
	if *r == (Replies{}) {
		return
	}
	if r.Listen == "" {
		r.Listen = "127.0.0.1:2525"
	}
	host, _, err := net.SplitHostPort(r.Listen)
	switch {
	case !replyAddress.MatchString(r.Address):
		l.fail("$.email.replies", "email.replies.address wants the form refloat@page.example.org, in lower case, with at most 16 characters before the @")
	case err != nil || !alert.OnThisMachine(host):
		l.fail("$.email.replies.listen", "email.replies.listen wants an address of this machine, like 127.0.0.1:2525: your mail server hands the mail over")
	}
}
