// Package cli is the command line: one file a command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/config"
)

// globals are what every command shares.
type globals struct {
	config, repo, passphraseFile string
	server, tokenFile, caFile    string // of a server elsewhere
	json, verbose                bool

	serving        bool // to be stopped by a signal is no failure
	started        bool // a command began, so that errors are no longer about the command line
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
}

// Main runs the command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	fetching := len(args) > 0 && args[0] == "log-fetch"
	if fetching {
		// PostgreSQL takes the exit code 2 of a crash for the end of the log; a
		// crash by signal makes it abort.
		debug.SetTraceback("crash")
	}
	g := &globals{stdin: stdin, stdout: stdout, stderr: stderr, env: config.Environment}
	root := rootCommand(g)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !g.started {
		err = usageError{err}
	}
	if g.serving && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err != nil && ctx.Err() != nil && !errors.As(err, new(verdict)) {
		err = fmt.Errorf("cancelled: %w", context.Cause(ctx))
		if !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w (%w)", err, context.Canceled)
		}
	}
	code := exitCode(err, stderr, g.json)
	if fetching && err != nil && !errors.As(err, new(verdict)) {
		return exitAbort // nothing but log-fetch itself may say that the log ends
	}
	return code
}

func rootCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "refloat",
		Short: "Keep databases recoverable, and prove it",
		Long: `Refloat takes a PostgreSQL server into its care: it backs it up with its
continuous log, restores it to any point, rehearses the restore, and signs the
proof.

  refloat init postgres://role@host/postgres --name shop
  refloat repo init
  refloat server

` + exitHelp,
		SilenceUsage: true, SilenceErrors: true,
		Version: app.Version,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentPreRun = func(*cobra.Command, []string) { g.started = true }
	p := root.PersistentFlags()
	p.StringVar(&g.config, "config", "", "configuration `file` (default $REFLOAT_CONFIG, ./refloat.yaml, /etc/refloat/refloat.yaml)")
	p.StringVar(&g.repo, "repo", "", "use the repository at this `URL` without a configuration")
	p.StringVar(&g.passphraseFile, "passphrase-file", "", "`file` with the passphrase, with --repo (or $REFLOAT_PASSPHRASE)")
	p.StringVar(&g.server, "server", "", "ask the server at this `URL` instead, like https://refloat.example.org")
	p.StringVar(&g.tokenFile, "token-file", "", "`file` with your API token, with --server")
	p.StringVar(&g.caFile, "ca-file", "", "`file` with the certificates that the server's is checked against, with --server (default the system's)")
	p.BoolVar(&g.json, "json", false, "print JSON; errors too, on standard error")
	p.BoolVarP(&g.verbose, "verbose", "v", false, "say more on standard error")
	root.AddGroup(&cobra.Group{ID: "care", Title: "Take care:"}, &cobra.Group{ID: "watch", Title: "Watch and page:"}, &cobra.Group{ID: "recover", Title: "Recover and prove:"}, &cobra.Group{ID: "repo", Title: "Repository and record:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	addCommands(g, add)
	root.InitDefaultCompletionCmd()
	return root
}

func addCommands(g *globals, add func(group string, commands ...*cobra.Command)) {
	add("care", initCommand(g), configCommand(g), checkCommand(g), explainCommand(g), serverCommand(g), nodesCommand(g), statusCommand(g), backupCommand(g), logCommand(g), retentionCommand(g))
	add("watch", watchCommand(g), headroomCommand(g), outagesCommand(g), alertsCommand(g), ackCommand(g), silenceCommand(g), onCallCommand(g), pageCommand(g), incidentCommand(g), statusPageCommand(g))
	add("watch", postmortemCommand(g), actionCommand(g), reportCommand(g))
	add("recover", runbookCommand(g), backupsCommand(g), coverageCommand(g), restoreCommand(g), drillCommand(g), proofCommand(g), logFetchCommand(g), logServeCommand(g))
	add("repo", repoCommand(g), kitCommand(g), journalCommand(g), userCommand(g), tokenCommand(g))
	add("", apiCommand(g), mcpCommand(g), versionCommand(g))
}

// load reads the configuration, or makes one of --repo.
func (g *globals) load() (config.Config, error) {
	if err := g.onThisMachine(); err != nil {
		return config.Config{}, err
	}
	if g.repo != "" {
		if g.config != "" {
			return config.Config{}, usageError{errors.New("give --repo or --config, not both")}
		}
		return config.AdHoc(g.repo, g.passphraseFile, g.env)
	}
	if g.passphraseFile != "" {
		return config.Config{}, usageError{errors.New("--passphrase-file goes with --repo; the configuration names its own")}
	}
	return config.Load(g.config, g.env)
}

func (g *globals) logger() *slog.Logger {
	level := slog.LevelWarn
	if g.verbose {
		level = slog.LevelDebug
	}
	return g.loggerAt(level)
}

func (g *globals) loggerAt(level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if g.json {
		return slog.New(slog.NewJSONHandler(g.stderr, o))
	}
	return slog.New(slog.NewTextHandler(g.stderr, o))
}

// with runs f with an app that is closed afterwards.
func (g *globals) with(ctx context.Context, f func(*app.App) error) error {
	return g.withLogger(ctx, g.logger(), f)
}

func (g *globals) withLogger(ctx context.Context, log *slog.Logger, f func(*app.App) error) (err error) {
	c, err := g.load()
	if err != nil {
		return err
	}
	a := app.New(c, log)
	defer func() {
		if cerr := a.Close(ctx); cerr != nil && err == nil {
			err = cerr
		}
	}()
	return f(a)
}

// targets completes names of targets from the configuration.
func (g *globals) targets(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := g.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return app.New(c, nil).Targets(), cobra.ShellCompDirectiveNoFileComp
}

// one wants exactly the named argument; some wants at most it.
func one(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s wants exactly one %s, not %d", c.CommandPath(), name, len(args))
		}
		return nil
	}
}
