package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func initCommand(g *globals) *cobra.Command {
	var r app.InitRequest
	var grants, storeGrants bool
	var q app.GrantsRequest
	c := &cobra.Command{
		Use: "init DSN", Short: "Look at a server and write a configuration for it",
		Long: `Look at a server (version, size, settings, rights of the role, replication) and
write a commented refloat.yaml with sensible objectives and a local repository.
The DSN must not hold a password: give a file with --password-file.

With --grants, print the SQL and the pg_hba.conf lines of a role with as few
rights as possible, and what does not work without each. The server need not be
reachable for that.

With --store-grants, print the SQL that makes role, database and schema for the
state of several nodes (store.url); the DSN is then the one of the store.`,
		Example: "  refloat init postgres://refloat@db.example.org/postgres --password-file db.password --name shop\n  refloat init postgres://refloat@db.example.org/postgres --grants | psql\n  refloat init postgres://refloat_store@state.example.org/refloat --store-grants | psql -h state.example.org -U postgres postgres",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.DSN = args[0]
			}
			if storeGrants {
				q.DSN = r.DSN
				text := app.StoreGrants(q)
				return g.print(map[string]string{"grants": text}, func(w io.Writer) { fmt.Fprint(w, text) })
			}
			if grants {
				q.DSN = r.DSN
				text := app.Grants(cmd.Context(), q)
				return g.print(map[string]string{"grants": text}, func(w io.Writer) { fmt.Fprint(w, text) })
			}
			if len(args) == 0 {
				return usageError{fmt.Errorf("name the server, like postgres://refloat@db.example.org/postgres")}
			}
			out, err := app.Init(cmd.Context(), r, g.env)
			if err != nil {
				return err
			}
			return g.print(out, func(w io.Writer) { showInit(w, r, out) })
		},
	}
	f := c.Flags()
	f.StringVar(&r.Name, "name", "", "`name` of the target (default the database's, or main)")
	f.StringVarP(&r.Out, "out", "o", "refloat.yaml", "`file` to write")
	f.StringVar(&r.PasswordFile, "password-file", "", "`file` that holds the role's password")
	f.StringVar(&r.PasswordEnv, "password-env", "", "environment `variable` that holds it")
	f.StringVar(&r.RepositoryURL, "repository", "", "`URL` of the repository (default a folder beside the file)")
	f.StringVar(&r.PassphraseFile, "new-passphrase-file", "", "`file` of the repository's passphrase, made when it is not there (default beside the file)")
	f.StringVar(&r.StateDir, "state-dir", "", "`folder` of the server's state (default beside the file)")
	f.StringVar(&r.Owner, "owner", "", "who answers for this target")
	f.BoolVar(&r.Synchronous, "synchronous", false, "act as a synchronous standby: a commit waits until Refloat has it")
	f.BoolVar(&r.Create, "create", false, "make the repository too")
	f.BoolVar(&r.Force, "force", false, "overwrite the file")
	f.BoolVar(&r.Add, "add", false, "put one more target into the file that is there, and change nothing else")
	f.BoolVar(&r.DryRun, "dry-run", false, "print the file, write nothing")
	f.BoolVar(&grants, "grants", false, "print the SQL and pg_hba.conf lines of a role for Refloat")
	f.BoolVar(&storeGrants, "store-grants", false, "print the SQL of role, database and schema for the state of several nodes")
	f.BoolVar(&q.SQLOnly, "sql-only", false, "with --grants, print only the role and its rights, without settings and pg_hba.conf")
	f.StringVar(&q.Role, "role", "", "with --grants or --store-grants, the `role` (default the DSN's, or refloat, or refloat_store)")
	f.StringVar(&q.Address, "address", "", "with --grants or --store-grants, the `address` of this machine as pg_hba.conf writes it (default samehost)")
	f.BoolVar(&q.ReadFiles, "read-files", false, "with --grants, also what backup.read: files needs")
	return c
}

func showInit(w io.Writer, r app.InitRequest, out app.InitResult) {
	s := out.Server
	if r.DryRun {
		fmt.Fprint(w, out.Text)
		for _, a := range out.Advice {
			fmt.Fprintf(w, "# %s: %s\n#   next: %s\n", adviceWord(a), a.What, a.Next)
		}
		return
	}
	rights := "role " + s.Role.Name
	if s.Role.Superuser {
		rights += " (a superuser; refloat init --grants prints one that may less)"
	}
	facts(w, "server", fmt.Sprintf("PostgreSQL %s, %s, system identifier %s", s.Version, bytesText(s.Size), s.SystemID), "signed in as", rights)
	for _, a := range out.Advice {
		fmt.Fprintf(w, "%s: %s\n  next: %s\n", adviceWord(a), a.What, a.Next)
	}
	fmt.Fprintf(w, "\nwritten: %s\n", out.Path)
	if out.PassphraseMade {
		fmt.Fprintf(w, `
  ************************************************************************
  A passphrase was made: %s
  WITHOUT IT NOTHING CAN BE RESTORED, BY ANYONE.
  Copy it off this machine now: to a password store, or on paper.
  ************************************************************************
`, out.PassphraseFile)
	}
	fmt.Fprintf(w, "\nnext:\n")
	if !out.Created && !r.Add {
		fmt.Fprintln(w, "  refloat repo init     make the repository")
	}
	fmt.Fprintf(w, "  refloat server        keep the log, back up and drill on schedule\n  refloat backup %s\n  refloat drill %s\n", out.Target, out.Target)
}

func adviceWord(a app.Advice) string {
	if a.Blocks {
		return "MUST"
	}
	return "should"
}
