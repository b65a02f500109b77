package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func postmortemCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "postmortem", Aliases: []string{"pm"}, Short: "Draft postmortems, read them and find what contradicts itself in them",
		Long: `Drafts the report of an incident from the journal, reads reports as people write
them, in Markdown, plain text or HTML, and finds what contradicts itself in them or
was left out. Reading, linting and rendering need no server and no configuration.`,
	}
	c.AddCommand(postmortemReadCommand(g), postmortemLintCommand(g), postmortemNewCommand(g), postmortemRenderCommand(g),
		postmortemSubmitCommand(g), postmortemCommentCommand(g), postmortemAcceptCommand(g), postmortemPublishCommand(g), postmortemListCommand(g))
	return c
}

func postmortemReadCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "read FILE", Short: "Say what was understood of a report, with line numbers",
		Long: `Reads a report and says what it understood: when it was written, the moments
and the timeline, durations, objectives, the cause, and the action items with
owner and due day. FILE may be - for the standard input.`,
		Example: "  refloat postmortem read outage.md\n  refloat postmortem read --json outage.html",
		Args:    one("report"),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := app.ReadReport(args[0], g.stdin)
			if err != nil {
				return err
			}
			return g.print(v, func(w io.Writer) { showUnderstanding(w, v) })
		},
	}
}

func showUnderstanding(w io.Writer, v app.ReportView) {
	written, zone := "not said", v.Zone
	if v.Written != nil {
		written = fmt.Sprintf("%s (line %d)", v.Written.At.Format(time.DateOnly), v.Written.Place.Line)
	}
	if zone == "" {
		zone = "not said"
	}
	facts(w, "title", v.Title, "format", v.Format, "written", written, "zone", zone)
	part := func(name string, rows [][]string) {
		if len(rows) == 0 {
			fmt.Fprintf(w, "\n%s: none found\n", name)
			return
		}
		fmt.Fprintf(w, "\n%s\n", name)
		table(w, rows...)
	}
	var rows [][]string
	for _, s := range v.Sections {
		rows = append(rows, []string{lineNo(s.Place.Line), string(s.Kind), s.Title})
	}
	part("Sections", rows)
	rows = nil
	for _, m := range v.Moments {
		at := m.At.Format("15:04")
		if m.Dated {
			at = m.At.Format("2006-01-02 15:04") + " " + utcOr(v.Zone, m.Zone)
		}
		rows = append(rows, []string{lineNo(m.Place.Line), string(m.Kind), at, "from a " + string(m.From), clip(m.Place.Text)})
	}
	part("Moments", rows)
	rows = nil
	for _, c := range v.Claims {
		span := ""
		if c.Span > 0 {
			span = c.String()
		}
		rows = append(rows, []string{lineNo(c.Place.Line), string(c.Kind), span, clip(c.Place.Text)})
	}
	part("Claims", rows)
	rows = nil
	for _, o := range v.Objectives {
		rows = append(rows, []string{lineNo(o.Place.Line), string(o.Kind), "told: " + string(o.Verdict), clip(o.Place.Text)})
	}
	part("Objectives", rows)
	rows = nil
	for _, f := range v.Figures {
		rows = append(rows, []string{lineNo(f.Place.Line), clip(f.Place.Text)})
	}
	part("Figures", rows)
	rows = nil
	for _, p := range v.Causes {
		rows = append(rows, []string{lineNo(p.Line), clip(p.Text)})
	}
	part("Root cause", rows)
	showReportActions(w, v)
	if len(v.Unknown) > 0 {
		fmt.Fprintln(w, "\nHeadings that fit no kind of section (what stands below is searched all the same)")
		for _, p := range v.Unknown {
			fmt.Fprintf(w, "  %s  %s\n", lineNo(p.Line), p.Text)
		}
	}
}

func showReportActions(w io.Writer, v app.ReportView) {
	if len(v.Actions) == 0 {
		fmt.Fprintln(w, "\nAction items: none found")
		return
	}
	fmt.Fprintln(w, "\nAction items")
	rows := [][]string{{"LINE", "OWNER", "DUE", "CHECK", "ACTION"}}
	for _, a := range v.Actions {
		due, check := "-", "-"
		switch {
		case !a.Due.IsZero():
			due = a.Due.Format(time.DateOnly)
		case a.Dated:
			due = "said, no day"
		}
		if a.Check != "" {
			check = "yes"
		}
		if a.Done {
			due = "done"
		}
		owner := a.Owner
		if owner == "" {
			owner = "-"
		}
		rows = append(rows, []string{lineNo(a.Place.Line), owner, due, check, clip(a.Text)})
	}
	table(w, rows...)
}

// utcOr says that a moment was turned to UTC, where its zone is known.
func utcOr(zones ...string) string {
	for _, z := range zones {
		if z != "" {
			return "UTC"
		}
	}
	return "(no zone)"
}

func lineNo(n int) string { return fmt.Sprintf("%d", n) }

func clip(s string) string {
	const width = 100
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return string(r)
}

type lintOptions struct {
	sarif, list, quiet bool
	failOn             string
}

func postmortemLintCommand(g *globals) *cobra.Command {
	o := lintOptions{}
	c := &cobra.Command{
		Use: "lint FILE...", Short: "Find what a report contradicts or leaves out",
		Long: `Finds contradictions and gaps in reports: durations that do not fit their
timestamps, objectives missed and told as met, a root cause that no action mends,
actions without owner. Each finding has a rule (refloat explain RULE), a place,
the place that disagrees, and how to mend it. FILE may be - for the standard
input.

A finding is let stand by a comment before it, with a reason:
  <!-- refloat:allow report-no-mitigation nothing could be mitigated here -->
and in the whole file by refloat:allow-file.

Ends with 3 when a finding is at least as severe as --fail-on.`,
		Example: "  refloat postmortem lint reports/*.md\n  refloat postmortem lint --sarif outage.md > findings.sarif",
		RunE: func(_ *cobra.Command, args []string) error {
			if o.list {
				return listReportRules(g)
			}
			return o.run(g, args)
		},
	}
	f := c.Flags()
	f.StringVar(&o.failOn, "fail-on", "error", "end with 3 from this `severity` on: note, warning, error or never")
	f.BoolVar(&o.sarif, "sarif", false, "print SARIF 2.1.0, for code scanning")
	f.BoolVar(&o.list, "list", false, "list every rule, and read nothing")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "one line for each finding, as compilers print them")
	_ = c.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"note", "warning", "error", "never"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

var reportRanks = map[app.ReportSeverity]int{app.ReportNote: 1, app.ReportWarning: 2, app.ReportError: 3}

func (o lintOptions) run(g *globals, files []string) error {
	rank := reportRanks[app.ReportSeverity(o.failOn)]
	switch {
	case len(files) == 0:
		return usageError{fmt.Errorf("name a report, or several; - is the standard input")}
	case rank == 0 && o.failOn != "never":
		return usageError{fmt.Errorf("--fail-on %s: want note, warning, error or never", o.failOn)}
	case o.sarif && g.json:
		return usageError{fmt.Errorf("give one of --json and --sarif")}
	}
	var out []app.LintedReport
	for _, f := range files {
		r, err := app.LintReport(f, g.stdin)
		if err != nil {
			return err
		}
		out = append(out, r)
	}
	var err error
	if o.sarif {
		err = writeReportSARIF(g.stdout, out)
	} else {
		err = g.print(out, func(w io.Writer) {
			for i, r := range out {
				if i > 0 && !o.quiet {
					fmt.Fprintln(w)
				}
				showLinted(w, r, o.quiet)
			}
		})
	}
	if err != nil {
		return err
	}
	for _, r := range out {
		for _, f := range r.Findings {
			if f.Suppressed == nil && rank > 0 && reportRanks[f.Severity] >= rank {
				return verdict(exitVerdict)
			}
		}
	}
	return nil
}

func showLinted(w io.Writer, r app.LintedReport, quiet bool) {
	counts := map[app.ReportSeverity]int{}
	stand := 0
	for _, f := range r.Findings {
		if f.Suppressed != nil {
			stand++
			continue
		}
		counts[f.Severity]++
		if quiet {
			fmt.Fprintf(w, "%s:%d:%d: %s: %s [%s]\n", r.File, f.Place.Line, f.Place.Column, f.Severity, f.Message, f.Rule)
			continue
		}
		fmt.Fprintf(w, "%s:%d:%d: %s: %s [%s]\n", r.File, f.Place.Line, f.Place.Column, f.Severity, f.Message, f.Rule)
		fmt.Fprintf(w, "    %6d | %s\n", f.Place.Line, clip(f.Place.Text))
		if f.Other != nil {
			fmt.Fprintf(w, "    %6d | %s\n", f.Other.Line, clip(f.Other.Text))
		}
		fmt.Fprintf(w, "    mend it: %s\n", f.Fix)
	}
	if quiet {
		return
	}
	fmt.Fprintf(w, "%s: %d errors, %d warnings, %d notes", r.File, counts[app.ReportError], counts[app.ReportWarning], counts[app.ReportNote])
	if stand > 0 {
		fmt.Fprintf(w, "; %d let stand", stand)
	}
	fmt.Fprintln(w)
}

func listReportRules(g *globals) error {
	return g.print(app.ReportRules(), func(w io.Writer) {
		rows := [][]string{{"RULE", "SEVERITY", "FINDS"}}
		for _, r := range app.ReportRules() {
			rows = append(rows, []string{r.ID, string(r.Severity), r.Title})
		}
		table(w, rows...)
	})
}

// reportRule finds a rule of the reports' lint by its id.
func reportRule(id string) (app.ReportRule, bool) {
	all := app.ReportRules()
	i := slices.IndexFunc(all, func(r app.ReportRule) bool { return r.ID == id })
	if i < 0 {
		return app.ReportRule{}, false
	}
	return all[i], true
}
