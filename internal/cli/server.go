package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func serverCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "server", Short: "Take every target into care: log, base backups, drills, metrics",
		Long: `Keep the log of every target, write heartbeats, take base backups, drill and tidy
on schedule, and serve metrics and status on the loopback interface. It runs until
SIGTERM or SIGINT; then it puts the log away and ends with exit code 0. It may be
killed at any moment without loss. Its log goes to standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if g.verbose {
				level = slog.LevelDebug
			}
			g.serving = true
			return g.withLogger(cmd.Context(), g.loggerAt(level), func(a *app.App) error { return a.Serve(cmd.Context()) })
		},
	}
}
