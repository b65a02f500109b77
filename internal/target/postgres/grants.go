package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// Grant is one right or setting for the role that Refloat signs in as:
// statements, or a line for pg_hba.conf.
type Grant struct {
	SQL     string // statements, each ended by a semicolon; empty for a line of pg_hba.conf
	HBA     string // a line of pg_hba.conf; empty for statements
	Why     string // what it is for
	Without string // what does not work when it is left out
}

// GrantOptions say which rights are wanted.
type GrantOptions struct {
	Heartbeat  bool              // the heartbeat is written
	ReadFiles  bool              // base backups read the data directory on the server's host
	Address    string            // where Refloat connects from, as pg_hba.conf writes it; default samehost
	Settings   map[string]string // the server's, as Inspect reads them; nil recommends all
	KeepSize   string            // for max_slot_wal_keep_size; default 64GB
	WALKeeping string            // for wal_keep_size; default 1GB
}

// Grants lists what a role needs that may do no more than Refloat needs: never
// superuser. database is the one that Refloat signs in to; the statements are
// to be run there, by a superuser. The list says what works without each.
func Grants(role, database string, version target.Version, o GrantOptions) []Grant {
	q := quoteName(role)
	tag := "$refloat$"
	for strings.Contains(role, tag) {
		tag = tag[:len(tag)-1] + "_$"
	}
	out := []Grant{{
		SQL: fmt.Sprintf("DO %[1]s BEGIN\n    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %[2]s) THEN\n        CREATE ROLE %[3]s;\n    END IF;\nEND %[1]s;\n"+
			"ALTER ROLE %[3]s LOGIN REPLICATION;\nGRANT CONNECT ON DATABASE %[4]s TO %[3]s;", tag, quoteText(role), q, quoteName(database)),
		Why:     "signs in, streams the log, takes base backups over the protocol",
		Without: "nothing works without LOGIN; without REPLICATION there is no continuous log, and base backups only by reading files",
	}, {
		SQL:     fmt.Sprintf("GRANT pg_monitor TO %s;", q),
		Why:     "reads every setting, sizes and the place of the data directory",
		Without: "sizes and some settings stay unknown, so estimates and findings are fewer; base backups by reading files do not work",
	}, {
		SQL: fmt.Sprintf("GRANT SELECT ON pg_catalog.pg_hba_file_rules, pg_catalog.pg_file_settings TO %[1]s;\n"+
			"GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules(), pg_catalog.pg_show_all_file_settings() TO %[1]s;", q),
		Why:     "shows who may sign in, and errors in the configuration files",
		Without: "the audit cannot look for these",
	}}
	if o.Heartbeat {
		out = append(out, Grant{
			SQL:     strings.TrimSpace(HeartbeatDDL + HeartbeatGrants(role)),
			Why:     "writes one small row each second, which shows in a restored copy what was acknowledged and is there",
			Without: "data loss is measured by the log's position only, not by acknowledged writes",
		})
	}
	if o.ReadFiles {
		start, stop := "pg_backup_start(text, boolean)", "pg_backup_stop(boolean)"
		if version.Major() == oldestMajor {
			start, stop = "pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)"
		}
		out = append(out, Grant{
			SQL:     fmt.Sprintf("GRANT EXECUTE ON FUNCTION pg_catalog.%s, pg_catalog.%s TO %s;", start, stop, q),
			Why:     "starts and stops a base backup that reads the data directory on the server's host",
			Without: "base backups go over the protocol only",
		})
	}
	out = append(out, settingGrants(version, o)...)
	return append(out, hbaGrants(role, o.Address)...)
}

// settingGrants recommends settings that the server does not have.
func settingGrants(version target.Version, o GrantOptions) (out []Grant) {
	keep, walKeep := o.KeepSize, o.WALKeeping
	if keep == "" {
		keep = "64GB"
	}
	if walKeep == "" {
		walKeep = "1GB"
	}
	add := func(name, value, why, without string, enough func(string) bool) {
		if now, known := o.Settings[name]; known && enough(now) {
			return
		}
		out = append(out, Grant{SQL: fmt.Sprintf("ALTER SYSTEM SET %s = %s;", name, quoteText(value)), Why: why, Without: without})
	}
	atLeast := func(n int) func(string) bool {
		return func(s string) bool { v, err := strconv.Atoi(s); return err == nil && v >= n }
	}
	if o.Settings != nil { // their defaults are enough
		add("wal_level", "replica", "lets the log be streamed (needs a restart)", "there is no continuous log and no base backup",
			func(s string) bool { return s != "minimal" })
		add("max_wal_senders", "10", "lets the log be streamed while a base backup runs (needs a restart)", "stream or base backup are refused", atLeast(3))
		add("max_replication_slots", "10", "keeps the log on the server until Refloat has it (needs a restart)", "a pause of Refloat leaves a gap in the log", atLeast(1))
	}
	add("max_slot_wal_keep_size", keep, "bounds the log that the server keeps for Refloat, in the server itself",
		"only Refloat bounds it, and while Refloat does not run a slot can fill the disk", func(s string) bool { return s != "-1" })
	add("wal_keep_size", walKeep, "keeps the log that is written during a base backup",
		"a base backup of a busy server can fail at its end, when the server has removed log that it needs", atLeast(1))
	if version.Major() >= incrementalMajor {
		add("summarize_wal", "on", "lets the server say which pages changed", "every base backup reads the whole cluster",
			func(s string) bool { return s == "on" })
	}
	if len(out) > 0 {
		out = append(out, Grant{SQL: "SELECT pg_catalog.pg_reload_conf();", Why: "takes the settings over", Without: "they hold from the next reload on"})
	}
	return out
}

func hbaGrants(role, address string) []Grant {
	if address == "" {
		address = "samehost"
	}
	line := func(database string) string {
		return fmt.Sprintf("hostssl  %-11s  %s  %s  scram-sha-256", database, quoteHBA(role), address)
	}
	return []Grant{{
		HBA:     line("replication"),
		Why:     "lets the role stream the log and take base backups, over TLS",
		Without: "there is no continuous log, and base backups only by reading files",
	}, {
		HBA:     line("all"),
		Why:     "lets the role look at the server, write the heartbeat, and read the schema of each database to compare a restored copy with",
		Without: "nothing works; with the names of some databases instead of all, the schemas of the others are not compared",
	}}
}

var plainHBA = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func quoteHBA(name string) string {
	if plainHBA.MatchString(name) && name != "all" && name != "replication" && name != "sameuser" && name != "samerole" {
		return name
	}
	return quoteName(name)
}

func quoteText(s string) string {
	if strings.Contains(s, `\`) {
		return ` E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// RenderGrants writes grants as one script for psql, with what each is for as
// comments and the lines of pg_hba.conf at the end, as comments too.
func RenderGrants(role, database string, grants []Grant) string {
	var b strings.Builder
	comment := func(s string) {
		b.WriteString("-- " + strings.NewReplacer("\n", " ", "\r", " ").Replace(s) + "\n")
	}
	comment("Run this in database " + database + " as a superuser: psql -X -v ON_ERROR_STOP=1 -f FILE")
	comment("Afterwards give the role a password: \\password " + quoteName(role))
	for _, g := range grants {
		if g.SQL == "" {
			continue
		}
		b.WriteString("\n")
		comment("For: " + g.Why + ".")
		comment("Without: " + g.Without + ".")
		b.WriteString(g.SQL + "\n")
	}
	b.WriteString("\n")
	comment("Add to pg_hba.conf, above lines that fit too, then reload (SELECT pg_reload_conf()):")
	for _, g := range grants {
		if g.HBA == "" {
			continue
		}
		comment("")
		comment("For: " + g.Why + ".")
		comment("Without: " + g.Without + ".")
		comment("  " + g.HBA)
	}
	return b.String()
}
