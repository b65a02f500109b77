package config

import (
	"slices"
	"strings"
	"time"

	"github.com/google/shlex"

	"github.com/refloat-db/refloat/internal/secret"
)

// Recovery is what a guided recovery may do by itself. What is not granted here
// is shown with its exact commands, for a person to do.
type Recovery struct {
	DataDirectory       string   `yaml:"data_directory" jsonschema_description:"Data directory of the target, where it is on this machine: so that Refloat can look at a server that is down."`
	Restart             string   `yaml:"restart" jsonschema_description:"Command that starts the target again, like systemctl restart postgresql@15-main. Run without a shell."`
	Start               string   `yaml:"start" jsonschema_description:"Command that starts a server on a restored directory, with {directory} in its place, like /usr/lib/postgresql/15/bin/pg_ctl -D {directory} -w start. Run without a shell."`
	Promote             string   `yaml:"promote" jsonschema_description:"sql to call pg_promote() on the standby, or a command that promotes it. Run without a shell."`
	Standby             string   `yaml:"standby" jsonschema_description:"How to reach the standby that may take over, without a password: postgres://role@host:5432/postgres."`
	StandbyPasswordFile string   `yaml:"standby_password_file" jsonschema_description:"File that holds the role's password there; others must not be able to read it."`
	StandbyPasswordEnv  string   `yaml:"standby_password_env" jsonschema_description:"Environment variable that holds the role's password there."`
	Timeout             Duration `yaml:"timeout" jsonschema_description:"How long a command may take. Default: 5m."`

	StandbyPassword secret.Value `yaml:"-"`
	// The commands, word by word; none for what is not granted.
	RestartWords []string `yaml:"-"`
	StartWords   []string `yaml:"-"`
	PromoteWords []string `yaml:"-"`
}

// PromoteBySQL is the value of promote that stands for pg_promote().
const PromoteBySQL = "sql"

func defaultRecovery() Recovery { return Recovery{Timeout: Duration(5 * time.Minute)} }

// DirectoryPlace stands in the start command for the restored directory.
const DirectoryPlace = "{directory}"

func (l *loader) recovery(at string, r *Recovery) {
	at += ".recovery"
	l.place(&r.DataDirectory)
	r.RestartWords = l.command(at+".restart", r.Restart)
	r.StartWords = l.command(at+".start", r.Start)
	if r.Promote != PromoteBySQL {
		r.PromoteWords = l.command(at+".promote", r.Promote)
	}
	if len(r.StartWords) > 0 && !slices.ContainsFunc(r.StartWords, func(w string) bool { return strings.Contains(w, DirectoryPlace) }) {
		l.fail(at+".start", "recovery.start does not say where: write %s where the restored directory goes", DirectoryPlace)
	}
	l.dsn(at+".standby", "standby", r.Standby)
	r.StandbyPassword = l.either(at, "standby_password", &r.StandbyPasswordFile, r.StandbyPasswordEnv)
	switch {
	case r.Promote == PromoteBySQL && r.Standby == "":
		l.fail(at+".promote", "recovery.promote is sql: say where with recovery.standby")
	case r.Standby == "" && !r.StandbyPassword.IsZero():
		l.fail(at, "recovery has a password of a standby, and no standby")
	}
	if r.Timeout < Duration(time.Second) {
		l.fail(at+".timeout", "recovery.timeout wants at least 1s")
	}
}

// command reads a command word by word. Nothing of it is left to a shell.
func (l *loader) command(path, text string) []string {
	if text == "" {
		return nil
	}
	words, err := shlex.Split(text)
	if err != nil || len(words) == 0 {
		l.fail(path, "the command cannot be read: %v", err)
		return nil
	}
	for _, w := range words {
		if slices.Contains([]string{"sh", "bash", "dash", "/bin/sh", "/bin/bash"}, words[0]) {
			break // asked for, by name
		}
		if slices.Contains([]string{"|", "||", "&", "&&", ";", "<", ">", ">>", "2>&1"}, w) || strings.HasSuffix(w, ";") || strings.ContainsAny(w, "`\n") || strings.Contains(w, "$(") {
			l.fail(path, "commands are run without a shell, and %s means something only to one: put it into a script and name that", w)
			return nil
		}
	}
	if !strings.HasPrefix(words[0], "/") && strings.Contains(words[0], "/") {
		l.fail(path, "the command %s wants an absolute path, or a name that is found on the PATH", words[0])
	}
	return words
}
