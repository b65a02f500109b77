package app

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/refloat-db/refloat/internal/target/postgres"
)

// GrantsText is the SQL and, unless only that is wanted, the pg_hba.conf lines
// for a role that may do what Refloat needs and no more. The SQL can be run
// again without harm.
func GrantsText(dsn, role string, sqlOnly bool) string {
	if role == "" {
		role = "refloat"
		if u, err := url.Parse(dsn); err == nil && u.User != nil && u.User.Username() != "" {
			role = u.User.Username()
		}
	}
	name, literal := quoteSQL(role, `"`), quoteSQL(role, `'`)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("-- Run as a superuser in the database that the dsn names; give the role its")
	line("-- password with \\password %s.", name)
	line("-- REPLICATION: base backups and the log. Without it nothing works.")
	line("DO $refloat$ BEGIN\n  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) THEN CREATE ROLE %s LOGIN REPLICATION;\n  ELSIF NOT (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = %s) THEN ALTER ROLE %s REPLICATION;\n  END IF;\nEND $refloat$;", literal, name, literal, name)
	line("-- pg_monitor: sizes and settings. Without it they stay hidden, and a drill cannot")
	line("-- compare what it cannot see.")
	line("GRANT pg_monitor TO %s;", name)
	line("-- The heartbeat: a small row each second. Without it a drill cannot show that the")
	line("-- last second is in the restored copy.")
	b.WriteString(postgres.HeartbeatDDL)
	b.WriteString(postgres.HeartbeatGrants(role))
	if sqlOnly {
		return b.String()
	}
	line("-- Only for backup.read: files, which reads the data directory on the database's")
	line("-- own host (15 and later):")
	line("-- GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO %s;", name)
	line("\n# pg_hba.conf, with the address of the machine that runs Refloat; then reload:")
	line("# TYPE   DATABASE     USER  ADDRESS       METHOD")
	line("hostssl  replication  %s  192.0.2.7/32  scram-sha-256", hbaName(role))
	line("hostssl  all          %s  192.0.2.7/32  scram-sha-256", hbaName(role))
	line("\n# Check with: refloat init %s --dry-run", quoteShell(dsn))
	return b.String()
}

func quoteSQL(s, q string) string { return q + strings.ReplaceAll(s, q, q+q) + q }

func hbaName(role string) string {
	if strings.ContainsAny(role, " \t,\"#") {
		return quoteSQL(role, `"`)
	}
	return role
}
