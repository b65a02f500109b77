package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/refloat-db/refloat/internal/app"
)

func userCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "user", Short: "Say who may sign in, and what they may", Args: cobra.NoArgs,
		Long: `Accounts of people who sign in to the console. They are kept in the server's
state; the commands work on it whether or not the server runs, and what they change
counts from the next request on. docs/access.md is the guide.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(userAddCommand(g), userListCommand(g), userRoleCommand(g), userDisableCommand(g), userEnableCommand(g), userPasswordCommand(g), userSetupLinkCommand(g))
	return c
}

func userAddCommand(g *globals) *cobra.Command {
	var n app.NewAccount
	var link bool
	c := &cobra.Command{
		Use: "add NAME", Short: "Add an account", Args: one("name"),
		Long: `Add an account. Its name is the person's in the configuration, where there is one.
The password is asked for, or read from standard input; with --link none is set,
and a link is printed by which they set their own; with --provider they sign in
through the identity provider alone. --provider on an account that is there opens
it to the identity provider.`,
		Example: "  refloat user add ada --role admin --link\n  refloat user add ben --role db=responder --role viewer",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Name = args[0]
			if link && n.Provider {
				return usageError{errors.New("give --link or --provider, not both")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				if !link && !n.Provider {
					var err error
					if n.Password, err = g.newPassword(); err != nil {
						return err
					}
				}
				x, err := a.AddAccount(cmd.Context(), n)
				if err != nil {
					return err
				}
				if !link {
					return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s may sign in: %s\n", x.Name, rolesText(x)) })
				}
				return g.setupLink(cmd.Context(), a, n.Name, n.By)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&n.Roles, "role", nil, "`ROLE` for every team, or TEAM=ROLE: viewer, responder or admin; may be repeated")
	f.BoolVar(&link, "link", false, "print a link by which they set their password")
	f.BoolVar(&n.Provider, "provider", false, "they sign in through the identity provider")
	asFlag(c, &n.By)
	return c
}

func userListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List accounts with their roles", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.Accounts(cmd.Context())
				if err != nil {
					return err
				}
				return g.print(all, func(w io.Writer) {
					if len(all) == 0 {
						fmt.Fprintln(w, "nobody: refloat user setup-link makes a link for the first")
						return
					}
					rows := [][]string{{"NAME", "ROLES", "SIGNS IN"}}
					for _, x := range all {
						rows = append(rows, []string{x.Name, rolesText(x), signsInText(x)})
					}
					table(w, rows...)
				})
			})
		},
	}
}

func rolesText(x app.Account) string {
	var all []string
	if x.Everywhere != "" {
		all = append(all, string(x.Everywhere))
	}
	for _, t := range slices.Sorted(maps.Keys(x.Teams)) {
		all = append(all, t+"="+string(x.Teams[t]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

func signsInText(x app.Account) string {
	switch {
	case x.Disabled:
		return "disabled"
	case x.Password != "" && x.Provider:
		return "password, provider"
	case x.Password != "":
		return "password"
	case x.Provider:
		return "provider"
	}
	return "not yet"
}

func userRoleCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "role NAME ROLE...", Short: "Give an account its roles, in place of those it has",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("role wants a name and at least one role: viewer, responder or admin for every team, TEAM=ROLE for one, or none")
			}
			return nil
		},
		Example: "  refloat user role ben viewer db=responder\n  refloat user role ben none",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.SetRoles(cmd.Context(), args[0], args[1:], by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", x.Name, rolesText(x)) })
			})
		},
	}
	asFlag(c, &by)
	return c
}

func userDisableCommand(g *globals) *cobra.Command {
	return disabling(g, "disable", "Disable an account: its sessions, tokens and links end", true)
}

func userEnableCommand(g *globals) *cobra.Command {
	return disabling(g, "enable", "Enable a disabled account again", false)
}

func disabling(g *globals, verb, short string, disabled bool) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: verb + " NAME", Short: short, Args: one("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.DisableAccount(cmd.Context(), args[0], disabled, by)
				if err != nil {
					return err
				}
				return g.print(x, func(w io.Writer) { fmt.Fprintf(w, "%s is %sd\n", x.Name, verb) })
			})
		},
	}
	asFlag(c, &by)
	return c
}

func userPasswordCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "password NAME", Short: "Set an account's password; its sessions end", Args: one("name"),
		Long: `Set an account's password, which is asked for or read from standard input: never an
argument, since others on this machine could see it. The account's sessions end.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				password, err := g.newPassword()
				if err != nil {
					return err
				}
				if err := a.SetPassword(cmd.Context(), args[0], password, by); err != nil {
					return err
				}
				return g.print(map[string]string{"account": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "the password of %s is set\n", args[0]) })
			})
		},
	}
	asFlag(c, &by)
	return c
}

func userSetupLinkCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "setup-link [NAME]", Short: "Print a link, good once, for the first account or to set a password", Args: cobra.MaximumNArgs(1),
		Long: `Print a link that is good once. Without a name, and while there is no account, it
makes the first, which is admin, and expires in an hour. With a name its person
sets a password by it, within a day. A link that was made before ends.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				return g.setupLink(cmd.Context(), a, strings.Join(args, ""), by)
			})
		},
	}
	asFlag(c, &by)
	return c
}

func (g *globals) setupLink(ctx context.Context, a *app.App, name, by string) error {
	l, err := a.MakeSetupLink(ctx, name, by)
	if err != nil {
		return err
	}
	return g.print(l, func(w io.Writer) { fmt.Fprintf(w, "%s\nIt is good once, until %s.\n", l.Link, timeText(l.Until)) })
}

// newPassword asks for a password twice, or reads one line where nobody types.
func (g *globals) newPassword() (string, error) {
	if f, is := g.stdin.(*os.File); is && term.IsTerminal(int(f.Fd())) {
		var got [2]string
		for i, prompt := range []string{"Password: ", "Once more: "} {
			fmt.Fprint(g.stderr, prompt)
			b, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(g.stderr)
			if err != nil {
				return "", fmt.Errorf("read the password: %w", err)
			}
			got[i] = string(b)
		}
		if got[0] != got[1] {
			return "", usageError{errors.New("the two passwords are not the same")}
		}
		return got[0], nil
	}
	line, err := bufio.NewReader(io.LimitReader(g.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usageError{errors.New("no password on standard input (--link makes a link instead)")}
	}
	return line, nil
}

func tokenCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "token", Short: "Make, list and revoke API tokens", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(tokenCreateCommand(g), tokenListCommand(g), tokenRevokeCommand(g))
	return c
}

func tokenCreateCommand(g *globals) *cobra.Command {
	var n app.AccessToken
	var limit, by string
	var lasts int
	c := &cobra.Command{
		Use: "create ACCOUNT --name WHAT-FOR", Short: "Make an API token and print it, this once", Args: one("account"),
		Long: `Make an API token for an account and print it: it is kept nowhere, and shown this
once. It may what its account may, within --limit and --team, and expires.`,
		Example: "  refloat token create ada --name ci --limit viewer --days 30 > token",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Account, n.Limit, n.Lasts = args[0], app.AccessRole(limit), time.Duration(lasts)*24*time.Hour
			if lasts < 1 {
				return usageError{errors.New("--days wants 1 at least")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				x, err := a.MakeToken(cmd.Context(), n, by)
				if err != nil {
					return err
				}
				fmt.Fprintf(g.stderr, "token %s of %s: %s, until %s\n", x.ID, x.Account, x.Limit, timeText(x.Until))
				return g.print(x, func(w io.Writer) { fmt.Fprintln(w, x.Secret) })
			})
		},
	}
	f := c.Flags()
	f.StringVar(&n.Name, "name", "", "what it is for")
	f.StringVar(&limit, "limit", "viewer", "the most that it may: viewer, responder or admin")
	f.StringSliceVar(&n.Teams, "team", nil, "only for this `team`; may be repeated")
	f.IntVar(&lasts, "days", 90, "days that it lasts, 366 at most")
	asFlag(c, &by)
	return c
}

func tokenListCommand(g *globals) *cobra.Command {
	var account string
	c := &cobra.Command{
		Use: "list", Short: "List API tokens that are good", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				all, err := a.Tokens(cmd.Context(), account)
				if err != nil {
					return err
				}
				return g.print(all, func(w io.Writer) {
					rows := [][]string{{"ID", "ACCOUNT", "NAME", "LIMIT", "TEAMS", "UNTIL", "LAST USED", "FROM"}}
					for _, p := range all {
						rows = append(rows, []string{p.ID, p.Account, p.Name, string(p.Limit), strings.Join(p.Teams, ","), timeText(p.Until), timeText(p.Used), p.From})
					}
					table(w, rows...)
				})
			})
		},
	}
	c.Flags().StringVar(&account, "account", "", "only those of this `name`")
	return c
}

func tokenRevokeCommand(g *globals) *cobra.Command {
	var by string
	c := &cobra.Command{
		Use: "revoke ID", Short: "Revoke an API token: it lets nobody in from now on", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if err := a.RevokeToken(cmd.Context(), args[0], by); err != nil {
					return err
				}
				return g.print(map[string]string{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked\n", args[0]) })
			})
		},
	}
	asFlag(c, &by)
	return c
}
