package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func drillCommand(g *globals) *cobra.Command {
	var r app.DrillRequest
	var from foreignDrill
	c := &cobra.Command{
		Use: "drill TARGET", Short: "Restore into a scratch server, check it, and sign the proof; exit code 3 when not proven, 4 when not certain",
		Long: `Restore a target from the repository's bytes into a scratch server that can act on
nothing, question the copy, measure, and write a signed proof. The copy is removed
afterwards. Production is only asked, never touched.

With --from another tool's backup is drilled instead, restored by that tool. The
proof then names it, and says nothing of our own backups. A target is optional, and
may be a server's address: without either nothing can be compared, and nothing proven.`,
		Example: "  refloat drill shop\n  refloat drill --from pgbackrest:main shop\n  refloat drill --from dump:/var/backups/shop postgres://refloat@db.example.org/postgres",
		Args:    from.args, ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if from.drill.From != "" {
				from.drill.Keep = r.Keep
				return from.run(cmd, g, first(args), r.To)
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				bar := g.progress()
				p, err := a.Drill(cmd.Context(), args[0], r, func(phase string, done, total int64) { bar.tell(phase, done, total, "") })
				bar.end()
				if err != nil {
					return err
				}
				if told, err := bar.done("proof", p); err != nil {
					return err
				} else if !told {
					if err := g.print(p, func(w io.Writer) { showProof(w, p) }); err != nil {
						return err
					}
				}
				return ofVerdict(p)
			})
		},
	}
	c.Flags().StringVar(&r.To, "to", "", "`point` to restore to, as for restore (default latest)")
	c.Flags().BoolVar(&r.Keep, "keep", false, "keep the copy, to look at")
	from.flags(c)
	return c
}

// ofVerdict is the exit code of a proof.
func ofVerdict(p app.Proof) error {
	switch p.Verdict {
	case app.Proven:
		return nil
	case app.NotProven:
		return verdict(exitVerdict)
	}
	return verdict(exitInconclusive)
}

func showProof(w io.Writer, p app.Proof) {
	loss := "could not be measured"
	if p.DataLoss != nil {
		loss = spanText(*p.DataLoss)
	}
	fmt.Fprintf(w, "%s: %s\n  %s\n", p.ID, p.Verdict, p.Summary)
	if p.Source != "" {
		facts(w, "  source", p.Source+" (another tool's; it says nothing of our backups)")
	}
	facts(w, "  target", string(p.Target), "  backup", fmt.Sprintf("%s (%s)", p.Backup, p.BackupKind))
	if p.BackupKind != "dump" {
		facts(w, "  reached", p.Reached.String(), "  expected", fmt.Sprintf("%s, says %s", p.Expected, p.ExpectedFrom))
	}
	facts(w, "  restored", fmt.Sprintf("%s, %d relations, %d rows, %d pages", bytesText(p.RestoredBytes), p.Relations, p.Rows, p.Pages),
		"  data loss", fmt.Sprintf("%s (promised %s)", loss, spanText(p.Objectives.DataLoss)), "  resolution", fmt.Sprintf("%s (promised %s)", spanText(p.Resolution), spanText(p.Objectives.Resolution)))
	for _, c := range p.Checks {
		fmt.Fprintf(w, "  %-14s %s: %s\n", c.Outcome, c.Title, c.Detail)
		for _, e := range c.Evidence {
			fmt.Fprintf(w, "      %s\n", e)
		}
	}
	for _, way := range p.Ways {
		fmt.Fprintf(w, "  way back: %s (%s)\n", way.Title, way.Name)
		for _, c := range way.Checks {
			fmt.Fprintf(w, "    %-14s %s: %s\n", c.Outcome, c.Title, c.Detail)
		}
	}
	for _, ph := range p.Phases {
		fmt.Fprintf(w, "  phase %-8s %s\n", ph.Name, spanText(ph.Took))
	}
}
