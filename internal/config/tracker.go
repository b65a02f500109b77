package config

import (
	"fmt"
	"net/url"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Tracker is a project of an issue tracker that actions can be filed in.
type Tracker struct {
	Name      string `yaml:"name" jsonschema:"required" jsonschema_description:"What it is called here."`
	Kind      string `yaml:"kind" jsonschema:"required,enum=github,enum=gitlab,enum=jira" jsonschema_description:"github, gitlab or jira."`
	URL       string `yaml:"url" jsonschema_description:"GitHub: address of the API, by default https://api.github.com. GitLab and Jira: address of the site."`
	Project   string `yaml:"project" jsonschema:"required" jsonschema_description:"owner/repository, group/project, or the key of a Jira project."`
	User      string `yaml:"user" jsonschema_description:"Jira's cloud: the account that the API token belongs to; empty for a personal access token."`
	Type      string `yaml:"type" jsonschema_description:"Jira: type of the issues that are made. Default: Task."`
	TokenFile string `yaml:"token_file" jsonschema_description:"File that holds the token; others must not be able to read it. It needs to read and make issues."`
	TokenEnv  string `yaml:"token_env" jsonschema_description:"Environment variable that holds the token."`

	Token secret.Value `yaml:"-"`
}

func (l *loader) trackers(c *Config) {
	seen := map[string]bool{}
	for i := range c.Trackers {
		x, at := &c.Trackers[i], fmt.Sprintf("$.trackers[%d]", i)
		x.Token = l.either(at, "token", &x.TokenFile, x.TokenEnv)
		if x.URL == "" && x.Kind == "github" {
			x.URL = "https://api.github.com"
		}
		switch u, err := url.Parse(x.URL); {
		case !personName.MatchString(x.Name):
			l.fail(at, "a tracker needs a name: lower-case letters, digits and inner hyphens")
		case seen[x.Name]:
			l.fail(at+".name", "there are two trackers %s", x.Name)
		case x.Kind != "github" && x.Kind != "gitlab" && x.Kind != "jira":
			l.fail(at+".kind", "kind is github, gitlab or jira, not %q", x.Kind)
		case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && (u.Scheme != "http" || !alert.OnThisMachine(u.Hostname())):
			l.fail(at, "tracker %s: its url wants the form https://host; http only to this machine", x.Name)
		case x.Project == "":
			l.fail(at, "tracker %s needs a project", x.Name)
		case x.TokenFile == "" && x.TokenEnv == "":
			l.fail(at, "tracker %s needs token_file or token_env", x.Name)
		}
		seen[x.Name] = true
	}
}
