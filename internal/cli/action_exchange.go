package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func actionImportCommand(g *globals) *cobra.Command {
	var by, report, incident string
	var dryRun bool
	c := &cobra.Command{
		Use: "import [FILE]", Short: "Add the actions of a CSV file, or of a report of an incident; the same again adds nothing", Args: cobra.MaximumNArgs(1),
		Long: `FILE is CSV with a line of names: text (or action, title), owner, team, due, kind,
priority, incident, source, source_text, check; - reads standard input. Nothing is
added when a line cannot be read. --report takes the open action items of a
postmortem in Markdown, text or HTML, as refloat postmortem read shows them.`,
		Example: "  refloat action import actions.csv --dry-run\n  refloat action import --report outage.md --incident 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (report != "") {
				return usageError{errors.New("give a CSV file, or --report FILE")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				out, err := importFrom(cmd.Context(), g, a, args, report, incident, dryRun, by)
				if err != nil {
					return err
				}
				return g.print(out, func(w io.Writer) {
					verb := "added"
					if dryRun {
						verb = "would be added"
					}
					fmt.Fprintf(w, "%d %s, %d were there\n", len(out.Added), verb, out.Known)
					if len(out.Added) > 0 {
						showActions(w, out.Added, time.Now())
					}
				})
			})
		},
	}
	f := c.Flags()
	f.StringVar(&report, "report", "", "postmortem whose actions are taken")
	f.StringVar(&incident, "incident", "", "`incident` that the report is about")
	f.BoolVar(&dryRun, "dry-run", false, "say what would be added, and add nothing")
	asFlag(c, &by)
	return c
}

func importFrom(ctx context.Context, g *globals, a *app.App, args []string, report, incident string, dryRun bool, by string) (app.ImportedActions, error) {
	if report != "" {
		return a.ImportReport(ctx, report, incident, g.stdin, dryRun, by)
	}
	in := g.stdin
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return app.ImportedActions{}, fmt.Errorf("read actions: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	return a.ImportActions(ctx, in, dryRun, by)
}

func actionExportCommand(g *globals) *cobra.Command {
	var f app.ActionFilter
	c := &cobra.Command{
		Use: "export", Short: "Write all actions as CSV to standard output", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				f.All = true
				list, err := a.Actions(cmd.Context(), f)
				if err != nil {
					return err
				}
				return app.ExportActions(g.stdout, list)
			})
		},
	}
	c.Flags().StringVar(&f.Owner, "owner", "", "only those of this `person`")
	c.Flags().StringVar(&f.Incident, "incident", "", "only those of this `incident`")
	return c
}

func actionFileCommand(g *globals) *cobra.Command {
	var by, tracker string
	c := &cobra.Command{
		Use: "file ACTION", Short: "Make an entry for an action in an issue tracker of the configuration", Args: one("action"), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.FileAction(cmd.Context(), args[0], tracker, by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", x.ID, x.Links[len(x.Links)-1].URL) })
			})
		},
	}
	c.Flags().StringVar(&tracker, "tracker", "", "`name` of the tracker (default the only one)")
	asFlag(c, &by)
	return c
}

func actionSyncCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "sync", Short: "Ask the trackers how the entries of open actions stand; close those that are done there", Args: cobra.NoArgs,
		Long: `An entry that is done in its tracker closes an action that has no check. One that
has a check is closed by the check alone; the tracker's word is noted.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				list, err := a.SyncActions(cmd.Context(), by)
				if perr := g.print(list, func(w io.Writer) {
					rows := [][]string{{"ACTION", "THERE", "HERE", "ENTRY"}}
					for _, x := range list {
						there := "open"
						if x.Done {
							there = "done"
						}
						if x.Error != "" {
							there = "not asked"
						}
						rows = append(rows, []string{x.Action, there, orDash(x.What), x.URL})
					}
					table(w, rows...)
				}); perr != nil {
					return perr
				}
				return err
			})
		},
	}
	asFlag(c, &by)
	return c
}
