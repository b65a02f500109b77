package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func incidentOpenCommand(g *globals) *cobra.Command {
	var q app.IncidentRequest
	var since string
	c := &cobra.Command{
		Use: "open TITLE", Short: "Open an incident", Args: one("title"),
		Example: "  refloat incident open 'orders are refused' --target shop --since 2026-11-24T02:00:00Z",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Title = args[0]
			if since != "" {
				at, err := atFlag(since)
				if err != nil {
					return err
				}
				q.Since = at
			}
			return g.room(cmd.Context(), func(a app.Room) error {
				x, err := a.OpenIncident(cmd.Context(), q)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) {
					fmt.Fprintf(w, "%s: opened, %s\n  next: refloat incident role %s commander --take\n", x.ID, x.Severity, x.ID)
				})
			})
		},
	}
	f := c.Flags()
	f.StringVar(&q.Target, "target", "", "the `target` that it is about")
	f.StringVar(&q.Severity, "severity", "", "sev1 to sev4 (default what the target's tier makes of an outage, else sev2)")
	f.StringVar(&since, "since", "", "`time` with its zone at which it began (default now)")
	f.BoolVar(&q.Another, "another", false, "although one about this target is open")
	asFlag(c, &q.By)
	_ = c.RegisterFlagCompletionFunc("target", g.targets)
	_ = c.RegisterFlagCompletionFunc("severity", cobra.FixedCompletions([]string{"sev1", "sev2", "sev3", "sev4"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func incidentNoteCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "note INCIDENT TEXT", Short: "Write something down for responders; - reads it from standard input", Args: cobra.MinimumNArgs(2), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.Join(args[1:], " ")
			if text == "-" {
				b, err := io.ReadAll(io.LimitReader(g.stdin, 1<<20))
				if err != nil {
					return fmt.Errorf("read the note: %w", err)
				}
				text = string(b)
			}
			return g.act(cmd.Context(), args[0], app.IncidentNote{Text: text}, by, func(x app.Incident) string { return fmt.Sprintf("note %d is kept", len(x.Notes)) })
		},
	}
	asFlag(c, &by)
	return c
}

func incidentStatusCommand(g *globals) *cobra.Command {
	var by, why string
	c := &cobra.Command{
		Use: "status INCIDENT investigating|identified|recovering|monitoring", Short: "Say how far the response is", Args: cobra.ExactArgs(2), ValidArgsFunction: thenOne(g, app.IncidentStatuses),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.act(cmd.Context(), args[0], app.SetStatus{To: app.IncidentStatus(args[1]), Why: why}, by, func(x app.Incident) string { return string(x.Status) })
		},
	}
	c.Flags().StringVar(&why, "why", "", "why")
	asFlag(c, &by)
	return c
}

func incidentSeverityCommand(g *globals) *cobra.Command {
	var by, why string
	c := &cobra.Command{
		Use: "severity INCIDENT sev1|sev2|sev3|sev4", Short: "Say how grave it is; who is told how often follows from it", Args: cobra.ExactArgs(2), ValidArgsFunction: thenOne(g, app.IncidentSeverities),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.act(cmd.Context(), args[0], app.SetSeverity{To: app.IncidentSeverity(args[1]), Why: why}, by, func(x app.Incident) string { return string(x.Severity) })
		},
	}
	c.Flags().StringVar(&why, "why", "", "why")
	asFlag(c, &by)
	return c
}

func incidentRoleCommand(g *globals) *cobra.Command {
	var by, to, why string
	var take, release bool
	c := &cobra.Command{
		Use: "role INCIDENT commander|communications|operations|scribe", Short: "Take a role, hand it over, or lay it down", Args: cobra.ExactArgs(2), ValidArgsFunction: thenOne(g, app.IncidentRoles),
		Example: "  refloat incident role 3 commander --take --as ada\n  refloat incident role 3 communications --to ben --as ada\n  refloat incident role 3 commander --take --as cyd --why 'ada does not answer'",
		RunE: func(cmd *cobra.Command, args []string) error {
			role := app.IncidentRole(args[1])
			var do app.IncidentCommand
			switch {
			case take && to == "" && !release:
				do = app.TakeRole{Role: role, Why: why}
			case to != "" && !take && !release:
				do = app.HandOver{Role: role, To: to}
			case release && !take && to == "":
				do = app.ReleaseRole{Role: role}
			default:
				return usageError{errors.New("give one of --take, --to PERSON and --release")}
			}
			return g.act(cmd.Context(), args[0], do, by, func(x app.Incident) string {
				if h := x.Roles[role].Person; h != "" {
					return h + " is " + args[1]
				}
				return "nobody is " + args[1]
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&take, "take", false, "take it")
	f.StringVar(&to, "to", "", "hand it over to this `person`")
	f.BoolVar(&release, "release", false, "lay it down")
	f.StringVar(&why, "why", "", "with --take: why it is taken from who holds it")
	asFlag(c, &by)
	_ = c.RegisterFlagCompletionFunc("to", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return g.names(func(a *app.App) []string { return a.People() })
	})
	return c
}

func incidentTaskCommand(g *globals) *cobra.Command {
	var by, owner, done, result string
	c := &cobra.Command{
		Use: "task INCIDENT [TEXT]", Short: "Add a task, or close one", Args: cobra.MinimumNArgs(1), ValidArgsFunction: g.incidents,
		Example: "  refloat incident task 3 'find the last backup' --owner ben\n  refloat incident task 3 --done t1 --result 'it is in the repository'",
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.Join(args[1:], " ")
			switch {
			case (text == "") == (done == ""):
				return usageError{errors.New("give the text of a task, or --done TASK")}
			case done != "":
				return g.act(cmd.Context(), args[0], app.IncidentTaskDone{ID: done, Result: result}, by, func(app.Incident) string { return done + " is closed" })
			}
			return g.act(cmd.Context(), args[0], app.IncidentTask{Text: text, Owner: owner}, by, func(x app.Incident) string { return x.Tasks[len(x.Tasks)-1].ID + " is added" })
		},
	}
	f := c.Flags()
	f.StringVar(&owner, "owner", "", "`name` of who does it")
	f.StringVar(&done, "done", "", "close this `task`, like t1")
	f.StringVar(&result, "result", "", "with --done: what came of it")
	asFlag(c, &by)
	return c
}

func incidentLinkCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "link INCIDENT URL [TITLE]", Short: "Add a link", Args: cobra.MinimumNArgs(2), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.act(cmd.Context(), args[0], app.IncidentLink{URL: args[1], Title: strings.Join(args[2:], " ")}, by, func(app.Incident) string { return "the link is added" })
		},
	}
	asFlag(c, &by)
	return c
}

func incidentAttachCommand(g *globals) *cobra.Command {
	var by, get string
	c := &cobra.Command{
		Use: "attach INCIDENT [FILE]", Short: "Keep a text or an image with an incident, or print one that is kept", Args: cobra.RangeArgs(1, 2),
		Long: `Keep a file: text of at most 1 MiB, or a PNG, JPEG, GIF or WebP image of at most
4 MiB. What it is, its bytes say. With --get one that is kept is printed.`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return g.incidents(cmd, args, to)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if (get == "") == (len(args) == 1) {
				return usageError{errors.New("give a file, or --get NAME")}
			}
			return g.room(cmd.Context(), func(a app.Room) error {
				if get != "" {
					data, err := a.IncidentAttachment(cmd.Context(), args[0], get)
					if err != nil {
						return err
					}
					_, err = g.stdout.Write(data)
					return err
				}
				f, err := g.input(args[1])
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }()                  // it was only read
				data, err := io.ReadAll(io.LimitReader(f, 5<<20)) // more than is ever kept
				if err != nil {
					return fmt.Errorf("read the file: %w", err)
				}
				x, err := a.AttachToIncident(cmd.Context(), args[0], filepath.Base(args[1]), data, by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s: %s is kept\n", x.ID, filepath.Base(args[1])) })
			})
		},
	}
	c.Flags().StringVar(&get, "get", "", "print the file of this `name`")
	asFlag(c, &by)
	return c
}

func incidentMergeCommand(g *globals) *cobra.Command {
	var by, why string
	c := &cobra.Command{
		Use: "merge INCIDENT INTO", Short: "End an incident as a part of another", Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
			return g.incidents(cmd, args[:0], to)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				x, err := a.MergeIncidents(cmd.Context(), args[0], args[1], why, by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s: it is now about %s, too\n", x.ID, args[0]) })
			})
		},
	}
	c.Flags().StringVar(&why, "why", "", "why")
	asFlag(c, &by)
	return c
}

func incidentResolveCommand(g *globals) *cobra.Command {
	var by string
	var do app.ResolveIncident
	c := &cobra.Command{
		Use: "resolve INCIDENT", Short: "Close an incident", Args: one("incident"), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.act(cmd.Context(), args[0], do, by, func(x app.Incident) string { return "resolved at " + timeText(x.Resolved) })
		},
	}
	c.Flags().StringVar(&do.Summary, "summary", "", "how it ended, in a sentence")
	c.Flags().StringVar(&do.Despite, "despite", "", "`why` it is closed although the watch sees the target not serving")
	asFlag(c, &by)
	return c
}

func incidentReopenCommand(g *globals) *cobra.Command {
	var by string
	var do app.ReopenIncident
	c := &cobra.Command{
		Use: "reopen INCIDENT --why REASON", Short: "Take a resolved incident up again: its clocks run on", Args: one("incident"), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.act(cmd.Context(), args[0], do, by, func(x app.Incident) string { return string(x.Status) })
		},
	}
	c.Flags().StringVar(&do.Why, "why", "", "why")
	asFlag(c, &by)
	return c
}

func incidentLossCommand(g *globals) *cobra.Command {
	var by, source string
	c := &cobra.Command{
		Use: "loss INCIDENT DURATION --source HOW", Short: "Say how much work is gone, as a span of time; the largest that is told counts", Args: cobra.ExactArgs(2), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			lost, err := time.ParseDuration(args[1])
			if err != nil {
				return usageError{fmt.Errorf("%q is not a duration: write it like 0s, 45s or 3m", args[1])}
			}
			return g.act(cmd.Context(), args[0], app.MeasureLoss{Measured: app.LossMeasured{Loss: lost, Source: source}}, by, func(x app.Incident) string {
				return "data loss of " + spanText(x.DataLoss.Loss) + " is noted"
			})
		},
	}
	c.Flags().StringVar(&source, "source", "", "how it was measured, like a drill's proof or the last order")
	asFlag(c, &by)
	return c
}
