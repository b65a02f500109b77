package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

// foreignDrill is the part of drill that is about other tools' backups.
type foreignDrill struct {
	drill  app.ForeignDrill
	server app.InitRequest // named by its address
}

func (f *foreignDrill) flags(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.drill.From, "from", "", "drill another tool's backup: `place` is pgbackrest:STANZA, barman:SERVER, wal-g, wal-g:PREFIX or dump:PATH; @/path behind it names the tool's configuration")
	s.StringVar(&f.drill.Globals, "globals", "", "`file` of pg_dumpall with the roles, with --from dump:FILE")
	s.StringVar(&f.drill.Out, "out", "", "sign the proof into this `folder`, with --from and no target of refloat.yaml")
	s.StringVar(&f.server.PasswordFile, "password-file", "", "`file` that holds the role's password, with an address")
	s.StringVar(&f.server.PasswordEnv, "password-env", "", "environment `variable` that holds it, with an address")
}

// args: only --from can do without a target.
func (f *foreignDrill) args(cmd *cobra.Command, args []string) error {
	if f.drill.From != "" && len(args) == 0 {
		return nil
	}
	return one("target")(cmd, args)
}

func (f *foreignDrill) run(cmd *cobra.Command, g *globals, name, to string) error {
	if to != "" {
		return usageError{fmt.Errorf("--to goes with our own backups; --from drills the newest of another tool")}
	}
	bar := g.progress()
	tell := func(phase string, done, total int64) { bar.tell(phase, done, total, "") }
	var p app.Proof
	var err error
	if address := strings.Contains(name, "://") || strings.Contains(name, "="); address || name == "" {
		f.server.DSN = name
		p, err = app.DrillFromAlone(cmd.Context(), f.server, g.env, f.drill, g.logger(), tell)
	} else {
		err = g.with(cmd.Context(), func(a *app.App) (err error) {
			p, err = a.DrillFrom(cmd.Context(), name, f.drill, tell)
			return err
		})
	}
	bar.end()
	if err != nil {
		return err
	}
	if told, err := bar.done("proof", p); err != nil {
		return err
	} else if !told {
		if err := g.print(p, func(w io.Writer) { showProof(w, p) }); err != nil {
			return err
		}
	}
	return ofVerdict(p)
}
