package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refloat-db/refloat/internal/app"
)

// recoverFlags are what refloat incident recover is asked.
type recoverFlags struct {
	ask                           app.RecoveryAsk
	reason, way, by               string
	fenced, second                string
	delta, dry                    bool
	confirm, typed                string
	run, done, note, abandon, why string
}

func incidentRecoverCommand(g *globals) *cobra.Command {
	var f recoverFlags
	c := &cobra.Command{
		Use: "recover INCIDENT", Short: "Show the ways back, and go one of them: shown, confirmed, run, verified", Args: one("incident"), ValidArgsFunction: g.incidents,
		Long: `Show which server it is about and which ways back there are, each with the time
and the data loss that the last proof measured, what speaks against it, and its
exact commands.

--way chooses one; --dry-run only shows its steps. Nothing is begun before it is
confirmed: by a second person (--confirm RUN --as NAME), or by whoever chose it
typing the target's name (--confirm-target NAME). What the configuration does not
grant (recovery under a target) is for a person to do, who then says --done STEP;
what comes of it is verified. A run that was cut off is gone on with by --run RUN.

A restore goes into a new directory and never over a server that lives. Exit code
3: not every check of what came of it passed.`,
		Example: `  refloat incident recover 3
  refloat incident recover 3 --way restore-latest --into /srv/restored --dry-run
  refloat incident recover 3 --way restore-latest --into /srv/restored --confirm-target shop
  refloat incident recover 3 --way restore-to --to 2026-11-27T02:14:00Z --into /srv/before
  refloat incident recover 3 --confirm r1 --as ben
  refloat incident recover 3 --run r1 --done start`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.ask.Incident = args[0]
			f.ask.Reason = app.RecoveryReason(f.reason)
			f.ask.Answers = map[string]string{app.AskFenced: f.fenced, app.AskSecondPrimary: f.second}
			if f.delta {
				f.ask.Answers[app.AskNotEmpty] = "chosen with --delta"
			}
			return g.with(cmd.Context(), func(a *app.App) error { return g.recover(cmd, a, &f) })
		},
	}
	p := c.Flags()
	p.StringVar(&f.ask.Target, "target", "", "`name` of the target, when the incident is about several")
	p.StringVar(&f.reason, "reason", "", "what is wrong, as one `word` (default what the watch saw)")
	p.StringVar(&f.ask.To, "to", "", "with restore-to: the `point` to stop just before: a time with its zone, an LSN, or xid:NUMBER")
	p.StringVar(&f.ask.Into, "into", "", "with a restore: the `directory`, empty or not there yet")
	p.StringVar(&f.ask.Backup, "backup", "", "with a restore: `ID` of the base backup to begin with (default the best; a transaction that is older than the newest needs an older one)")
	p.StringVar(&f.way, "way", "", "choose this `way`")
	p.BoolVar(&f.dry, "dry-run", false, "with --way: only show what would be done")
	p.StringVar(&f.typed, "confirm-target", "", "confirm what you chose yourself by typing the target's `name`")
	p.StringVar(&f.confirm, "confirm", "", "confirm, as a second person, this `run`, and let it run")
	p.StringVar(&f.run, "run", "", "go on with this `run`, like r1")
	p.StringVar(&f.done, "done", "", "with --run: you did this `step` by hand")
	p.StringVar(&f.note, "note", "", "with --done: what you did")
	p.StringVar(&f.abandon, "abandon", "", "give this `run` up")
	p.StringVar(&f.why, "why", "", "with --abandon: why")
	p.StringVar(&f.fenced, "fenced", "", "`how` the old primary was kept from coming back, for promote")
	p.StringVar(&f.second, "second-primary", "", "`why` a second primary is started beside one that lives")
	p.BoolVar(&f.delta, "delta", false, "turn a stopped cluster of the same system in --into into the restored one: what differs there is overwritten")
	asFlag(c, &f.by)
	_ = c.RegisterFlagCompletionFunc("way", words(app.RecoveryWays))
	_ = c.RegisterFlagCompletionFunc("reason", words(app.RecoveryReasons))
	return c
}

func words[T ~string](all func() []T) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, w := range all() {
			out = append(out, string(w))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func (g *globals) recover(cmd *cobra.Command, a *app.App, f *recoverFlags) error {
	ctx, id := cmd.Context(), f.ask.Incident
	set := 0
	for _, s := range []string{f.way, f.confirm, f.run, f.abandon} {
		if s != "" {
			set++
		}
	}
	switch {
	case set > 1:
		return usageError{errors.New("give one of --way, --confirm, --run and --abandon")}
	case f.done != "" && f.run == "", f.dry && f.way == "":
		return usageError{errors.New("--done goes with --run, and --dry-run with --way")}
	case f.typed != "" && f.way == "" && f.run == "":
		return usageError{errors.New("--confirm-target goes with --way or --run; a second person confirms with --confirm RUN --as NAME")}
	case f.abandon != "":
		x, err := a.AbandonRecovery(ctx, id, f.abandon, f.why, f.by)
		if err != nil {
			return err
		}
		return g.print(x.Recovery(f.abandon), func(w io.Writer) { fmt.Fprintf(w, "%s: %s is given up\n", x.ID, f.abandon) })
	case f.confirm != "":
		if _, err := a.ConfirmRecovery(ctx, id, f.confirm, "", f.by); err != nil {
			return err
		}
		return g.runRecovery(cmd, a, f, f.confirm)
	case f.run != "":
		if f.typed != "" {
			if _, err := a.ConfirmRecovery(ctx, id, f.run, f.typed, f.by); err != nil {
				return err
			}
		}
		if f.done != "" {
			if _, err := a.RecoveryStepDone(ctx, id, f.run, f.done, f.note, f.by); err != nil {
				return err
			}
		}
		return g.runRecovery(cmd, a, f, f.run)
	}
	return g.chooseRecovery(cmd, a, f)
}

// chooseRecovery shows what there is to choose from, and chooses.
func (g *globals) chooseRecovery(cmd *cobra.Command, a *app.App, f *recoverFlags) error {
	ctx, id := cmd.Context(), f.ask.Incident
	if f.way == "" || f.dry {
		o, err := a.RecoveryOffer(ctx, f.ask)
		if err != nil {
			return err
		}
		if f.way == "" {
			return g.print(o, func(w io.Writer) { showOffer(w, o) })
		}
		for _, x := range o.Ways {
			if string(x.Name) == f.way {
				if err := g.print(x, func(w io.Writer) { showCards(w, o); showWay(w, x); showSteps(w, x) }); err != nil {
					return err
				}
				if !x.Possible() {
					return verdict(exitVerdict)
				}
				return nil
			}
		}
		return usageError{fmt.Errorf("there is no way %q for this: refloat incident recover %s lists them", f.way, id)}
	}
	name := f.ask.Target
	if f.typed != "" { // before anything is written down
		x, err := a.Incident(ctx, id)
		if err != nil {
			return err
		}
		if name == "" && len(x.Targets) == 1 {
			name = x.Targets[0]
		}
		if f.typed != name {
			return usageError{fmt.Errorf("%q is not the name of the target, which is %q: nothing was chosen", f.typed, name)}
		}
	}
	x, run, err := a.ChooseRecovery(ctx, f.ask, app.RecoveryName(f.way), f.by)
	if err != nil {
		return err
	}
	if f.typed != "" {
		if _, err := a.ConfirmRecovery(ctx, id, run, f.typed, f.by); err != nil {
			return err
		}
		return g.runRecovery(cmd, a, f, run)
	}
	r := x.Recovery(run)
	return g.print(r, func(w io.Writer) {
		fmt.Fprintln(w, strings.Join(r.Server, "\n"))
		fmt.Fprintf(w, "\n%s: %s is chosen (%s), and nothing was begun.\n", x.ID, run, r.Title)
		fmt.Fprintf(w, "A second person lets it run:   refloat incident recover %s --confirm %s --as NAME\n", x.ID, run)
		fmt.Fprintf(w, "or %s types the target's name: refloat incident recover %s --run %s --confirm-target NAME\n", r.ChosenBy, x.ID, run)
	})
}

// runRecovery does the steps of a run and shows them.
func (g *globals) runRecovery(cmd *cobra.Command, a *app.App, f *recoverFlags, run string) error {
	bar := g.progress()
	x, err := a.RunRecovery(cmd.Context(), f.ask.Incident, run, f.by, func(p app.RecoveryProgress) {
		if p.Detail != "" {
			bar.end()
			if !g.json {
				fmt.Fprintf(quiet{g.stdout}, "step %d of %d, %s: %s\n", p.Number, p.Of, p.Title, p.Detail)
			}
			return
		}
		bar.tell(p.Step, p.Done, p.Total, "")
	})
	bar.end()
	r := x.Recovery(run)
	if err != nil && !errors.Is(err, app.ErrByHand) && !errors.Is(err, app.ErrNotVerified) || r == nil {
		return err
	}
	if told, terr := bar.done("recovery", r); terr != nil {
		return terr
	} else if !told {
		if perr := g.print(r, func(w io.Writer) { showRun(w, x.ID, *r, r.Standing(time.Now())) }); perr != nil {
			return perr
		}
	}
	if errors.Is(err, app.ErrByHand) {
		return nil
	}
	return err
}

// figureText is a figure with who measured it, or why nobody did.
func figureText(f app.RecoveryFigure) string {
	if !f.Known {
		return f.Why
	}
	out := spanText(f.Value) + " (" + f.From
	if f.Age > 0 {
		out += ", " + spanText(f.Age) + " ago"
	}
	out += ")"
	if f.Stale {
		out += " STALE"
	}
	return out
}

func showCards(w io.Writer, o app.RecoveryOffer) {
	for _, c := range o.Cards {
		lines := c.Lines()
		fmt.Fprintf(w, "==== %s ====\n", strings.ToUpper(c.What))
		fmt.Fprintf(w, "%s\n\n", strings.Join(lines[1:], "\n"))
	}
}

func showOffer(w io.Writer, o app.RecoveryOffer) {
	showCards(w, o)
	began := ""
	if !o.Began.IsZero() {
		began = ", since " + timeText(o.Began)
	}
	fmt.Fprintf(w, "%s: %s%s\n", o.Target, o.Reason, began)
	fmt.Fprintf(w, "recommended: %s\n", o.Advice)
	for _, x := range o.Ways {
		fmt.Fprintln(w)
		showWay(w, x)
	}
	for _, r := range o.Runs {
		fmt.Fprintf(w, "\n%s  %s: %s\n", r.Run, r.Title, r.Standing(time.Now()))
	}
	fmt.Fprintf(w, "\nnext: refloat incident recover %s --way WAY --dry-run\n", o.Incident)
}

func showWay(w io.Writer, x app.RecoveryWay) {
	mark := ""
	if x.Recommended {
		mark = "  RECOMMENDED"
	} else if !x.Possible() {
		mark = "  not possible now"
	}
	fmt.Fprintf(w, "%s  %s%s\n", x.Name, x.Title, mark)
	rows := []string{"  time", figureText(x.Time)}
	if x.Estimate != nil {
		rows = append(rows, "  scaled to today", "about "+spanText(*x.Estimate))
	}
	rows = append(rows, "  data loss", figureText(x.Loss), "  not restorable", figureText(x.Gap), "  why", x.Why)
	facts(w, rows...)
	for _, p := range x.Preconditions {
		fmt.Fprintf(w, "  [%s] %s: %s\n", p.Met, p.Title, p.Detail)
	}
	for _, r := range x.Risks {
		fmt.Fprintf(w, "  risk: %s\n", r)
	}
}

func showSteps(w io.Writer, x app.RecoveryWay) {
	for i, s := range x.Steps {
		by := ""
		if s.ByHand {
			by = "  (by hand)"
		}
		fmt.Fprintf(w, "\n%d. %s: %s%s\n", i+1, s.ID, s.Title, by)
		for _, c := range s.Commands {
			on := ""
			if c.On != "" {
				on = ", on " + c.On
			}
			fmt.Fprintf(w, "   %s%s:\n     %s\n", c.Title, on, c.Text)
		}
	}
}

// showRun is how a run stands, and what is next.
func showRun(w io.Writer, id string, r app.RecoveryRun, at app.RecoveryStanding) {
	out := string(at)
	if r.Outcome != "" {
		out = strings.ToUpper(r.Outcome)
		if r.Why != "" {
			out += ": " + r.Why
		}
	}
	fmt.Fprintf(w, "%s  %s of %s, chosen by %s: %s\n", r.Run, r.Way, r.Target, r.ChosenBy, out)
	for i, p := range r.Progress {
		state := string(p.State)
		if i == r.Current() && at == "interrupted" {
			state = "INTERRUPTED"
		}
		if p.State == "running" && p.Total > 0 {
			state += fmt.Sprintf(" %d %%", p.Done*100/p.Total)
		}
		fmt.Fprintf(w, "  %-12s %-9s %s\n", state, r.Steps[i].ID, r.Steps[i].Title)
		if said := strings.TrimSpace(p.Error); said != "" {
			fmt.Fprintf(w, "      %s\n", indented(said))
		}
	}
	if v := r.Verification; v != nil {
		fmt.Fprintf(w, "  %s on %s: %s\n", v.Verdict, v.On, v.Summary)
		for _, c := range v.Checks {
			fmt.Fprintf(w, "    [%s] %s: %s\n", c.Outcome, c.Title, c.Detail)
		}
		if v.Loss != nil {
			fmt.Fprintf(w, "    data loss %s, %s\n", spanText(*v.Loss), v.LossBy)
		}
	}
	if i := r.Current(); i >= 0 && at == "waits for a person" {
		s := r.Steps[i]
		fmt.Fprintf(w, "now, by hand: %s\n", s.Title)
		for _, c := range s.Commands {
			fmt.Fprintf(w, "    %s\n", c)
		}
		fmt.Fprintf(w, "then: refloat incident recover %s --run %s --done %s\n", id, r.Run, s.ID)
	} else if at == "interrupted" || at == "failed" {
		fmt.Fprintf(w, "again: refloat incident recover %s --run %s\n", id, r.Run)
	}
}
