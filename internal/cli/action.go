package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func actionCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "action", Short: "Carry action items through: owner, due day, and a check that closes them", Args: cobra.NoArgs, RunE: help,
		Long: `An action item is what was decided after an incident. It has an owner and a due
day; refloat server reminds the owner, tells the team when it is late, and judges
the check that is bound to it: the action closes when the check passes and opens
again when it fails. All of it works while a server runs and while none does.`,
		Example: "  refloat action add 'Alert on a failed archive command' --incident 1 --source cause --owner ada --due 2026-12-15 --check rule:server-archive-swallows@shop\n" +
			"  refloat action list\n  refloat action import --report outage.md --incident 1",
	}
	c.AddCommand(actionListCommand(g), actionShowCommand(g), actionAddCommand(g), actionEditCommand(g), actionBindCommand(g), actionNoteCommand(g), actionLinkCommand(g),
		actionCloseCommand(g), actionDropCommand(g), actionReopenCommand(g), actionImportCommand(g), actionExportCommand(g), actionFileCommand(g), actionSyncCommand(g))
	return c
}

// actions completes IDs of actions, open ones first.
func (g *globals) actions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_ = g.with(cmd.Context(), func(a *app.App) error {
		list, err := a.Actions(cmd.Context(), app.ActionFilter{All: true})
		for _, x := range list {
			out = append(out, x.ID+"\t"+x.Text)
		}
		return err
	})
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func (g *globals) actOnAction(ctx context.Context, id string, command app.ActionCommand, by string, said func(app.Action) string) error {
	return g.with(ctx, func(a *app.App) error {
		x, err := a.ActOnAction(ctx, id, command, by)
		if err != nil {
			return err
		}
		return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", x.ID, said(x)) })
	})
}

func actionListCommand(g *globals) *cobra.Command {
	var f app.ActionFilter
	c := &cobra.Command{
		Use: "list", Short: "List actions that are open, the most pressing first; exit code 3 when one is late", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				list, err := a.Actions(cmd.Context(), f)
				if err != nil {
					return err
				}
				now := time.Now()
				if err := g.print(list, func(w io.Writer) { showActions(w, list, now) }); err != nil {
					return err
				}
				if slices.ContainsFunc(list, func(x app.Action) bool { return x.Late(now) }) {
					return verdict(exitVerdict)
				}
				return nil
			})
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.All, "all", false, "also those that are done or dropped")
	fl.BoolVar(&f.Late, "late", false, "only those past their due day")
	fl.StringVar(&f.Owner, "owner", "", "only those of this `person`")
	fl.StringVar(&f.Incident, "incident", "", "only those of this `incident`")
	_ = c.RegisterFlagCompletionFunc("incident", g.incidents)
	return c
}

func showActions(w io.Writer, list []app.Action, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no actions")
		return
	}
	rows := [][]string{{"ID", "STATE", "DUE", "OWNER", "PRIO", "AGE", "CHECK", "TEXT"}}
	for _, x := range list {
		state, check := string(x.Status), "–"
		if x.Late(now) {
			state = "LATE"
		}
		if x.Check != nil {
			check = x.Check.String() + " not looked at"
			if x.Result != nil {
				check = x.Check.String() + " " + string(x.Result.Outcome)
			}
		}
		text, _, _ := strings.Cut(x.Text, "\n")
		rows = append(rows, []string{x.ID, state, orDash(x.Due.String()), orDash(x.Owner), string(x.Priority), fmt.Sprintf("%dd", int(x.Age(now)/(24*time.Hour))), check, text})
	}
	table(w, rows...)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func actionShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ACTION", Short: "Show one action with all that happened to it", Args: one("action"), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.Action(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { showAction(w, x) })
			})
		},
	}
}

func showAction(w io.Writer, x app.Action) {
	state := string(x.Status)
	if x.Late(time.Now()) {
		state += ", LATE"
	}
	source := strings.TrimSpace(strings.Join([]string{x.Source.Incident, x.Source.Of, x.Source.Text}, " "))
	pairs := []string{"action", x.ID, "text", x.Text, "state", state, "owner", orDash(x.Owner), "team", orDash(x.Team), "due", orDash(x.Due.String()), "priority", string(x.Priority), "kind", orDash(string(x.Kind)), "mends", orDash(source)}
	if x.Check != nil {
		said := "it has not looked yet"
		if x.Result != nil {
			said = fmt.Sprintf("%s: %s (%s)", x.Result.Outcome, x.Result.Evidence, x.Result.At.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		pairs = append(pairs, "check", x.Check.String(), "", said)
	}
	if x.Outcome != "" {
		pairs = append(pairs, "result", x.Outcome)
	}
	if x.Despite != "" {
		pairs = append(pairs, "despite", x.Despite)
	}
	for _, l := range x.Links {
		pairs = append(pairs, "link", l.URL)
	}
	facts(w, pairs...)
	fmt.Fprintln(w)
	for _, e := range x.Timeline {
		fmt.Fprintf(w, "%s  %-10s %s %s\n", e.Time.UTC().Format("2006-01-02 15:04:05"), e.Actor, strings.TrimPrefix(e.Kind, "action."), e.Body)
	}
}

// itemFlags are what an action says; set fills in those that were given.
type itemFlags struct {
	owner, team, due, kind, priority, incident, source, sourceText string
}

func (f *itemFlags) add(g *globals, c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.owner, "owner", "", "`person` who does it")
	fl.StringVar(&f.team, "team", "", "`team` that is told when it is late (default the owner's)")
	fl.StringVar(&f.due, "due", "", "`day` by which it is done, as 2026-12-31")
	fl.StringVar(&f.kind, "kind", "", "prevent, detect, mitigate or process")
	fl.StringVar(&f.priority, "priority", "", "p1, p2 or p3 (default p2)")
	fl.StringVar(&f.incident, "incident", "", "`incident` that it comes from")
	fl.StringVar(&f.source, "source", "", "what it mends: "+strings.Join(app.ActionSources(), ", "))
	fl.StringVar(&f.sourceText, "source-text", "", "`words` of the report that it mends")
	_ = c.RegisterFlagCompletionFunc("incident", g.incidents)
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"prevent", "detect", "mitigate", "process"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("priority", cobra.FixedCompletions([]string{"p1", "p2", "p3"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(app.ActionSources(), cobra.ShellCompDirectiveNoFileComp))
}

func (f *itemFlags) set(c *cobra.Command, i *app.ActionItem) error {
	for _, x := range []struct {
		flag, value string
		to          *string
	}{{"owner", f.owner, &i.Owner}, {"team", f.team, &i.Team}, {"kind", f.kind, (*string)(&i.Kind)}, {"priority", f.priority, (*string)(&i.Priority)}, {"incident", f.incident, &i.Source.Incident}, {"source", f.source, &i.Source.Of}, {"source-text", f.sourceText, &i.Source.Text}} {
		if c.Flags().Changed(x.flag) {
			*x.to = x.value
		}
	}
	if c.Flags().Changed("due") {
		day, err := app.ParseActionDay(f.due)
		if err != nil {
			return err
		}
		i.Due = day
	}
	return nil
}

func actionAddCommand(g *globals) *cobra.Command {
	var f itemFlags
	var by, check string
	c := &cobra.Command{
		Use: "add TEXT", Short: "Write an action down", Args: one("text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			item := app.ActionItem{Text: args[0], Priority: "p2"}
			if err := f.set(cmd, &item); err != nil {
				return err
			}
			var bind *app.ActionCheck
			if check != "" {
				b, err := app.ParseActionCheck(check)
				if err != nil {
					return err
				}
				bind = &b
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.AddAction(cmd.Context(), item, bind, by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) {
					fmt.Fprintf(w, "%s: added\n", x.ID)
					if x.Owner == "" || x.Due.IsZero() {
						fmt.Fprintf(w, "  nobody is reminded of it until it has an owner and a due day: refloat action edit %s --owner PERSON --due DAY\n", x.ID)
					}
				})
			})
		},
	}
	f.add(g, c)
	c.Flags().StringVar(&check, "check", "", "`check` that closes it: rule:ID@TARGET, drill@TARGET, probe@TARGET or page:PERSON")
	asFlag(c, &by)
	return c
}

func actionEditCommand(g *globals) *cobra.Command {
	var f itemFlags
	var by, why, text string
	c := &cobra.Command{
		Use: "edit ACTION", Short: "Say anew who does what by when; a due day that slips wants --why", Args: one("action"), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.Action(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				item := x.Item
				if err := f.set(cmd, &item); err != nil {
					return err
				}
				if cmd.Flags().Changed("text") {
					item.Text = text
				}
				x, err = a.ActOnAction(cmd.Context(), args[0], app.ChangeAction{Item: item, Why: why}, by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { showAction(w, x) })
			})
		},
	}
	f.add(g, c)
	c.Flags().StringVar(&text, "text", "", "what is to be done")
	c.Flags().StringVar(&why, "why", "", "why it changes")
	asFlag(c, &by)
	return c
}

func actionBindCommand(g *globals) *cobra.Command {
	var by, why string
	c := &cobra.Command{
		Use: "bind ACTION CHECK", Short: "Bind a check that closes an action, and opens it again; none takes it away", Args: cobra.ExactArgs(2), ValidArgsFunction: g.actions,
		Long: `CHECK is one of
  rule:ID@TARGET   a rule of refloat check finds nothing there
  drill@TARGET     the last drill proved the target, and is not stale
  probe@TARGET     the watch sees the target serve
  page:PERSON      the person acknowledged the last test page
  none             take the check away, with --why
What was seen before the check was bound closes nothing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var do app.ActionCommand = app.UnbindAction{Why: why}
			if args[1] != "none" {
				check, err := app.ParseActionCheck(args[1])
				if err != nil {
					return err
				}
				do = app.BindAction{Check: check}
			}
			return g.actOnAction(cmd.Context(), args[0], do, by, func(x app.Action) string {
				if x.Check == nil {
					return "no check is bound"
				}
				return x.Check.String() + " closes it; refloat server looks every half minute"
			})
		},
	}
	c.Flags().StringVar(&why, "why", "", "why the check is taken away")
	asFlag(c, &by)
	return c
}

// wordCommand is one that takes an action and some words by a flag.
func wordCommand(g *globals, use, short, flag, usage string, do func(words string) app.ActionCommand, said string) *cobra.Command {
	var by, words string
	c := &cobra.Command{
		Use: use + " ACTION", Short: short, Args: one("action"), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.actOnAction(cmd.Context(), args[0], do(words), by, func(app.Action) string { return said })
		},
	}
	c.Flags().StringVar(&words, flag, "", usage)
	asFlag(c, &by)
	return c
}

func actionDropCommand(g *globals) *cobra.Command {
	return wordCommand(g, "drop", "Give an action up, with a reason", "why", "why it is not done", func(w string) app.ActionCommand { return app.DropAction{Why: w} }, "dropped")
}

func actionReopenCommand(g *globals) *cobra.Command {
	return wordCommand(g, "reopen", "Take an action up again", "why", "why it is not done after all", func(w string) app.ActionCommand { return app.ReopenAction{Why: w} }, "open")
}

func actionCloseCommand(g *globals) *cobra.Command {
	var by string
	var do app.CloseAction
	c := &cobra.Command{
		Use: "close ACTION", Short: "Say that an action is done, and how that can be seen", Args: one("action"), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.actOnAction(cmd.Context(), args[0], do, by, func(app.Action) string { return "done" })
		},
	}
	c.Flags().StringVar(&do.Result, "result", "", "how it can be seen that it is done")
	c.Flags().StringVar(&do.Despite, "despite", "", "why it is done although its check does not pass")
	asFlag(c, &by)
	return c
}

func actionNoteCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "note ACTION TEXT", Short: "Write something down about an action", Args: cobra.ExactArgs(2), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.actOnAction(cmd.Context(), args[0], app.NoteAction{Text: args[1]}, by, func(app.Action) string { return "noted" })
		},
	}
	asFlag(c, &by)
	return c
}

func actionLinkCommand(g *globals) *cobra.Command {
	var by, tracker, key string
	c := &cobra.Command{
		Use: "link ACTION URL", Short: "Join an action with an entry in an issue tracker", Args: cobra.ExactArgs(2), ValidArgsFunction: g.actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (tracker == "") != (key == "") {
				return usageError{errors.New("give --tracker and --key together: refloat action sync asks for the entry by them")}
			}
			return g.actOnAction(cmd.Context(), args[0], app.LinkAction{Link: app.ActionLink{URL: args[1], Tracker: tracker, Key: key}}, by, func(app.Action) string { return "linked" })
		},
	}
	c.Flags().StringVar(&tracker, "tracker", "", "`name` of the tracker in the configuration")
	c.Flags().StringVar(&key, "key", "", "number or `key` of the entry there")
	asFlag(c, &by)
	return c
}
