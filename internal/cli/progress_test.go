package cli

import (
	"bytes"
	"testing"
	"time"
)

// However an operation goes on, and wherever it stops, its bar ends with it.
func TestBarEnds(t *testing.T) {
	type news struct {
		phase       string
		done, total int64
	}
	for name, all := range map[string][]news{
		"nothing":      nil,
		"no total":     {{"checkpoint", 0, 0}},
		"cut short":    {{"copy", 10, 100}},
		"whole":        {{"checkpoint", 0, 0}, {"copy", 10, 100}, {"copy", 100, 100}, {"commit", 100, 100}},
		"over":         {{"copy", 10, 100}, {"copy", 120, 100}, {"log", 120, 100}, {"copy", 130, 140}},
		"less than it": {{"copy", 100, 100}, {"recover", 1, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bar{g: &globals{stderr: &bytes.Buffer{}}}
			now := time.Now()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for i, n := range all {
					b.draw(n.phase, n.done, n.total, now.Add(time.Duration(i)*time.Second))
				}
				b.end()
			}()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the bar is still drawn")
			}
		})
	}
}

func TestBarSays(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		v             view
		before, after string
	}{
		{view{"checkpoint", at, at, 0, 0}, "checkpoint ", " 10.0 s"},
		{view{"copy", at, at, 256 << 20, 1 << 30}, "copy       256.0 MiB of 1.0 GiB ", "  25 %  25.6 MiB/s, 30.0 s left"},
		{view{"copy", at, at, 1 << 30, 1 << 30}, "copy       1.0 GiB of 1.0 GiB ", " 100 %"},
	} {
		if b, a := x.v.before(), x.v.after(at.Add(10*time.Second)); b != x.before || a != x.after {
			t.Errorf("%q and %q, not %q and %q", b, a, x.before, x.after)
		}
	}
}
