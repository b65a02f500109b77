package trend

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
)

//go:embed page.html
var pageText string

// tile is one figure that is shown large.
type tile struct{ Name, Value, Before, Class string }

type timeRow struct {
	Name   string
	D      Distribution
	Before string
}

type tick struct {
	X             float64
	Label, Anchor string
}

type mark struct {
	X, W, Y      float64
	Class, Title string
}

type chartRow struct {
	Name         string
	Y, TextY     float64
	Proofs, Bars []mark
}

// HTML renders a report as one self-contained page, to be read or printed.
func HTML(r Report) ([]byte, error) {
	zone := r.Period.From.Location()
	t, err := template.New("report").Funcs(template.FuncMap{
		"day":  func(t time.Time) string { return t.In(zone).Format(time.DateOnly) },
		"time": func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04 MST") },
		"span": Words, "join": func(s []string) string { return strings.Join(s, ", ") },
		"percent": func(f float64) string { return percent(f, 1) }, "percent3": func(f *float64) string { return percent(*f, 3) }, "percentp": func(f *float64) string { return percent(*f, 1) },
		"spanp": spanOr("–"), "lossp": spanOr("not measured"),
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("render the report: %w", err)
	}
	rows := chart(r)
	bottom := 30*len(rows) + 10
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"R": r, "Last": r.Period.Until.Add(-1), "Zone": r.Period.From.Format("MST"), "Tiles": tiles(r), "Times": times(r),
		"Rows": rows, "Ticks": ticks(r.Period), "Height": bottom + 22, "Bottom": bottom, "TickY": bottom + 16,
	})
	if err != nil {
		return nil, fmt.Errorf("render the report: %w", err)
	}
	return b.Bytes(), nil
}

// percent cuts rather than rounds, so that what is not whole is never shown as
// whole.
func percent(f float64, digits int) string {
	s := fmt.Sprintf("%.9f", f*100)
	whole, part, _ := strings.Cut(s, ".")
	if digits == 0 || strings.Trim(part[:digits], "0") == "" && strings.Trim(part, "0") == "" {
		return whole + " %"
	}
	return whole + "." + part[:digits] + " %"
}

func spanOr(none string) func(*time.Duration) string {
	return func(d *time.Duration) string {
		if d == nil {
			return none
		}
		return Words(*d)
	}
}

// Words is a duration as people write it.
func Words(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 10*time.Second:
		return fmt.Sprintf("%.2g s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 48*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return two(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

func two(n int, unit string, rest int, part string) string {
	if rest == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, rest, part)
}

func tiles(r Report) []tile {
	f, p := r.Figures, r.Previous
	before := func(v func(Figures) string) string {
		if p == nil {
			return "nothing known of before"
		}
		return v(*p) + " before"
	}
	lost := func(f Figures) string {
		var worst time.Duration
		for _, d := range f.DataLost {
			worst = max(worst, d)
		}
		switch {
		case worst > 0:
			return Words(worst)
		case f.Unmeasured > 0:
			return "not measured"
		case f.Incidents == 0:
			return "no incident"
		}
		return "none"
	}
	number := func(v func(Figures) int) (string, string) {
		return fmt.Sprint(v(f)), before(func(f Figures) string { return fmt.Sprint(v(f)) })
	}
	words := func(v func(Figures) string) (string, string) { return v(f), before(v) }
	var out []tile
	add := func(name string, bad bool, value, before string) {
		class := ""
		if bad {
			class = "bad"
		}
		out = append(out, tile{name, value, before, class})
	}
	v, b := number(func(f Figures) int { return f.Incidents })
	add("incidents", false, v, b)
	v, b = words(func(f Figures) string { return orNone(f.Down) })
	add("down, all targets", f.Down > 0, v, b)
	v, b = words(lost)
	add("most data lost", len(f.DataLost) > 0, v, b)
	v, b = words(func(f Figures) string { return fmt.Sprintf("%d of %d", f.Proven, f.Proofs) })
	add("drills that proved it", f.Proven < f.Proofs || f.Proofs == 0, v, b)
	v, b = number(func(f Figures) int { return f.FindingsOpen })
	add("findings open", false, v, b)
	v, b = words(func(f Figures) string { return fmt.Sprintf("%d of %d", f.ActionsOnTime, f.ActionsDue) })
	add("actions on time", f.ActionsLate > 0, v, b)
	return out
}

func orNone(d time.Duration) string {
	if d == 0 {
		return "none seen"
	}
	return Words(d)
}

func times(r Report) []timeRow {
	out := []timeRow{{"to detect", r.Figures.Detect, ""}, {"to acknowledge, from detection", r.Figures.Ack, ""}, {"until service was back", r.Figures.Mitigate, ""}, {"until resolved", r.Figures.Resolve, ""}}
	for i := range out {
		out[i].Before = "–"
		if p := r.Previous; p != nil {
			if d := []Distribution{p.Detect, p.Ack, p.Mitigate, p.Resolve}[i]; d.N > 0 {
				out[i].Before = Words(d.Median)
			}
		}
	}
	return out
}

// The chart's frame, in its own units.
const (
	chartLeft  = 180
	chartRight = 950
)

func at(p Period, t time.Time) float64 {
	x := float64(t.Sub(p.From)) / float64(p.Length())
	return chartLeft + min(max(x, 0), 1)*(chartRight-chartLeft)
}

func chart(r Report) []chartRow {
	var rows []chartRow
	for i, t := range r.Targets {
		name := t.Name
		if n := []rune(name); len(n) > 24 {
			name = string(n[:23]) + "…"
		}
		row := chartRow{Name: name, Y: float64(30*i + 24), TextY: float64(30*i + 28)}
		for _, o := range t.Outages {
			end := o.Until
			if end.IsZero() {
				end = earlier(r.Made, r.Period.Until)
			}
			x := at(r.Period, o.From)
			row.Bars = append(row.Bars, mark{X: x, W: max(at(r.Period, end)-x, 2), Y: row.Y - 7, Title: fmt.Sprintf("down from %s for %s", o.From.In(r.Period.From.Location()).Format("2006-01-02 15:04 MST"), Words(end.Sub(o.From)))})
		}
		for _, p := range t.Proofs {
			class := map[proof.Verdict]string{proof.Proven: "up", proof.Failed: "down"}[p.Verdict]
			if class == "" {
				class = "other"
			}
			row.Proofs = append(row.Proofs, mark{X: at(r.Period, p.At), Y: row.Y, Class: class, Title: fmt.Sprintf("%s, %s", p.Verdict, p.ID)})
		}
		rows = append(rows, row)
	}
	return rows
}

// ticks are the beginnings of months, or of days in a short period.
func ticks(p Period) []tick {
	var out []tick
	days := p.Length() < 32*24*time.Hour
	t := time.Date(p.From.Year(), p.From.Month(), 1, 0, 0, 0, 0, p.From.Location())
	if days {
		t = time.Date(p.From.Year(), p.From.Month(), p.From.Day(), 0, 0, 0, 0, p.From.Location())
	}
	for len(out) < 40 && !t.After(p.Until) {
		if !t.Before(p.From) {
			x := tick{X: at(p, t), Label: t.Format("2 Jan"), Anchor: "middle"}
			if x.X > chartRight-20 {
				x.Anchor = "end"
			}
			out = append(out, x)
		}
		if days {
			t = t.AddDate(0, 0, max(1, int(p.Length()/(24*time.Hour))/8))
		} else {
			t = t.AddDate(0, 1, 0)
		}
	}
	return out
}
