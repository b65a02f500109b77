package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func versionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
			}{app.Version, runtime.Version()}
			return g.print(v, func(w io.Writer) { fmt.Fprintf(w, "refloat %s (%s)\n", v.Version, v.Go) })
		},
	}
}
