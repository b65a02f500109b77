package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

type draftOptions struct{ into, template, format, zone string }

func postmortemNewCommand(g *globals) *cobra.Command {
	o := draftOptions{}
	c := &cobra.Command{
		Use: "new INCIDENT", Short: "Draft the postmortem of an incident from the journal",
		Long: `Drafts the report of an incident from the journal: the timeline with the entry
behind each line, all clocks, each objective met or missed with its figure, the
impact computed, what the audit and the last drill had said before, pages and
updates, the way back with its measured times, and earlier incidents like it.

It says only what is recorded. What only people know is marked [fill in: …], which
refloat postmortem lint finds until it is filled in.`,
		Example: "  refloat postmortem new inc-3 --into postmortems/2026-10-05-shop.md\n  refloat postmortem new 3 --zone Europe/Berlin\n  refloat postmortem new 3 --template team.tmpl",
		Args:    one("incident"), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, g, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.into, "into", "", "write to this `file`, which must not exist; its ending gives the format")
	f.StringVar(&o.template, "template", "", "`file` of a template of your own, for Markdown and HTML")
	f.StringVar(&o.format, "format", "", "md, html or pdf (default by the ending of --into, else md)")
	f.StringVar(&o.zone, "zone", "UTC", "write times by the clock of this time `zone`, like Europe/Berlin")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"md", "html", "pdf"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (o draftOptions) run(cmd *cobra.Command, g *globals, name string) error {
	zone, err := time.LoadLocation(o.zone)
	if err != nil || o.zone == "Local" {
		return usageError{fmt.Errorf("--zone %s: no such time zone; write it like Europe/Berlin or UTC", o.zone)}
	}
	format, err := reportFormat(o.format, o.into)
	if err != nil {
		return err
	}
	text := ""
	if o.template != "" {
		if format == app.ReportPDF {
			return usageError{fmt.Errorf("a template makes Markdown or HTML, not PDF")}
		}
		b, err := os.ReadFile(o.template)
		if err != nil {
			return fmt.Errorf("read the template: %w", err)
		}
		text = string(b)
	}
	return g.with(cmd.Context(), func(a *app.App) error {
		d, err := a.DraftReport(cmd.Context(), name, zone, time.Now())
		if err != nil {
			return err
		}
		out, err := app.RenderReport(d, format, o.template, text)
		if err != nil {
			return err
		}
		return g.deliverReport(out, o.into)
	})
}

func postmortemRenderCommand(g *globals) *cobra.Command {
	var into, format string
	c := &cobra.Command{
		Use: "render FILE", Short: "Write a report in Markdown as HTML or PDF, with a picture of its timeline",
		Long: `Writes a report, as a team edited it, as one HTML page that needs nothing else, or
as a PDF. FILE may be - for the standard input.`,
		Example: "  refloat postmortem render 2026-10-05-shop.md --into report.pdf",
		Args:    one("report"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := reportFormat(format, into)
			if err != nil {
				return err
			}
			if f == app.ReportMarkdown {
				return usageError{fmt.Errorf("a report is rendered as html or pdf: give --format, or --into with that ending")}
			}
			out, err := app.RenderReportFile(args[0], g.stdin, f)
			if err != nil {
				return err
			}
			return g.deliverReport(out, into)
		},
	}
	c.Flags().StringVar(&into, "into", "", "write to this `file`, which must not exist; its ending gives the format")
	c.Flags().StringVar(&format, "format", "", "html or pdf (default by the ending of --into)")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"html", "pdf"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// reportFormat is how a report is written, by its flag or by its file's ending.
func reportFormat(flag, file string) (app.ReportFormat, error) {
	f := strings.ToLower(flag)
	if f == "" {
		f = strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	}
	switch f {
	case "", "md", "markdown":
		return app.ReportMarkdown, nil
	case "html", "htm":
		return app.ReportHTML, nil
	case "pdf":
		return app.ReportPDF, nil
	}
	if flag == "" {
		return app.ReportMarkdown, nil
	}
	return "", usageError{fmt.Errorf("--format %s: want md, html or pdf", flag)}
}

// deliverReport writes a report to a file, or to the standard output.
func (g *globals) deliverReport(out []byte, into string) error {
	if into == "" || into == "-" {
		if terminal(g.stdout) && strings.HasPrefix(string(out[:min(len(out), 5)]), "%PDF") {
			return usageError{fmt.Errorf("a PDF is not for a terminal: give --into FILE")}
		}
		_, err := g.stdout.Write(out)
		return err
	}
	if err := app.WriteReport(into, out); err != nil {
		return err
	}
	return g.print(map[string]string{"file": into}, func(w io.Writer) {
		fmt.Fprintf(w, "%s was written; what is left to do in it: refloat postmortem lint %s\n", into, into)
	})
}
