package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// InitRequest says what to make a first configuration of.
type InitRequest struct {
	DSN                       string // without a password
	PasswordFile, PasswordEnv string
	Name                      string // of the target; taken from the database when empty
	Out                       string // the configuration to write
	RepositoryURL             string // empty for a folder beside the configuration
	PassphraseFile            string // empty for one beside it; made when it is not there
	StateDir                  string // empty for a folder beside it
	Owner                     string
	Synchronous               bool
	Create                    bool // make the repository too
	Force                     bool // overwrite the configuration
	Add                       bool // to the configuration that is there, as one more target
	DryRun                    bool // write nothing
}

// Server is what an inspection saw.
type Server = target.Server

// InitResult is what Init saw and did.
type InitResult struct {
	Server         Server   `json:"server"`
	Target         string   `json:"target"`
	Path           string   `json:"path"`
	Text           string   `json:"-"`
	PassphraseFile string   `json:"passphrase_file"`
	PassphraseMade bool     `json:"passphrase_made"`
	Repository     string   `json:"repository"`
	Created        bool     `json:"repository_created"`
	Advice         []Advice `json:"advice"`
}

// ErrFileExists means that a file is there that would be overwritten.
var ErrFileExists = errors.New("the file exists")

// Init looks at a server and writes a configuration for it.
func Init(ctx context.Context, r InitRequest, env func(string) (string, bool)) (InitResult, error) {
	if err := r.fill(); err != nil {
		return InitResult{}, err
	}
	out := InitResult{Target: r.Name, Path: r.Out, PassphraseFile: r.PassphraseFile, Repository: r.RepositoryURL}
	if err := r.admit(); err != nil {
		return out, err
	}
	password, err := r.password(env)
	if err != nil {
		return out, err
	}
	cluster, err := postgres.New(postgres.Options{DSN: r.DSN, Password: password, Application: "refloat init"})
	if err != nil {
		return out, err
	}
	if out.Server, err = cluster.Inspect(ctx); err != nil {
		return out, fmt.Errorf("look at the server: %w", err)
	}
	out.Advice = advise(out.Server, r.Synchronous)
	if r.Add {
		return r.add(out, env)
	}
	out.Text = configText(r, out.Server)
	if r.DryRun {
		return out, nil
	}
	if out.PassphraseMade, err = makePassphrase(r.PassphraseFile); err != nil {
		return out, err
	}
	c, err := config.Parse(r.Out, []byte(out.Text), env)
	if err != nil {
		return out, fmt.Errorf("the configuration made for this server is not good: %w", err)
	}
	if err := writeFile(r.Out, out.Text); err != nil {
		return out, err
	}
	if r.Create {
		a := New(c, nil)
		if _, err := a.RepoInit(ctx); err != nil {
			return out, errors.Join(err, a.Close(ctx))
		}
		out.Created = true
		return out, a.Close(ctx)
	}
	return out, nil
}

// admit refuses to overwrite, and to add to nothing.
func (r *InitRequest) admit() error {
	_, err := os.Stat(r.Out)
	switch {
	case r.Add && err != nil:
		return fmt.Errorf("%w: --add wants a configuration to add to: %w", ErrUsage, err)
	case r.Add && (r.Force || r.Create):
		return fmt.Errorf("%w: --add goes with neither --force nor --create", ErrUsage)
	case err == nil && !r.Add && !r.Force && !r.DryRun:
		return fmt.Errorf("%w: %s (--add puts one more target into it, --force overwrites it, --dry-run only prints)", ErrFileExists, r.Out)
	}
	return nil
}

// add puts the target into the configuration that is there.
func (r *InitRequest) add(out InitResult, env func(string) (string, bool)) (InitResult, error) {
	text, err := os.ReadFile(r.Out)
	if err != nil {
		return out, fmt.Errorf("read the configuration: %w", err)
	}
	block := targetText(*r, out.Server)
	text, err = config.AddTarget(r.Out, text, r.Name, block, env)
	if err != nil {
		return out, err
	}
	if out.Text = block; r.DryRun {
		return out, nil
	}
	c, err := config.Parse(r.Out, text, env)
	if err != nil {
		return out, err
	}
	out.Repository, out.PassphraseFile = c.Repository.URL, c.Repository.PassphraseFile
	return out, writeFile(r.Out, string(text))
}

// fill completes the request; every path becomes absolute.
func (r *InitRequest) fill() error {
	if r.DSN == "" {
		return fmt.Errorf("%w: name the server, like postgres://refloat@db.example.org/postgres", ErrUsage)
	}
	if r.Name == "" {
		r.Name = nameOf(r.DSN)
	}
	if _, err := target.ParseID(r.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	for _, p := range []*string{&r.Out, &r.PassphraseFile, &r.StateDir, &r.PasswordFile} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("find %s: %w", *p, err)
		}
		*p = abs
	}
	dir := filepath.Dir(r.Out)
	data := dir
	if dir == "/etc" || strings.HasPrefix(dir, "/etc/") {
		data = "/var/lib/refloat" // data does not belong below /etc
	}
	if r.PassphraseFile == "" {
		r.PassphraseFile = filepath.Join(dir, "refloat.passphrase")
	}
	if r.StateDir == "" {
		r.StateDir = filepath.Join(data, "state")
	}
	if r.RepositoryURL == "" {
		r.RepositoryURL = (&url.URL{Scheme: "file", Path: filepath.Join(data, "repository")}).String()
	}
	return nil
}

// nameOf suggests a target's name from a connection string.
func nameOf(dsn string) string {
	if u, err := url.Parse(dsn); err == nil && u.Scheme != "" {
		if name := strings.TrimPrefix(u.Path, "/"); name != "" && name != "postgres" {
			if _, err := target.ParseID(name); err == nil {
				return name
			}
		}
	}
	return "main"
}

func (r *InitRequest) password(env func(string) (string, bool)) (secret.Value, error) {
	switch {
	case r.PasswordFile != "" && r.PasswordEnv != "":
		return secret.Value{}, fmt.Errorf("%w: give --password-file or --password-env, not both", ErrUsage)
	case r.PasswordFile != "":
		b, err := os.ReadFile(r.PasswordFile)
		if err != nil {
			return secret.Value{}, fmt.Errorf("read the password: %w", err)
		}
		return secret.New(strings.TrimRight(string(b), "\r\n")), nil
	case r.PasswordEnv != "":
		v, ok := env(r.PasswordEnv)
		if !ok {
			return secret.Value{}, fmt.Errorf("%w: the environment variable %s is not set", ErrUsage, r.PasswordEnv)
		}
		return secret.New(v), nil
	}
	return secret.Value{}, nil
}

// makePassphrase writes a passphrase of 130 random bits, unless there is a
// file: a passphrase is never overwritten.
func makePassphrase(path string) (bool, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return false, fmt.Errorf("make the folder of the passphrase: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write the passphrase: %w", err)
	}
	text := rand.Text()
	var groups []string
	for len(text) > 0 {
		n := min(5, len(text))
		groups, text = append(groups, text[:n]), text[n:]
	}
	_, err = f.WriteString(strings.Join(groups, "-") + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, fmt.Errorf("write the passphrase: %w", err)
	}
	return true, nil
}

// writeFile replaces a file as a whole; one that was there keeps its owner and
// its mode.
func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make the folder of the configuration: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".refloat-*")
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.WriteString(text)
	mode := os.FileMode(0o640)
	if old, serr := os.Stat(path); serr == nil {
		mode = old.Mode().Perm()
		if o, ok := old.Sys().(*syscall.Stat_t); ok {
			err = errors.Join(err, f.Chown(int(o.Uid), int(o.Gid)))
		}
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the configuration: %w", err), os.Remove(f.Name()))
	}
	return nil
}
