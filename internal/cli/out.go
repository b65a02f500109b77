package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"
)

// print writes v as JSON when that was asked for, else as text.
func (g *globals) print(v any, text func(w io.Writer)) error {
	if g.json {
		e := json.NewEncoder(g.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
		return nil
	}
	w := &sticky{w: quiet{g.stdout}}
	text(w)
	if w.err != nil {
		return fmt.Errorf("print the result: %w", w.err)
	}
	return nil
}

// quiet leaves out what would steer a terminal: what is shown may come from
// others.
type quiet struct{ w io.Writer }

func (q quiet) Write(b []byte) (int, error) {
	steers := func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}
	_, err := q.w.Write(bytes.Map(steers, b))
	return len(b), err
}

// sticky keeps the first error of many writes.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(b []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
	return len(b), s.err
}

// table writes rows in columns; the first row is the heading.
func table(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	_ = t.Flush()
}

// facts writes names and values.
func facts(w io.Writer, pairs ...string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(t, "%s\t%s\n", pairs[i], pairs[i+1])
	}
	_ = t.Flush()
}

func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		f, unit = f/step, u
		if f < step {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// timeOr is "" for a time that is not known.
func timeOr(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return timeText(t)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// spanText renders a duration with two units at most.
func spanText(d time.Duration) string {
	switch {
	case d < 0:
		return "unknown"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
