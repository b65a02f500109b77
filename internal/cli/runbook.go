package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func runbookCommand(g *globals) *cobra.Command {
	var into string
	c := &cobra.Command{
		Use: "runbook TARGET", Short: "Write how to get a target back, from its configuration, server and last proof", Args: one("target"), ValidArgsFunction: g.targets,
		Long: `Writes Markdown: which server it is, what to begin with by what you see, each way
back with the time and the loss that the last drill measured and its exact commands,
and what to do when Refloat's server is gone, too. It changes nothing. Keep a copy
where it can be read when nothing else can.`,
		Example: "  refloat runbook shop --into shop-runbook.md",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				text, err := a.Runbook(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if into == "" {
					_, err = fmt.Fprint(g.stdout, text)
					return err
				}
				if err := os.WriteFile(into, []byte(text), 0o644); err != nil {
					return fmt.Errorf("write the runbook: %w", err)
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&into, "into", "", "write to this `file`; what is there is replaced")
	return c
}
