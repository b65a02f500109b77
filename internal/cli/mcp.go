package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func mcpCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "mcp", Short: "Let an assistant ask how things stand, over the Model Context Protocol; it changes nothing", Args: cobra.NoArgs,
		Long: `Speak the Model Context Protocol on standard input and output, for an engineer's
assistant to start. It answers about the state directory of this machine, or with
--server and --token-file about a server elsewhere, as whoever the token belongs
to. Every tool reads; none changes anything.`,
		Example: "  refloat mcp\n  refloat mcp --server https://refloat.example.org --token-file ~/.config/refloat/token",
		RunE: func(cmd *cobra.Command, _ []string) error {
			g.serving = true
			in, out := io.NopCloser(g.stdin), keepOpen{g.stdout}
			if g.server != "" {
				r, err := g.remote()
				if err != nil {
					return err
				}
				return r.AnswerAssistant(cmd.Context(), in, out)
			}
			return g.with(cmd.Context(), func(a *app.App) error { return a.AnswerAssistant(cmd.Context(), in, out) })
		},
	}
}

// keepOpen is standard output, which is not for others to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
