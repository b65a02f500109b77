package app

import (
	"context"
	"fmt"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// CareOptions join a target with the repository.
type CareOptions struct {
	Target     target.ID
	Objectives proof.Objectives
	Repository *repository.Repository
	Source     backup.Source
	LogSource  backup.LogSource
	Slot       string // name of our replication slot
	SlotBound  int64  // bytes; 0 for none
	Take       backup.TakeOptions
	// Coverage and LastProof read from the repository for status; either may be nil.
	Coverage  func(context.Context) (*status.Coverage, error)
	LastProof func(context.Context) (*proof.Proof, error)
}

// NewCare fills in what follows from the catalogue and the log: base backups,
// whether one is due, a look at the slot, facts for status. The caller adds
// Receive, GiveUp, and, where they are wanted, Beat, Drill, Retain and the
// schedules.
func NewCare(o CareOptions) Care {
	catalogue, log := &backup.Catalogue{Repo: o.Repository}, &backup.Log{Repo: o.Repository, Target: o.Target}
	o.Take.Target = o.Target
	return Care{
		Target: o.Target, Objectives: o.Objectives, SlotBound: o.SlotBound,
		Slot: func(ctx context.Context) (SlotView, error) {
			s, err := o.LogSource.Slot(ctx, o.Slot)
			if err != nil {
				return SlotView{}, fmt.Errorf("look at slot %s: %w", o.Slot, err)
			}
			id, err := o.LogSource.Identify(ctx)
			if err != nil {
				return SlotView{}, fmt.Errorf("ask for the end of the log: %w", err)
			}
			return SlotView{Slot: s, Server: id.Flushed}, nil
		},
		Backup: func(ctx context.Context) (backup.Backup, error) { return catalogue.Take(ctx, o.Source, o.Take) },
		NeedsBackup: func(ctx context.Context) (string, error) {
			backups, err := catalogue.List(ctx, o.Target)
			if err != nil {
				return "", fmt.Errorf("list base backups: %w", err)
			}
			gaps, err := log.Gaps(ctx)
			if err != nil {
				return "", fmt.Errorf("list gaps: %w", err)
			}
			return NeedsBackup(backups, gaps), nil
		},
		Facts: RepositorySources(o.Repository, o.Target, o.Coverage, o.LastProof),
	}
}
