package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target"
)

// Error is a mistake in the configuration and where it is.
type Error struct {
	File         string // empty when it is not in a file
	Line, Column int    // from 1
	Message      string
}

func (e *Error) Error() string {
	if e.File == "" {
		return e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// ErrNoFile means that the configuration cannot be read at all.
var ErrNoFile = errors.New("no configuration")

// Find says which file is read: path if given, else $REFLOAT_CONFIG, else
// ./refloat.yaml, else /etc/refloat/refloat.yaml.
func Find(path string, env func(string) (string, bool)) string {
	if path != "" {
		return path
	}
	if p, ok := env("REFLOAT_CONFIG"); ok && p != "" {
		return p
	}
	if _, err := os.Stat("refloat.yaml"); err == nil {
		return "refloat.yaml"
	}
	return "/etc/refloat/refloat.yaml"
}

// Load finds, reads and checks the configuration, and reads its secrets.
func Load(path string, env func(string) (string, bool)) (Config, error) {
	path = Find(path, env)
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	return Parse(path, text, env)
}

// Parse is Load for text that is at hand; file is its name in errors. A file
// with no targets is fine: not every command needs one.
func Parse(file string, text []byte, env func(string) (string, bool)) (Config, error) {
	c := defaults()
	c.Path = file
	d := decoder{file: file}
	tree := d.parse(text, &c)
	l := loader{file: file, tree: tree, env: env, errs: d.errs}
	if len(d.errs) == 0 {
		l.check(&c)
	}
	if err := l.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (l *loader) check(c *Config) {
	if c.Version != 1 {
		l.fail("$.version", "version must be 1")
	}
	l.repository(&c.Repository)
	l.place(&c.StateDir)
	for name, t := range c.Targets {
		l.target(name, &t)
		c.Targets[name] = t
	}
	l.store(c)
	l.onCall(c)
	l.access(c)
	l.email(c)
	l.tracing(c)
	l.peers(c)
	l.trackers(c)
	l.watchdogs(c)
	l.inbound(c)
	l.incidents(c)
	l.chat(c)
	l.statusPage(c)
}

func (l *loader) err() error {
	slices.SortStableFunc(l.errs, func(a, b *Error) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Message, b.Message))
	})
	all := make([]error, len(l.errs))
	for i, e := range l.errs {
		all[i] = e
	}
	return errors.Join(all...)
}

type loader struct {
	file string
	tree *ast.File
	env  func(string) (string, bool)
	errs []*Error
}

// fail records a mistake at a path, or at the nearest parent that is there.
func (l *loader) fail(path, format string, args ...any) {
	e := &Error{File: l.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	for at := path; l.tree != nil && at != "$" && at != ""; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
		p, err := yaml.PathString(at)
		if err != nil {
			continue
		}
		if n, err := p.FilterFile(l.tree); err == nil && n != nil && n.GetToken() != nil {
			e.Line, e.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
			break
		}
	}
	l.errs = append(l.errs, e)
}

// place makes a path that is relative one beside the configuration.
func (l *loader) place(path *string) {
	if *path == "" || filepath.IsAbs(*path) {
		return
	}
	if abs, err := filepath.Abs(filepath.Join(filepath.Dir(l.file), *path)); err == nil {
		*path = abs
	}
}

// secretFile reads a secret that only its owner may read.
func (l *loader) secretFile(path string, file *string) secret.Value {
	if *file == "" {
		return secret.Value{}
	}
	l.place(file)
	name := *file
	info, err := os.Stat(name)
	if err != nil {
		l.fail(path, "secret file: %v", err)
		return secret.Value{}
	}
	if info.Mode().Perm()&0o007 != 0 || !info.Mode().IsRegular() {
		l.fail(path, "secret file %s must be a plain file that others cannot read: chmod 600 it", name)
		return secret.Value{}
	}
	b, err := os.ReadFile(name)
	text := strings.TrimRight(string(b), "\r\n")
	if err != nil || text == "" {
		l.fail(path, "secret file %s is empty or cannot be read", name)
	}
	return secret.New(text)
}

func (l *loader) either(path, base string, file *string, env string) secret.Value {
	switch {
	case *file != "" && env != "":
		l.fail(path+"."+base+"_env", "give %s_file or %s_env, not both", base, base)
	case *file != "":
		return l.secretFile(path+"."+base+"_file", file)
	case env != "":
		if v, ok := l.env(env); ok && v != "" {
			return secret.New(v)
		}
		l.fail(path+"."+base+"_env", "the environment variable %s is not set", env)
	}
	return secret.Value{}
}

func (l *loader) repository(r *Repository) {
	if r.URL == "" {
		l.fail("$.repository.url", "repository.url is missing: say where backups live, like file:///srv/refloat")
	} else if u, err := url.Parse(r.URL); err != nil || !slices.Contains([]string{"file", "s3", "azblob", "gs", "sftp"}, u.Scheme) {
		l.fail("$.repository.url", "repository.url wants file://, s3://, azblob://, gs:// or sftp://")
	} else if _, has := u.User.Password(); has {
		l.fail("$.repository.url", "repository.url holds a password: put it in a file")
	}
	r.Passphrase = l.either("$.repository", "passphrase", &r.PassphraseFile, r.PassphraseEnv)
	if r.PassphraseFile == "" && r.PassphraseEnv == "" {
		l.fail("$.repository", "repository.passphrase_file or passphrase_env is missing")
	}
	for _, f := range []*string{&r.S3.CAFile, &r.GCS.CredentialsFile, &r.SFTP.KeyFile, &r.SFTP.KnownHostsFile} {
		l.place(f)
	}
	l.s3("$.repository.s3", &r.S3)
	r.Azure.Key = l.secretFile("$.repository.azure.key_file", &r.Azure.KeyFile)
}

// s3 reads the secrets of a bucket.
func (l *loader) s3(at string, s *S3) {
	s.AccessKeyID = l.secretFile(at+".access_key_id_file", &s.AccessKeyIDFile)
	s.SecretAccessKey = l.secretFile(at+".secret_access_key_file", &s.SecretAccessKeyFile)
	s.SessionToken = l.secretFile(at+".session_token_file", &s.SessionTokenFile)
}

var keyedPassword = regexp.MustCompile(`(?i)(^|\s|[?&])(ssl)?password\s*=`)

func (l *loader) target(name string, t *Target) {
	at := "$.targets." + name
	if _, err := target.ParseID(name); err != nil {
		l.fail("$.targets", "%v", err)
		return
	}
	if t.DSN == "" {
		l.fail(at, "target %s has no dsn", name)
	}
	l.dsn(at+".dsn", "dsn", t.DSN)
	for _, f := range []*string{&t.RootCAFile, &t.Drill.BinDir, &t.Drill.ScratchDir} {
		l.place(f)
	}
	l.suppressions(at, t.Suppress)
	l.maintenance(at, t)
	l.recovery(at, &t.Recovery)
	for i, p := range t.Foreign {
		if _, err := foreign.ParsePlace(p); err != nil {
			l.fail(fmt.Sprintf("%s.foreign[%d]", at, i), "%v", err)
		}
	}
	t.Password = l.either(at, "password", &t.PasswordFile, t.PasswordEnv)
	l.limits(at, name, t)
	for i, a := range t.Drill.Assertions {
		if a.Name == "" || a.SQL == "" {
			l.fail(fmt.Sprintf("%s.drill.assertions[%d]", at, i), "an assertion needs name and sql")
		}
	}
}

// dsn refuses a connection string that holds a password.
func (l *loader) dsn(at, key, text string) {
	u, err := url.Parse(text)
	instead := "password_file or password_env"
	if key != "dsn" {
		instead = key + "_password_file or " + key + "_password_env"
	}
	switch {
	case text == "":
	case keyedPassword.MatchString(text):
		l.fail(at, "the %s holds a password: use %s", key, instead)
	case err == nil && u.User != nil:
		if _, has := u.User.Password(); has {
			l.fail(at, "the %s holds a password: use %s", key, instead)
		}
	case err != nil && strings.Contains(text, "://"):
		l.fail(at, "the %s cannot be read as a URL", key) // it may hold a password, so it is not shown
	}
}

// suppressions refuses those that nobody answers for.
func (l *loader) suppressions(at string, all []Suppress) {
	var rules []string
	for _, r := range audit.Rules() {
		rules = append(rules, r.ID)
	}
	for i, s := range all {
		at := fmt.Sprintf("%s.suppress[%d]", at, i)
		switch {
		case s.Owner == "" || s.Reason == "" || s.Until == "":
			l.fail(at, "a suppression needs rule, owner, reason and until")
		case !slices.Contains(rules, s.Rule):
			hint := ""
			if near := Nearest(s.Rule, rules); near != "" {
				hint = "; did you mean " + near + "?"
			}
			l.fail(at+".rule", "there is no rule %q%s", s.Rule, hint)
		}
	}
}

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// limits checks figures, and fills in what depends on the target's name.
func (l *loader) limits(at, name string, t *Target) {
	if t.Backup.Read != "protocol" && t.Backup.Read != "files" {
		l.fail(at+".backup.read", "backup.read wants protocol or files")
	}
	if t.Log.Slot == "" {
		t.Log.Slot = "refloat_" + strings.ReplaceAll(name, "-", "_")
	}
	if !slotName.MatchString(t.Log.Slot) {
		l.fail(at+".log.slot", "log.slot wants lower-case letters, digits and underscores, at most 63")
	}
	for _, x := range []struct {
		key   string
		value int64
		least int64
		unit  string
	}{
		{"backup.workers", int64(t.Backup.Workers), 0, "0"},
		{"backup.max_chain", int64(t.Backup.MaxChain), 1, "1"},
		{"retention.days", int64(t.Retention.Days), 1, "1"},
		{"retention.weekly", int64(t.Retention.Weekly), 0, "0"},
		{"retention.monthly", int64(t.Retention.Monthly), 0, "0"},
		{"objectives.data_loss", int64(t.Objectives.DataLoss), int64(time.Second), "1s"},
		{"objectives.resolution", int64(t.Objectives.Resolution), int64(time.Second), "1s"},
		{"objectives.detection", int64(t.Objectives.Detection), int64(time.Second), "1s"},
		{"objectives.proof_age", int64(t.Objectives.ProofAge), int64(time.Minute), "1m"},
		{"watch.flapping", int64(t.Watch.Flapping), 0, "0"},
		{"watch.standbys", int64(t.Watch.Standbys), 0, "0"},
		{"watch.max_lag", int64(t.Watch.MaxLag), 0, "0s"},
		{"watch.every", int64(t.Watch.Every), int64(100 * time.Millisecond), "100ms"},
		{"heartbeat.every", int64(t.Heartbeat.Every), int64(100 * time.Millisecond), "100ms"},
		{"log.partial_every", int64(t.Log.PartialEvery), int64(100 * time.Millisecond), "100ms"},
		{"log.max_retained", int64(t.Log.MaxRetained), 64 << 20, "64MiB"},
		{"log.max_spool", int64(t.Log.MaxSpool), 64 << 20, "64MiB"},
	} {
		if x.value < x.least {
			l.fail(at+"."+x.key, "%s wants at least %s", x.key, x.unit)
		}
	}
}

// Environment reads a variable of this process; the other rooms are given what
// they need by way of the configuration.
func Environment(key string) (string, bool) { return os.LookupEnv(key) }
