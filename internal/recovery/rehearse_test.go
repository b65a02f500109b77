package recovery

import (
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

func TestRehearsal(t *testing.T) {
	find := func(all []Rehearsal, n Name, p string) Precondition {
		for _, r := range all {
			for _, x := range r.Preconditions {
				if r.Name == n && x.Name == p {
					return x
				}
			}
		}
		return Precondition{Met: "absent"}
	}
	good := func() (Facts, Standing) {
		f := withStandby(alive(dead(Unknown)))
		f.Server.Beat = target.Seen(target.Beat{At: f.Standby.Card.Beat.Value.At.Add(time.Second)})
		f.Grants.Restart, f.Grants.Start = []string{"systemctl", "restart", "x"}, []string{"start", "{directory}"}
		return f, Standing{Settings: map[string]string{"fsync": "on", "full_page_writes": "on"}, MaxLag: time.Minute, Programs: map[string]string{}}
	}
	f, s := good()
	for _, r := range Rehearse(f, s) {
		for _, p := range r.Preconditions {
			if p.Met != Holds || p.Detail == "" {
				t.Errorf("%s: %+v", r.Name, p)
			}
		}
	}
	for name, c := range map[string]struct {
		change  func(*Facts, *Standing)
		way     Name
		subject string
		met     Met
	}{
		"fsync is off":            {func(_ *Facts, s *Standing) { s.Settings["fsync"] = "off" }, Wait, "fsync", Fails},
		"it was not asked":        {func(_ *Facts, s *Standing) { s.Settings, s.Why = nil, "no way to it" }, Wait, "fsync", NotSeen},
		"no command":              {func(f *Facts, _ *Standing) { f.Grants.Restart = nil }, Restart, "restart-command", NotSeen},
		"its program is gone":     {func(_ *Facts, s *Standing) { s.Programs[StepRestart] = "it is not there" }, Restart, "restart-command", Fails},
		"the standby is late":     {func(f *Facts, s *Standing) { s.MaxLag = time.Millisecond }, Promote, "standby-lag", Fails},
		"the standby is gone":     {func(f *Facts, _ *Standing) { f.Standby.Card.Alive.Value = false }, Promote, "standby", Fails},
		"no right":                {func(f *Facts, _ *Standing) { f.Standby.Right.Value = false }, Promote, "may-promote", Fails},
		"none is configured":      {func(f *Facts, _ *Standing) { f.Standby = nil }, Promote, "standby", NotSeen},
		"it was promoted already": {func(f *Facts, _ *Standing) { f.Standby.Card.Role.Value = RolePrimary }, Promote, "standby-role", Fails},
		"another cluster's":       {func(f *Facts, _ *Standing) { f.Standby.Card.Verdict.Is = IsNotMeant }, Promote, "standby-cluster", Fails},
		"no room":                 {func(f *Facts, _ *Standing) { f.Place.Free.Value = 1 }, RestoreLatest, "room", Fails},
		"no binaries":             {func(f *Facts, _ *Standing) { f.Place.Binaries = target.Unseen[string]("not installed") }, RestoreTo, "binaries", Fails},
		"a gap":                   {func(f *Facts, _ *Standing) { f.Latest.Seen = false }, RestoreLatest, "covered", Fails},
	} {
		f, s := good()
		c.change(&f, &s)
		if p := find(Rehearse(f, s), c.way, c.subject); p.Met != c.met {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
