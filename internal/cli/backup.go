package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func backupCommand(g *globals) *cobra.Command {
	var r app.TakeRequest
	c := &cobra.Command{
		Use: "backup TARGET", Short: "Take a base backup now",
		Long: `Take a base backup over the replication protocol. After the first, only pages that
changed are stored. Cancelled or killed, it leaves nothing that looks like a
backup. Exit code 3 when it met damaged pages on the server: the backup is kept, and
holds them as they are. With --json, one event a line: progress, then done.`,
		Args: one("target"), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				bar := g.progress()
				b, err := a.Backup(cmd.Context(), args[0], r, func(p app.BackupProgress) { bar.tell(p.Phase, p.Done, p.Total, p.File) })
				bar.end()
				if err != nil {
					return err
				}
				told, err := bar.done("backup", b)
				if !told {
					err = g.print(b, func(w io.Writer) { showBackup(w, b) })
				}
				if err == nil && len(b.Findings) > 0 {
					return verdict(exitVerdict)
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&r.Full, "full", false, "store every page, and build on no earlier backup")
	c.Flags().BoolVar(&r.Spread, "spread", false, "let the server spread its checkpoint: kinder to it, and minutes slower")
	return c
}

func showBackup(w io.Writer, b app.Backup) {
	fmt.Fprintf(w, "base backup %s of %s: %s by %s in %s\n", b.ID, b.Target, b.Kind, b.Method, spanText(b.Took))
	facts(w, "  restores to", bytesText(b.Bytes)+fmt.Sprintf(" in %d files", b.Files), "  received", bytesText(b.Received), "  stored", bytesText(b.Stored),
		"  from", b.Start.String(), "  consistent at", b.End.String()+" ("+timeText(b.EndedAt)+")")
	for _, f := range b.Findings {
		fmt.Fprintf(w, "  FINDING: %s block %d: %s\n", f.File, f.Block, f.Detail)
	}
	if len(b.Findings) > 0 {
		fmt.Fprintln(w, "  next: these pages are damaged in production; restore them from an older backup, and look at the disk")
	}
}

func backupsCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "backups [TARGET]", Short: "List base backups",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.Backups(cmd.Context(), first(args))
				if err != nil {
					return err
				}
				return g.print(all, func(w io.Writer) { showBackups(w, all) })
			})
		},
	}
}

// first is the optional argument.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func showBackups(w io.Writer, all []app.BackupList) {
	rows := [][]string{{"TARGET", "BACKUP", "KIND", "ENDED", "SIZE", "STORED", "TOOK", "CONSISTENT AT", "FINDINGS"}}
	for _, l := range all {
		for _, b := range l.Backups {
			rows = append(rows, []string{string(l.Target), b.ID, string(b.Kind), timeText(b.EndedAt), bytesText(b.Bytes), bytesText(b.Stored), spanText(b.Took), b.End.String(), fmt.Sprint(len(b.Findings))})
		}
	}
	if len(rows) == 1 {
		fmt.Fprintln(w, "no base backups (take one: refloat backup TARGET)")
	} else {
		table(w, rows...)
	}
	for _, l := range all {
		for _, d := range l.Damaged {
			fmt.Fprintf(w, "DAMAGED: %s %s: %s\n", l.Target, d.ID, d.Detail)
		}
	}
}

func coverageCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "coverage [TARGET]", Short: "Show to which moments a target can be restored; exit code 3 when to none",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.Coverage(cmd.Context(), first(args))
				if err != nil {
					return err
				}
				if err := g.print(all, func(w io.Writer) {
					for _, c := range all {
						showCoverage(w, c)
					}
					if len(all) == 0 {
						fmt.Fprintln(w, "the repository holds no target")
					}
				}); err != nil {
					return err
				}
				for _, c := range all {
					if c.Newest == nil {
						return verdict(exitVerdict)
					}
				}
				return nil
			})
		},
	}
}

func showCoverage(w io.Writer, c app.TargetCoverage) {
	fmt.Fprintf(w, "%s\n", c.Target)
	if c.Newest == nil {
		fmt.Fprintf(w, "  NOTHING can be restored: there is no base backup (take one: refloat backup %s)\n", c.Target)
	} else {
		fmt.Fprintf(w, "  newest restorable moment: %s at %s, %s ago\n", timeText(c.Newest.Time), c.Newest.Position, spanText(c.Newest.Age))
	}
	for _, s := range c.Spans {
		kind := "any moment"
		if s.Point() {
			kind = "this moment only"
		}
		if s.Abandoned {
			kind += ", on a timeline that was left"
		}
		fmt.Fprintf(w, "  from %s to %s  (%s to %s)  %s, from %d backup(s)\n", timeText(s.FromTime), timeText(s.ToTime), s.From, s.To, kind, len(s.Backups))
	}
	for _, x := range c.Gaps {
		fmt.Fprintf(w, "  GAP from %s to %s: %s\n", x.From, x.To, x.Reason)
	}
	for _, d := range c.Damaged {
		fmt.Fprintf(w, "  DAMAGED backup %s: %s\n", d.ID, d.Detail)
	}
}

func retentionCommand(g *globals) *cobra.Command {
	var apply, dryRun bool
	c := &cobra.Command{
		Use: "retention TARGET", Short: "Say what retention would delete; --apply deletes it",
		Long: `Say what would go by the configuration's retention. The newest backup, the last
proven one, and whatever a kept backup needs never go. Space is reclaimed by
refloat repo maintain.`,
		Args: one("target"), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				p, err := a.Retention(cmd.Context(), args[0], apply)
				if err != nil {
					return err
				}
				return g.print(p, func(w io.Writer) { showRetention(w, p, apply) })
			})
		},
	}
	c.Flags().BoolVar(&apply, "apply", false, "delete")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would go (the default)")
	c.MarkFlagsMutuallyExclusive("apply", "dry-run")
	return c
}

func showRetention(w io.Writer, p app.RetentionPlan, applied bool) {
	for _, k := range p.Keep {
		fmt.Fprintf(w, "keep    %s  %v\n", k.ID, k.Reasons)
	}
	fold, drop := "would be rewritten as a full", "would be deleted"
	if applied {
		fold, drop = "rewritten as a full", "deleted"
	}
	for _, id := range p.Fold {
		fmt.Fprintf(w, "fold    %s  %s\n", id, fold)
	}
	for _, id := range p.Drop {
		fmt.Fprintf(w, "delete  %s  %s\n", id, drop)
	}
	fmt.Fprintf(w, "log     %d segment(s) %s\n", len(p.DropSegments), drop)
	fmt.Fprintf(w, "frees at most %s, once refloat repo maintain has run\n", bytesText(p.FreedEstimate))
}
