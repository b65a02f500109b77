package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

func incidentUpdateCommand(g *globals) *cobra.Command {
	var q app.UpdateRequest
	var draft, send bool
	var file, ack string
	c := &cobra.Command{
		Use: "update INCIDENT --audience AUDIENCE --draft | --send", Short: "Tell responders, other teams or clients how it stands", Args: one("incident"), ValidArgsFunction: g.incidents,
		Long: `Prepare an update from the facts (what is affected, since when, what is being
done, when the next update comes) and print it, with --draft; nothing is sent.
With --send it is published, and refloat server sends it to the audience of the
configuration, by the same ways as pages. Without --text or --file the draft is
sent as it is. What is published is never changed.

What is written for one audience is not shown to another, and an update to teams
or clients that repeats a note of responders is refused.`,
		Example: "  refloat incident update 3 --audience clients --draft > update.txt\n  refloat incident update 3 --audience clients --send --file update.txt --next 30m\n  refloat incident update 3 --ack u2 --as ben",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Incident = args[0]
			switch {
			case ack != "" && (draft || send):
				return usageError{errors.New("--ack goes alone")}
			case ack != "":
				return g.act(cmd.Context(), args[0], app.AckUpdate{Update: ack}, q.By, func(app.Incident) string { return ack + " was read" })
			case draft == send:
				return usageError{errors.New("give --draft to see the text, or --send to publish it")}
			case file != "" && q.Text != "":
				return usageError{errors.New("give --text or --file, not both")}
			}
			if file != "" {
				in, err := g.input(file)
				if err != nil {
					return err
				}
				defer in.Close()
				b, err := io.ReadAll(io.LimitReader(in, 1<<20))
				if err != nil {
					return fmt.Errorf("read the update: %w", err)
				}
				if q.Text = string(b); q.Text == "" {
					return usageError{errors.New("the update is empty")}
				}
			}
			return g.room(cmd.Context(), func(a app.Room) error {
				if draft {
					d, err := a.DraftUpdate(cmd.Context(), q)
					if err != nil {
						return err
					}
					return g.print(d, func(w io.Writer) { fmt.Fprint(w, d.Text) })
				}
				d, err := a.SendUpdate(cmd.Context(), q)
				if err != nil {
					return err
				}
				return g.print(d, func(w io.Writer) { showSent(w, d) })
			})
		},
	}
	f := c.Flags()
	f.StringVar(&q.Audience, "audience", "", "responders, teams or clients")
	f.BoolVar(&draft, "draft", false, "print what would be sent")
	f.BoolVar(&send, "send", false, "publish it")
	f.StringVar(&q.Text, "text", "", "say this instead of the draft")
	f.StringVar(&file, "file", "", "say what is in this `file` (- for standard input)")
	f.DurationVar(&q.Next, "next", 0, "promise the next update in, like 30m (default what incidents.updates says)")
	f.BoolVar(&q.NoNext, "no-next", false, "promise no next update")
	f.StringVar(&ack, "ack", "", "say that you have read this `update`, like u2")
	asFlag(c, &q.By)
	_ = c.RegisterFlagCompletionFunc("audience", cobra.FixedCompletions([]string{"responders", "teams", "clients"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func showSent(w io.Writer, d app.IncidentDraft) {
	fmt.Fprintf(w, "%s: published to %s\n", d.Incident, d.Audience)
	for _, r := range d.To {
		fmt.Fprintf(w, "  to %s (%s)\n", r.Contact, r.Address)
	}
	if len(d.To) == 0 {
		fmt.Fprintf(w, "  it is sent to NOBODY: incidents.audiences.%s names no one\n", d.Audience)
	}
	if !d.Next.IsZero() {
		fmt.Fprintf(w, "  the next is promised by %s\n", timeText(d.Next))
	}
}
