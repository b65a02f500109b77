package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func pageCommand(g *globals) *cobra.Command {
	var r app.PageRequest
	var at, test string
	var dryRun bool
	c := &cobra.Command{
		Use: "page --dry-run [ALERTFILE] | --test PERSON", Short: "Say who would be paged for an alert, when, and through what; or try the way to a person",
		Long: `Go through the whole escalation of an alert that nobody acknowledges: who is
paged when and through what, round by round. Nothing is sent. The alert is that
of a target that is down (--target), or a file with an alert or a signal as JSON
(- for standard input).

With --test a test message is sent now, through every contact of a person or
team, and what each service answered is shown.

Exit code 3 when nobody would be paged, or a test message was not taken over.`,
		Example: "  refloat page --dry-run --target shop --at 2026-12-24T18:00:00+01:00\n  refloat page --dry-run --team db --severity high\n  refloat page --dry-run alert.json --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case test != "" && (dryRun || len(args) > 0):
				return usageError{errors.New("--test goes alone")}
			case test != "":
				return g.testPage(cmd.Context(), test)
			case !dryRun:
				return usageError{errors.New("refloat page says only who would be paged: give --dry-run, or --test PERSON")}
			case len(args) == 0 && r.Target == "" && r.Team == "":
				return usageError{errors.New("name an alert's file, --target or --team")}
			}
			if r.At, err = atFlag(at); err != nil {
				return err
			}
			if len(args) > 0 {
				in, err := g.input(args[0])
				if err != nil {
					return err
				}
				defer in.Close()
				r.Alert = in
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				s, err := a.SimulatePage(r)
				if err != nil {
					return err
				}
				if err := g.print(s, func(w io.Writer) { showPages(w, s) }); err != nil {
					return err
				}
				if len(s.Pages) == 0 {
					return verdict(exitVerdict)
				}
				return nil
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "send nothing")
	f.StringVar(&test, "test", "", "send a test message to this `person` or team now")
	f.StringVar(&r.Target, "target", "", "the `target` that is down")
	f.StringVar(&r.Team, "team", "", "the `team` that answers for it (default the target's)")
	f.StringVar(&r.Severity, "severity", "", "critical, high, medium or low (default what the target's tier makes of an outage)")
	f.StringVar(&at, "at", "", "`time` with its zone, like 2026-12-24T18:00:00+01:00 (default now)")
	_ = c.RegisterFlagCompletionFunc("target", g.targets)
	_ = c.RegisterFlagCompletionFunc("team", g.teams)
	_ = c.RegisterFlagCompletionFunc("severity", cobra.FixedCompletions([]string{"critical", "high", "medium", "low"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// testPage tries every way to a person.
func (g *globals) testPage(ctx context.Context, name string) error {
	return g.with(ctx, func(a *app.App) error {
		all, err := a.TestPage(ctx, name)
		if err != nil {
			return err
		}
		bad := false
		if err := g.print(all, func(w io.Writer) {
			for _, x := range all {
				if x.Error != "" {
					fmt.Fprintf(w, "%s: FAILED after %s: %s\n", x.Contact.ID, spanText(x.Took), x.Error)
					continue
				}
				fmt.Fprintf(w, "%s: taken over in %s: %s\n", x.Contact.ID, spanText(x.Took), x.Said)
			}
		}); err != nil {
			return err
		}
		for _, x := range all {
			bad = bad || x.Error != ""
		}
		if bad {
			return verdict(exitVerdict)
		}
		return nil
	})
}

// input opens a file, or standard input for "-".
func (g *globals) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(g.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{fmt.Errorf("read the file: %w", err)}
	}
	return f, nil
}

func showPages(w io.Writer, s app.PageSimulation) {
	about := "an alert"
	if s.Severity != "" {
		about += " of severity " + string(s.Severity)
	}
	if s.Target != "" {
		about += " about " + s.Target
	}
	if s.Team != "" {
		about += ", for team " + s.Team
	}
	fmt.Fprintf(w, "%s, at %s: policy %s\n", about, timeText(s.At), s.Policy.Name)
	if s.Quiet {
		fmt.Fprintf(w, "it pages nobody: the policy does so from severity %s on\n", s.Policy.Least)
		return
	}
	rows := [][]string{{"after", "at", "round", "step", "who", "through"}}
	for _, p := range s.Pages {
		who, step := s.People[p.Person].Name, fmt.Sprint(p.Step)
		if p.Person == "" {
			who = "(team)"
		}
		if p.LastResort {
			step = "last resort"
		}
		rows = append(rows, []string{spanText(p.At.Sub(s.At)), timeText(p.At), fmt.Sprint(p.Round), step, who, fmt.Sprintf("%s %s [%s]", p.Contact.Via, p.Contact.Address, p.Contact.ID)})
	}
	if len(s.Pages) == 0 {
		fmt.Fprintln(w, "NOBODY would be paged: no person has a contact")
		return
	}
	table(w, rows...)
	fmt.Fprintf(w, "and so on every %s until somebody acknowledges\n", spanText(s.Policy.Slow))
}
