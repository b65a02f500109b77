package app

import (
	"context"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// proofs lists a target's proofs in the repository, oldest first.
func (a *App) proofs(context.Context, *repository.Repository, target.ID) ([]proof.Proof, error) {
	return nil, nil // nothing writes proofs yet
}

// lastProofIn reads the last proof of a target.
func (a *App) lastProofIn(repo *repository.Repository, id target.ID) func(context.Context) (*proof.Proof, error) {
	return func(ctx context.Context) (*proof.Proof, error) {
		all, err := a.proofs(ctx, repo, id)
		if err != nil || len(all) == 0 {
			return nil, err
		}
		return &all[len(all)-1], nil
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
