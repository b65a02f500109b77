package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// StatusPage is what clients are told, and where.
type StatusPage struct {
	Title     string          `yaml:"title" jsonschema_description:"What stands at its top. Default: Status."`
	Services  []StatusService `yaml:"services" jsonschema_description:"What clients use, by the names that they know. Without any there is no status page."`
	Automatic bool            `yaml:"automatic" jsonschema_description:"Let the watch say that a service is disrupted, before a person does. Default: false, which shows only what a person published."`
	Zone      string          `yaml:"zone" jsonschema_description:"Time zone of its days and times, such as Europe/Berlin. Default: UTC."`
	URL       string          `yaml:"url" jsonschema_description:"How clients reach it, like https://status.example.org; needed for subscriptions."`
	Listen    string          `yaml:"listen" jsonschema_description:"Address of its own listener, or off. Default: off."`
	TLS       StatusTLS       `yaml:"tls" jsonschema_description:"Certificate of its listener; none for plain HTTP, behind a proxy that has one."`
	Publish   []string        `yaml:"publish" jsonschema_description:"Where its files are written, too, at each change: file:///folder or s3://bucket/prefix."`
	S3        S3              `yaml:"s3" jsonschema_description:"For s3:// places."`
	Subscribe []string        `yaml:"subscribe" jsonschema_description:"How clients can subscribe beside the feed: email, webhook. Default: neither."`

	AllowPrivateWebhooks bool `yaml:"allow_private_webhooks" jsonschema_description:"Let subscribers name endpoints in private networks and on this machine, over http too. Default: false."`

	// Place is zone.
	Place *time.Location `yaml:"-"`
}

// StatusService is something that clients use.
type StatusService struct {
	Name        string   `yaml:"name" jsonschema:"required" jsonschema_description:"What clients call it."`
	Targets     []string `yaml:"targets" jsonschema:"required" jsonschema_description:"The targets that it needs: it is down when one of them is."`
	Description string   `yaml:"description" jsonschema_description:"A few words more."`
	Group       string   `yaml:"group" jsonschema_description:"Heading under which it stands."`
}

// StatusTLS is a certificate and its key.
type StatusTLS struct {
	CertFile string `yaml:"cert_file" jsonschema_description:"PEM file of the certificate and those that signed it; read again when it changes."`
	KeyFile  string `yaml:"key_file" jsonschema_description:"PEM file of its key."`
}

// Enabled reports whether there is a status page.
func (s StatusPage) Enabled() bool { return len(s.Services) > 0 }

func (l *loader) statusPage(c *Config) {
	s := &c.StatusPage
	if s.Title == "" {
		s.Title = "Status"
	}
	s.Place = l.zone("$.status_page.zone", s.Zone, time.UTC)
	l.statusServices(c)
	for _, f := range []*string{&s.TLS.CertFile, &s.TLS.KeyFile, &s.S3.CAFile} {
		l.place(f)
	}
	l.s3("$.status_page.s3", &s.S3)
	if (s.TLS.CertFile == "") != (s.TLS.KeyFile == "") {
		l.fail("$.status_page.tls", "status_page.tls needs both cert_file and key_file")
	}
	if s.Listen == "off" {
		s.Listen = ""
	}
	if _, _, err := net.SplitHostPort(s.Listen); s.Listen != "" && err != nil {
		l.fail("$.status_page.listen", "status_page.listen wants host:port, like 127.0.0.1:9480, or off")
	}
	u, err := url.Parse(s.URL)
	if s.URL != "" && (err != nil || u.Host == "" || u.User != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.RawQuery != "" || u.Fragment != "") {
		l.fail("$.status_page.url", "status_page.url wants the form https://status.example.org")
	}
	for i, p := range s.Publish {
		if _, err := StatusPlace(p); err != nil {
			l.fail(fmt.Sprintf("$.status_page.publish[%d]", i), "%v", err)
		}
	}
	for i, way := range s.Subscribe {
		at := fmt.Sprintf("$.status_page.subscribe[%d]", i)
		switch {
		case way != "email" && way != "webhook":
			l.fail(at, "subscribe wants email or webhook, not %q", way)
		case slices.Contains(s.Subscribe[:i], way):
			l.fail(at, "%s is there twice", way)
		case s.URL == "" || s.Listen == "":
			l.fail(at, "subscriptions need status_page.url, for the links in messages, and status_page.listen, which those lead to")
		case way == "email" && c.Email.Host == "":
			l.fail(at, "subscribing by email needs a mail server: email.host")
		}
	}
}

func (l *loader) statusServices(c *Config) {
	s, seen := &c.StatusPage, map[string]bool{}
	if !s.Enabled() && (s.Listen != "" && s.Listen != "off" || len(s.Publish)+len(s.Subscribe) > 0) {
		l.fail("$.status_page", "status_page needs services: say what clients use")
	}
	for i, x := range s.Services {
		at := fmt.Sprintf("$.status_page.services[%d]", i)
		switch {
		case strings.TrimSpace(x.Name) == "" || len(x.Targets) == 0:
			l.fail(at, "a service needs name and targets")
		case seen[x.Name]:
			l.fail(at+".name", "there are two services of the name %s", x.Name)
		}
		seen[x.Name] = true
		for j, t := range x.Targets {
			known(l, fmt.Sprintf("%s.targets[%d]", at, j), "target", t, c.Targets)
		}
	}
}

// StatusPlace reads a place where the page is written: a folder, or a bucket,
// for which folder is empty.
func StatusPlace(text string) (folder string, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "":
	case u.Scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/") && len(u.Path) > 1:
		return u.Path, nil
	case u.Scheme == "s3" && u.Host != "":
		return "", nil
	}
	return "", fmt.Errorf("a place of the status page is written like file:///srv/www/status or s3://bucket/prefix, not %q", text)
}
