package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

// watchOptions say what to watch and for how long.
type watchOptions struct {
	r     app.WatchRequest
	lasts time.Duration
}

func watchCommand(g *globals) *cobra.Command {
	var o watchOptions
	c := &cobra.Command{
		Use: "watch [TARGET | DSN]", Short: "Watch in the foreground whether targets serve, and say what changes",
		Long: `Look at a target, at a server named by its address, or at every target of
refloat.yaml, twice a second, and print each change with its reason and to the
millisecond. A first bad look is verified at once over fresh connections; one
lost packet or one slow answer is no outage. It needs no more than the right to
connect, writes nothing, and pages nobody: refloat server does the same and
pages.

It ends with Ctrl-C, or after --for. Exit codes: 0 when everything serves at the
end, 3 when something does not, 4 when something was never seen to serve.`,
		Example: "  refloat watch\n  refloat watch postgres://app@db.example.org/postgres --password-file db.password\n  refloat watch shop --for 30s --json",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if o.lasts > 0 {
				limited, cancel := context.WithTimeout(ctx, o.lasts)
				defer cancel()
				ctx = limited
			}
			last, err := o.run(ctx, g, first(args))
			if err != nil {
				return err
			}
			return ofStandings(last)
		},
	}
	f := c.Flags()
	f.DurationVar(&o.lasts, "for", 0, "end after this `time`; 0 for never")
	f.DurationVar(&o.r.Every, "every", 0, "`time` between looks; 0 for the configuration's, or 500ms")
	f.BoolVar(&o.r.Standby, "standby", false, "with a DSN: the server is meant to be a standby, so that taking no writes is right")
	f.StringVar(&o.r.Server.PasswordFile, "password-file", "", "`file` that holds the role's password, with a DSN")
	f.StringVar(&o.r.Server.PasswordEnv, "password-env", "", "environment `variable` that holds it, with a DSN")
	return c
}

func (o *watchOptions) run(ctx context.Context, g *globals, name string) (last []app.WatchStanding, err error) {
	o.r.On = func(e app.WatchEvent) { g.tellWatch(e) }
	seen := map[string]bool{}
	o.r.Stand = func(all []app.WatchStanding) {
		for _, s := range all {
			if !seen[string(s.Target)] && s.State == "up" {
				seen[string(s.Target)] = true
				if !g.json {
					fmt.Fprintf(g.stdout, "%s  %s: up, answers in %s\n", clock(s.Last.End()), s.Target, s.Last.Took.Round(100*time.Microsecond))
				}
			}
		}
	}
	if strings.Contains(name, "://") || strings.Contains(name, "=") {
		o.r.Server.DSN = name
		return app.WatchServer(ctx, o.r, g.env)
	}
	if o.r.Server.PasswordFile != "" || o.r.Server.PasswordEnv != "" || o.r.Standby {
		return nil, usageError{errors.New("--password-file, --password-env and --standby go with a DSN; the configuration names its own")}
	}
	o.r.Target = name
	err = g.with(ctx, func(a *app.App) (err error) {
		last, err = a.Watch(ctx, o.r)
		return err
	})
	return last, err
}

// tellWatch prints a change: a line of text, or of JSON.
func (g *globals) tellWatch(e app.WatchEvent) {
	if g.json {
		if b, err := json.Marshal(e); err == nil {
			fmt.Fprintf(g.stdout, "%s\n", b)
		}
		return
	}
	o := e.Outage
	line := clock(e.At) + "  " + string(o.Target) + ": "
	switch e.Kind {
	case "suspected":
		line += "suspect: " + o.Reason
	case "cleared":
		line += "up: it was nothing"
	case "confirmed":
		line += fmt.Sprintf("DOWN: %s (noticed after %s)", o.Reason, o.Confirmed.Sub(o.FirstBad).Round(time.Millisecond))
	case "changed", "relapsed":
		line += "DOWN: " + o.Reason
	case "returned":
		line += "serves again; the outage is over when it does so for a while"
	case "recovered":
		line += fmt.Sprintf("up: the outage lasted %s, %s to %s", o.Recovered.Sub(o.FirstBad).Round(time.Millisecond), clock(o.FirstBad), clock(o.Recovered))
	}
	fmt.Fprintln(g.stdout, line)
}

// clock is a time of day to the millisecond, in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

func ofStandings(all []app.WatchStanding) error {
	code := 0
	for _, s := range all {
		switch s.State {
		case "down", "recovering":
			return verdict(exitVerdict)
		case "unknown", "suspect":
			code = exitInconclusive
		}
	}
	if code != 0 {
		return verdict(code)
	}
	return nil
}
