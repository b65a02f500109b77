package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/secret"
)

// The repository's answers, as commands show them.
type (
	RepoStatus   = repository.Status
	RepoVerified = repository.VerifyReport
	RepoTidied   = repository.MaintainReport
)

// RepoMade names a new repository.
type RepoMade struct {
	Location    string `json:"location"`
	Fingerprint string `json:"fingerprint"`
}

// RepoInit makes the configured repository.
func (a *App) RepoInit(ctx context.Context) (RepoMade, error) {
	r, err := repository.Create(ctx, repositoryOptions(a.cfg.Repository, a.cfg.StateDir))
	if err != nil {
		return RepoMade{}, fmt.Errorf("make the repository: %w", err)
	}
	a.mu.Lock()
	a.repos[false] = r
	a.mu.Unlock()
	return RepoMade{Location: r.Location(), Fingerprint: r.Fingerprint()}, nil
}

// RepoStatus reads the repository's figures.
func (a *App) RepoStatus(ctx context.Context) (RepoStatus, error) {
	r, err := a.open(ctx, true)
	if err != nil {
		return RepoStatus{}, err
	}
	s, err := r.Status(ctx)
	if err != nil {
		return s, fmt.Errorf("read the repository's status: %w", err)
	}
	return s, nil
}

// RepoVerify checks what is stored; full reads every byte.
func (a *App) RepoVerify(ctx context.Context, full bool, progress func(done, total int64)) (RepoVerified, error) {
	r, err := a.open(ctx, true)
	if err != nil {
		return RepoVerified{}, err
	}
	v, err := r.Verify(ctx, repository.VerifyOptions{Full: full, Progress: progress})
	if v.Damage == nil {
		v.Damage = []repository.Damage{}
	}
	if err != nil {
		return v, fmt.Errorf("verify the repository: %w", err)
	}
	a.noteCare(ctx, recordVerified, careRecord{At: time.Now().UTC(), By: person(), Full: full, Damage: len(v.Damage)})
	return v, nil
}

// noteCare records in the repository what was done for it. What was done is
// done, should that fail.
func (a *App) noteCare(ctx context.Context, name string, r careRecord) {
	repo, err := repository.Open(ctx, repositoryOptions(a.cfg.Repository, a.cfg.StateDir))
	if err == nil {
		err = errors.Join(putCareRecord(ctx, repo, name, r), repo.Close(ctx))
	}
	if err != nil {
		a.log.WarnContext(ctx, "this could not be recorded in the repository", "record", name, "error", err)
	}
}

// PassphraseVerified says who showed when that they have the passphrase.
type PassphraseVerified struct {
	Location    string    `json:"location"`
	Fingerprint string    `json:"fingerprint"`
	By          string    `json:"by"`
	At          time.Time `json:"at"`
}

// VerifyPassphrase opens the repository with what a person typed, and nothing
// else, and records that they could.
func (a *App) VerifyPassphrase(ctx context.Context, typed secret.Value) (out PassphraseVerified, err error) {
	o := repositoryOptions(a.cfg.Repository, a.cfg.StateDir)
	o.Passphrase = typed
	r, err := repository.Open(ctx, o)
	if err != nil {
		return out, fmt.Errorf("open the repository with what was typed: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	out = PassphraseVerified{Location: r.Location(), Fingerprint: r.Fingerprint(), By: person(), At: time.Now().UTC()}
	if err := putCareRecord(ctx, r, recordPassphrase, careRecord{At: out.At, By: out.By}); err != nil {
		return out, fmt.Errorf("record it: %w", err)
	}
	a.remember(ctx, func(s Store) error {
		_, jerr := s.Append(ctx, journal.Event{Time: out.At, Actor: out.By, Subject: "repository", Kind: "passphrase.verified", Body: map[string]any{"fingerprint": out.Fingerprint}})
		return jerr
	})
	return out, nil
}

// RepoMaintain reclaims space. Exclusive promises that nobody else writes.
func (a *App) RepoMaintain(ctx context.Context, exclusive, dryRun bool) (RepoTidied, error) {
	r, err := a.open(ctx, false)
	if err != nil {
		return RepoTidied{}, err
	}
	m, err := r.Maintain(ctx, repository.MaintainOptions{Exclusive: exclusive, DryRun: dryRun})
	if err != nil {
		return m, fmt.Errorf("maintain the repository: %w", err)
	}
	return m, nil
}

// Kit is what a person needs to restore with nothing but a binary and the
// passphrase. It never holds the passphrase.
type Kit struct {
	Location    string   `json:"location"`
	Fingerprint string   `json:"fingerprint"`
	Targets     []string `json:"targets"`
	Environment []string `json:"environment"` // variables that storage asks for
	Commands    []string `json:"commands"`
	Stock       []string `json:"stock_commands"` // that need no Refloat
}

// Kit makes the recovery kit of the configured repository.
func (a *App) Kit(ctx context.Context) (Kit, error) {
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return Kit{}, err
	}
	ids, err := c.Targets(ctx)
	if err != nil {
		return Kit{}, fmt.Errorf("list targets: %w", err)
	}
	k := Kit{Location: c.Repo.Location(), Fingerprint: c.Repo.Fingerprint(), Targets: []string{}, Environment: storageVariables(a.cfg.Repository)}
	here := fmt.Sprintf("--repo %s --passphrase-file PASSPHRASE_FILE", quoteShell(k.Location))
	k.Commands = []string{
		"refloat repo status " + here, "refloat backups " + here, "refloat coverage " + here,
	}
	for _, id := range ids {
		k.Targets = append(k.Targets, string(id))
		k.Commands = append(k.Commands, fmt.Sprintf("refloat restore %s --into /EMPTY/DIRECTORY --to latest %s", id, here))
	}
	k.Stock = stockCommands(k.Location)
	return k, nil
}

func storageVariables(c config.Repository) []string {
	scheme, _, _ := strings.Cut(c.URL, "://")
	switch scheme {
	case "s3":
		out := []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
		if c.S3.Endpoint != "" {
			out = append(out, "AWS_ENDPOINT_URL="+c.S3.Endpoint)
		}
		if c.S3.Region != "" {
			out = append(out, "AWS_REGION="+c.S3.Region)
		}
		return out
	case "azblob":
		return []string{"AZURE_STORAGE_ACCOUNT=" + c.Azure.Account, "AZURE_STORAGE_KEY"}
	case "gs":
		return []string{"GOOGLE_APPLICATION_CREDENTIALS"}
	case "sftp":
		return []string{"REFLOAT_SFTP_KEY_FILE", "REFLOAT_SFTP_KNOWN_HOSTS_FILE"}
	}
	return []string{}
}

// stockCommands read the repository without Refloat
// (docs/formats/repository.md).
func stockCommands(location string) []string {
	path, ok := strings.CutPrefix(location, "file://")
	if !ok {
		return []string{"kopia repository connect … (see docs/formats/repository.md)", "kopia snapshot list --all", "kopia snapshot restore SNAPSHOT DIRECTORY"}
	}
	return []string{"kopia repository connect filesystem --readonly --path " + quoteShell(path), "kopia snapshot list --all", "kopia snapshot restore SNAPSHOT DIRECTORY"}
}

// quoteShell quotes s for a POSIX shell when it must be.
func quoteShell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/:._-@=+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
