package trend

import (
	"cmp"
	"fmt"
	"image/color"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/paper"
)

// PDF renders a report as a PDF; it holds what HTML holds.
func PDF(r Report) ([]byte, error) {
	zone := r.Period.From.Location()
	day := func(t time.Time) string { return t.In(zone).Format(time.DateOnly) }
	clock := func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04 MST") }
	p := paper.New("Recoverability, "+r.Period.Name, "Refloat", r.Made)
	p.Small(fmt.Sprintf("%s to %s. Made %s from the journal and the signed proofs.", day(r.Period.From), day(r.Period.Until.Add(-1)), clock(r.Made)))
	if r.Running {
		p.Note("This period is not over: figures are as of now.")
	}
	if r.Figures.Watched < 0.999 {
		p.Note(fmt.Sprintf("A server watched for %s of the time. What happened while none did is not in this report, unless it was noticed later.", percent(r.Figures.Watched, 1)))
	}
	var large [][2]string
	for _, t := range tiles(r) {
		large = append(large, [2]string{t.Name + "; " + t.Before, t.Value})
	}
	p.Figures(large)
	p.Heading("The period at a glance")
	if err := picture(p, r); err != nil {
		return nil, err
	}
	p.Heading("How long it took")
	var rows [][]string
	for _, x := range times(r) {
		row := []string{x.Name, fmt.Sprint(x.D.N), "–", "–", "–", "–", fmt.Sprint(x.D.Unknown), x.Before}
		if x.D.N > 0 {
			row[2], row[3], row[4], row[5] = Words(x.D.Min), Words(x.D.Median), Words(x.D.P90), Words(x.D.Max)
		}
		rows = append(rows, row)
	}
	p.Table([]paper.Column{{Name: "from the first bad observation", Width: 6}, {Name: "incidents", Width: 2, Right: true}, {Name: "shortest", Width: 3, Right: true}, {Name: "median", Width: 3, Right: true}, {Name: "90 % within", Width: 3, Right: true}, {Name: "longest", Width: 3, Right: true}, {Name: "not known", Width: 2, Right: true}, {Name: "before", Width: 2, Right: true}}, rows)
	p.Heading("Targets")
	p.Table([]paper.Column{{Name: "target", Width: 4}, {Name: "available", Width: 3, Right: true}, {Name: "down", Width: 3, Right: true}, {Name: "proofs", Width: 2, Right: true}, {Name: "longest without one", Width: 4, Right: true}, {Name: "objectives", Width: 8}}, targetRows(r))
	p.Heading("Incidents")
	rows = nil
	for _, x := range r.Incidents {
		rows = append(rows, []string{x.ID + " " + x.Title, clock(x.Started), x.Severity, spanOr("–")(x.Detect), spanOr("–")(x.Mitigate), spanOr("not measured")(x.Loss), strings.Join(x.Missed, ", ")})
	}
	if rows == nil {
		p.Text("None is recorded.")
	} else {
		p.Table([]paper.Column{{Name: "incident", Width: 7}, {Name: "began", Width: 4}, {Name: "severity", Width: 2}, {Name: "detect", Width: 2, Right: true}, {Name: "mitigate", Width: 3, Right: true}, {Name: "data lost", Width: 3, Right: true}, {Name: "missed", Width: 3}}, rows)
	}
	rest(p, r, day)
	return p.Bytes()
}

func targetRows(r Report) [][]string {
	var rows [][]string
	for _, t := range r.Targets {
		row := []string{t.Name, "not watched", Words(t.Down), fmt.Sprint(len(t.Proofs)), Words(t.OldestAge), "nothing promised"}
		if t.Availability != nil {
			row[1] = percent(*t.Availability, 3)
		}
		if t.Never {
			row[4] = "never proven"
		}
		var kept []string
		for _, o := range t.Objectives {
			said := "not put to the test"
			if o.Met+o.Missed+o.Unknown > 0 {
				said = fmt.Sprintf("met %d, missed %d, not measured %d", o.Met, o.Missed, o.Unknown)
			}
			kept = append(kept, fmt.Sprintf("%s %s: %s", o.Name, Words(o.Promised), said))
		}
		if len(kept) > 0 {
			row[5] = strings.Join(kept, "; ")
		}
		rows = append(rows, row)
	}
	return rows
}

// rest is what comes after the incidents.
func rest(p *paper.Paper, r Report, day func(time.Time) string) {
	p.Heading("What comes back")
	var rows [][]string
	for _, x := range r.Recurring {
		rows = append(rows, []string{x.What, x.Target, fmt.Sprint(x.Times), fmt.Sprint(x.Before), strings.Join(x.IDs, ", ")})
	}
	if rows == nil {
		p.Text("Nothing came twice.")
	} else {
		p.Table([]paper.Column{{Name: "what", Width: 9}, {Name: "target", Width: 5}, {Name: "in the period", Width: 3, Right: true}, {Name: "before", Width: 2, Right: true}, {Name: "incidents", Width: 5}}, rows)
	}
	p.Heading("Findings and action items")
	f := r.Figures
	p.Text(fmt.Sprintf("%d findings appeared, %d went, %d are open. Of %d actions that were due %d were done on time; %d are open.", f.FindingsOpened, f.FindingsClosed, f.FindingsOpen, f.ActionsDue, f.ActionsOnTime, f.ActionsOpen))
	rows = nil
	for _, x := range r.Findings {
		rows = append(rows, []string{x.Severity, x.Target, strings.TrimSpace(x.Rule + " " + x.Object), day(x.Opened)})
	}
	if rows != nil {
		p.Table([]paper.Column{{Name: "severity", Width: 3}, {Name: "target", Width: 5}, {Name: "finding", Width: 12}, {Name: "since", Width: 4}}, rows)
	}
	rows = nil
	for _, x := range r.Late {
		rows = append(rows, []string{x.ID + " " + x.Text, cmp.Or(x.Owner, "nobody"), x.Due.String()})
	}
	if rows != nil {
		p.Table([]paper.Column{{Name: "late action", Width: 15}, {Name: "owner", Width: 5}, {Name: "due", Width: 4}}, rows)
	}
	p.Heading("Training")
	p.Text("Game days are not recorded by this version: nothing is known of training held.")
	p.Heading("What to do next")
	for i, x := range r.Next {
		p.Item(fmt.Sprintf("%d.", i+1), x.What+". "+strings.ToUpper(x.Why[:1])+x.Why[1:]+".")
		if x.Do != "" {
			p.Code("    " + x.Do)
		}
	}
	if len(r.Next) == 0 {
		p.Text("Nothing stands out.")
	}
}

// picture draws outages and proofs of each target over the period.
func picture(p *paper.Paper, r Report) error {
	rows := chart(r)
	colours := map[string]color.RGBA{"up": paper.Good, "down": paper.Bad, "other": paper.Warn}
	for len(rows) > 0 { // a page holds so many
		some := rows[:min(len(rows), 24)]
		rows = rows[len(some):]
		height := 30*len(some) + 32
		c := paper.NewCanvas(960, height)
		for _, t := range ticks(r.Period) {
			c.Rect(t.X, 8, 0.8, float64(height-30), paper.Rule)
			c.Text(t.X, float64(height-6), map[string]float64{"middle": 0.5, "end": 1}[t.Anchor], t.Label, paper.Soft)
		}
		for i, x := range some {
			y := float64(30*i + 24)
			c.Text(0, y+4, 0, x.Name, paper.Ink)
			c.Rect(chartLeft, y, chartRight-chartLeft, 0.8, paper.Rule)
			for _, m := range x.Proofs {
				c.Dot(m.X, y, 3.5, colours[m.Class])
			}
			for _, m := range x.Bars {
				c.Rect(m.X, y-7, m.W, 14, paper.Bad)
			}
		}
		png, err := c.PNG()
		if err != nil {
			return err
		}
		p.Picture(png, 174*float64(height)/960)
	}
	p.Small("Bars are outages; dots are proofs: green proven, amber inconclusive, red failed.")
	return nil
}
