package cli

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar shows how a long operation goes on: a bar on a terminal, events with
// --json, and nothing else.
type bar struct {
	g *globals

	mu    sync.Mutex
	drawn *mpb.Progress
	phase string
	one   *mpb.Bar
	begun time.Time
	last  time.Time
}

func (g *globals) progress() *bar { return &bar{g: g} }

// event is a line of --json while an operation goes on.
type event struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	Phase string    `json:"phase"`
	Done  int64     `json:"done"`
	Total int64     `json:"total"` // 0 when unknown
	File  string    `json:"file,omitempty"`
}

// tell is called as often as the operation likes, from any goroutine.
func (b *bar) tell(phase string, done, total int64, file string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.g.json:
		if now := time.Now(); phase != b.phase || now.Sub(b.last) >= time.Second {
			b.phase, b.last = phase, now
			if text, err := json.Marshal(event{"progress", now.UTC(), phase, done, total, file}); err == nil {
				fmt.Fprintln(b.g.stdout, string(text))
			}
		}
	case terminal(b.g.stderr):
		b.draw(phase, done, total)
	}
}

func (b *bar) draw(phase string, done, total int64) {
	if b.drawn == nil {
		b.drawn = mpb.New(mpb.WithOutput(b.g.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))
	}
	now := time.Now()
	if b.one == nil || phase != b.phase {
		b.finish()
		b.phase, b.begun = phase, now
		b.one = b.drawn.AddBar(max(total, done),
			mpb.PrependDecorators(decor.Name(phase, decor.WC{W: 12, C: decor.DindentRight}), decor.CountersKibiByte("% .1f / % .1f")),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Name(" "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name(" left "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	b.one.SetTotal(max(total, done), false)
	b.one.SetCurrent(done)
}

func (b *bar) finish() {
	if b.one != nil {
		b.one.SetTotal(-1, true)
		b.one = nil
	}
}

// end draws the last state. It must be called before anything else is printed.
func (b *bar) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finish()
	if b.drawn != nil {
		b.drawn.Wait()
		b.drawn = nil
	}
}

// done prints the last event of --json, and reports whether it did.
func (b *bar) done(name string, v any) (bool, error) {
	if !b.g.json {
		return false, nil
	}
	text, err := json.Marshal(map[string]any{"event": "done", "time": time.Now().UTC(), name: v})
	if err != nil {
		return true, fmt.Errorf("print the result: %w", err)
	}
	fmt.Fprintln(b.g.stdout, string(text))
	return true, nil
}
