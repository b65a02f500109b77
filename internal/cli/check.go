package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/config"
)

// checkOptions say what to look at and how to say it.
type checkOptions struct {
	server             app.InitRequest // named by its address
	failOn             string
	sarif, junit, list bool
	passed             bool
	foreign            []string
	failAt             app.AuditSeverity // 0 for never
}

func checkCommand(g *globals) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use: "check [TARGET | DSN]", Short: "Look for misconfigurations and risks; exit code 3 when one is found",
		Long: `Look at a target, at a server named by its address, or at every target of
refloat.yaml, and say what stands in the way of a recovery: what was seen and
where, why it matters, and what mends it. Nothing is changed, nothing installed.

A rule that could not look says so by name and counts as unknown, never as
passed.

Exit codes: 0 when nothing at or over --fail-on was found; 3 when something was;
4 when nothing was, but a rule that may find such a thing could not look.`,
		Example: "  refloat check shop\n  refloat check postgres://refloat@db.example.org/postgres --password-file db.password\n  refloat check --sarif > refloat.sarif",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.settle(g); err != nil {
				return err
			}
			if o.list {
				return listRules(g)
			}
			reports, err := check(cmd, g, first(args), o)
			if err != nil {
				return err
			}
			if err := o.print(g, reports); err != nil {
				return err
			}
			return ofReports(reports, o.failAt)
		},
	}
	f := c.Flags()
	f.StringVar(&o.failOn, "fail-on", "high", "exit with 3 from this `severity` on: info, low, medium, high, critical, or never")
	f.BoolVar(&o.sarif, "sarif", false, "print SARIF 2.1.0")
	f.BoolVar(&o.junit, "junit", false, "print JUnit XML")
	f.BoolVar(&o.list, "list", false, "list every rule, and look at nothing")
	f.StringArrayVar(&o.foreign, "foreign", nil, "look at another tool's backups at this `place`, too: pgbackrest:STANZA, barman:SERVER, wal-g, dump:PATH or jobs:PATH; may be repeated")
	f.BoolVar(&o.passed, "passed", false, "name the rules that passed, too")
	f.StringVar(&o.server.PasswordFile, "password-file", "", "`file` that holds the role's password, with a DSN")
	f.StringVar(&o.server.PasswordEnv, "password-env", "", "environment `variable` that holds it, with a DSN")
	_ = c.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"info", "low", "medium", "high", "critical", "never"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (o *checkOptions) settle(g *globals) error {
	at, ok := app.ParseSeverity(o.failOn)
	if !ok && o.failOn != "never" {
		return usageError{fmt.Errorf("--fail-on %s: want info, low, medium, high, critical or never", o.failOn)}
	}
	o.failAt = at
	chosen := 0
	for _, is := range []bool{o.sarif, o.junit, g.json} {
		if is {
			chosen++
		}
	}
	if chosen > 1 {
		return usageError{fmt.Errorf("give one of --json, --sarif and --junit")}
	}
	return nil
}

// check audits a server named by its address, which needs no configuration, or
// targets of the configuration.
func check(cmd *cobra.Command, g *globals, name string, o checkOptions) ([]app.AuditReport, error) {
	if g.server != "" {
		if strings.Contains(name, "://") || strings.Contains(name, "=") || len(o.foreign) > 0 || o.server.PasswordFile+o.server.PasswordEnv != "" {
			return nil, usageError{fmt.Errorf("with --server the last audit of a target is shown: name a target or none")}
		}
		r, err := g.remote()
		if err != nil {
			return nil, err
		}
		return r.Findings(cmd.Context(), name)
	}
	if strings.Contains(name, "://") || strings.Contains(name, "=") {
		o.server.DSN = name
		r, err := app.CheckServer(cmd.Context(), o.server, g.env, o.foreign...)
		return []app.AuditReport{r}, err
	}
	if o.server.PasswordFile != "" || o.server.PasswordEnv != "" {
		return nil, usageError{fmt.Errorf("--password-file and --password-env go with a DSN; the configuration names its own")}
	}
	var out []app.AuditReport
	err := g.with(cmd.Context(), func(a *app.App) (err error) {
		out, err = a.Check(cmd.Context(), name, o.foreign...)
		return err
	})
	return out, err
}

func (o *checkOptions) print(g *globals, reports []app.AuditReport) error {
	switch {
	case o.sarif:
		return writeSARIF(g.stdout, reports)
	case o.junit:
		return writeJUnit(g.stdout, reports)
	}
	return g.print(reports, func(w io.Writer) {
		for i, r := range reports {
			if i > 0 {
				fmt.Fprintln(w)
			}
			showReport(w, r, o.passed)
		}
	})
}

// ofReports is the exit code of an audit.
func ofReports(reports []app.AuditReport, failAt app.AuditSeverity) error {
	if failAt == 0 {
		return nil
	}
	rules := map[string]app.AuditSeverity{}
	for _, r := range app.AuditRules() {
		rules[r.ID] = r.Severity
	}
	blind := false
	for _, r := range reports {
		if r.Worst() >= failAt {
			return verdict(exitVerdict)
		}
		for _, res := range r.Results {
			blind = blind || res.Outcome == app.RuleUnknown && rules[res.Rule] >= failAt
		}
	}
	if blind {
		return verdict(exitInconclusive)
	}
	return nil
}

func showReport(w io.Writer, r app.AuditReport, passed bool) {
	titles := map[string]string{}
	for _, rule := range app.AuditRules() {
		titles[rule.ID] = rule.Title
	}
	open := slices.DeleteFunc(slices.Clone(r.Findings), func(f app.AuditFinding) bool { return f.Suppressed != nil })
	fmt.Fprintf(w, "%s: %s; of %d rules %d passed, %d could not look, %d do not apply (%s)\n", r.Target, countFindings(open), len(r.Results),
		r.Count(app.RulePassed), r.Count(app.RuleUnknown), r.Count(app.RuleNotApplicable), spanText(r.Took))
	for _, f := range open {
		object := ""
		if f.Object != "" && !strings.Contains(f.Evidence, f.Object) {
			object = ": " + f.Object
		}
		fmt.Fprintf(w, "\n%s  %s%s  [%s]\n", strings.ToUpper(f.Severity.String()), titles[f.Rule], object, f.Rule)
		facts(w, "  seen", f.Evidence, "  why", f.Why, "  fix", strings.ReplaceAll(f.Fix, "\n", "\n  \t"), "  docs", f.Docs)
	}
	section(w, r, "could not look", func(res app.AuditResult) bool { return res.Outcome == app.RuleUnknown })
	section(w, r, "could not look everywhere", func(res app.AuditResult) bool { return res.Outcome == app.RuleFound && res.Why != "" })
	if passed {
		section(w, r, "passed", func(res app.AuditResult) bool { return res.Outcome == app.RulePassed })
		section(w, r, "does not apply", func(res app.AuditResult) bool { return res.Outcome == app.RuleNotApplicable })
	}
	for _, f := range r.Findings {
		if s := f.Suppressed; s != nil {
			fmt.Fprintf(w, "\naccepted by %s until %s: %s (%s): %s\n", s.Owner, s.Day(), f.Key(), f.Severity, s.Reason)
		}
	}
}

// section lists the rules with one outcome, those of one reason together.
func section(w io.Writer, r app.AuditReport, words string, in func(app.AuditResult) bool) {
	var reasons []string
	rules := map[string][]string{}
	for _, res := range r.Results {
		if !in(res) {
			continue
		}
		why := strings.Join(strings.Fields(res.Why), " ")
		if rules[why] == nil {
			reasons = append(reasons, why)
		}
		rules[why] = append(rules[why], res.Rule)
	}
	for _, why := range reasons {
		if why == "" {
			fmt.Fprintf(w, "\n%s: %s\n", words, strings.Join(rules[why], ", "))
			continue
		}
		fmt.Fprintf(w, "\n%s: %s\n  %s\n", words, strings.Join(rules[why], ", "), why)
	}
}

// countFindings says how many there are, worst first.
func countFindings(findings []app.AuditFinding) string {
	if len(findings) == 0 {
		return "no finding"
	}
	var parts []string
	for s := app.SeverityCritical; s >= app.SeverityInfo; s-- {
		n := 0
		for _, f := range findings {
			if f.Severity == s {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	word := "findings"
	if len(findings) == 1 {
		word = "finding"
	}
	return fmt.Sprintf("%d %s: %s", len(findings), word, strings.Join(parts, ", "))
}

func listRules(g *globals) error {
	return g.print(app.AuditRules(), func(w io.Writer) {
		rows := [][]string{{"RULE", "SEVERITY", "FINDS"}}
		for _, r := range app.AuditRules() {
			rows = append(rows, []string{r.ID, r.Severity.String(), r.Title})
		}
		table(w, rows...)
	})
}

func explainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "explain RULE", Short: "Explain a rule of refloat check or of refloat postmortem lint",
		Args: one("rule"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, r := range app.AuditRules() {
				out = append(out, r.ID+"\t"+r.Title)
			}
			for _, r := range app.ReportRules() {
				out = append(out, r.ID+"\t"+r.Title)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if r, is := reportRule(args[0]); is {
				return g.print(r, func(w io.Writer) {
					fmt.Fprintf(w, "%s: %s\n\n", r.ID, r.Title)
					facts(w, "severity", string(r.Severity), "why", r.Why, "fix", r.Fix, "looks at", "reports (refloat postmortem lint)")
				})
			}
			all := app.AuditRules()
			i := slices.IndexFunc(all, func(r app.AuditRule) bool { return r.ID == args[0] })
			if i < 0 {
				var ids []string
				for _, r := range all {
					ids = append(ids, r.ID)
				}
				for _, r := range app.ReportRules() {
					ids = append(ids, r.ID)
				}
				hint := ""
				if near := config.Nearest(args[0], ids); near != "" {
					hint = "did you mean " + near + "? "
				}
				return usageError{fmt.Errorf("there is no rule %s; %srefloat check --list and refloat postmortem lint --list name them all", args[0], hint)}
			}
			r := all[i]
			return g.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s\n\n", r.ID, r.Title)
				facts(w, "severity", r.Severity.String()+" at most", "why", r.Why, "fix", r.Fix, "looks at", r.Looks)
			})
		},
	}
}
