package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func cluster(t testing.TB, dsn string) *Cluster {
	t.Helper()
	c, err := New(Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as signs in as another role.
func as(c *targettest.Cluster, role string) string {
	return strings.Replace(c.DSN("postgres"), "postgres@", role+"@", 1)
}

func TestHeartbeat(t *testing.T) {
	srv := targettest.Start(t, targettest.Options{})
	srv.Exec(t, "CREATE ROLE watcher LOGIN")
	ctx, now := t.Context(), time.Now()
	h := cluster(t, as(srv, "watcher")).Heartbeat("shop")
	defer h.Close()
	if _, err := h.Beat(ctx, target.Beat{}, now); !errors.Is(err, target.ErrNoHeartbeat) {
		t.Fatalf("without a table: %v", err)
	}
	srv.Exec(t, HeartbeatDDL)
	if _, err := h.Beat(ctx, target.Beat{}, now); !errors.Is(err, target.ErrNoHeartbeat) {
		t.Fatalf("without rights: %v", err)
	}
	srv.Exec(t, HeartbeatGrants("watcher"))
	var prev target.Beat
	for i := range 20 {
		b, err := h.Beat(ctx, prev, now.Add(time.Duration(i)*time.Second))
		if err != nil || b.Seq != int64(i+1) {
			t.Fatalf("beat %d: %+v, %v", i, b, err)
		}
		prev = b
	}
	// A restart knows nothing and goes on from the table's last row.
	again := cluster(t, as(srv, "watcher")).Heartbeat("shop")
	defer again.Close()
	b, err := again.Beat(ctx, target.Beat{}, now.Add(time.Minute))
	if err != nil || b.Seq != 21 || b.Prev != prev.Hash {
		t.Fatalf("after a restart: %+v, %v", b, err)
	}
	// The first one finds that someone else wrote.
	if b, err = h.Beat(ctx, prev, now.Add(2*time.Minute)); err != nil || b.Seq != 22 {
		t.Fatalf("after another writer: %+v, %v", b, err)
	}
	// A failover lost some: the chain in the table is what counts.
	srv.Exec(t, "DELETE FROM refloat.heartbeat WHERE seq > 15")
	if b, err = h.Beat(ctx, b, now.Add(3*time.Minute)); err != nil || b.Seq != 16 {
		t.Fatalf("after a loss: %+v, %v", b, err)
	}
	srv.Kill(t)
	if _, err = h.Beat(ctx, b, now); err == nil {
		t.Fatal("a dead server took a beat")
	}
	srv.Start(t)
	if b, err = h.Beat(ctx, b, now.Add(4*time.Minute)); err != nil || b.Seq != 17 {
		t.Fatalf("after the server's restart: %+v, %v", b, err)
	}
	beats, err := cluster(t, srv.DSN("postgres")).Beats(ctx, 100)
	if err != nil || len(beats) != 17 {
		t.Fatalf("%d beats, %v", len(beats), err)
	}
	if err := target.VerifyBeats("shop", beats); err != nil {
		t.Fatal(err)
	}
	srv.Exec(t, "ALTER ROLE watcher SET default_transaction_read_only = on")
	h.Close()
	if _, err := h.Beat(ctx, b, now); !errors.Is(err, target.ErrReadOnly) {
		t.Fatalf("read-only: %v", err)
	}
}

func TestHeartbeatKeepsTheNewest(t *testing.T) {
	srv := targettest.Start(t, targettest.Options{})
	srv.Exec(t, HeartbeatDDL)
	h := cluster(t, srv.DSN("postgres")).Heartbeat("shop")
	defer h.Close()
	srv.Exec(t, "INSERT INTO refloat.heartbeat SELECT i, now(), '', 'x' || i FROM generate_series(1, 7200) i")
	b, err := h.Beat(t.Context(), target.Beat{}, time.Now())
	if err != nil || b.Seq != 7201 {
		t.Fatalf("%+v, %v", b, err)
	}
	if got := srv.Query(t, "SELECT count(*) || ' from ' || min(seq) FROM refloat.heartbeat"); got != "7200 from 2" {
		t.Fatal(got)
	}
}

func lines(list []target.Object) string {
	var out []string
	for _, o := range list {
		out = append(out, o.Text)
	}
	return strings.Join(out, "\n")
}

func TestSchema(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	for _, major := range []int{15, 18} {
		srv := targettest.Start(t, targettest.Options{Major: major})
		srv.Exec(t, `CREATE ROLE watcher LOGIN IN ROLE pg_monitor PASSWORD 'nobody-sees-this'; CREATE ROLE app CREATEDB VALID UNTIL '2030-01-01'`)
		srv.Exec(t, `CREATE DATABASE shop`)
		srv.ExecIn(t, "shop", `
			CREATE SCHEMA "Odd"; CREATE TABLE "Odd".orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL DEFAULT 7 CHECK (n > 0), at timestamptz DEFAULT '2026-01-01 00:00+00');
			CREATE INDEX ON "Odd".orders (n); CREATE UNLOGGED TABLE cache (x text); INSERT INTO cache VALUES ('y');
			CREATE VIEW v AS SELECT 1 AS one; CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a';`)
		ctx := t.Context()
		got, err := cluster(t, as(srv, "watcher")).Schema(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var shop target.DatabaseSchema
		for _, d := range got.Databases {
			if d.Name == "shop" {
				shop = d
			}
		}
		for _, want := range []struct{ in, line string }{
			{strings.Join(got.Roles, "\n"), "watcher: login, member of pg_monitor"},
			{strings.Join(got.Roles, "\n"), "app: createdb, nologin, valid until 2030-01-01"},
			{lines(shop.Extensions), "plpgsql 1.0"},
			{lines(shop.Indexes), `CREATE INDEX orders_n_idx ON "Odd".orders USING btree (n)`},
			{lines(shop.Constraints), `"Odd".orders orders_n_check: CHECK ((n > 0))`},
			{lines(shop.Functions), "public.f(a integer) "},
		} {
			if !strings.Contains(want.in, want.line) {
				t.Errorf("%q lacks %q", want.in, want.line)
			}
		}
		var names []string
		for _, r := range shop.Relations {
			names = append(names, r.Kind+" "+r.Name)
			switch r.Name {
			case "public.cache":
				if !r.Unlogged || r.Bytes != target.PageSize {
					t.Errorf("%+v", r)
				}
			case `"Odd".orders`:
				if c := strings.Join(r.Columns, "; "); c != `id bigint not null identity always; n integer not null default 7; at timestamp with time zone default '2026-01-01 00:00:00+00'::timestamp with time zone` {
					t.Error(c)
				}
			}
		}
		if s := strings.Join(names, ", "); s != `table "Odd".orders, sequence "Odd".orders_id_seq, table public.cache, view public.v` {
			t.Error(s)
		}
		srv.Exec(t, "ALTER ROLE watcher SET TimeZone = 'Asia/Tokyo'; ALTER ROLE watcher SET quote_all_identifiers = on")
		same, err := cluster(t, as(srv, "watcher")).Schema(ctx)
		if err != nil {
			t.Fatal(err)
		}
		diff := target.DiffSchema(got, same, got)
		if len(diff) != 1 && len(diff) != 2 { // the role's own settings
			t.Errorf("differences: %q", diff)
		}
		for _, d := range diff {
			if !strings.HasPrefix(d, "role: watcher") {
				t.Error(d)
			}
		}
		srv.ExecIn(t, "shop", `DROP INDEX "Odd".orders_n_idx`)
		other, err := cluster(t, srv.DSN("postgres")).Schema(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := target.DiffSchema(same, other, same); len(diff) != 1 || !strings.HasPrefix(diff[0], "index CREATE INDEX") {
			t.Errorf("differences: %q", diff)
		}
	}
}

// A lock on the heartbeat's table is told as that, and not as a server on which
// writes hang.
func TestALockedHeartbeatIsNoHangingServer(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	c.Exec(t, HeartbeatDDL)
	conn, err := pgx.Connect(t.Context(), c.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE refloat.heartbeat"); err != nil {
		t.Fatal(err)
	}
	h := cluster(t, c.DSN("postgres")).Heartbeat("shop")
	defer h.Close()
	began := time.Now()
	_, err = h.Beat(t.Context(), target.Beat{}, began)
	if l := WriteLook(began, time.Since(began), err); err == nil || l.Sees != target.Blind || l.Took > beatTimeout {
		t.Fatalf("%v: %+v", err, l)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Beat(t.Context(), target.Beat{}, time.Now()); err != nil {
		t.Fatal(err)
	}
}
