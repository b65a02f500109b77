package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

const (
	mostOutput  = 16 << 10 // of a command, kept
	answerEvery = 500 * time.Millisecond
)

// do does the step, and says what came of it.
func (w *stepWork) do(ctx context.Context) (detail, output string, err error) {
	o, err := w.a.offerOf(ctx, w.s, w.x, w.q)
	if err != nil {
		return "", "", err
	}
	v := w.recovery()
	_, t, err := w.a.target(v.Target)
	if err != nil {
		return "", "", err
	}
	w.atRate(o.facts.Rate())
	switch w.at.Step {
	case recovery.StepIdentify:
		return w.identify(o)
	case recovery.StepRestore:
		detail, err = w.restore(ctx, o)
		return detail, "", err
	case recovery.StepCheck:
		detail, err = w.check(ctx, o)
		return detail, "", err
	case recovery.StepRestart:
		if err := w.stillHolds(o); err != nil {
			return "", "", err
		}
		output, err = w.command(ctx, t.Recovery.RestartWords, t)
		return "it ended well", output, err
	case recovery.StepStart:
		if detail = w.startedBefore(); detail != "" {
			return detail, "", nil
		}
		if err := w.mayStart(o); err != nil {
			return "", "", err
		}
		output, err = w.command(ctx, recovery.StartWords(t.Recovery.StartWords, v.Into), t)
		return "it ended well", output, err
	case recovery.StepPromote:
		return w.promote(ctx, o, t)
	case recovery.StepAnswers:
		detail, err = w.answers(ctx, t)
		return detail, "", err
	case recovery.StepVerify:
		detail, err = w.verifyServing(ctx, o, t)
		return detail, "", err
	}
	return "", "", fmt.Errorf("%w: this program does not know the step %s: use the Refloat that it was chosen with", incident.ErrRefused, w.at.Step)
}

// stillHolds refuses to act when what was shown does not hold any more.
func (w *stepWork) stillHolds(o RecoveryOffer) error {
	way := recovery.Find(o.Ways, recovery.Name(w.recovery().Way))
	if way == nil {
		return fmt.Errorf("%w: %s is no way back any more", incident.ErrRefused, w.recovery().Way)
	}
	if p := way.Failing(); p != nil {
		return fmt.Errorf("%w: this does not hold any more: %s: %s", incident.ErrRefused, p.Title, p.Detail)
	}
	return nil
}

// identify looks at the servers again, immediately before anything acts.
func (w *stepWork) identify(o RecoveryOffer) (detail, output string, err error) {
	var lines []string
	for _, c := range o.Cards {
		lines = append(lines, c.Lines()...)
	}
	output = strings.Join(lines, "\n")
	if err := w.stillHolds(o); err != nil {
		return "", output, err
	}
	return string(o.Cards[0].Verdict.Is) + ": " + strings.Join(o.Cards[0].Verdict.Why, "; "), output, nil
}

// restore restores into the run's directory. One that was cut off is gone on
// with. One that ended before that could be written down is taken as it is, when
// no server was started on it since.
func (w *stepWork) restore(ctx context.Context, o RecoveryOffer) (string, error) {
	v := w.recovery()
	if w.again {
		if id, err := restore.Delivered(v.Into); err == nil && w.sameCluster(o, v.Into) {
			return fmt.Sprintf("it was restored from backup %s before, into %s", id, v.Into), nil
		}
	}
	if err := w.stillHolds(o); err != nil {
		return "", err
	}
	to := v.To
	before := recovery.Name(v.Way) == recovery.RestoreTo
	if !before {
		to = string(restore.ToLatest)
	}
	q := RestoreRequest{Target: v.Target, Into: v.Into, To: to, Before: before, Backup: v.Backup, Delta: v.Despite[AskNotEmpty] != ""}
	_, out, err := w.a.Restore(ctx, q, func(p BackupProgress) { w.progress(p.Done, p.Total) })
	if err != nil {
		return "", err
	}
	return strings.Join(append([]string{fmt.Sprintf("%d MiB in %d files, in %s, into %s", out.Bytes>>20, out.Files, out.Took.Round(time.Millisecond), out.Dir)}, out.Warnings...), "; "), nil
}

// sameCluster reports whether a directory is one of the cluster that is meant.
func (w *stepWork) sameCluster(o RecoveryOffer, dir string) bool {
	if !o.facts.Latest.Seen {
		return false
	}
	_, err := restore.Look(dir, true, o.facts.Latest.Value.Backup.SystemID)
	return err == nil
}

// startedBefore says that this step has started the server, and was cut off before
// that could be written down; empty when it has not. What was restored is verified
// before it is started, so that a server that runs on it is the one of this run.
func (w *stepWork) startedBefore() string {
	v := w.recovery()
	if !w.again || v.Verification == nil || v.Verification.Verdict != string(Proven) {
		return ""
	}
	pid, lives := restore.LiveServer(v.Into)
	if !lives {
		return ""
	}
	return fmt.Sprintf("a server runs on %s (process %d): it was started before", v.Into, pid)
}

// mayStart refuses to start a second primary that nobody asked for.
func (w *stepWork) mayStart(o RecoveryOffer) error {
	v := w.recovery()
	if v.Verification == nil || v.Verification.Verdict != string(Proven) {
		return fmt.Errorf("%w: what was restored was not verified, and is not started", incident.ErrRefused)
	}
	if o.Cards[0].Primary() && strings.TrimSpace(v.Despite[AskSecondPrimary]) == "" {
		return fmt.Errorf("%w: %s lives and takes writes (%s): a second primary beside it is started only when it was chosen so (--second-primary 'why')", incident.ErrRefused, v.Target, o.Cards[0].Address)
	}
	if pid, lives := restore.LiveServer(v.Into); lives {
		return fmt.Errorf("%w: a server runs on %s already (process %d)", incident.ErrRefused, v.Into, pid)
	}
	return nil
}

// promote ends the standby's recovery, when the old primary cannot take writes
// any more.
func (w *stepWork) promote(ctx context.Context, o RecoveryOffer, t config.Target) (detail, output string, err error) {
	if w.again && o.facts.Standby != nil && o.facts.Standby.Card.Primary() {
		return "it takes writes: it was promoted before", "", nil
	}
	if err := w.stillHolds(o); err != nil {
		return "", "", err
	}
	if len(t.Recovery.PromoteWords) > 0 {
		output, err = w.command(ctx, t.Recovery.PromoteWords, t)
		return "the command ended well", output, err
	}
	c, err := w.a.standbyCluster(t)
	if err != nil {
		return "", "", err
	}
	if err := c.Promote(ctx, t.Recovery.Timeout.Std()); err != nil {
		return "", "", err
	}
	return "pg_promote() says that it takes writes", "", nil
}

// command runs a command of the configuration word by word. Its output goes to a
// file: a server that it leaves behind would keep a pipe open for ever.
func (w *stepWork) command(ctx context.Context, words []string, t config.Target) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("%w: the configuration grants no command for this any more", incident.ErrRefused)
	}
	out, err := os.CreateTemp("", "refloat-command-")
	if err != nil {
		return "", err
	}
	defer func() { _ = errors.Join(out.Close(), os.Remove(out.Name())) }()
	ctx, cancel := context.WithTimeout(ctx, t.Recovery.Timeout.Std())
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, "/"
	cmd.Env = commandEnvironment()
	err = cmd.Run()
	text, rerr := os.ReadFile(out.Name())
	if rerr != nil {
		text = []byte(rerr.Error())
	}
	if len(text) > mostOutput {
		text = append([]byte("…"), text[len(text)-mostOutput:]...)
	}
	said := strings.ToValidUTF8(strings.TrimSpace(string(bytes.ReplaceAll(text, []byte{0}, nil))), "?")
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("it did not end within %s: %w", t.Recovery.Timeout.Std(), err)
	}
	if err != nil {
		last := said[strings.LastIndexByte(said, '\n')+1:]
		return said, fmt.Errorf("%s: %w: %s", recovery.Words(words), err, last)
	}
	return said, nil
}

// commandEnvironment is what a command needs of ours. The rest may hold secrets.
func commandEnvironment() []string {
	out := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "USER", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if v, ok := config.Environment(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// serving is the server that is to serve after the run: the standby that was
// promoted, or what answers at the target's address.
func (w *stepWork) serving(t config.Target) (*postgres.Cluster, string, error) {
	if recovery.Name(w.recovery().Way) == recovery.Promote {
		c, err := w.a.standbyCluster(t)
		if err == nil && c == nil {
			err = fmt.Errorf("%w: nobody says where the standby is (recovery.standby): it cannot be asked", incident.ErrRefused)
		}
		return c, "the server that was the standby", err
	}
	c, err := w.a.cluster(w.recovery().Target, "refloat recover")
	return c, "the server at the target's address", err
}

// answers waits until the server serves, for as long as it takes: a crash
// recovery ends when it ends.
func (w *stepWork) answers(ctx context.Context, t config.Target) (string, error) {
	c, what, err := w.serving(t)
	if err != nil {
		return "", err
	}
	tick := time.NewTicker(answerEvery)
	defer tick.Stop()
	began := time.Now()
	var last string
	for {
		card, _, err := liveCard(ctx, c, what, target.ID(w.recovery().Target))
		switch {
		case err != nil:
			last = oneLine(err)
		case !card.Primary() && !t.Watch.Standby:
			last = "it is in recovery"
		default:
			return fmt.Sprintf("%s (%s) answers after %s", what, card.Address, time.Since(began).Round(100*time.Millisecond)), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s does not serve yet: %s: %w", what, last, ctx.Err())
		case <-tick.C:
		}
	}
}
