package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func alertsCommand(g *globals) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "alerts [ALERT | TARGET]", Short: "List alerts that are open, who was paged, and what came of it; exit code 3 when one is open",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				list, err := a.Alerts(cmd.Context(), first(args), all)
				if err != nil {
					return err
				}
				if err := g.print(list, func(w io.Writer) { showAlerts(w, list) }); err != nil {
					return err
				}
				for _, x := range list {
					if x.State == "firing" && x.AcknowledgedAt.IsZero() {
						return verdict(exitVerdict)
					}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "list those that have ended, too")
	return c
}

func showAlerts(w io.Writer, list []app.AlertView) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no alert is open")
	}
	for _, x := range list {
		state := strings.ToUpper(string(x.State))
		switch {
		case x.State == "resolved":
			state += " after " + spanText(x.ResolvedAt.Sub(x.StartedAt))
		case !x.AcknowledgedAt.IsZero():
			state = fmt.Sprintf("ACKNOWLEDGED by %s after %s", x.AcknowledgedBy, spanText(x.AcknowledgedAt.Sub(x.StartedAt)))
		case x.HeldBy != "":
			state = "HELD: " + x.HeldBy
		}
		fmt.Fprintf(w, "%s  %s  %s  %s\n  since %s", x.ID, x.Signal.Severity, state, x.Signal.Summary, timeText(x.StartedAt))
		if x.Count > 1 {
			fmt.Fprintf(w, ", told %d times", x.Count)
		}
		fmt.Fprintln(w)
		if x.Signal.Next != "" && x.State == "firing" {
			fmt.Fprintf(w, "  next: %s\n", x.Signal.Next)
		}
		for _, d := range x.Deliveries {
			who := d.Person
			if who == "" {
				who = "the team"
			}
			line := fmt.Sprintf("  %s  %s to %s through %s: %s", timeText(d.CreatedAt), d.Kind, who, d.Contact.ID, d.State)
			switch {
			case d.Said != "":
				line += " (" + d.Said + ")"
			case d.Error != "":
				line += fmt.Sprintf(" after %d attempt(s): %s", d.Attempts, d.Error)
			}
			fmt.Fprintln(w, line)
		}
	}
}

func ackCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "ack ALERT", Short: "Take an alert on: nobody else is paged for it", Args: cobra.ExactArgs(1), ValidArgsFunction: g.openAlerts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				said, err := a.Acknowledge(cmd.Context(), args[0], by)
				if err != nil {
					return err
				}
				return g.print(map[string]string{"alert": args[0], "answer": said}, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", args[0], said) })
			})
		},
	}
	c.Flags().StringVar(&by, "by", "", "`name` of who takes it on (default the user of this machine)")
	return c
}

// openAlerts completes the IDs of open alerts.
func (g *globals) openAlerts(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	_ = g.room(cmd.Context(), func(a app.Room) error {
		list, err := a.Alerts(cmd.Context(), "", false)
		for _, x := range list {
			out = append(out, x.ID+"\t"+x.Signal.Summary)
		}
		return err
	})
	return out, cobra.ShellCompDirectiveNoFileComp
}

func silenceCommand(g *globals) *cobra.Command {
	var r app.SilenceRequest
	c := &cobra.Command{
		Use: "silence [TARGET]", Short: "Keep alerts of a target or of a code from paging for a while; without --for, list silences",
		Long: `Keep alerts from paging for a while. They are still shown, and what still holds
when the silence ends pages then. A silence has an owner, a reason and an end.`,
		Example: "  refloat silence shop --for 2h --reason 'moving it to the new host' --planned\n  refloat silence --code proof-stale --for 1d --reason 'the drill host is being replaced'\n  refloat silence",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				if r.For == 0 && first(args) == "" && r.Code == "" {
					list, err := a.Silences(cmd.Context())
					if err != nil {
						return err
					}
					return g.print(list, func(w io.Writer) { showSilences(w, list) })
				}
				if r.For == 0 {
					return usageError{fmt.Errorf("say for how long: --for 2h")}
				}
				r.Target = first(args)
				s, err := a.Silence(cmd.Context(), r)
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) { showSilences(w, []app.AlertSilence{s}) })
			})
		},
	}
	f := c.Flags()
	f.DurationVar(&r.For, "for", 0, "how long, like 2h; at most 720h")
	f.StringVar(&r.Reason, "reason", "", "why; others will ask")
	f.StringVar(&r.Code, "code", "", "only alerts of this `code`, like outage or proof-stale")
	f.StringVar(&r.By, "by", "", "`name` of the owner (default the user of this machine)")
	f.BoolVar(&r.Planned, "planned", false, "it is announced maintenance")
	end := &cobra.Command{
		Use: "end SILENCE", Short: "End a silence now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				if err := a.EndSilence(cmd.Context(), args[0], ""); err != nil {
					return err
				}
				return g.print(map[string]string{"ended": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s has ended\n", args[0]) })
			})
		},
	}
	c.AddCommand(end)
	return c
}

func showSilences(w io.Writer, list []app.AlertSilence) {
	if len(list) == 0 {
		fmt.Fprintln(w, "nothing is silenced")
	}
	for _, s := range list {
		what := "every target"
		if s.Target != "" {
			what = s.Target
		}
		if s.Code != "" {
			what += ", only " + s.Code
		}
		from := ""
		if s.From.After(time.Now()) {
			from = " from " + timeText(s.From)
		}
		fmt.Fprintf(w, "%s  %s%s until %s, by %s: %s\n", s.ID, what, from, timeText(s.Until), s.Owner, s.Reason)
	}
}

func outagesCommand(g *globals) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "outages [TARGET]", Short: "List outages: when each began, was noticed and ended, and why", Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				list, err := a.Outages(cmd.Context(), first(args), limit)
				if err != nil {
					return err
				}
				return g.print(list, func(w io.Writer) { showOutages(w, list) })
			})
		},
	}
	c.Flags().IntVar(&limit, "last", 20, "how many")
	return c
}

func showOutages(w io.Writer, list []app.Outage) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no outage was seen")
		return
	}
	rows := [][]string{{"target", "began", "noticed after", "lasted", "why"}}
	for _, o := range list {
		lasted := "goes on"
		if !o.Recovered.IsZero() {
			lasted = o.Recovered.Sub(o.FirstBad).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{string(o.Target), o.FirstBad.UTC().Format("2006-01-02 15:04:05.000 UTC"), o.Confirmed.Sub(o.FirstBad).Round(time.Millisecond).String(), lasted, o.Reason})
	}
	table(w, rows...)
}
