package recovery

import (
	"path/filepath"
	"strings"
)

// Words joins a command's words so that a shell reads them as they are.
func Words(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = Quote(w)
	}
	return strings.Join(out, " ")
}

// Quote quotes a word for a shell where that is needed.
func Quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/:._-@=+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// as prefixes a command that the server's own user has to run.
func (f Facts) as(words ...string) string {
	return "sudo -u " + Quote(or(f.Service.User, "postgres")) + " " + Words(words)
}

// program is one of PostgreSQL's, by its path where that is known.
func (f Facts) program(name string) string {
	dir := or(f.Service.BinDir, f.Place.Binaries.Value)
	if dir == "" {
		return name
	}
	return filepath.Join(dir, name)
}

func (f Facts) where() string { return or(f.Service.Host, "the server's host") }

// directory is where the server's data is, or words that say that nobody knows.
func (f Facts) directory() string {
	if f.Server.Directory.Seen {
		return f.Server.Directory.Value
	}
	return "DATA_DIRECTORY"
}

func (f Facts) restartCommands() []Command {
	if len(f.Grants.Restart) > 0 {
		return []Command{{Title: "as the configuration says", Text: Words(f.Grants.Restart), On: "this machine"}}
	}
	var out []Command
	if f.Service.Unit != "" {
		out = append(out, Command{Title: "with the service manager", Text: "sudo systemctl restart " + Quote(f.Service.Unit), On: f.where()})
	} else {
		out = append(out, Command{Title: "find its service", Text: "systemctl list-units --all 'postgres*'", On: f.where()})
	}
	out = append(out, Command{Title: "or without one", Text: f.as(f.program("pg_ctl"), "-D", f.directory(), "-w", "-m", "fast", "restart"), On: f.where()})
	return out
}

func (f Facts) lookAtLog() []Command {
	dir := f.directory()
	out := []Command{}
	if f.Service.Unit != "" {
		out = append(out, Command{Title: "see how far it is", Text: "sudo journalctl -u " + Quote(f.Service.Unit) + " -n 50 -f", On: f.where()})
	}
	return append(out, Command{Title: "see what its control file says", Text: f.as(f.program("pg_controldata"), "-D", dir), On: f.where()})
}

func (f Facts) promoteCommands() []Command {
	out := []Command{}
	if len(f.Grants.Promote) > 0 {
		out = append(out, Command{Title: "as the configuration says", Text: Words(f.Grants.Promote), On: "this machine"})
	}
	if f.Standby == nil {
		return append(out, Command{Title: "on the standby", Text: "psql -X -d postgres -c 'SELECT pg_promote(true, 60)'", On: "the standby"})
	}
	if f.Standby.DSN != "" {
		out = append(out, Command{Title: "by SQL", Text: "psql -X " + Quote(f.Standby.DSN) + " -c 'SELECT pg_promote(true, 60)'"})
	}
	if f.Standby.Card.Directory.Seen {
		out = append(out, Command{Title: "or on its host", Text: f.as(f.program("pg_ctl"), "-D", f.Standby.Card.Directory.Value, "-w", "promote"), On: f.Standby.Name})
	}
	return out
}

func (f Facts) restoreCommands(to string, before bool) []Command {
	words := []string{"restore", string(f.Target), "--into", or(f.Place.Dir, "DIRECTORY"), "--to", to}
	if before {
		words = append(words, "--before")
	}
	if f.Place.Backup != "" {
		words = append(words, "--backup", f.Place.Backup)
	}
	if strings.TrimSpace(f.Answers[AskNotEmpty]) != "" {
		words = append(words, "--delta")
	}
	return []Command{{Title: "the same by hand", Text: or(f.Place.Program, "refloat") + " " + Words(words), On: "this machine"}}
}

func (f Facts) startCommands() []Command {
	dir := or(f.Place.Dir, "DIRECTORY")
	if len(f.Grants.Start) > 0 {
		return []Command{{Title: "as the configuration says", Text: Words(StartWords(f.Grants.Start, dir)), On: "this machine"}}
	}
	out := []Command{{Title: "start it", Text: "sudo -u " + Quote(or(f.Place.Owner, or(f.Service.User, "postgres"))) + " " + Words([]string{f.program("pg_ctl"), "-D", dir, "-w", "-t", "86400", "start"}), On: "this machine"}}
	return append(out, Command{Title: "where production kept postgresql.conf outside of its data directory, add", Text: "-o '-c config_file=/etc/postgresql/VERSION/main/postgresql.conf'"})
}

// StartWords are the words of a start command with the directory in its place.
func StartWords(words []string, dir string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ReplaceAll(w, "{directory}", dir)
	}
	return out
}

// mendCommands are those that a person may need, and what to beware of; none
// for a reason that is not mended in place.
func (f Facts) mendCommands() ([]Command, string) {
	on, dir := f.where(), f.directory()
	psql := func(sql string) string {
		return "sudo -u " + Quote(or(f.Service.User, "postgres")) + " psql -X -d postgres -c " + Quote(sql)
	}
	switch f.Reason {
	case DiskFull:
		return []Command{
			{"see which file system is full", "df -h " + Quote(dir) + " " + Quote(dir+"/pg_wal"), on},
			{"see what fills it", "sudo du -xh --max-depth=2 " + Quote(dir) + " | sort -h | tail -20", on},
			{"see which slot holds log back", psql("SELECT slot_name, active, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots ORDER BY restart_lsn"), on},
			{"give up a slot that nobody needs any more", psql("SELECT pg_drop_replication_slot('NAME')"), on},
		}, "deleting files below pg_wal by hand destroys the cluster: make room with what is no part of it, or a larger disk"
	case NoConnections:
		return []Command{
			{"see who holds them", psql("SELECT application_name, usename, state, count(*), max(now() - state_change) AS for FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC"), on},
			{"end sessions that have sat in a transaction for ten minutes", psql("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND now() - state_change > interval '10 min'"), on},
			{"end idle sessions of one application", psql("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND application_name = 'NAME'"), on},
		}, "an application that opens connections without end takes the freed ones at once: stop it first"
	case ReadOnly:
		return []Command{
			{"see what keeps it from writing", psql("SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"), on},
			{"where it is the setting", psql("ALTER SYSTEM RESET default_transaction_read_only") + " && " + psql("SELECT pg_reload_conf()"), on},
		}, "where it is in recovery, another server may be the primary now: find that one before this is promoted"
	case Denied:
		return []Command{
			{"see what it says", psql("SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL"), on},
			{"after a change", psql("SELECT pg_reload_conf()"), on},
		}, "it may serve everybody but Refloat: ask a client before anything else is done"
	}
	return nil, ""
}
