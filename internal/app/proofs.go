package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// records lets the repository keep proofs.
type records struct{ repo *repository.Repository }

func (r records) Put(ctx context.Context, name string, content []byte) error {
	return r.repo.PutSealed(ctx, name, content)
}

func (r records) Get(ctx context.Context, name string) ([]byte, error) {
	return r.repo.GetSealed(ctx, name)
}

func (r records) Names(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range r.repo.ListSealed(ctx, prefix) {
			if !yield(info.Name, err) {
				return
			}
		}
	}
}

func (records) Absent(err error) bool { return errors.Is(err, repository.ErrNotFound) }

func proofStore(repo *repository.Repository) proof.Store {
	return proof.Store{Records: records{repo}}
}

// proofs lists a target's proofs in the repository, oldest first.
func (a *App) proofs(ctx context.Context, repo *repository.Repository, id target.ID) ([]proof.Proof, error) {
	all, err := proofStore(repo).List(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]proof.Proof, len(all))
	for i, p := range all {
		out[i] = p.Proof
	}
	return out, nil
}

// lastProofIn reads the last proof of a target; nil when there is none.
func (a *App) lastProofIn(repo *repository.Repository, id target.ID) func(context.Context) (*proof.Proof, error) {
	return func(ctx context.Context) (*proof.Proof, error) {
		p, err := proofStore(repo).Latest(ctx, id)
		if errors.Is(err, proof.ErrNoProof) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &p.Proof, nil
	}
}

// lastProven is the backup that the last good drill restored; "" when there is
// none.
func (a *App) lastProven(ctx context.Context, id target.ID) (string, error) {
	repo, err := a.open(ctx, true)
	if err != nil {
		return "", err
	}
	all, err := a.proofs(ctx, repo, id)
	if err != nil {
		return "", err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Verdict == proof.Proven {
			return all[i].Backup, nil
		}
	}
	return "", nil
}

// signer opens this machine's signing key, made when there is none.
func (a *App) signer() (*proof.Signer, error) {
	return proof.OpenSigner(filepath.Join(a.cfg.StateDir, "proof.key"))
}

func (a *App) keepProof(ctx context.Context, repo *repository.Repository, p Proof) (Proof, error) {
	s, err := a.signer()
	if err != nil {
		return p, err
	}
	kept, err := proofStore(repo).Append(ctx, s, p)
	return kept.Proof, err
}

// Proofs lists the proofs of one target, or of all, oldest first.
func (a *App) Proofs(ctx context.Context, name string) ([]Proof, error) {
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return nil, err
	}
	ids, err := a.selected(ctx, c, name)
	if err != nil {
		return nil, err
	}
	out := []Proof{}
	for _, id := range ids {
		chains, err := chains(ctx, c.Repo, id)
		if err != nil {
			return nil, err
		}
		for _, chain := range chains {
			some, err := a.proofs(ctx, c.Repo, chain)
			if err != nil {
				return nil, err
			}
			out = append(out, some...)
		}
	}
	return out, nil
}

// chains are those of a target: that of our own backups, and those of other
// tools' that were drilled.
func chains(ctx context.Context, repo *repository.Repository, id target.ID) ([]target.ID, error) {
	others, err := proofStore(repo).Sources(ctx, id)
	return append([]target.ID{id}, others...), err
}

// proofOf finds a proof by its ID, a target's last by the target's name, or the
// last of another tool's backups of it by TARGET.SOURCE.
func (a *App) proofOf(ctx context.Context, name string) (proof.Store, proof.Stored, error) {
	repo, err := a.open(ctx, true)
	if err != nil {
		return proof.Store{}, proof.Stored{}, err
	}
	s := proofStore(repo)
	if id, err := target.ParseID(name); err == nil {
		p, err := s.Latest(ctx, id)
		if err == nil || !errors.Is(err, proof.ErrNoProof) {
			return s, p, err
		}
	}
	if of, source, dotted := strings.Cut(name, "."); dotted {
		others, err := s.Sources(ctx, target.ID(of))
		if err != nil {
			return s, proof.Stored{}, err
		}
		others = slices.DeleteFunc(others, func(o target.ID) bool {
			return o != target.ID(name) && o != proof.Subject(target.ID(of), source) && !strings.HasPrefix(string(o), name+"-")
		})
		switch len(others) {
		case 0: // perhaps a proof's ID
		case 1:
			p, err := s.Latest(ctx, others[0])
			return s, p, err
		default:
			return s, proof.Stored{}, fmt.Errorf("%w: %s may be %s", ErrUsage, name, join(others))
		}
	}
	// TARGET-SEQUENCE-TIME: the target may have hyphens of its own.
	parts := strings.Split(name, "-")
	if len(parts) < 3 {
		return s, proof.Stored{}, fmt.Errorf("%w: %s is neither a proof nor a target that has one", proof.ErrNoProof, name)
	}
	p, err := s.Get(ctx, target.ID(strings.Join(parts[:len(parts)-2], "-")), name)
	return s, p, err
}

// Proof reads one proof, whose signature is checked.
func (a *App) Proof(ctx context.Context, name string) (Proof, error) {
	_, p, err := a.proofOf(ctx, name)
	return p.Proof, err
}

// ProofExport writes a proof, signature, key and a page to read into a folder.
func (a *App) ProofExport(ctx context.Context, name, dir string) ([]string, error) {
	s, p, err := a.proofOf(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.Export(ctx, p, dir)
}

// ProofChain is what a look through a target's proofs found.
type ProofChain = proof.ChainReport

// ProofVerify checks signatures and order of a target's proofs, or of all.
// With keys, only those are trusted.
func (a *App) ProofVerify(ctx context.Context, name string, keys []string) ([]ProofChain, error) {
	var trusted []proof.PublicKey
	for _, text := range keys {
		k, err := proof.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		trusted = append(trusted, k)
	}
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return nil, err
	}
	ids, err := a.selected(ctx, c, name)
	if err != nil {
		return nil, err
	}
	out := []ProofChain{}
	for _, id := range ids {
		chains, err := chains(ctx, c.Repo, id)
		if err != nil {
			return nil, err
		}
		for _, chain := range chains {
			r, err := proofStore(c.Repo).VerifyChain(ctx, chain, trusted)
			if err != nil {
				return nil, err
			}
			r.Keys, r.Faults = orEmpty(r.Keys), orEmpty(r.Faults)
			out = append(out, r)
		}
	}
	return out, nil
}

// ProofKey is the public key that this machine signs with, in minisign's form.
func (a *App) ProofKey() (string, error) {
	s, err := a.signer()
	if err != nil {
		return "", err
	}
	return string(s.Public().File()), nil
}
