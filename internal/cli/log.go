package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func logCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "Look at the continuous log, or keep it without a server", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(&cobra.Command{
		Use: "status TARGET", Short: "Show how far the log in the repository reaches, and the slot",
		Args: one("target"), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				s, err := a.LogStatus(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) { showLog(w, s) })
			})
		},
	}, &cobra.Command{
		Use: "stream TARGET", Short: "Keep a target's log until stopped, without schedules or heartbeat",
		Args: one("target"), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			last := ""
			return g.withLogger(cmd.Context(), g.loggerAt(slog.LevelInfo), func(a *app.App) error {
				return a.LogStream(cmd.Context(), args[0], func(s app.LogState) {
					if g.json {
						if text, err := json.Marshal(s); err == nil {
							fmt.Fprintln(g.stdout, string(text))
						}
						return
					}
					line := fmt.Sprintf("received %s, in the repository %s", s.Received, s.Repository)
					if len(s.Alarms) > 0 {
						line += "; ALARM: " + strings.Join(s.Alarms, "; ")
					}
					if line != last {
						last = line
						fmt.Fprintln(g.stdout, line)
					}
				})
			})
		},
	})
	return c
}

func segmentsText(s app.LogStatus) string {
	if s.Segments == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d (%s to %s)", s.Segments, s.Oldest, s.Newest)
}

func showLog(w io.Writer, s app.LogStatus) {
	if s.Position == nil {
		fmt.Fprintf(w, "%s: no log in the repository yet (refloat server, or refloat log stream, keeps it)\n", s.Target)
	} else {
		facts(w, "target", string(s.Target), "in the repository up to", s.Position.Position.String(), "which holds all before", cmp.Or(timeOr(s.Position.ServerTime), "not known yet"),
			"written", timeText(s.Position.WrittenAt), "segments", segmentsText(s))
	}
	if s.LagBytes != nil {
		facts(w, "the server's log ends at", s.Server.String(), "not in the repository", bytesText(*s.LagBytes))
	}
	switch {
	case s.Slot == nil:
	case s.Slot.Exists:
		state := "nobody streams from it"
		if s.Slot.Active {
			state = "in use"
		}
		facts(w, "slot", fmt.Sprintf("%s, %s, %s, holds %s", s.Slot.Name, state, s.Slot.WALStatus, bytesText(s.Slot.Retained)))
	default:
		facts(w, "slot", s.Slot.Name+" does not exist on the server")
	}
	for _, x := range s.Gaps {
		fmt.Fprintf(w, "GAP from %s to %s, seen %s: %s\n", x.From, x.To, timeText(x.At), x.Reason)
	}
	if s.Note != "" {
		fmt.Fprintf(w, "the server could not be asked: %s\n", s.Note)
	}
}
