package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func logFetchCommand(g *globals) *cobra.Command {
	r := app.LogFetchRequest{Stderr: g.stderr}
	c := &cobra.Command{
		Use: "log-fetch --target TARGET NAME DESTINATION", Short: "Bring one file of the log to a server that recovers: its restore_command",
		Long: `PostgreSQL calls this while it recovers; refloat restore writes it to
restore_command. It exits with 0 when the file is there, with 1 only where the log
truly ends, and with 200, at which PostgreSQL aborts, when the file should be there
and cannot be read. It asks a log server in the data directory, starts one when
there is none, and reads the repository by itself when that does not work.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.Target == "" {
				return usageError{errors.New("log-fetch wants --target")}
			}
			r.Name, r.Dest = args[0], args[1]
			r.ServeArgs = append([]string{"--target", r.Target}, g.locationArgs()...)
			r.Load = func() (*app.App, error) {
				cfg, err := g.load()
				if err != nil {
					return nil, err
				}
				return app.New(cfg, g.logger()), nil
			}
			if code := app.LogFetch(cmd.Context(), r); code != exitOK {
				return verdict(code)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&r.Target, "target", "", "`target` whose log it is")
	f.StringVar(&r.Until, "until", "", "`LSN` at which the log is cut off")
	f.StringVar(&r.AtLeast, "at-least", "", "`TIMELINE:LSN` that the log was known to reach: one that ends before has lost something")
	f.Int64Var(&r.Segment, "segment-size", 0, "`bytes` of a segment, with --at-least")
	f.StringVar(&r.Socket, "socket", "", "`path` of the log server's socket (default in the data directory)")
	f.BoolVar(&r.ServeOnly, "serve-only", false, "do not read the repository here: a log server must be there")
	return c
}

// locationArgs are the flags that name the repository, for another process.
func (g *globals) locationArgs() []string {
	var out []string
	for _, x := range []struct{ flag, value string }{{"--config", g.config}, {"--repo", g.repo}, {"--passphrase-file", g.passphraseFile}} {
		if x.value != "" {
			out = append(out, x.flag, x.value)
		}
	}
	return out
}

func logServeCommand(g *globals) *cobra.Command {
	var name, dir string
	c := &cobra.Command{
		Use: "log-serve --target TARGET", Short: "Serve the log to a server that recovers, reading ahead",
		Long: `Serve the log to log-fetch in one data directory until the recovery there is over.
log-fetch and refloat restore start it by themselves; start it by hand when the
server's user may not read the passphrase.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usageError{errors.New("log-serve wants --target")}
			}
			for _, p := range []*string{&g.config, &g.passphraseFile} {
				if abs, err := filepath.Abs(*p); err == nil && *p != "" {
					*p = abs
				}
			}
			cfg, err := g.load()
			if err != nil {
				return err
			}
			// A socket's path is short, so it is named from within the directory.
			if err := os.Chdir(dir); err != nil {
				return fmt.Errorf("go to the data directory: %w", err)
			}
			a := app.New(cfg, g.logger())
			g.serving = true
			return errors.Join(a.LogServe(cmd.Context(), name), a.Close(cmd.Context()))
		},
	}
	c.Flags().StringVar(&name, "target", "", "`target` whose log it is")
	c.Flags().StringVar(&dir, "dir", ".", "data `directory` of the server that recovers")
	return c
}
