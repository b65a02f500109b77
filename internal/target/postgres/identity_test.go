package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

func TestIdentityAndPromotion(t *testing.T) {
	ctx := context.Background()
	srv := targettest.Start(t, targettest.Options{Settings: map[string]string{"track_commit_timestamp": "on"}})
	srv.Exec(t, "CREATE TABLE t (n int); CREATE ROLE plain LOGIN; CREATE ROLE refloat LOGIN; GRANT pg_monitor TO refloat")
	open := func(dsn, app string) *Cluster {
		c, err := New(Options{DSN: dsn, Application: app})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open(srv.DSN("postgres"), "refloat test")
	id, err := c.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !id.Commit.Seen || time.Since(id.Commit.Value) > time.Minute || id.Host.Value != "127.0.0.1" || !id.MayPromote.Value || !id.Clients.Seen || len(id.Clients.Value) != 0 || id.InRecovery {
		t.Errorf("%+v", id)
	}
	shop, err := open(srv.DSN("postgres"), "shop").connect(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if id, err = c.Identity(ctx); err != nil || len(id.Clients.Value) != 1 || id.Clients.Value[0].Application != "shop" || id.Clients.Value[0].Count != 1 {
		t.Errorf("%+v %v", id.Clients, err)
	}
	_ = shop.Close(ctx)
	standby := targettest.StartStandby(t, srv, nil)
	small := open(strings.Replace(standby.DSN("postgres"), "postgres@", "refloat@", 1), "refloat test")
	s, err := small.Identity(ctx)
	if err != nil || s.SystemID != id.SystemID || !s.InRecovery || !s.MayPromote.Seen || s.MayPromote.Value {
		t.Errorf("%+v %v", s, err)
	}
	if err := small.Promote(ctx, 30*time.Second); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Error(err)
	}
	if err := c.Promote(ctx, time.Second); !errors.Is(err, ErrNotPromoted) {
		t.Error(err)
	}
	// The right can be given on the primary, which is how the standby gets it.
	srv.Exec(t, "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO refloat")
	targettest.WaitFor(t, "the grant to arrive", func() bool {
		s, err := small.Identity(ctx)
		return err == nil && s.MayPromote.Value
	})
	srv.Kill(t)
	dead, err := ControlData(ctx, srv.Bin, srv.Dir)
	if err != nil || dead.SystemID != id.SystemID || dead.State != "in production" || dead.Position.Timeline != 1 || time.Since(dead.Checkpoint) > 5*time.Minute {
		t.Errorf("%+v %v", dead, err)
	}
	if err := small.Promote(ctx, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if s, err := small.Identity(ctx); err != nil || s.InRecovery || s.Timeline != 2 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := ControlData(ctx, srv.Bin, t.TempDir()); err == nil {
		t.Error("an empty folder has a control file")
	}
}
