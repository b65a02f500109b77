package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func onCallCommand(g *globals) *cobra.Command {
	var at, person string
	var days int
	var asICS, feed bool
	c := &cobra.Command{
		Use: "oncall [TEAM]", Short: "Say who is on call, and where cover has gaps; exit code 3 when nobody is on call now",
		Long: `Say who is on call in a team, or in every team, now or at another moment, and
which gaps in cover the coming days have. With --ics print it as a calendar that
calendar programs read, for a team or for one person; with --feed print the
address to which they subscribe.`,
		Example: "  refloat oncall\n  refloat oncall db --at 2026-12-24T18:00:00+01:00\n  refloat oncall --person ada --days 90 --ics > ada.ics",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: g.teams,
		RunE: func(cmd *cobra.Command, args []string) error {
			moment, err := atFlag(at)
			if err != nil {
				return err
			}
			switch {
			case person != "" && !asICS && !feed:
				return usageError{errors.New("--person goes with --ics or --feed")}
			case asICS && (g.json || feed):
				return usageError{errors.New("give one of --ics, --feed and --json")}
			}
			if !asICS && !feed {
				return g.room(cmd.Context(), func(a app.Room) error { return g.onCall(a, first(args), moment, days, len(args) > 0) })
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				switch {
				case asICS:
					text, err := a.OnCallCalendar(first(args), person, moment, time.Now(), days)
					if err != nil {
						return err
					}
					if _, err := g.stdout.Write(text); err != nil {
						return fmt.Errorf("print the calendar: %w", err)
					}
					return nil
				case feed:
					at, err := a.OnCallAddress(first(args), person)
					if err != nil {
						return err
					}
					return g.print(map[string]string{"address": at}, func(w io.Writer) { fmt.Fprintln(w, at) })
				}
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&at, "at", "", "`time` with its zone, like 2026-12-24T18:00:00+01:00 (default now)")
	f.IntVar(&days, "days", 14, "look so many `days` ahead")
	f.BoolVar(&asICS, "ics", false, "print an iCalendar file")
	f.BoolVar(&feed, "feed", false, "print the address at which refloat server serves it to calendar programs; whoever has it can read the shifts")
	f.StringVar(&person, "person", "", "with --ics or --feed: only the shifts of this `person`, in any team")
	_ = c.RegisterFlagCompletionFunc("person", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return g.names(func(a *app.App) []string { return a.People() })
	})
	return c
}

// onCall shows who is on call at a moment.
func (g *globals) onCall(a app.Room, team string, at time.Time, days int, withNext bool) error {
	r, err := a.OnCall(team, at, days)
	if err != nil {
		return err
	}
	if err := g.print(r, func(w io.Writer) { showOnCall(w, r, withNext) }); err != nil {
		return err
	}
	if r.Uncovered() {
		return verdict(exitVerdict)
	}
	return nil
}

// atFlag reads --at; a time without its zone is refused, since it would be
// taken for another.
func atFlag(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("--at %q is not a time with its zone: write it like 2026-12-24T18:00:00+01:00 or 2026-12-24T17:00:00Z", text)}
}

// teams completes names of teams from the configuration.
func (g *globals) teams(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return g.names(func(a *app.App) []string { return a.Teams() })
}

// names completes from the configuration.
func (g *globals) names(of func(*app.App) []string) ([]string, cobra.ShellCompDirective) {
	c, err := g.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return of(app.New(c, nil)), cobra.ShellCompDirectiveNoFileComp
}

// theirTime is a moment as the clock in a zone shows it.
func theirTime(t time.Time, zone string) string {
	z, err := time.LoadLocation(zone)
	if err != nil {
		return ""
	}
	return t.In(z).Format("Mon 15:04 MST")
}

// gapsShown is how many gaps of a team the table names.
const gapsShown = 5

func showOnCall(w io.Writer, r app.OnCallReport, withNext bool) {
	fmt.Fprintf(w, "at %s\n", timeText(r.At))
	for _, t := range r.Teams {
		fmt.Fprintf(w, "\n%s, policy %s\n", t.Team, t.Policy)
		if !t.Rotating {
			fmt.Fprintln(w, "  no rotation: a page goes to all members")
			continue
		}
		if t.GapNow {
			fmt.Fprintln(w, "  NOBODY is on call")
		}
		shifts := t.Now
		if withNext {
			shifts = append(shifts, t.Next...)
		}
		rows := [][]string{{"  rotation", "on call", "since", "until", "in their time", "from"}}
		for _, s := range shifts {
			rows = append(rows, []string{"  " + s.Rotation, r.People[s.Person].Name, timeText(s.Since), timeText(s.Until), theirTime(s.Until, r.People[s.Person].Zone), s.Source})
		}
		if len(rows) > 1 {
			table(w, rows...)
		}
		for i, x := range t.Gaps {
			if i == gapsShown {
				fmt.Fprintf(w, "  and %d more gaps until %s (--json has all)\n", len(t.Gaps)-i, timeText(r.Until))
				break
			}
			if !x.Until.Before(r.Until) {
				fmt.Fprintf(w, "  GAP from %s on: nobody is on call until %s at least\n", timeText(x.Since), timeText(x.Until))
				continue
			}
			fmt.Fprintf(w, "  GAP from %s to %s: nobody is on call for %s\n", timeText(x.Since), timeText(x.Until), spanText(x.Until.Sub(x.Since)))
		}
		if len(t.Gaps) == 0 {
			fmt.Fprintf(w, "  no gap until %s\n", timeText(r.Until))
		}
	}
}
