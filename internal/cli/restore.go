package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func restoreCommand(g *globals) *cobra.Command {
	var r app.RestoreRequest
	var plan bool
	c := &cobra.Command{
		Use: "restore TARGET --into DIR", Short: "Make a cluster from the repository, at a point of your choice",
		Long: `Make a data directory from the repository's bytes. Start PostgreSQL on it and it
recovers to the point by itself, fetching the log with this same program; no
Refloat server is needed for that. A point that the repository does not reach is
refused with the nearest that it does (exit code 3).

--to takes latest, backup (the end of a base backup), a time with its zone
(2026-11-23T11:43:00Z), an LSN (16/B374D848), name:POINT (pg_create_restore_point)
or xid:NUMBER.

A restore that was cut off is gone on with by the same command.`,
		Example: "  refloat restore shop --into /var/lib/postgresql/15/restored --to '2026-11-23 11:43:00+01:00' --plan",
		Args:    one("target"), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Target = args[0]
			return g.with(cmd.Context(), func(a *app.App) error {
				if plan {
					p, err := a.PlanRestore(cmd.Context(), r)
					if err != nil {
						return err
					}
					return g.print(p, func(w io.Writer) { showPlan(w, p) })
				}
				bar := g.progress()
				p, out, err := a.Restore(cmd.Context(), r, func(p app.BackupProgress) { bar.tell(p.Phase, p.Done, p.Total, p.File) })
				bar.end()
				if err != nil {
					return err
				}
				if told, err := bar.done("restore", out); told {
					return err
				}
				return g.print(out, func(w io.Writer) { showRestored(w, p, out) })
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Into, "into", "", "`directory` to make the cluster in")
	f.StringVar(&r.To, "to", "latest", "`point` to restore to")
	f.StringVar(&r.Backup, "backup", "", "`ID` of the base backup to start from (default the best)")
	f.BoolVar(&plan, "plan", false, "only say what would be done, and how long it would take")
	f.BoolVar(&r.Delta, "delta", false, "turn the cluster that is in the directory into the restored one, writing only blocks that differ")
	f.BoolVar(&r.Pause, "pause", false, "let the server stop at the point, to look, instead of opening for writes")
	f.BoolVar(&r.Before, "before", false, "stop just before the point's transaction or record, not after it")
	f.IntVar(&r.Workers, "workers", 0, "parallel writers (default two a core)")
	f.StringVar(&r.Owner, "owner", "", "`user` that the files are given to, when run as root (default postgres)")
	f.StringArrayVar(&r.Tablespaces, "tablespace", nil, "`NAME=DIR`: where a tablespace goes; may be repeated")
	f.StringVar(&r.TablespaceDir, "tablespace-dir", "", "`directory` of the other tablespaces (default DIR-tablespaces)")
	return c
}

func showPlan(w io.Writer, p app.RestorePlan) {
	estimate := "unknown: nothing was measured yet (a drill measures)"
	if p.Estimate != nil {
		estimate = "about " + spanText(*p.Estimate)
	}
	end := "found by replay"
	if p.End != nil {
		end = p.End.String()
	}
	if !p.EndTime.IsZero() {
		end += ", with every commit before " + timeText(p.EndTime)
	}
	facts(w, "to", p.Target.String(), "ends at", end, "backup", fmt.Sprintf("%s (%s, %s)", p.Backup.ID, p.Backup.Kind, timeText(p.Backup.EndedAt)),
		"timeline", fmt.Sprint(p.Timeline), "to write", bytesText(p.Bytes), "log needed", fmt.Sprintf("%s in %d segment(s)", bytesText(p.LogBytes), len(p.Segments)), "time", estimate)
	for _, t := range p.Tablespaces {
		fmt.Fprintf(w, "tablespace %s, %s, was at %s\n", t.Name, bytesText(t.Size), t.Location)
	}
	for _, x := range p.Warnings {
		fmt.Fprintf(w, "warning: %s\n", x)
	}
}

func showRestored(w io.Writer, p app.RestorePlan, r app.RestoreResult) {
	fmt.Fprintf(w, "restored into %s: %s in %d files (%s written) in %s\n", r.Dir, bytesText(r.Bytes), r.Files, bytesText(r.Written), spanText(r.Took))
	for name, dir := range r.Tablespaces {
		fmt.Fprintf(w, "  tablespace %s: %s\n", name, dir)
	}
	for _, x := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", x)
	}
	fmt.Fprintf(w, "next: start PostgreSQL %d on it; it replays %s of log and is then at %s\n", p.Backup.Version.Major(), bytesText(p.LogBytes), p.Target)
}
