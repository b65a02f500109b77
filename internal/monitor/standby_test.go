package monitor

import (
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

func TestLagging(t *testing.T) {
	rules := Replication{Lag: time.Minute, Standbys: 2}
	two := []target.Standby{{Name: "a", State: "streaming"}, {Name: "b", State: "streaming", Lag: time.Second}}
	for name, c := range map[string]struct {
		h     target.Headroom
		rules Replication
		want  []string
		known bool
	}{
		"both follow":       {target.Headroom{Standbys: two}, rules, nil, true},
		"one is behind":     {target.Headroom{Standbys: []target.Standby{two[0], {Name: "b", State: "streaming", Lag: 61 * time.Second}}}, rules, []string{Lags + "/b"}, true},
		"exactly as far":    {target.Headroom{Standbys: []target.Standby{two[0], {Name: "b", State: "streaming", Lag: time.Minute}}}, rules, nil, true},
		"one is gone":       {target.Headroom{Standbys: two[:1]}, rules, []string{Missing + "/"}, true},
		"one catches up":    {target.Headroom{Standbys: []target.Standby{two[0], {Name: "b", State: "catchup"}}}, rules, []string{Missing + "/"}, true},
		"two of one name":   {target.Headroom{Standbys: []target.Standby{{Name: "x", State: "streaming"}, {Name: "x", State: "streaming", Lag: time.Hour}}}, rules, []string{Lags + "/x"}, true},
		"nothing promised":  {target.Headroom{Standbys: []target.Standby{{Name: "b", Lag: time.Hour}}}, Replication{}, nil, true},
		"they are not seen": {target.Headroom{Unknown: map[string]string{"standbys": "no right"}}, rules, nil, false},
		"the role is not":   {target.Headroom{Unknown: map[string]string{"role": "slow"}}, rules, nil, false},
		"a standby itself":  {target.Headroom{Recovering: true, Behind: 2 * time.Minute, Paused: true}, rules, []string{Lags + "/"}, true},
		"one that follows":  {target.Headroom{Recovering: true, Behind: time.Second}, rules, nil, true},
	} {
		all, known := Lagging(c.h, c.rules)
		var got []string
		for _, s := range all {
			got = append(got, s.Code+"/"+s.Object)
			if s.Detail == "" || s.Next == "" {
				t.Errorf("%s: nothing is said: %+v", name, s)
			}
		}
		if !slices.Equal(got, c.want) || known != c.known {
			t.Errorf("%s: %v, %t", name, got, known)
		}
	}
}
