// Package runbook writes the recovery instructions for a target from its real
// configuration, its server and its last proof. It is pure: facts in, Markdown out.
// What was not measured or could not be looked at is said to be so.
package runbook

import (
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/target"
)

// Facts are what a runbook is made from.
type Facts struct {
	recovery.Facts
	Shown  string   // the name that people know the target by; empty for its own
	Team   string   // who answers for it
	OnCall []string // who is on call as it is written, as names
	Kit    []string // commands that restore with the repository and its passphrase alone
}

// seen are the reasons that a person can tell apart, as they look.
var seen = [...]struct {
	reason recovery.Reason
	look   string
}{
	{recovery.Crash, "connections are refused"},
	{recovery.Starting, "it says that it is starting up"},
	{recovery.Hang, "it accepts connections and answers nothing"},
	{recovery.Unreachable, "nothing comes back from its host"},
	{recovery.NoConnections, "no connection is free"},
	{recovery.DiskFull, "its disk is full"},
	{recovery.ReadOnly, "it takes no writes"},
	{recovery.DataDeleted, "data was deleted or changed by mistake"},
}

// Make writes the runbook.
func Make(f Facts) string {
	b := &strings.Builder{}
	name := f.Shown
	if name == "" {
		name = string(f.Target)
	}
	fmt.Fprintf(b, "# Getting %s back\n\n", plain(name))
	fmt.Fprintf(b, "Written %s from the configuration, the server and %s.\n", stamp(f.Now), proofWords(f))
	who(b, f)
	identity(b, f.Server)
	begin(b, f)
	ways(b, f)
	alone(b, f)
	return b.String()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// plain keeps a name from being Markdown.
func plain(s string) string {
	return strings.NewReplacer("\n", " ", "`", "'", "[", "(", "]", ")", "<", "(", ">", ")", "*", "", "|", "/").Replace(s)
}

func proofWords(f Facts) string {
	p := f.Proof
	switch {
	case p == nil && f.ProofNote != "":
		return "no proof: the last one cannot be read (" + plain(f.ProofNote) + ")"
	case p == nil:
		return "no proof: **it was never drilled, so that none of this is proven to work**"
	}
	return fmt.Sprintf("proof %s (%s, %s)", p.ID, p.Verdict, stamp(p.EndedAt))
}

func who(b *strings.Builder, f Facts) {
	b.WriteString("\n## Before anything else\n\n")
	fmt.Fprintf(b, "1. Take command, so that nobody else does the same: `refloat incident role INCIDENT commander --take`.\n")
	fmt.Fprintf(b, "2. Look which server you are on. **Nothing here is to be typed on another one than this:**\n")
	if f.Team != "" {
		fmt.Fprintf(b, "3. Team %s answers for it", plain(f.Team))
		if len(f.OnCall) > 0 {
			fmt.Fprintf(b, "; on call when this was written: %s", plain(strings.Join(f.OnCall, ", ")))
		}
		b.WriteString(".\n")
	}
}

// known is a value, or why it is not known.
func known[T any](k target.Known[T], words func(T) string) string {
	if !k.Seen {
		return "not seen: " + plain(k.Why)
	}
	return plain(words(k.Value))
}

func text(s string) string { return s }

func identity(b *strings.Builder, c recovery.Card) {
	b.WriteString("\n| this server | |\n| --- | --- |\n")
	for _, x := range [][2]string{
		{"address", plain(c.Address)}, {"host", known(c.Host, text)}, {"system identifier", known(c.SystemID, func(id target.SystemID) string { return fmt.Sprint(id) })},
		{"data directory", known(c.Directory, text)}, {"PostgreSQL", known(c.Version, text)}, {"role", known(c.Role, text)},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", x[0], x[1])
	}
}

// down are the facts as they would be if the server were gone now.
func down(f recovery.Facts, r recovery.Reason) recovery.Facts {
	f.Reason, f.Began = r, f.Now
	f.Serves = target.Seen(false)
	if r == recovery.Crash || r == recovery.Unreachable {
		f.Server.Alive = target.Seen(false)
	}
	return f
}

func begin(b *strings.Builder, f Facts) {
	b.WriteString("\n## What to begin with\n\nAs things stood when this was written; `refloat incident recover INCIDENT` looks again.\n\n| what you see | begin with | why |\n| --- | --- | --- |\n")
	for _, x := range seen {
		first, why := "a person decides", "no way is open as things stand"
		if all := recovery.Ways(down(f.Facts, x.reason)); len(all) > 0 && all[0].Recommended {
			first, why = all[0].Title, all[0].Why
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", x.look, plain(first), plain(why))
	}
}

func figure(f recovery.Figure) string {
	if !f.Known {
		return plain(f.Why)
	}
	s := fmt.Sprintf("%s (%s", f.Value.Round(time.Second), plain(f.From))
	if f.Stale {
		s += ", STALE"
	}
	return s + ")"
}

func ways(b *strings.Builder, f Facts) {
	for _, w := range recovery.Ways(down(f.Facts, recovery.Crash)) {
		fmt.Fprintf(b, "\n## %s\n\n- Time until it serves: %s\n- Data lost: %s\n", plain(w.Title), figure(w.Time), figure(w.Loss))
		for _, r := range w.Risks {
			fmt.Fprintf(b, "- Risk: %s\n", plain(r))
		}
		rehearsed(b, f, w.Name)
		for i, s := range w.Steps {
			fmt.Fprintf(b, "\n%d. %s\n", i+1, plain(s.Title))
			for _, c := range s.Commands {
				on := ""
				if c.On != "" {
					on = " (on " + plain(c.On) + ")"
				}
				fmt.Fprintf(b, "\n   %s%s:\n\n   ```sh\n", plain(c.Title), on)
				for l := range strings.Lines(c.Text) {
					b.WriteString("   " + strings.ReplaceAll(strings.TrimRight(l, "\n"), "```", "'''") + "\n")
				}
				b.WriteString("   ```\n")
			}
		}
	}
}

// rehearsed tells what the last drill saw of what a way needs.
func rehearsed(b *strings.Builder, f Facts, name recovery.Name) {
	if f.Proof == nil {
		return
	}
	for _, w := range f.Proof.Ways {
		if w.Name != string(name) {
			continue
		}
		for _, c := range w.Checks {
			fmt.Fprintf(b, "- In the last drill: %s: %s (%s)\n", plain(c.Title), c.Outcome, plain(c.Detail))
		}
	}
}

func alone(b *strings.Builder, f Facts) {
	if len(f.Kit) == 0 {
		return
	}
	b.WriteString("\n## When Refloat's server is gone, too\n\nThe repository and its passphrase are enough, on any machine with the program:\n\n```sh\n")
	for _, l := range f.Kit {
		b.WriteString(strings.ReplaceAll(l, "```", "'''") + "\n")
	}
	b.WriteString("```\n")
}
