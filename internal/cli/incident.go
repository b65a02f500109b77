package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func incidentCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "incident", Short: "Work together on an outage: roles, clocks, notes, tasks, updates", Args: cobra.NoArgs, RunE: help,
		Long: `An incident is opened by refloat server when a target does not serve, or by hand.
Everything done in it is added to the journal, and nothing is ever changed. All
of it works while a server runs, and while none does.`,
		Example: "  refloat incident list\n  refloat incident summary 3\n  refloat incident role 3 commander --take\n  refloat incident note 3 'the volume is gone'",
	}
	c.AddCommand(
		incidentListCommand(g), incidentShowCommand(g), incidentSummaryCommand(g), incidentTimelineCommand(g), incidentOpenCommand(g), incidentNoteCommand(g),
		incidentStatusCommand(g), incidentSeverityCommand(g), incidentRoleCommand(g), incidentTaskCommand(g), incidentLinkCommand(g), incidentAttachCommand(g),
		incidentUpdateCommand(g), incidentMergeCommand(g), incidentResolveCommand(g), incidentReopenCommand(g), incidentLossCommand(g), incidentRecoverCommand(g),
	)
	return c
}

// incidents completes IDs of incidents, open ones first.
func (g *globals) incidents(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_ = g.room(cmd.Context(), func(a app.Room) error {
		list, err := a.Incidents(cmd.Context(), true)
		for _, open := range []bool{true, false} {
			for _, x := range list {
				if x.Open() == open {
					out = append(out, x.ID+"\t"+x.Title)
				}
			}
		}
		return err
	})
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// thenOne completes an incident's ID and then one of some words.
func thenOne[T ~string](g *globals, words func() []T) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
		if len(args) != 1 {
			return g.incidents(cmd, args, to)
		}
		var out []string
		for _, w := range words() {
			out = append(out, string(w))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// asFlag names who acts.
func asFlag(c *cobra.Command, by *string) {
	c.Flags().StringVar(by, "as", "", "`name` of who does it (default the user of this machine)")
}

// act does one thing in an incident and shows what came of it.
func (g *globals) act(ctx context.Context, id string, command app.IncidentCommand, by string, said func(app.Incident) string) error {
	return g.room(ctx, func(a app.Room) error {
		x, err := a.ActOnIncident(ctx, id, command, by)
		if err != nil {
			return err
		}
		return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", x.ID, said(x)) })
	})
}

func incidentListCommand(g *globals) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "List incidents that are open; exit code 3 when one is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				list, err := a.Incidents(cmd.Context(), all)
				if err != nil {
					return err
				}
				if err := g.print(list, func(w io.Writer) { showIncidents(w, list) }); err != nil {
					return err
				}
				for _, x := range list {
					if x.Open() {
						return verdict(exitVerdict)
					}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "list those that are resolved, too")
	return c
}

func showIncidents(w io.Writer, list []app.IncidentView) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no incident is open")
		return
	}
	rows := [][]string{{"incident", "severity", "status", "began", "resolution", "commander", "title"}}
	for _, x := range list {
		state := string(x.Status)
		if x.MergedInto != "" {
			state = "merged into " + x.MergedInto
		}
		commander := x.Roles["commander"].Person
		if commander == "" {
			commander = "nobody"
		}
		rows = append(rows, []string{x.ID, string(x.Severity), state, timeText(x.Started), clockOf(x, "resolution"), commander, x.Title})
	}
	table(w, rows...)
}

func clockOf(x app.IncidentView, name string) string {
	for _, c := range x.Clocks {
		if string(c.Name) == name {
			return clockText(c)
		}
	}
	return ""
}

// clockText is a clock against its objective.
func clockText(c app.IncidentClock) string {
	of := ""
	if c.Objective > 0 {
		of = " of " + spanText(c.Objective)
	}
	switch c.State {
	case "running":
		return spanText(c.Left) + " left" + of
	case "warned":
		return "WARNED: " + spanText(c.Left) + " left" + of
	case "missed":
		return "MISSED: " + spanText(c.Used) + of
	case "unknown":
		if c.Risk > 0 {
			return "not measured; a restore would lose " + spanText(c.Risk) + of
		}
		return "not measured" + of
	case "met":
		return "met: " + spanText(c.Used) + of
	}
	if c.Runs() {
		return spanText(c.Used) + " so far"
	}
	return spanText(c.Used)
}

func incidentShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show INCIDENT", Short: "Show an incident: clocks, roles, tasks, notes, alerts, updates and who received them", Args: one("incident"), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				x, err := a.Incident(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { showIncident(w, x) })
			})
		},
	}
}

func showIncident(w io.Writer, x app.IncidentView) {
	fmt.Fprintf(w, "%s  %s  %s  %s\n", x.ID, x.Severity, strings.ToUpper(string(x.Status)), x.Title)
	if x.MergedInto != "" {
		fmt.Fprintf(w, "merged into %s\n", x.MergedInto)
	}
	fmt.Fprintln(w)
	rows := []string{"targets", strings.Join(x.Targets, ", "), "opened", timeText(x.OpenedAt) + " by " + x.OpenedBy, "started", timeText(x.Started), "detected", timeText(x.Detected)}
	rows = append(rows, "acknowledged", strings.TrimSpace(timeText(x.Acknowledged)+" "+x.AcknowledgedBy), "mitigated", timeText(x.Mitigated), "resolved", timeText(x.Resolved))
	for _, c := range x.Clocks {
		rows = append(rows, string(c.Name)+" clock", clockText(c))
	}
	for _, r := range app.IncidentRoles() {
		h, has := x.Roles[r]
		switch offered := x.Offers[r]; {
		case has:
			rows = append(rows, string(r), h.Person+" since "+timeText(h.Since))
		case len(offered) > 0 && x.Open():
			rows = append(rows, string(r), "nobody; offered to "+strings.Join(offered, ", "))
		default:
			rows = append(rows, string(r), "nobody")
		}
	}
	facts(w, rows...)
	showIncidentParts(w, x)
	showUpdates(w, x)
}

// showIncidentParts lists what people and the server added.
func showIncidentParts(w io.Writer, x app.IncidentView) {
	part := func(name string, n int) bool {
		if n > 0 {
			fmt.Fprintf(w, "\n%s\n", name)
		}
		return n > 0
	}
	if part("causes", len(x.Causes)) {
		for _, c := range x.Causes {
			ended := ""
			if c.Kind == "outage" && c.Ended.IsZero() {
				ended = ", goes on"
			} else if !c.Ended.IsZero() {
				ended = ", over at " + timeText(c.Ended)
			}
			fmt.Fprintf(w, "  %s  %s: %s%s\n", timeText(c.Started), c.Kind, c.Reason, ended)
		}
	}
	if part("alerts", len(x.Alerts)) {
		for _, a := range x.Alerts {
			fmt.Fprintf(w, "  %s  %s  %s: %s\n", timeText(a.Started), a.ID, a.Severity, a.Summary)
		}
	}
	if part("recoveries", len(x.Recoveries)) {
		for _, r := range x.Recoveries {
			showRun(w, x.ID, r, x.Runs[r.Run])
		}
	}
	if part("tasks", len(x.Tasks)) {
		for _, t := range x.Tasks {
			mark, owner := " ", ""
			if !t.ClosedAt.IsZero() {
				mark = "x"
			}
			if t.Owner != "" {
				owner = " (" + t.Owner + ")"
			}
			fmt.Fprintf(w, "  [%s] %s  %s%s\n", mark, t.ID, t.Text, owner)
		}
	}
	if part("notes", len(x.Notes)) {
		for _, n := range x.Notes {
			fmt.Fprintf(w, "  %s  %s: %s\n", timeText(n.At), n.By, indented(n.Text))
		}
	}
	if part("links and files", len(x.Links)+len(x.Attachments)) {
		for _, l := range x.Links {
			fmt.Fprintf(w, "  %s  %s\n", l.URL, l.Title)
		}
		for _, f := range x.Attachments {
			fmt.Fprintf(w, "  %s  %s, %s, by %s\n", f.Name, f.Type, bytesText(int64(f.Size)), f.By)
		}
	}
}

func indented(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") }

// showUpdates lists what audiences were told, who received it, and what they
// wait for.
func showUpdates(w io.Writer, x app.IncidentView) {
	if len(x.Updates)+len(x.Promises) > 0 {
		fmt.Fprintln(w, "\nupdates")
	}
	for _, u := range x.Updates {
		fmt.Fprintf(w, "  %s  %s  to %s, by %s: %s\n    %s\n", u.ID, timeText(u.At), u.Audience, u.By, u.Subject, indented(u.Text))
		for _, d := range u.Deliveries {
			said := "received (" + d.Said + ")"
			if !d.OK {
				said = fmt.Sprintf("NOT RECEIVED after %d attempt(s): %s", d.Attempts, d.Error)
			}
			fmt.Fprintf(w, "    %s  %s: %s\n", timeText(d.At), d.Contact, said)
		}
		for _, d := range x.Deliveries {
			if d.Update == u.ID {
				showAttempts(w, d)
			}
		}
		for _, k := range u.Acks {
			fmt.Fprintf(w, "    %s  read by %s\n", timeText(k.At), k.By)
		}
	}
	for _, p := range x.Promises {
		what := "next"
		if p.First {
			what = "first"
		} else if p.Final {
			what = "last"
		}
		late := ""
		if time.Now().After(p.Due) {
			late = "  LATE"
		}
		fmt.Fprintf(w, "  %s update to %s due %s%s\n", what, p.Audience, timeText(p.Due), late)
	}
}

// showAttempts lists the attempts of a delivery that failed, and says whether
// there will be another.
func showAttempts(w io.Writer, d app.UpdateDelivery) {
	if d.State == "waiting" && len(d.All) == 0 {
		fmt.Fprintf(w, "    %s: waiting to be sent\n", d.Contact.ID)
	}
	for i, a := range d.All {
		if a.Error != "" {
			fmt.Fprintf(w, "    %s  %s: attempt %d failed: %s\n", timeText(a.At), d.Contact.ID, i+1, a.Error)
		}
	}
	if d.State == "waiting" && len(d.All) > 0 {
		fmt.Fprintf(w, "    %s: waiting, next attempt at %s\n", d.Contact.ID, timeText(d.NotBefore))
	}
}

func incidentSummaryCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "summary INCIDENT", Short: "Say what you need to know in 30 seconds: the hand-over for who joins late", Args: one("incident"), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				lines, err := a.IncidentSummary(cmd.Context(), args[0], by)
				if err != nil {
					return err
				}
				return g.print(map[string]any{"incident": args[0], "lines": lines}, func(w io.Writer) { fmt.Fprintln(w, strings.Join(lines, "\n")) })
			})
		},
	}
	c.Flags().StringVar(&by, "as", "", "`name` of the person in whose time zone times are shown")
	return c
}

func incidentTimelineCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "timeline INCIDENT", Short: "List everything that happened in an incident, in order", Args: one("incident"), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.room(cmd.Context(), func(a app.Room) error {
				x, err := a.Incident(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return g.print(x.Timeline, func(w io.Writer) {
					rows := [][]string{{"SEQ", "TIME", "WHO", "WHAT", "BODY"}}
					for _, e := range x.Timeline {
						rows = append(rows, []string{fmt.Sprint(e.Seq), timeText(e.Time), e.Actor, strings.TrimPrefix(e.Kind, "incident."), string(e.Body)})
					}
					table(w, rows...)
				})
			})
		},
	}
}
