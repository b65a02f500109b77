package cli

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
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
	one   *mpb.Bar
	view  atomic.Pointer[view] // what the drawing goroutine shows
	phase string
	last  time.Time
}

// view is the state of an operation at one moment.
type view struct {
	phase       string
	begun, at   time.Time // of the phase; of the last news
	done, total int64     // bytes; total is 0 when unknown
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
		b.draw(phase, done, total, time.Now())
	}
}

// draw shows one line, which changes as the phases do.
func (b *bar) draw(phase string, done, total int64, now time.Time) {
	begun := now
	if v := b.view.Load(); v != nil && v.phase == phase {
		begun = v.begun
	}
	b.view.Store(&view{phase, begun, now, done, max(total, done)})
	if b.drawn == nil {
		b.drawn = mpb.New(mpb.WithOutput(b.g.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))
		b.one = b.drawn.AddBar(0, // a total that is given here could not change
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.view.Load().before() })),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.view.Load().after(time.Now()) })))
	}
	b.one.SetTotal(max(total, done), false)
	b.one.SetCurrent(done)
}

// before is what stands before the bar.
func (v *view) before() string {
	if v.total == 0 {
		return fmt.Sprintf("%-10s ", v.phase)
	}
	return fmt.Sprintf("%-10s %s of %s ", v.phase, bytesText(v.done), bytesText(v.total))
}

// after is what stands behind it: part, rate and time left, or for how long
// the phase has lasted.
func (v *view) after(now time.Time) string {
	took := now.Sub(v.begun)
	if v.total == 0 {
		return " " + spanText(took.Round(time.Second))
	}
	text := fmt.Sprintf(" %3d %%", v.done*100/v.total)
	if took < time.Second || v.done == 0 || v.done == v.total {
		return text
	}
	rate := float64(v.done) / took.Seconds()
	left := time.Duration(float64(v.total-v.done) / rate * float64(time.Second))
	return fmt.Sprintf("%s  %s/s, %s left", text, bytesText(int64(rate)), spanText(left.Round(time.Second)))
}

// end draws the last state. It must be called before anything else is printed.
func (b *bar) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drawn != nil {
		b.one.SetTotal(-1, true)
		b.drawn.Wait()
		b.drawn, b.one = nil, nil
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
