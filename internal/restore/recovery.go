package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const autoConf = "postgresql.auto.conf"

// recoverySettings are lines of postgresql.auto.conf that belong to an earlier
// recovery, or that would tie the restored server to production's standbys.
var recoverySettings = regexp.MustCompile(`(?i)^\s*(restore_command|recovery_target\w*|recovery_min_apply_delay|recovery_end_command|archive_cleanup_command|primary_conninfo|primary_slot_name|promote_trigger_file|synchronous_standby_names)\s*[= ]`)

// recoveryInConf finds targets in postgresql.conf, of which only one may be set.
var recoveryInConf = regexp.MustCompile(`(?im)^\s*recovery_target(_name|_time|_xid|_lsn)?\s*[= ]\s*'[^'\n]`)

// recovery tells the server that will be started over the directory what to
// do: PostgreSQL docs, "Recovery Target" and "Archive Recovery".
func (w *writer) recovery() error {
	for _, name := range []string{"standby.signal", "recovery.signal", "recovery.conf", "recovery.done"} {
		if err := os.Remove(filepath.Join(w.o.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	path := filepath.Join(w.o.Dir, autoConf)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := w.ownedFile(path, []byte(autoConfText(string(old), w.plan, w.o))); err != nil {
		return err
	}
	if err := w.ownedFile(filepath.Join(w.o.Dir, "recovery.signal"), nil); err != nil {
		return err
	}
	w.warn()
	return nil
}

// Configure tells a data directory that was restored by a plan, or a copy of one,
// anew how to recover: o has its place, the owner and the restore_command. It is
// for copies that are thrown away.
func Configure(p Plan, o Options) error {
	w := &writer{plan: p, o: o}
	if err := w.recovery(); err != nil {
		return fmt.Errorf("configure the recovery of %s: %w", o.Dir, err)
	}
	return nil
}

func (w *writer) ownedFile(path string, text []byte) error {
	if err := replaceFile(path, text); err != nil {
		return err
	}
	return w.own(path)
}

// autoConfText is production's postgresql.auto.conf without what is not the
// restored server's, and with what its recovery needs.
func autoConfText(old string, p Plan, o Options) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(old, "\n") {
		if !recoverySettings.MatchString(line) && !strings.HasPrefix(line, "# refloat:") {
			b.WriteString(line)
		}
	}
	if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "# refloat: recovery of backup %s to %s\n", p.Backup.ID, strings.ReplaceAll(p.Target.String(), "\n", " "))
	set := func(name, value string) { fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(value)) }
	set("restore_command", RecoveryCommand(p, o.RestoreCommand))
	for _, s := range recoveryTarget(p) {
		set(s[0], s[1])
	}
	action := "promote"
	if o.Pause {
		action = "pause"
	}
	set("recovery_target_action", action)
	set("recovery_target_inclusive", strconv.FormatBool(!o.Before))
	b.WriteString("# refloat: what a standby's settings may say and a recovery must not do\n")
	set("recovery_min_apply_delay", "0")
	set("archive_cleanup_command", "")
	set("recovery_end_command", "")
	b.WriteString("# refloat: no standby follows this server yet, and a commit would wait for one\n")
	set("synchronous_standby_names", "")
	return b.String()
}

// RecoveryCommand is the restore_command of a plan: the one given, or one that
// fails when the backup's own log is all that is wanted.
func RecoveryCommand(p Plan, command string) string {
	if p.Target.Kind == ToBackup || command == "" {
		return "false"
	}
	return command
}

// recoveryTarget are the settings that end recovery where the plan ends.
func recoveryTarget(p Plan) [][2]string {
	out := [][2]string{{"recovery_target_timeline", fmt.Sprint(uint32(p.Timeline))}}
	if p.Until != 0 {
		return out // log-fetch ends the log there
	}
	switch p.Target.Kind {
	case ToBackup:
		return [][2]string{{"recovery_target_timeline", "current"}, {"recovery_target", "immediate"}}
	case ToTime:
		out = append(out, [2]string{"recovery_target_time", p.Target.Time.UTC().Format("2006-01-02 15:04:05.999999+00")})
	case ToLSN:
		out = append(out, [2]string{"recovery_target_lsn", p.Target.LSN.String()})
	case ToName:
		out = append(out, [2]string{"recovery_target_name", p.Target.Name})
	case ToXID:
		out = append(out, [2]string{"recovery_target_xid", fmt.Sprint(p.Target.XID)})
	}
	return out
}

// quoteSetting quotes a value for postgresql.conf, in which a backslash
// escapes and a quote is doubled.
func quoteSetting(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", " ").Replace(s) + "'"
}

// warn says what whoever starts the server ought to know before.
func (w *writer) warn() {
	add := func(format string, args ...any) {
		w.result.Warnings = append(w.result.Warnings, fmt.Sprintf(format, args...))
	}
	if _, err := os.Stat(filepath.Join(w.o.Dir, "postgresql.conf")); err != nil {
		add("production keeps postgresql.conf outside of its data directory (as Debian does), so it is not in the backup: start the server with -c config_file=FILE, and -c hba_file=FILE for pg_hba.conf")
	}
	if w.plan.Backup.Settings["archive_mode"] == "on" || w.plan.Backup.Settings["archive_mode"] == "always" {
		add("archive_mode is on in the restored settings: the restored server will archive to the same place as production; set archive_mode = off unless it takes production's place")
	}
	if w.plan.Backup.Settings["synchronous_standby_names"] != "" {
		add("production waits for synchronous standbys (%s); the restored server does not, since none follows it: set synchronous_standby_names again when one does", w.plan.Backup.Settings["synchronous_standby_names"])
	}
	if b, err := os.ReadFile(filepath.Join(w.o.Dir, "postgresql.conf")); err == nil && recoveryInConf.Match(b) {
		add("postgresql.conf has recovery settings of its own, left from an earlier recovery: take its recovery_target lines out before you start the server")
	}
	if w.o.Pause && (w.plan.Target.Kind == ToLatest || w.plan.Until != 0) {
		add("recovery ends at the end of the log, where it cannot be paused: the server will promote")
	}
	if w.plan.Target.Kind != ToBackup && w.o.RestoreCommand == "" {
		add("no restore_command was given: only the backup's own log can be replayed")
	}
}

// replaceFile makes path hold text, durably and atomically.
func replaceFile(path string, text []byte) (err error) {
	temp := path + ".refloat-new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

// syncDir makes a directory's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
