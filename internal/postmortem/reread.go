package postmortem

import (
	"math"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// Document is what was understood of a report as a document's parts. Of one that
// was written by Document.Markdown, it is the same again.
func (d *Report) Document() Document {
	doc := Document{Title: d.Title, Zone: d.defaultZone()}
	if d.Written != nil {
		doc.Written = d.Written.At
	}
	d.particulars(&doc)
	for kind, at := range map[MomentKind]*time.Time{Started: &doc.Clocks.Started, Detected: &doc.Clocks.Detected, Acknowledged: &doc.Clocks.Acknowledged, Mitigated: &doc.Clocks.Mitigated, Ended: &doc.Clocks.Resolved} {
		*at = d.best(kind)
	}
	d.goals(&doc)
	for _, e := range d.Entries {
		x := Event{At: e.At, Text: e.Text}
		if c := e.block.cells(); e.block.Kind == Row && len(c) == 3 {
			x.Text, x.Source = c[1], c[2]
		}
		doc.Timeline = append(doc.Timeline, x)
	}
	d.duties(&doc)
	texts := doc.texts()
	for _, b := range d.prosaic() {
		kind := d.kind(b)
		switch {
		case kind == Glossary && b.Kind == Row && len(b.Cells) == 2:
			c := b.cells()
			doc.Terms = append(doc.Terms, Term{c[0], c[1]})
		case b.Kind == Row:
		case kind == Impact && b.Kind == Item && amountKind(b.Label) != "":
			doc.Impact = append(doc.Impact, d.amount(b))
		case texts[kind] != nil:
			*texts[kind] = append(*texts[kind], Passage{oneLine(b.Text), b.Kind == Item, d.marksCode(b)})
		}
	}
	return doc
}

// marksCode reports whether a block marks words as code in its source.
func (d *Report) marksCode(b *Block) bool {
	src := d.src[b.lo:max(b.lo, min(b.hi, len(d.src)))]
	for i, c := range src {
		if c == '`' && (i == 0 || src[i-1] != '\\') {
			return true
		}
	}
	return strings.Contains(strings.ToLower(string(src)), "<code")
}

// cells are the words of a row's cells.
func (b *Block) cells() []string {
	out := make([]string, len(b.Cells))
	for i, c := range b.Cells {
		out[i] = oneLine(b.Text[c.Lo:c.Hi])
	}
	return out
}

// particulars reads what the table at the top and fields elsewhere name.
func (d *Report) particulars(doc *Document) {
	list := func(v string) []string {
		var out []string
		for _, s := range strings.Split(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	for _, f := range d.Fields {
		if d.in(f.Block, ActionItems, Recommendations, Timeline, ObjectiveGroup, Glossary) {
			continue
		}
		v := oneLine(f.value())
		switch name := bare(f.Name); {
		case f.Kind == fieldAuthors && doc.Authors == nil:
			if strings.HasPrefix(v, fillMark) {
				doc.Authors = []string{v}
			} else {
				doc.Authors = list(v)
			}
		case f.Kind == fieldSeverity && doc.Severity == "":
			doc.Severity = v
		case name == "incident" && doc.Incident == "":
			doc.Incident = v
		case name == "systems" && doc.Systems == nil:
			doc.Systems = list(v)
		case name == "answering team" && doc.Team == "":
			doc.Team = v
		}
	}
}

// best is the time of a moment: of a field before one of the timeline, of that
// before one of a sentence.
func (d *Report) best(kind MomentKind) time.Time {
	for _, from := range []MomentSource{FromField, FromTimeline, FromSentence} {
		for _, m := range d.times(kind, true) {
			if m.From == from {
				return m.At
			}
		}
	}
	return time.Time{}
}

func (d *Report) goals(doc *Document) {
	for _, o := range d.Objectives {
		g := Goal{Name: oneLine(o.Place.Text), Kind: o.Kind, Limit: o.Limit, Verdict: o.Verdict}
		if o.block.Kind == Row {
			g.Name = o.block.cells()[0]
		}
		if o.Actual != nil {
			g.Reached, g.Known = o.Actual.Span, true
		}
		doc.Objectives = append(doc.Objectives, g)
	}
}

func amountKind(label string) AmountKind {
	for _, k := range []AmountKind{Downtime, Availability, ClientCount, RequestCount, DataLost, Cost} {
		if strings.EqualFold(label, string(k)) {
			return k
		}
	}
	return ""
}

// amount reads a figure of the impact.
func (d *Report) amount(b *Block) Amount {
	a := Amount{Kind: amountKind(b.Label), Text: oneLine(b.words())}
	for _, f := range b.facts {
		switch {
		case f.Lo < b.LabelAt:
		case f.Kind == prose.DurationFact && a.Span == 0 && (a.Kind == Downtime || a.Kind == DataLost):
			a.Span = f.Span
		case f.Kind == prose.PercentFact && a.Kind == Availability, f.Kind == prose.CountFact && (a.Kind == ClientCount || a.Kind == RequestCount):
			if a.Value == 0 {
				a.Value = f.Value
			}
		case f.Kind == prose.MoneyFact && a.Kind == Cost && a.Unit == "":
			a.Value, a.Unit = math.Round(f.Value*100), f.Unit
		}
	}
	return a
}

func (d *Report) duties(doc *Document) {
	for i := range d.Actions {
		a := &d.Actions[i]
		x := Duty{Text: a.Text, Owner: a.Owner, Kind: a.Kind, Source: a.Source, Check: a.Check, State: a.State}
		if !a.Due.IsZero() {
			x.Due = a.Due.Format(time.DateOnly)
		}
		if len(a.parts) > 0 && a.table {
			b := a.parts[0].block
			cells := b.cells()
			for n, c := range b.Cells {
				for _, col := range []struct {
					head string
					to   *string
				}{{"id", &x.ID}, {"action", &x.Text}, {"owner", &x.Owner}, {"due", &x.Due}, {"priority", &x.Priority}, {"kind", &x.Kind}, {"addresses", &x.Source}, {"done when", &x.Check}, {"state", &x.State}} {
					if c.Head == col.head {
						*col.to = cells[n]
					}
				}
			}
		}
		for _, p := range a.parts {
			x.Code = x.Code || d.marksCode(p.block)
		}
		doc.Actions = append(doc.Actions, x)
	}
}
