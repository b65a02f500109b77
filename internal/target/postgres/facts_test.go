package postgres

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// unseen lists the parts of the facts that are not known, with their reasons.
func unseen(f target.ServerFacts) map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		field := v.Field(i)
		if seen := field.FieldByName; field.Kind() == reflect.Struct && seen("Seen").IsValid() && !seen("Seen").Bool() {
			out[v.Type().Field(i).Name] = seen("Why").String()
		}
	}
	for _, d := range f.Databases.Value {
		if d.AllowsConn && !d.Inside.Seen {
			out["in "+d.Name] = d.Inside.Why
		}
	}
	return out
}

func TestFacts(t *testing.T) {
	for _, major := range []int{14, 15, 16, 17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			srv := targettest.Start(t, targettest.Options{Major: major, Settings: map[string]string{"max_prepared_transactions": "2", "wal_level": "logical", "archive_mode": "on", "archive_command": "false"}})
			srv.Exec(t, "CREATE DATABASE other_one")
			srv.ExecIn(t, "other_one", `
				CREATE UNLOGGED TABLE gone AS SELECT 1 AS n; CREATE UNLOGGED TABLE empty (n int);
				CREATE TABLE keyless (n int); CREATE TABLE keyed (n int PRIMARY KEY); CREATE TABLE whole (n int); ALTER TABLE whole REPLICA IDENTITY FULL;
				CREATE TABLE root (n int) PARTITION BY RANGE (n); CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (9);
				CREATE TABLE quiet (n int); CREATE PUBLICATION p FOR TABLE keyless, keyed, whole, root;
				SELECT lo_create(0); CREATE INDEX broken ON keyless (n); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass`)
			srv.Exec(t, `SELECT pg_create_physical_replication_slot('kept', true); ALTER DATABASE other_one SET synchronous_commit = off`)
			srv.Exec(t, `SELECT pg_switch_wal()`)
			srv.Exec(t, `BEGIN; CREATE TABLE half (n int); PREPARE TRANSACTION 'half'`)
			f, err := cluster(t, srv.DSN("postgres")).Facts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := unseen(f); len(got) != 1 || got["Standby"] == "" {
				t.Errorf("not seen: %q", got)
			}
			if s := f.Settings["archive_command"]; s.Value != "false" || s.Line == 0 || !strings.HasSuffix(s.File, "postgresql.conf") {
				t.Errorf("archive_command: %+v", s)
			}
			if s := f.Settings["default_transaction_read_only"]; s.Value != "off" {
				t.Errorf("what was set for the gathering itself is taken for the server's: %+v", s)
			}
			if s := f.Slots.Value; len(s) != 1 || s[0].Name != "kept" || s[0].Active || !s[0].Reserves || s[0].Logical || major >= 17 && s[0].InactiveSince.IsZero() {
				t.Errorf("slots: %+v", s)
			}
			if s := f.Scoped.Value; len(s) != 1 || s[0] != (target.ScopedSetting{Database: "other_one", Name: "synchronous_commit", Value: "off"}) {
				t.Errorf("scoped: %+v", s)
			}
			if p := f.Prepared.Value; len(p) != 1 || p[0].GID != "half" || p[0].At.IsZero() {
				t.Errorf("prepared: %+v", p)
			}
			if c := f.Connection.Value; !c.Local || c.TLS || f.Replication.Value != c {
				t.Errorf("connections: %+v, %+v", c, f.Replication)
			}
			if f.ArchiveQueue.Value.Waiting == 0 || f.WAL.Value.Bytes == 0 || len(f.HBA.Value) == 0 || f.Connections.Value.Max != 100 || f.Connections.Value.Reserved != 3 || len(f.Roles.Value) != 1 {
				t.Errorf("%+v", f)
			}
			var d target.DatabaseInside
			for _, x := range f.Databases.Value {
				if x.Name == "other_one" {
					d = x.Inside.Value
				}
			}
			for what, c := range map[string]struct{ got, want any }{
				"unlogged":  {d.Unlogged, target.Examples{Count: 1, Names: []string{"public.gone"}}},
				"keyless":   {d.WithoutKey, target.Examples{Count: 3, Names: []string{"public.keyless", "public.leaf", "public.quiet"}}},
				"published": {d.KeylessPublish, target.Examples{Count: 2, Names: []string{"public.keyless", "public.leaf"}}},
				"large":     {d.LargeObjects, int64(1)},
				"indexes":   {d.InvalidIndexes, target.Examples{Count: 1, Names: []string{"public.broken"}}},
			} {
				if !reflect.DeepEqual(c.got, c.want) {
					t.Errorf("%s: %+v, want %+v", what, c.got, c.want)
				}
			}
			if d.OldestXID.Age == 0 || d.OldestXID.Table == "" {
				t.Errorf("%+v", d)
			}
		})
	}
}

// What a role may not see says which right is missing, and never looks empty.
func TestFactsWithFewerRights(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	srv.Exec(t, "CREATE DATABASE closed; ")
	srv.Exec(t, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	apply(t, srv, "keeper", Grants("keeper", "postgres", 150000, GrantOptions{Heartbeat: true}))
	srv.Exec(t, "CREATE ROLE nobody LOGIN")
	for role, want := range map[string]map[string]string{
		"keeper": {"Standby": "not a standby", "in closed": `GRANT CONNECT ON DATABASE "closed"`},
		"nobody": {
			"FileErrors": "GRANT SELECT ON pg_file_settings", "HBA": "GRANT SELECT ON pg_hba_file_rules", "Standby": "not a standby", "in closed": "GRANT CONNECT", "Replication": "REPLICATION attribute",
			"ArchiveQueue": "GRANT pg_monitor TO nobody", "WAL": "GRANT pg_monitor", "Senders": "GRANT pg_monitor", "Transactions": "GRANT pg_monitor",
		},
	} {
		f, err := cluster(t, as(srv, role)).Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := unseen(f)
		for part, why := range want {
			if !strings.Contains(got[part], why) {
				t.Errorf("%s, %s: %q, want %q", role, part, got[part], why)
			}
			delete(got, part)
		}
		if len(got) > 0 {
			t.Errorf("%s does not see %q", role, got)
		}
	}
}

func TestFactsOfStandby(t *testing.T) {
	t.Parallel()
	primary := targettest.Start(t, targettest.Options{})
	standby := targettest.StartStandby(t, primary, nil)
	f, err := cluster(t, standby.DSN("postgres")).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Standby.Value; len(unseen(f)) > 0 || !s.Receiving || s.Paused || !s.Conninfo || s.From != "127.0.0.1" || f.Settings["primary_conninfo"].Value != "(set)" {
		t.Errorf("%q, %+v", unseen(f), s)
	}
	f, err = cluster(t, primary.DSN("postgres")).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Senders.Value; len(s) != 1 || !s[0].Local || s[0].TLS || s[0].Role != "postgres" || s[0].State != "streaming" {
		t.Errorf("%+v", s)
	}
}

// Someone's locks neither hold the gathering up nor hide what they are on; a
// locked catalogue is a reason.
func TestFactsWaitForNobody(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	srv.Exec(t, "CREATE UNLOGGED TABLE gone AS SELECT 1 AS n; ANALYZE gone")
	conn, err := cluster(t, srv.DSN("postgres")).connect(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(conn)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE gone, pg_publication IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	f, err := cluster(t, srv.DSN("postgres")).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := unseen(f)["in postgres"]; got != "someone holds a lock on it" {
		t.Errorf("behind a locked catalogue: %q", got)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK; BEGIN; LOCK TABLE gone IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	if f, err = cluster(t, srv.DSN("postgres")).Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Databases.Value {
		if d.Name == "postgres" && d.Inside.Value.Unlogged.Count != 1 {
			t.Errorf("behind a locked table: %+v", d.Inside)
		}
	}
}
