package monitor

import (
	"testing"

	"github.com/refloat-db/refloat/internal/target"
)

func TestHereOnly(t *testing.T) {
	const yes, no, blind = target.Serving, target.Refused, target.Blind
	for _, c := range []struct {
		votes []target.Sees
		want  bool
	}{
		{nil, false},
		{[]target.Sees{blind}, false},
		{[]target.Sees{no}, false},
		{[]target.Sees{yes}, true},
		{[]target.Sees{yes, blind}, true},
		{[]target.Sees{yes, yes}, true},
		{[]target.Sees{yes, no}, false},
		{[]target.Sees{no, no}, false},
		{[]target.Sees{yes, yes, no}, false},
		{[]target.Sees{yes, yes, yes, no}, true},
	} {
		var votes []Vote
		for _, s := range c.votes {
			votes = append(votes, Vote{Node: "n", Sees: s})
		}
		if got := HereOnly(votes); got != c.want {
			t.Errorf("%v: %t", c.votes, got)
		}
	}
	for s, want := range map[target.Sees]bool{
		target.Refused: true, target.Silent: true, target.Unreachable: true, target.Broken: true, target.Denied: true,
		target.Full: false, target.ReadOnly: false, target.DiskFull: false, target.WriteHangs: false, target.Starting: false, target.Stalled: false,
	} {
		if PathMatters(s) != want {
			t.Errorf("%s: %t", s, !want)
		}
	}
}
