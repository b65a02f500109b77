package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func reportCommand(g *globals) *cobra.Command {
	var quarter, from, until, zone, format, out, bundle string
	var force bool
	c := &cobra.Command{
		Use: "report", Short: "Say how a quarter went: incidents, objectives, proofs, findings, actions, and what to do next", Args: cobra.NoArgs,
		Long: `Made from the journal and the signed proofs, and from nothing else: what was not
recorded is said to be unknown. --bundle writes what shows an auditor that backups
are tested (SOC 2 A1.2 and A1.3, ISO/IEC 27001 A.8.13) as one ZIP file with a signed
list: the report, every proof with its signature, and the journal's entries.`,
		Example: "  refloat report --quarter 2026Q4 --format html --out q4.html\n  refloat report --from 2026-10-01 --until 2026-10-31\n  refloat report --quarter 2026Q4 --bundle evidence.zip",
		RunE: func(cmd *cobra.Command, _ []string) error {
			z, err := time.LoadLocation(zone)
			if err != nil {
				return usageError{fmt.Errorf("there is no time zone %s: write it as Europe/Berlin", zone)}
			}
			now := time.Now()
			p, err := app.ParsePeriod(quarter, from, until, z, now)
			if err != nil {
				return err
			}
			if bundle != "" && (out != "" || cmd.Flags().Changed("format")) {
				return usageError{errors.New("--bundle holds the report in all its forms: give it without --format and --out")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				if bundle != "" {
					return writeBundle(cmd, g, a, p, bundle, force, now)
				}
				r, err := a.Trend(cmd.Context(), p, now)
				if err != nil {
					return err
				}
				return g.writeReport(r, format, out, force)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&quarter, "quarter", "", "`quarter` as 2026Q4 (default the one that runs)")
	f.StringVar(&from, "from", "", "first `day`, as 2026-10-01, in place of a quarter")
	f.StringVar(&until, "until", "", "last `day`")
	f.StringVar(&zone, "zone", "UTC", "time `zone` of days and quarters")
	f.StringVar(&format, "format", "text", "text, html or pdf")
	f.StringVar(&out, "out", "", "write to this `file`")
	f.StringVar(&bundle, "bundle", "", "write an auditor's evidence to this ZIP `file`")
	f.BoolVar(&force, "force", false, "overwrite the file")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "html", "pdf"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func writeBundle(cmd *cobra.Command, g *globals, a *app.App, p app.TrendPeriod, path string, force bool, now time.Time) error {
	e, err := a.EvidenceBundle(cmd.Context(), p, path, force, now)
	if err != nil {
		return err
	}
	if err := g.print(e, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d proofs, signed with %s\n", e.File, e.Proofs, e.Key)
		for _, x := range e.Faults {
			fmt.Fprintf(w, "  does not fit: %s\n", x)
		}
	}); err != nil {
		return err
	}
	if len(e.Faults) > 0 {
		return verdict(exitVerdict)
	}
	return nil
}

func (g *globals) writeReport(r app.TrendReport, format, out string, force bool) error {
	var data []byte
	var err error
	switch format {
	case "text":
		if out == "" || g.json {
			return g.print(r, func(w io.Writer) { showTrend(w, r) })
		}
		var b strings.Builder
		showTrend(&b, r)
		data = []byte(b.String())
	case "html":
		data, err = app.TrendPage(r)
	case "pdf":
		data, err = app.TrendPDF(r)
	default:
		return usageError{fmt.Errorf("%q is no format: text, html or pdf", format)}
	}
	if err != nil {
		return err
	}
	if out == "" {
		if format == "pdf" {
			return usageError{errors.New("a PDF goes to a file: give --out FILE")}
		}
		_, err = g.stdout.Write(data)
		return err
	}
	mode := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if force {
		mode = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(out, mode, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s", app.ErrFileExists, out)
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func showTrend(w io.Writer, r app.TrendReport) {
	f := r.Figures
	head := r.Period.Name
	if r.Running {
		head += ", not over yet"
	}
	lost := "none measured"
	for _, d := range f.DataLost {
		lost = d.String()
	}
	facts(w, "period", head, "watched", fmt.Sprintf("%.1f %% of the time", f.Watched*100), "incidents", fmt.Sprint(f.Incidents), "down", app.Words(f.Down),
		"data lost", fmt.Sprintf("%s; in %d incidents nobody measured", lost, f.Unmeasured), "proofs", fmt.Sprintf("%d: %d proven, %d failed, %d inconclusive", f.Proofs, f.Proven, f.NotProven, f.Inconclusive),
		"findings", fmt.Sprintf("%d appeared, %d went, %d open", f.FindingsOpened, f.FindingsClosed, f.FindingsOpen), "actions", fmt.Sprintf("%d of %d on time, %d open", f.ActionsOnTime, f.ActionsDue, f.ActionsOpen))
	fmt.Fprintln(w)
	rows := [][]string{{"", "INCIDENTS", "MEDIAN", "90 % WITHIN", "LONGEST", "NOT RECORDED"}}
	for _, x := range []struct {
		name string
		d    app.TrendDistribution
	}{{"to detect", f.Detect}, {"to acknowledge", f.Ack}, {"until service was back", f.Mitigate}, {"until resolved", f.Resolve}} {
		row := []string{x.name, fmt.Sprint(x.d.N), "–", "–", "–", fmt.Sprint(x.d.Unknown)}
		if x.d.N > 0 {
			row[2], row[3], row[4] = app.Words(x.d.Median), app.Words(x.d.P90), app.Words(x.d.Max)
		}
		rows = append(rows, row)
	}
	table(w, rows...)
	fmt.Fprintln(w)
	rows = [][]string{{"TARGET", "AVAILABLE", "DOWN", "PROOFS", "LONGEST WITHOUT ONE", "OBJECTIVES MISSED"}}
	for _, t := range r.Targets {
		available, longest, missed := "not watched", app.Words(t.OldestAge), []string{}
		if t.Availability != nil {
			available = fmt.Sprintf("%.3f %%", *t.Availability*100)
		}
		if t.Never {
			longest = "never proven"
		}
		for _, o := range t.Objectives {
			if o.Missed > 0 {
				missed = append(missed, fmt.Sprintf("%s %d×", o.Name, o.Missed))
			}
		}
		rows = append(rows, []string{t.Name, available, app.Words(t.Down), fmt.Sprint(len(t.Proofs)), longest, orDash(strings.Join(missed, ", "))})
	}
	table(w, rows...)
	if len(r.Next) > 0 {
		fmt.Fprintln(w, "\nwhat to do next")
	}
	for i, x := range r.Next {
		fmt.Fprintf(w, "%2d. %s\n    %s\n", i+1, x.What, x.Why)
		if x.Do != "" {
			fmt.Fprintf(w, "    %s\n", x.Do)
		}
	}
}
