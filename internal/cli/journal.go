package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func journalCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "journal", Short: "Read and check the record of what happened on this machine", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(journalListCommand(g), &cobra.Command{
		Use: "verify", Short: "Find changed, missing and reordered entries; exit code 3 when there are any", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				r, err := a.JournalVerify(cmd.Context())
				if err != nil {
					return err
				}
				if err := g.print(r, func(w io.Writer) {
					fmt.Fprintf(w, "%d entries, %d fault(s); the end is %d %s\n", r.Entries, len(r.Findings), r.Head.Seq, r.Head.Hash)
					for _, f := range r.Findings {
						fmt.Fprintf(w, "  %d %s: %s\n", f.Seq, f.Fault, f.Detail)
					}
				}); err != nil {
					return err
				}
				if len(r.Findings) > 0 {
					return verdict(exitVerdict)
				}
				return nil
			})
		},
	})
	return c
}

func journalListCommand(g *globals) *cobra.Command {
	var f app.JournalFilter
	var since time.Duration
	c := &cobra.Command{
		Use: "list", Short: "List what happened, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since > 0 {
				f.Since = time.Now().Add(-since)
			}
			return g.room(cmd.Context(), func(a app.Room) error {
				all, err := a.JournalList(cmd.Context(), f)
				if err != nil {
					return err
				}
				return g.print(all, func(w io.Writer) {
					rows := [][]string{{"SEQ", "TIME", "ACTOR", "SUBJECT", "KIND", "BODY"}}
					for _, e := range all {
						rows = append(rows, []string{fmt.Sprint(e.Seq), timeText(e.Time), e.Actor, e.Subject, e.Kind, string(e.Body)})
					}
					table(w, rows...)
				})
			})
		},
	}
	c.Flags().StringVar(&f.Target, "target", "", "only of this `target`")
	c.Flags().StringVar(&f.Kind, "kind", "", "only of this `kind`, like backup.taken, or backup for all of its kinds")
	c.Flags().DurationVar(&since, "since", 0, "only of the last, like 36h")
	c.Flags().IntVarP(&f.Last, "last", "n", 0, "only so many, the newest")
	return c
}
