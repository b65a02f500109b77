package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func apiCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "api", Short: "The HTTP API of refloat server", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(&cobra.Command{
		Use: "describe", Short: "Print the API's description, as OpenAPI 3.1 in JSON", Args: cobra.NoArgs,
		Long: "Print the description that a running server serves at /api/v1/openapi.json. It\nneeds neither a server nor a configuration.",
		RunE: func(*cobra.Command, []string) error {
			raw, err := app.DescribeAPI()
			if err != nil {
				return err
			}
			if _, err := g.stdout.Write(raw); err != nil {
				return fmt.Errorf("print the description: %w", err)
			}
			return nil
		},
	})
	return c
}
