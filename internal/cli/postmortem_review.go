package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func postmortemSubmitCommand(g *globals) *cobra.Command {
	var reviewers []string
	var due, by string
	c := &cobra.Command{
		Use: "submit INCIDENT FILE", Short: "Give a report to its reviewers, until a day",
		Long: `Puts the report of an incident into review. The file stays where it is, best in
git; the journal keeps the hash of its bytes, who reviews it and until when.
refloat server reminds reviewers 3 days and 1 day before, and tells them and
whoever submitted it when it is late. Submitted once more, the text as it is then
takes its place; reviewers and day stay unless others are given.`,
		Example: "  refloat postmortem submit inc-3 2026-10-05-shop.md --reviewer ben --reviewer cyd --due 2026-11-20",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				s, err := a.SubmitReport(cmd.Context(), args[0], args[1], reviewers, due, by)
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) {
					fmt.Fprintf(w, "%s: in review by %s", s.Incident, strings.Join(s.Submitted.Reviewers, ", "))
					if s.Submitted.Due != "" {
						fmt.Fprintf(w, ", until %s", s.Submitted.Due)
					}
					fmt.Fprintln(w)
					if n := s.Submitted.Errors; n > 0 {
						fmt.Fprintf(w, "%d errors to mend before it can be accepted: refloat postmortem lint %s\n", n, args[1])
					}
				})
			})
		},
	}
	c.Flags().StringArrayVar(&reviewers, "reviewer", nil, "`name` of a reviewer; once for each")
	c.Flags().StringVar(&due, "due", "", "`day` until which it is reviewed, like 2026-11-20")
	asFlag(c, &by)
	return c
}

func postmortemCommentCommand(g *globals) *cobra.Command {
	var file, by, done, result string
	c := &cobra.Command{
		Use: "comment INCIDENT [LINE TEXT]", Short: "Say something of a line of a report in review, or close what was said",
		Example: "  refloat postmortem comment inc-3 41 'who does it?'\n  refloat postmortem comment inc-3 --close c1 --result 'ben does'",
		Args:    cobra.RangeArgs(1, 3), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := 0
			switch {
			case done != "" && len(args) == 1:
			case done == "" && len(args) == 3:
				var err error
				if line, err = strconv.Atoi(args[1]); err != nil {
					return usageError{fmt.Errorf("%q is no number of a line", args[1])}
				}
			default:
				return usageError{fmt.Errorf("give a line and what is to be said of it, or --close ID")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				var s app.ReportReview
				var err error
				if done != "" {
					s, err = a.CloseReportComment(cmd.Context(), args[0], done, result, by)
				} else {
					s, err = a.CommentReport(cmd.Context(), args[0], file, line, args[2], by)
				}
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) {
					if done != "" {
						fmt.Fprintf(w, "%s: %s is closed, %d are open\n", s.Incident, done, len(s.OpenComments()))
						return
					}
					last := s.Comments[len(s.Comments)-1]
					fmt.Fprintf(w, "%s: %s on line %d: %s\n", s.Incident, last.ID, last.Line, clip(last.Quote))
				})
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "`file` where the report lies (default where it was submitted from)")
	c.Flags().StringVar(&done, "close", "", "close the comment of this `ID`")
	c.Flags().StringVar(&result, "result", "", "what came of it")
	asFlag(c, &by)
	return c
}

func postmortemAcceptCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "accept INCIDENT [FILE]", Short: "Find a report in review good, as one of its reviewers",
		Long: `Says that a reviewer finds the report good, as it lies in its file. With the last
reviewer it is accepted, and the journal keeps the hash of the text. It is refused
while a comment is open, while the lint finds an error, and when the text is not the
one that was submitted.`,
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				s, err := a.AcceptReport(cmd.Context(), args[0], second(args), by)
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) {
					if s.Status == app.ReviewAccepted {
						fmt.Fprintf(w, "%s: accepted, SHA-256 %s\n", s.Incident, s.AcceptedSHA)
						return
					}
					fmt.Fprintf(w, "%s: still waits for %s\n", s.Incident, strings.Join(s.Missing(), ", "))
				})
			})
		},
	}
	asFlag(c, &by)
	return c
}

func second(args []string) string {
	if len(args) > 1 {
		return args[1]
	}
	return ""
}

func postmortemPublishCommand(g *globals) *cobra.Command {
	var into, format, by string
	c := &cobra.Command{
		Use: "publish INCIDENT [FILE]", Short: "Write the version of an accepted report that clients are given",
		Long: `Makes the version for clients of the accepted report: the clocks, downtime,
availability and what was lost, what clients were told, and of causes, lessons,
actions and conclusion only passages that name nothing from inside. Names of people
and systems, hosts, commands, findings, notes and quotations are left out, with the
whole passage that holds them; what was left out is shown.

Without --into it shows what clients would be given, and writes nothing down.`,
		Example: "  refloat postmortem publish inc-3 --into public/2026-10-05.html",
		Args:    cobra.RangeArgs(1, 2), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := reportFormat(format, into)
			if err != nil {
				return err
			}
			if into == "" && f == app.ReportPDF {
				return usageError{fmt.Errorf("a PDF is not for a terminal: give --into FILE")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				p, err := a.PublishReport(cmd.Context(), args[0], second(args), into, f, into == "", by)
				if err != nil {
					return err
				}
				for _, d := range p.Dropped {
					fmt.Fprintf(g.stderr, "left out of %s, since %s: %s\n", d.Section, d.Why, clip(d.Text))
				}
				if into == "" {
					_, err := g.stdout.Write(p.Content)
					return err
				}
				return g.print(p, func(w io.Writer) {
					fmt.Fprintf(w, "%s: %s is for clients; %d passages were left out\n", p.Review.Incident, into, len(p.Dropped))
				})
			})
		},
	}
	c.Flags().StringVar(&into, "into", "", "write to this `file`, which must not exist, and note it in the journal")
	c.Flags().StringVar(&format, "format", "", "md, html or pdf (default by the ending of --into, else md)")
	asFlag(c, &by)
	return c
}

func postmortemListCommand(g *globals) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "list [INCIDENT]", Short: "List reports that are to be written or reviewed, or show one with its comments",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.incidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if len(args) == 1 {
					v, err := a.Review(cmd.Context(), args[0])
					if err != nil {
						return err
					}
					return g.print(v, func(w io.Writer) { showReview(w, v) })
				}
				list, err := a.Reviews(cmd.Context(), all)
				if err != nil {
					return err
				}
				return g.print(list, func(w io.Writer) { showReviews(w, list) })
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "list those that are accepted, and of incidents that go on, too")
	return c
}

func showReviews(w io.Writer, list []app.ReviewView) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no report is to be written or reviewed")
		return
	}
	rows := [][]string{{"incident", "report", "due", "waits for", "open comments", "title"}}
	for _, v := range list {
		waits := strings.Join(v.Missing(), ", ")
		switch v.Status {
		case app.ReviewDraft:
			waits = "refloat postmortem new " + v.Incident
		case app.ReviewAccepted:
			waits = "–"
		}
		due := v.Submitted.Due
		if due == "" {
			due = "–"
		}
		rows = append(rows, []string{v.Incident, string(v.Status), due, waits, strconv.Itoa(len(v.OpenComments())), v.Title})
	}
	table(w, rows...)
}

func showReview(w io.Writer, v app.ReviewView) {
	facts(w, "incident", v.Incident+", "+v.Title, "report", string(v.Status), "file", v.Submitted.File, "SHA-256", v.Submitted.SHA256, "submitted", v.SubmittedBy+", "+timeText(v.SubmittedAt),
		"reviewers", strings.Join(v.Submitted.Reviewers, ", "), "waits for", strings.Join(v.Missing(), ", "), "due", v.Submitted.Due, "accepted", timeText(v.AcceptedAt))
	for _, c := range v.Comments {
		box := "[ ]"
		if !c.ClosedAt.IsZero() {
			box = "[x]"
		}
		fmt.Fprintf(w, "\n%s %s  line %d, %s, %s: %s\n", box, c.ID, c.Line, c.By, timeText(c.At), c.Text)
		if c.Quote != "" {
			fmt.Fprintf(w, "    | %s\n", clip(c.Quote))
		}
		if c.Result != "" {
			fmt.Fprintf(w, "    %s: %s\n", c.ClosedBy, c.Result)
		}
	}
	for _, p := range v.Published {
		fmt.Fprintf(w, "\npublished %s by %s: %s, SHA-256 %s, %d passages left out\n", timeText(p.At), p.By, p.File, p.SHA256, p.Dropped)
	}
}
