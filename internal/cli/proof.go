package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func proofCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "proof", Short: "List, show, check and export proofs", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(&cobra.Command{
		Use: "list [TARGET]", Short: "List proofs, oldest first", Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.Proofs(cmd.Context(), first(args))
				if err != nil {
					return err
				}
				return g.print(all, func(w io.Writer) {
					rows := [][]string{{"PROOF", "VERDICT", "ENDED", "SOURCE", "BACKUP", "RESOLUTION", "SUMMARY"}}
					for _, p := range all {
						rows = append(rows, []string{p.ID, string(p.Verdict), timeText(p.EndedAt), cmp.Or(p.Source, "refloat"), p.Backup, spanText(p.Resolution), p.Summary})
					}
					table(w, rows...)
				})
			})
		},
	}, &cobra.Command{
		Use: "show PROOF", Short: "Show a proof, or a target's last; exit code 3 when not proven, 4 when not certain", Args: one("proof or target"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				p, err := a.Proof(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := g.print(p, func(w io.Writer) { showProof(w, p) }); err != nil {
					return err
				}
				return ofVerdict(p)
			})
		},
	}, proofVerifyCommand(g), &cobra.Command{
		Use: "export PROOF DIR", Short: "Write a proof, its signature, the key and a page to read into a folder", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				files, err := a.ProofExport(cmd.Context(), args[0], args[1])
				if err != nil {
					return err
				}
				return g.print(files, func(w io.Writer) { fmt.Fprintln(w, strings.Join(files, "\n")) })
			})
		},
	}, &cobra.Command{
		Use: "key", Short: "Print the public key that this machine signs proofs with", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				text, err := a.ProofKey()
				if err != nil {
					return err
				}
				return g.print(map[string]string{"public_key": text}, func(w io.Writer) { fmt.Fprint(w, text) })
			})
		},
	})
	return c
}

func proofVerifyCommand(g *globals) *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use: "verify [TARGET]", Short: "Check signatures and order of proofs; exit code 3 when something is wrong",
		Long: `Check that no proof was changed, is missing or out of order, and that each is signed
by a key of the repository, or, with --key, by one that you kept elsewhere. The stock
minisign program checks an exported proof: minisign -Vm PROOF.json -p KEY.pub.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			var keys []string
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					return fmt.Errorf("read the key: %w", err)
				}
				keys = append(keys, string(b))
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.ProofVerify(cmd.Context(), first(args), keys)
				if err != nil {
					return err
				}
				faults := 0
				for _, r := range all {
					faults += len(r.Faults)
				}
				if err := g.print(all, func(w io.Writer) {
					for _, r := range all {
						fmt.Fprintf(w, "%s: %d proof(s), signed by %s, %d fault(s)\n", r.Target, r.Proofs, strings.Join(r.Keys, ", "), len(r.Faults))
						for _, f := range r.Faults {
							fmt.Fprintf(w, "  %s\n", f)
						}
					}
				}); err != nil {
					return err
				}
				if faults > 0 {
					return verdict(exitVerdict)
				}
				return nil
			})
		},
	}
	c.Flags().StringArrayVar(&files, "key", nil, "`file` of a public key to trust; may be repeated")
	return c
}
