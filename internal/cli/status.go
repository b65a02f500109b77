package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func statusCommand(g *globals) *cobra.Command {
	var watch bool
	var every time.Duration
	c := &cobra.Command{
		Use: "status [TARGET]", Short: "Say how each target stands; exit code 3 when badly, 4 when it is not certain",
		Long: `Say how each target stands. There is one answer to "can this be restored?": the
verdict of the last proof, with its age. All else is shown beside it.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch && every < time.Second {
				return usageError{fmt.Errorf("--every wants at least 1s")}
			}
			return g.room(cmd.Context(), func(a app.Room) error {
				for {
					err := g.status(cmd.Context(), a, first(args), watch)
					var v verdict
					if !watch || err != nil && !errors.As(err, &v) {
						return err
					}
					select {
					case <-cmd.Context().Done():
						return err
					case <-time.After(every):
					}
				}
			})
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "show it again and again until Ctrl-C")
	c.Flags().DurationVar(&every, "every", 5*time.Second, "how often, with --watch")
	return c
}

// status shows how targets stand once; over itself on a terminal when it is
// shown again and again.
func (g *globals) status(ctx context.Context, a app.Room, name string, again bool) error {
	all, err := a.Status(ctx, name)
	if err != nil {
		return err
	}
	if again && !g.json {
		if terminal(g.stdout) {
			fmt.Fprint(g.stdout, "\x1b[H\x1b[2J") // home, clear
		}
		fmt.Fprintln(g.stdout, timeText(time.Now()))
	}
	if err := g.print(all, func(w io.Writer) {
		for i, r := range all {
			if i > 0 {
				fmt.Fprintln(w)
			}
			showStatus(w, r)
		}
		if here, is := a.(*app.App); is && here.Shares() {
			nodes, err := here.Nodes(ctx)
			if err != nil {
				fmt.Fprintf(w, "\nnodes  cannot be listed: %v\n", err)
				return
			}
			fmt.Fprintf(w, "\nnodes  %s\n", nodesLine(nodes))
		}
	}); err != nil {
		return err
	}
	switch app.StatusClass(all) {
	case app.StandsBadly:
		return verdict(exitVerdict)
	case app.StandsUncertain:
		return verdict(exitInconclusive)
	}
	return nil
}

func showStatus(w io.Writer, r app.StatusReport) {
	fmt.Fprintf(w, "%s: %s; grade %s\n", r.Target, r.Headline, r.Grade.Letter)
	var pairs []string
	if b := r.Backup; b != nil {
		pairs = append(pairs, "  base backup", fmt.Sprintf("%s, %s, ended %s (%s ago)", b.ID, b.Kind, timeText(b.EndedAt), spanText(r.At.Sub(b.EndedAt))))
	}
	if l := r.Log; l != nil {
		text := fmt.Sprintf("up to %s, %s (%s ago)", l.Position, timeText(l.Restorable), spanText(r.At.Sub(l.Restorable)))
		if l.LagBytes != nil {
			text += ", lag " + bytesText(*l.LagBytes)
		}
		pairs = append(pairs, "  log", text)
	}
	if c := r.Coverage; c != nil {
		pairs = append(pairs, "  coverage", fmt.Sprintf("%s to %s, %d gap(s)", timeText(c.From), timeText(c.To), c.Gaps))
	}
	if p := r.Proof; p != nil {
		pairs = append(pairs, "  last proof", fmt.Sprintf("%s: %s", p.ID, p.Verdict), "", p.Summary)
	}
	if s := r.Slot; s != nil && s.Exists {
		pairs = append(pairs, "  slot", fmt.Sprintf("%s holds %s of at most %s", s.Name, bytesText(s.Retained), bytesText(s.Bound)))
	}
	if h := r.Heartbeat; h != nil {
		pairs = append(pairs, "  heartbeat", fmt.Sprintf("%d, %s", h.Seq, timeText(h.At)))
	}
	if r.Server.Running {
		pairs = append(pairs, "  server", "running")
	} else {
		pairs = append(pairs, "  server", "not running on this machine")
	}
	facts(w, pairs...)
	for _, p := range r.Grade.Parts {
		fmt.Fprintf(w, "  grade %s for %s: %s\n", p.Letter, p.Name, p.Why)
	}
	for _, m := range r.Measurements {
		measured, met := "not measured", "NOT MET"
		if m.Measured != nil {
			measured = spanText(*m.Measured)
		}
		if m.Met {
			met = "met"
		}
		line := fmt.Sprintf("  objective %s: promised %s, %s: %s", m.Name, spanText(m.Promised), measured, met)
		if m.From != "" {
			line += " (" + m.From + ")"
		}
		fmt.Fprintln(w, line)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  %s: %s [%s]\n    next: %s\n", strings.ToUpper(string(p.Severity)), p.Detail, p.Code, p.Next)
	}
}
