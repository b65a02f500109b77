package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/config"
)

func configCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check the configuration, or print its schema", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(&cobra.Command{
		Use: "check", Short: "Read the configuration and its secrets, and say what is wrong", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			v := struct {
				Path    string   `json:"path"`
				Targets []string `json:"targets"`
			}{cfg.Path, append([]string{}, app.New(cfg, nil).Targets()...)}
			return g.print(v, func(w io.Writer) { fmt.Fprintf(w, "%s is good: %d target(s)\n", v.Path, len(v.Targets)) })
		},
	}, &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of refloat.yaml, for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := config.Schema()
			if err != nil {
				return err
			}
			if _, err := g.stdout.Write(text); err != nil {
				return fmt.Errorf("print the schema: %w", err)
			}
			return nil
		},
	})
	return c
}

// help is what a command with commands below it does by itself.
func help(c *cobra.Command, _ []string) error { return c.Help() }
