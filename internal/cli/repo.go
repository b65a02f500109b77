package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/secret"
)

func repoCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "repo", Short: "Make, look at, check and tidy the repository", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(&cobra.Command{
		Use: "init", Short: "Make the repository that the configuration names", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				s, err := a.RepoInit(cmd.Context())
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) {
					fmt.Fprintln(w, "The repository is made. Without its passphrase nothing can be restored: keep a copy elsewhere.")
					facts(w, "location", s.Location, "fingerprint", s.Fingerprint)
				})
			})
		},
	}, &cobra.Command{
		Use: "status", Short: "Show location, fingerprint and figures", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				s, err := a.RepoStatus(cmd.Context())
				if err != nil {
					return err
				}
				return g.print(s, func(w io.Writer) { showRepo(w, s) })
			})
		},
	}, repoVerifyCommand(g), repoVerifyPassphraseCommand(g), repoMaintainCommand(g))
	return c
}

func showRepo(w io.Writer, s app.RepoStatus) {
	free := "unknown"
	if s.FreeBytes >= 0 {
		free = bytesText(s.FreeBytes)
	}
	facts(w, "location", s.Location, "fingerprint", s.Fingerprint, "format", s.Format, "base backups", fmt.Sprint(s.Snapshots),
		"sealed objects", fmt.Sprint(s.Sealed), "stored", bytesText(s.StoredBytes), "free", free, "last maintenance", timeText(s.LastMaintenance))
}

func repoVerifyCommand(g *globals) *cobra.Command {
	var full bool
	c := &cobra.Command{
		Use: "verify", Short: "Check what is stored; exit code 5 when something is damaged", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				bar := g.progress()
				v, err := a.RepoVerify(cmd.Context(), full, func(done, total int64) { bar.tell("verify", done, total, "") })
				bar.end()
				if err != nil {
					return err
				}
				if err := g.print(v, func(w io.Writer) {
					fmt.Fprintf(w, "%d objects, %s looked at; %d damaged\n", v.Objects, bytesText(v.Bytes), len(v.Damage))
					for _, d := range v.Damage {
						fmt.Fprintf(w, "  %s: %s\n", d.Object, d.Detail)
					}
				}); err != nil {
					return err
				}
				if len(v.Damage) > 0 {
					return verdict(exitRepository)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&full, "full", false, "read, decrypt and check every byte")
	return c
}

func repoVerifyPassphraseCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "verify-passphrase", Short: "Type the passphrase in, to show that you still have it", Args: cobra.NoArgs,
		Long: `Take the passphrase from where you keep it, not from this machine, and type it in.
The repository is opened with that and nothing else; that it could be is recorded
in it, with the day and your name. A passphrase that only the lost machine had is
lost with it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			typed, err := g.typed("passphrase: ")
			if err != nil {
				return err
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				v, err := a.VerifyPassphrase(cmd.Context(), typed)
				if err != nil {
					return err
				}
				return g.print(v, func(w io.Writer) {
					fmt.Fprintf(w, "It opens the repository. Recorded: %s, %s.\n", v.By, timeText(v.At))
					facts(w, "location", v.Location, "fingerprint", v.Fingerprint)
				})
			})
		},
	}
}

// typed reads a secret that a person types, without showing it; or the first
// line of standard input when that is no terminal.
func (g *globals) typed(prompt string) (secret.Value, error) {
	var text string
	if f, ok := g.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(g.stderr, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(g.stderr)
		if err != nil {
			return secret.Value{}, fmt.Errorf("read what is typed: %w", err)
		}
		text = string(b)
	} else {
		line, err := bufio.NewReader(io.LimitReader(g.stdin, 64<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return secret.Value{}, fmt.Errorf("read standard input: %w", err)
		}
		text = line
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return secret.Value{}, usageError{errors.New("nothing was typed")}
	}
	return secret.New(text), nil
}

func repoMaintainCommand(g *globals) *cobra.Command {
	var exclusive, dryRun bool
	c := &cobra.Command{
		Use: "maintain", Short: "Reclaim space that nothing refers to", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				m, err := a.RepoMaintain(cmd.Context(), exclusive, dryRun)
				if err != nil {
					return err
				}
				return g.print(m, func(w io.Writer) {
					verb := "reclaimed"
					if dryRun {
						verb = "could be reclaimed"
					}
					fmt.Fprintf(w, "%s %s\n", bytesText(m.Reclaimed), verb)
				})
			})
		},
	}
	c.Flags().BoolVar(&exclusive, "exclusive", false, "reclaim what is younger than a day too; only when nothing else writes to the repository")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would go")
	return c
}

func kitCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "kit", Short: "Print the recovery kit: all but the passphrase", Args: cobra.NoArgs,
		Long: `Print what restoring takes on a machine with nothing but this binary: location,
fingerprint, exact commands, and those of the stock tools. Print it on paper. The
passphrase is not in it: keep that at another place.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				k, err := a.Kit(cmd.Context())
				if err != nil {
					return err
				}
				return g.print(k, func(w io.Writer) { showKit(w, k) })
			})
		},
	}
}

func showKit(w io.Writer, k app.Kit) {
	fmt.Fprintf(w, "REFLOAT RECOVERY KIT\n\nlocation     %s\nfingerprint  %s\npassphrase   kept at: ______________________________\n\nTo restore, with the passphrase in PASSPHRASE_FILE (chmod 600):\n\n", k.Location, k.Fingerprint)
	for _, c := range k.Commands {
		fmt.Fprintf(w, "  %s\n", c)
	}
	if len(k.Environment) > 0 {
		fmt.Fprintln(w, "\nSet these variables first:")
		for _, e := range k.Environment {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
	fmt.Fprintln(w, "\nWithout Refloat, as far as its base backups (docs/formats/repository.md):")
	for _, c := range k.Stock {
		fmt.Fprintf(w, "  %s\n", c)
	}
}
