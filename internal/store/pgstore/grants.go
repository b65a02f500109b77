package pgstore

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Grants is a script for psql, run by an administrator, that makes database,
// role and schema of the store, with no more rights than it needs. It can be run
// again without harm.
func Grants(role, database, address string) string {
	if address == "" {
		address = "samenet"
	}
	literal := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	r, d := pgx.Identifier{role}.Sanitize(), pgx.Identifier{database}.Sanitize()
	return fmt.Sprintf(`-- The role that keeps Refloat's own state. It may sign in to one database, and
-- owns one schema there; nothing else.
SELECT 'CREATE ROLE ' || quote_ident(%[1]s) || ' LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %[1]s) \gexec
-- Its password: set one here, and put it into the file that store.password_file names.
--   \password %[3]s
SELECT 'CREATE DATABASE ' || quote_ident(%[2]s) || ' ENCODING ''UTF8'' TEMPLATE template0' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = %[2]s) \gexec
GRANT CONNECT ON DATABASE %[4]s TO %[3]s;
-- What the store is told to be kept must be kept.
ALTER ROLE %[3]s IN DATABASE %[4]s SET synchronous_commit = on;
\connect %[4]s
CREATE SCHEMA IF NOT EXISTS refloat AUTHORIZATION %[3]s;
-- And in pg_hba.conf, for the address of each node:
--   hostssl %[4]s %[3]s %[5]s scram-sha-256
`, literal(role), literal(database), r, d, address)
}
