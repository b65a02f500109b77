package config

import (
	"fmt"
	"net/url"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Watchdog is somebody outside who pages when this server falls silent.
type Watchdog struct {
	Name      string   `yaml:"name" jsonschema:"required" jsonschema_description:"What it is called here."`
	URLFile   string   `yaml:"url_file" jsonschema_description:"File that holds the URL, which is often a secret itself; others must not be able to read it."`
	URLEnv    string   `yaml:"url_env" jsonschema_description:"Environment variable that holds the URL."`
	TokenFile string   `yaml:"token_file" jsonschema_description:"File that holds a token, sent as Authorization: Bearer; another Refloat asks for one."`
	TokenEnv  string   `yaml:"token_env" jsonschema_description:"Environment variable that holds the token."`
	Every     Duration `yaml:"every" jsonschema_description:"How often it is told that all is well. Default: 1m."`

	URL   secret.Value `yaml:"-"`
	Token secret.Value `yaml:"-"`
}

// PageTests say how the way to people is tested.
type PageTests struct {
	Every        Duration `yaml:"every" jsonschema_description:"How often each contact of those on call gets a test page, in their working hours, which they acknowledge; 0s for never. Default: 7d."`
	AnswerWithin Duration `yaml:"answer_within" jsonschema_description:"A test page that is not acknowledged within is an alert. Default: 1d."`
}

func (l *loader) watchdogs(c *Config) {
	seen := map[string]bool{}
	for i := range c.Watchdogs {
		w, at := &c.Watchdogs[i], fmt.Sprintf("$.watchdogs[%d]", i)
		if w.Every == 0 {
			w.Every = Duration(time.Minute)
		}
		w.URL = l.either(at, "url", &w.URLFile, w.URLEnv)
		w.Token = l.either(at, "token", &w.TokenFile, w.TokenEnv)
		switch u, err := url.Parse(w.URL.Reveal()); {
		case !personName.MatchString(w.Name):
			l.fail(at, "a watchdog needs a name: lower-case letters, digits and inner hyphens")
		case seen[w.Name]:
			l.fail(at+".name", "there are two watchdogs %s", w.Name)
		case w.URLFile == "" && w.URLEnv == "":
			l.fail(at, "watchdog %s needs url_file or url_env", w.Name)
		case !w.URL.IsZero() && (err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !alert.OnThisMachine(u.Hostname()))):
			l.fail(at, "watchdog %s: its URL wants the form https://host/path; http only to this machine", w.Name)
		case w.Every < Duration(time.Second) || w.Every > Duration(24*time.Hour):
			l.fail(at+".every", "every wants 1s to 1d")
		}
		seen[w.Name] = true
	}
	t := c.PageTests
	if t.Every != 0 && t.Every < Duration(time.Hour) {
		l.fail("$.page_tests.every", "every wants at least 1h, or 0s for never")
	}
	if t.AnswerWithin < Duration(time.Minute) {
		l.fail("$.page_tests.answer_within", "answer_within wants at least 1m")
	}
}
