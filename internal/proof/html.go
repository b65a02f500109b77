package proof

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

type fact struct{ Name, Value string }

type bar struct {
	Name, Label             string
	Y, TextY, Width, LabelX int
}

type checkRow struct {
	Title, Detail, Class, Took string
	Outcome                    string
	Evidence                   []string
}

// HTML renders a proof as one self-contained page, for people; what counts is
// the signed JSON that it names.
func HTML(s Stored) ([]byte, error) {
	t, err := template.New("proof").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("render proof %s: %w", s.Proof.ID, err)
	}
	key, err := signerOf(s.Signature)
	if err != nil {
		return nil, fmt.Errorf("render proof %s: %w", s.Proof.ID, err)
	}
	bars := phaseBars(s.Proof.Phases)
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Proof": s.Proof, "Verdict": verdictWords(s.Proof.Verdict), "Facts": factsOf(s.Proof), "Bars": bars, "ChartHeight": 24*len(bars) + 4,
		"Checks": checkRows(s.Proof.Checks), "Ways": wayRows(s.Proof.Ways), "Key": key, "Hash": s.Hash(),
	})
	if err != nil {
		return nil, fmt.Errorf("render proof %s: %w", s.Proof.ID, err)
	}
	return b.Bytes(), nil
}

func verdictWords(v Verdict) string {
	switch v {
	case Proven:
		return "Proven"
	case Failed:
		return "Failed: not recoverable as promised"
	default:
		return "Inconclusive: not proven"
	}
}

func factsOf(p Proof) []fact {
	loss := "not measured"
	if p.DataLoss != nil {
		loss = against(*p.DataLoss, p.Objectives.DataLoss)
	}
	return []fact{
		{"Data loss", loss},
		{"Resolution", against(p.Resolution, p.Objectives.Resolution)},
		{"Drilled", p.StartedAt.UTC().Format("2006-01-02 15:04:05 UTC") + ", " + round(p.EndedAt.Sub(p.StartedAt)) + ", on " + p.Host},
		{"Backup", fmt.Sprintf("%s (%s), consistent from %s", p.Backup, p.BackupKind, p.BackupEnd)},
		{"Asked for", p.Asked},
		{"Replay ended at", p.Reached.String()},
		{"Expected at least", fmt.Sprintf("%s, says %s", p.Expected, p.ExpectedFrom)},
		{"Read", fmt.Sprintf("%d rows of %d relations, %d pages, %d log segments", p.Rows, p.Relations, p.Pages, p.LogSegments)},
		{"Cluster", fmt.Sprintf("%s, PostgreSQL %s; scratch server %s", p.SystemID, p.Server, p.Scratch)},
		{"Repository", p.Repository + " (" + p.Fingerprint + ")"},
		{"Refloat", p.Refloat},
	}
}

func against(measured, promised time.Duration) string {
	if promised <= 0 {
		return round(measured) + " (nothing promised)"
	}
	return round(measured) + " (promised " + promised.String() + ")"
}

func round(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func phaseBars(phases []Phase) []bar {
	var longest time.Duration
	for _, p := range phases {
		longest = max(longest, p.Took)
	}
	bars := make([]bar, 0, len(phases))
	for i, p := range phases {
		width := 1
		if longest > 0 {
			width = max(1, int(440*float64(p.Took)/float64(longest)))
		}
		label := round(p.Took)
		if p.Bytes > 0 && p.Took > 0 {
			label += fmt.Sprintf(", %.0f MiB/s", float64(p.Bytes)/(1<<20)/p.Took.Seconds())
		}
		bars = append(bars, bar{Name: p.Name, Label: label, Y: 24*i + 4, TextY: 24*i + 17, Width: width, LabelX: 96 + width + 8})
	}
	return bars
}

func checkRows(checks []Check) []checkRow {
	rows := make([]checkRow, 0, len(checks))
	for _, c := range checks {
		class := map[Outcome]string{Passed: "passed", CheckFailed: "failed", CouldNotRun: "open", NotAsked: "quiet"}[c.Outcome]
		took := ""
		if c.Took >= time.Millisecond {
			took = round(c.Took)
		}
		rows = append(rows, checkRow{Title: c.Title, Detail: c.Detail, Class: class, Took: took, Outcome: strings.ToUpper(string(c.Outcome[:min(1, len(c.Outcome))])) + string(c.Outcome[min(1, len(c.Outcome)):]), Evidence: c.Evidence})
	}
	return rows
}

type wayRow struct {
	Title  string
	Checks []checkRow
}

func wayRows(ways []Way) []wayRow {
	rows := make([]wayRow, 0, len(ways))
	for _, w := range ways {
		rows = append(rows, wayRow{w.Title, checkRows(w.Checks)})
	}
	return rows
}
