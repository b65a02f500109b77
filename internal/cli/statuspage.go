package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func statusPageCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "status-page", Short: "The page that tells clients of disruptions",
		Long: `The page shows what a person published to clients, how services stand, and their
uptime. refloat server writes it at each change to its state directory and to the
places of status_page.publish. It needs nothing else to be served.`,
		Example: "  refloat status-page show\n  refloat status-page write --into /srv/www/status\n  refloat status-page serve --dir /var/lib/refloat/statuspage --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem",
	}
	c.AddCommand(statusPageShow(g), statusPageWrite(g), statusPageServe(g), statusPageSubscribers(g))
	return c
}

func statusPageShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show what clients are shown now",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				p, kept, err := a.StatusPage(cmd.Context())
				if err != nil {
					return err
				}
				if kept != "" {
					fmt.Fprintf(g.stderr, "refloat: this is what was published last: %s\n", kept)
				}
				return g.print(p, func(w io.Writer) { showStatusPage(w, p) })
			})
		},
	}
}

func showStatusPage(w io.Writer, p app.StatusPublication) {
	facts(w, "title", p.Title, "made", timeText(p.WrittenAt), "state", string(p.State))
	rows := [][]string{{"SERVICE", "STATE", "UPTIME, 90 DAYS"}}
	for _, s := range p.Services {
		rows = append(rows, []string{s.Name, string(s.State), s.Uptime()})
	}
	fmt.Fprintln(w)
	table(w, rows...)
	if len(p.Incidents) > 0 {
		rows = [][]string{{"INCIDENT", "STATUS", "UPDATES", "LAST UPDATE", "TITLE"}}
		for _, i := range p.Incidents {
			rows = append(rows, []string{i.ID, i.Status, fmt.Sprint(len(i.Updates)), timeText(i.Last().At), i.Title})
		}
		fmt.Fprintln(w)
		table(w, rows...)
	}
	if len(p.Planned) > 0 {
		rows = [][]string{{"PLANNED FROM", "UNTIL", "WHAT"}}
		for _, x := range p.Planned {
			rows = append(rows, []string{timeText(x.From), timeText(x.Until), clip(x.Text)})
		}
		fmt.Fprintln(w)
		table(w, rows...)
	}
}

func statusPageWrite(g *globals) *cobra.Command {
	var into string
	c := &cobra.Command{
		Use: "write --into PLACE", Short: "Write the page's files to a folder or a bucket",
		Long: `Writes the page as it is now: HTML, CSS, an Atom feed and JSON, to be served by
anything that serves files. PLACE is a folder, file:///folder or s3://bucket/prefix
(with the credentials of status_page.s3). Each file is replaced whole; files there
that are none of the page's are left alone. Without a server the page is made of
what it left; without even that it is the one that was published last.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if into == "" {
				return usageError{fmt.Errorf("say where to, with --into")}
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				r, err := a.WriteStatusPage(cmd.Context(), into)
				if err != nil {
					return err
				}
				if r.Kept != "" {
					fmt.Fprintf(g.stderr, "refloat: this is what was published last, at %s: %s\n", timeText(r.WrittenAt), r.Kept)
				}
				return g.print(r, func(w io.Writer) {
					fmt.Fprintf(w, "%d files of %s in %s\n", r.Files, timeText(r.WrittenAt), r.Into)
				})
			})
		},
	}
	c.Flags().StringVar(&into, "into", "", "`place` to write to: a folder, or s3://bucket/prefix")
	return c
}

func statusPageServe(g *globals) *cobra.Command {
	o := app.StatusSite{}
	c := &cobra.Command{
		Use: "serve", Short: "Serve a page that was written, with nothing else running",
		Long: `Serves the page from a folder that holds one, and reads it again when it changes.
It needs no server, no configuration and no database; it says so when the page is
old. Signing up needs a running server, named with --sign-up; without one that
answers the page says that signing up is not possible now. It runs until SIGTERM or
SIGINT.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Dir == "" {
				if err := g.with(cmd.Context(), func(a *app.App) error { o.Dir = a.StatusPageFolder(); return nil }); err != nil {
					return fmt.Errorf("without --dir the configuration says where the page is: %w", err)
				}
			}
			if (o.CertFile == "") != (o.KeyFile == "") {
				return usageError{fmt.Errorf("give both --tls-cert and --tls-key")}
			}
			g.serving = true
			o.Listening = func(address string) { fmt.Fprintf(g.stderr, "refloat: the status page is at %s\n", address) }
			return app.ServeStatusPage(cmd.Context(), o, g.logger())
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "", "`folder` that holds the page (default STATE_DIR/statuspage of the configuration)")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:9480", "`address` to listen on")
	f.StringVar(&o.CertFile, "tls-cert", "", "PEM `file` of a certificate; none for plain HTTP")
	f.StringVar(&o.KeyFile, "tls-key", "", "PEM `file` of its key")
	f.StringVar(&o.Forward, "sign-up", "", "`URL` of the listener of a refloat server that takes sign-ups, like http://127.0.0.1:9481")
	return c
}

func statusPageSubscribers(g *globals) *cobra.Command {
	var remove string
	c := &cobra.Command{
		Use: "subscribers", Short: "List who subscribed to the page, or forget one",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if remove != "" {
					n, err := a.RemoveStatusSubscriber(cmd.Context(), remove)
					if err != nil {
						return err
					}
					return g.print(map[string]int{"removed": n}, func(w io.Writer) { fmt.Fprintf(w, "%d removed, with all that was kept of them\n", n) })
				}
				all, err := a.StatusSubscribers(cmd.Context())
				if err != nil {
					return err
				}
				return g.print(all, func(w io.Writer) {
					rows := [][]string{{"SUBSCRIBER", "BY", "ADDRESS", "ASKED", "CONFIRMED"}}
					for _, x := range all {
						confirmed := "not yet"
						if !x.Confirmed.IsZero() {
							confirmed = x.Confirmed.Format(time.DateOnly)
						}
						rows = append(rows, []string{x.ID, x.Via, x.Address, x.Asked.Format(time.DateOnly), confirmed})
					}
					table(w, rows...)
				})
			})
		},
	}
	c.Flags().StringVar(&remove, "remove", "", "forget the subscriber with this `address` or ID")
	return c
}
