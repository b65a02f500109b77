package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target"
)

// Error is a mistake in the configuration and where it is.
type Error struct {
	File         string
	Line, Column int // from 1
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

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
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w (make one with refloat init, or name it with --config)", err)
	}
	return Parse(path, text, env)
}

// Parse is Load for text that is at hand; file is its name in errors.
func Parse(file string, text []byte, env func(string) (string, bool)) (Config, error) {
	c := Config{StateDir: "/var/lib/refloat", Server: Server{Listen: "127.0.0.1:9464"}, Path: file}
	tree, err := parser.ParseBytes(text, 0)
	if err == nil {
		err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&c)
	}
	if err != nil {
		return Config{}, located(file, err)
	}
	if len(tree.Docs) > 1 {
		return Config{}, &Error{File: file, Line: 1, Column: 1, Message: "more than one YAML document: remove what follows the second ---"}
	}
	l := loader{file: file, tree: tree, env: env}
	l.repository(&c)
	if c.Version != 1 {
		l.fail("$.version", "version must be 1")
	}
	for name, t := range c.Targets {
		l.target(name, &t)
		c.Targets[name] = t
	}
	slices.SortFunc(l.errs, func(a, b *Error) int { return a.Line - b.Line })
	all := make([]error, len(l.errs))
	for i, e := range l.errs {
		all[i] = e
	}
	if err := errors.Join(all...); err != nil {
		return Config{}, err
	}
	return c, nil
}

var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// located gives a mistake of the decoder its place in the file.
func located(file string, err error) error {
	var own *Error
	if errors.As(err, &own) {
		own.File = file
		return own
	}
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return &Error{File: file, Line: 1, Column: 1, Message: err.Error()}
	}
	p, message := y.GetToken().Position, y.GetMessage()
	if m := unknownField.FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("unknown key %q", m[1])
		if near := nearest(m[1], keys(reflect.TypeFor[Config]())); near == m[1] {
			message += " here; it belongs elsewhere in the file"
		} else if near != "" {
			message += fmt.Sprintf("; did you mean %q?", near)
		}
	}
	return &Error{File: file, Line: p.Line, Column: p.Column, Message: message}
}

// keys are all keys that t and what it holds may have.
func keys(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Map, reflect.Slice:
		return keys(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var all []string
	for i := range t.NumField() {
		if k := t.Field(i).Tag.Get("yaml"); k != "" && k != "-" {
			all = append(append(all, k), keys(t.Field(i).Type)...)
		}
	}
	return all
}

// nearest is the candidate at most a third of key's letters away, or "".
func nearest(key string, candidates []string) string {
	best, at := "", len(key)/3+1
	for _, c := range candidates {
		if d := distance(key, c); d < at || d == at && best == "" {
			best, at = c, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
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
	for at := path; at != "$" && at != ""; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
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

// file reads a secret that only its owner may read.
func (l *loader) secretFile(path, name string) secret.Value {
	if name == "" {
		return secret.Value{}
	}
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

func (l *loader) either(path, base, file, env string) secret.Value {
	switch {
	case file != "" && env != "":
		l.fail(path+"."+base+"_env", "give %s_file or %s_env, not both", base, base)
	case file != "":
		return l.secretFile(path+"."+base+"_file", file)
	case env != "":
		if v, ok := l.env(env); ok && v != "" {
			return secret.New(v)
		}
		l.fail(path+"."+base+"_env", "the environment variable %s is not set", env)
	}
	return secret.Value{}
}

func (l *loader) repository(c *Config) {
	r := &c.Repository
	if r.URL == "" {
		l.fail("$.repository.url", "repository.url is missing: say where backups live, like file:///srv/refloat")
	} else if u, err := url.Parse(r.URL); err != nil || !slices.Contains([]string{"file", "s3", "azblob", "gs", "sftp"}, u.Scheme) {
		l.fail("$.repository.url", "repository.url wants file://, s3://, azblob://, gs:// or sftp://")
	} else if _, has := u.User.Password(); has {
		l.fail("$.repository.url", "repository.url holds a password: put it in a file")
	}
	r.Passphrase = l.either("$.repository", "passphrase", r.PassphraseFile, r.PassphraseEnv)
	if r.PassphraseFile == "" && r.PassphraseEnv == "" {
		l.fail("$.repository", "repository.passphrase_file or passphrase_env is missing")
	}
	r.S3.AccessKeyID = l.secretFile("$.repository.s3.access_key_id_file", r.S3.AccessKeyIDFile)
	r.S3.SecretAccessKey = l.secretFile("$.repository.s3.secret_access_key_file", r.S3.SecretAccessKeyFile)
	r.S3.SessionToken = l.secretFile("$.repository.s3.session_token_file", r.S3.SessionTokenFile)
	r.Azure.Key = l.secretFile("$.repository.azure.key_file", r.Azure.KeyFile)
}

var keyedPassword = regexp.MustCompile(`(?i)(^|\s|[?&])(ssl)?password\s*=`)

func (l *loader) target(name string, t *Target) {
	at := "$.targets." + name
	if _, err := target.ParseID(name); err != nil {
		l.fail("$.targets", "%v", err)
		return
	}
	u, err := url.Parse(t.DSN)
	switch {
	case t.DSN == "":
		l.fail(at, "target %s has no dsn", name)
	case keyedPassword.MatchString(t.DSN):
		l.fail(at+".dsn", "the dsn holds a password: use password_file or password_env")
	case err == nil && u.User != nil:
		if _, has := u.User.Password(); has {
			l.fail(at+".dsn", "the dsn holds a password: use password_file or password_env")
		}
	case err != nil && strings.Contains(t.DSN, "://"):
		l.fail(at+".dsn", "the dsn cannot be read as a URL") // it may hold a password, so it is not shown
	}
	t.Password = l.either(at, "password", t.PasswordFile, t.PasswordEnv)
	if t.Backup.Read == "" {
		t.Backup.Read = "protocol"
	}
	if t.Backup.Read != "protocol" && t.Backup.Read != "files" {
		l.fail(at+".backup.read", "backup.read wants protocol or files")
	}
	if t.Backup.Workers < 0 || t.Backup.MaxChain < 0 || t.Retention.Days < 0 || t.Retention.Weekly < 0 || t.Retention.Monthly < 0 {
		l.fail(at, "target %s: workers, max_chain and retention cannot be negative", name)
	}
	if t.Objectives.Resolution == 0 {
		t.Objectives.Resolution = Duration(4 * time.Hour)
	}
	if t.Heartbeat.Every == 0 {
		t.Heartbeat.Every = Duration(time.Second)
	}
	if t.Log.PartialEvery == 0 {
		t.Log.PartialEvery = Duration(10 * time.Second)
	}
	for i, a := range t.Drill.Assertions {
		if a.Name == "" || a.SQL == "" {
			l.fail(fmt.Sprintf("%s.drill.assertions[%d]", at, i), "an assertion needs name and sql")
		}
	}
}
