// Package app wires the rooms together: what each command and the server do.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// Version is this build's, set by the linker.
var Version = "development"

// The interfaces of the rooms that a PostgreSQL server satisfies.
var (
	_ backup.Source    = (*postgres.Cluster)(nil)
	_ backup.LogSource = (*postgres.Cluster)(nil)
)

// Errors that name what the configuration lacks.
var (
	ErrNoTarget     = errors.New("no such target")
	ErrUsage        = errors.New("wrong use")
	ErrNotRecovered = errors.New("not recoverable")
)

// App does what the commands ask. Repository and servers are opened when they
// are first needed. Safe for concurrent use.
type App struct {
	cfg config.Config
	log *slog.Logger

	mu    sync.Mutex
	store Store                           // attached; nil when each call opens its own
	repos map[bool]*repository.Repository // by whether it is for reading only
}

// New makes an App; it does no I/O. A nil logger discards.
func New(cfg config.Config, log *slog.Logger) *App {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &App{cfg: cfg, log: log, repos: map[bool]*repository.Repository{}}
}

// Close closes what was opened; idempotent.
func (a *App) Close(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for k, r := range a.repos {
		errs = append(errs, r.Close(context.WithoutCancel(ctx)))
		delete(a.repos, k)
	}
	return errors.Join(errs...)
}

// Targets lists the names in the configuration.
func (a *App) Targets() []string { return slices.Sorted(maps.Keys(a.cfg.Targets)) }

// repositoryOptions are those of the configured repository.
func repositoryOptions(c config.Repository, stateDir string) repository.Options {
	return repository.Options{
		URL: c.URL, Passphrase: c.Passphrase, CacheDir: filepath.Join(stateDir, "cache"),
		S3: repository.S3Options{
			Endpoint: c.S3.Endpoint, Region: c.S3.Region, AccessKeyID: c.S3.AccessKeyID.Reveal(), SecretAccessKey: c.S3.SecretAccessKey,
			SessionToken: c.S3.SessionToken, Plaintext: c.S3.Plaintext, CAFile: c.S3.CAFile,
		},
		Azure: repository.AzureOptions{Account: c.Azure.Account, Key: c.Azure.Key},
		GCS:   repository.GCSOptions{CredentialsFile: c.GCS.CredentialsFile},
		SFTP:  repository.SFTPOptions{KeyFile: c.SFTP.KeyFile, KnownHostsFile: c.SFTP.KnownHostsFile},
	}
}

// open opens the repository for writing, or for reading only.
func (a *App) open(ctx context.Context, readOnly bool) (*repository.Repository, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ro := range []bool{false, readOnly} {
		if r := a.repos[ro]; r != nil {
			return r, nil
		}
	}
	o := repositoryOptions(a.cfg.Repository, a.cfg.StateDir)
	o.ReadOnly = readOnly
	r, err := repository.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", err)
	}
	a.repos[readOnly] = r
	return r, nil
}

func (a *App) catalogue(ctx context.Context, readOnly bool) (*backup.Catalogue, error) {
	r, err := a.open(ctx, readOnly)
	if err != nil {
		return nil, err
	}
	return &backup.Catalogue{Repo: r}, nil
}

// target finds a target of the configuration.
func (a *App) target(name string) (target.ID, config.Target, error) {
	t, ok := a.cfg.Targets[name]
	if !ok {
		known := "it has none"
		if all := a.Targets(); len(all) > 0 {
			known = "it has " + strings.Join(all, ", ")
		}
		where := a.cfg.Path
		if where == "" {
			where = "the command line"
		}
		return "", t, fmt.Errorf("%w: %s is not in %s; %s", ErrNoTarget, name, where, known)
	}
	return target.ID(name), t, nil
}

// cluster is a target's server, as application on it.
func (a *App) cluster(name, application string) (*postgres.Cluster, error) {
	_, t, err := a.target(name)
	if err != nil {
		return nil, err
	}
	c, err := postgres.New(postgres.Options{DSN: t.DSN, Password: t.Password, RootCAFile: t.RootCAFile, Application: application, Logger: a.log.With("target", name)})
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", name, err)
	}
	return c, nil
}

func objectives(t config.Target) proof.Objectives {
	o := t.Objectives
	return proof.Objectives{DataLoss: o.DataLoss.Std(), Resolution: o.Resolution.Std(), Detection: o.Detection.Std(), ProofAge: o.ProofAge.Std()}
}

// selected are the targets that a reading command shows: the one named, or all
// that the repository and the configuration know.
func (a *App) selected(ctx context.Context, c *backup.Catalogue, name string) ([]target.ID, error) {
	stored, err := c.Targets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	if name == "" {
		for _, n := range a.Targets() {
			if !slices.Contains(stored, target.ID(n)) {
				stored = append(stored, target.ID(n))
			}
		}
		slices.Sort(stored)
		return stored, nil
	}
	id, err := target.ParseID(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if _, known := a.cfg.Targets[name]; !known && !slices.Contains(stored, id) {
		return nil, fmt.Errorf("%w: %s is neither in the repository nor in the configuration; the repository has %s", ErrNoTarget, name, join(stored))
	}
	return []target.ID{id}, nil
}

func join[T ~string](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return strings.Join(out, ", ")
}
