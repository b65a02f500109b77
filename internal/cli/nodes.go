package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func nodesCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "nodes", Short: "Say which nodes share the state and which of them leads; exit code 3 when none does, or one is silent",
		Long: `List the servers that share the state of store.url. One leads: it keeps the log,
watches, pages and does scheduled work. The others serve pages and the API, and one
of them takes over when it is gone. One that was stopped in order is not listed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.Nodes(cmd.Context())
				if err != nil {
					return err
				}
				leads, silent := false, false
				for _, n := range all {
					leads, silent = leads || n.Leads, silent || n.Silent
				}
				if err := g.print(all, func(w io.Writer) {
					for _, n := range all {
						fmt.Fprintf(w, "%s\t%s\tversion %s, seen %s\n", n.Name, nodeWord(n), n.Version, timeText(n.Seen))
					}
					if !leads {
						fmt.Fprintln(w, "no node leads: start refloat server")
					}
				}); err != nil {
					return err
				}
				if !leads || silent {
					return verdict(exitVerdict)
				}
				return nil
			})
		},
	}
}

func nodeWord(n app.NodeStanding) string {
	switch {
	case n.Leads:
		return "leads"
	case n.Silent:
		return "is silent"
	}
	return "stands by"
}

// nodesLine is the nodes in one line; empty when the state is shared with none.
func nodesLine(all []app.NodeStanding) string {
	var out []string
	for _, n := range all {
		out = append(out, n.Name+" "+nodeWord(n))
	}
	if len(out) == 0 {
		return "none runs"
	}
	return strings.Join(out, ", ")
}
