package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func headroomCommand(g *globals) *cobra.Command {
	var server app.InitRequest
	c := &cobra.Command{
		Use: "headroom [TARGET | DSN]", Short: "Show what could run out on a server, and when; exit code 3 when something does soon",
		Long: `Show how much is used of what runs out: transaction and multixact ids, numbers of
sequences and of the columns that they feed, connections, the size of the largest
relation, object ids, and the disks of data and log where the server is on this machine; and
how standbys follow, and until when the certificate is valid.

When each runs out is known to a server that has looked for an hour or more:
refloat server looks every minute and raises alarms.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: g.targets,
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []app.HeadroomReport
			name := first(args)
			if strings.Contains(name, "://") || strings.Contains(name, "=") {
				server.DSN = name
				r, err := app.HeadroomOf(cmd.Context(), server, g.env)
				if err != nil {
					return err
				}
				all = append(all, r)
			} else if err := g.with(cmd.Context(), func(a *app.App) (err error) {
				all, err = a.Headroom(cmd.Context(), name)
				return err
			}); err != nil {
				return err
			}
			if err := g.print(all, func(w io.Writer) {
				for _, r := range all {
					showHeadroom(w, r)
				}
			}); err != nil {
				return err
			}
			for _, r := range all {
				if len(r.Shortages) > 0 {
					return verdict(exitVerdict)
				}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&server.PasswordFile, "password-file", "", "`file` that holds the role's password, with a DSN")
	f.StringVar(&server.PasswordEnv, "password-env", "", "environment `variable` that holds it, with a DSN")
	return c
}

func showHeadroom(w io.Writer, r app.HeadroomReport) {
	role := "primary"
	if why, unknown := r.Unknown["role"]; unknown {
		role = "primary or standby: unknown: " + why
	} else if r.Recovering {
		role = fmt.Sprintf("standby, %s behind", spanText(r.Behind))
		if r.Paused {
			role += ", replay paused"
		}
	}
	fmt.Fprintf(w, "%s: %s\n", r.Target, role)
	rows := [][]string{{"what", "of", "used", "limit", "part", "runs out"}}
	for _, x := range r.Gauges {
		runs := "-"
		if at, ok := r.Runs[x.Code+"/"+x.Object]; ok {
			runs = timeText(at)
		}
		used, limit := fmt.Sprintf("%.0f", x.Used), fmt.Sprintf("%.0f", x.Limit)
		if x.Unit == "B" {
			used, limit = bytesText(int64(x.Used)), bytesText(int64(x.Limit))
		}
		rows = append(rows, []string{x.Code, x.Object, used, limit, fmt.Sprintf("%.1f %%", 100*x.Ratio()), runs})
	}
	table(w, rows...)
	for _, s := range r.Standbys {
		fmt.Fprintf(w, "  standby %s: %s, %s behind, %s\n", s.Name, s.State, bytesText(s.Bytes), spanText(s.Lag))
	}
	if !r.Certificate.IsZero() {
		fmt.Fprintf(w, "  certificate valid until %s (%s)\n", timeText(r.Certificate), spanText(time.Until(r.Certificate)))
	}
	for _, s := range r.Shortages {
		fmt.Fprintf(w, "  SHORT: %s\n    next: %s\n", s.Detail, s.Next)
	}
	for _, what := range slices.Sorted(maps.Keys(r.Unknown)) {
		fmt.Fprintf(w, "  unknown: %s: %s\n", what, r.Unknown[what])
	}
}
