package render

import (
	"html"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// unescape turns what Markdown keeps escaped in a text's bytes into the text.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return html.UnescapeString(b.String())
}

// widest is how many columns a table may have; of more, each row is drawn as a
// block of named values.
const widest = 6

func (p *paper) table(t *east.Table) {
	var heads []string
	var rows [][]string
	for r := t.FirstChild(); r != nil; r = r.NextSibling() {
		cells := p.cells(r)
		if _, is := r.(*east.TableHeader); is {
			heads = cells
		} else {
			rows = append(rows, cells)
		}
	}
	if len(heads) > widest {
		p.cards(heads, rows)
		return
	}
	widths := p.widths(heads, rows)
	p.tableHead(heads, widths)
	for _, r := range rows {
		if p.row(r, widths, "", false) {
			p.tableHead(heads, widths)
			p.row(r, widths, "", true)
		}
	}
	p.Ln(2)
}

func (p *paper) cells(r ast.Node) []string {
	var out []string
	for c := r.FirstChild(); c != nil; c = c.NextSibling() {
		out = append(out, p.words(c))
	}
	return out
}

// widths shares the page's width out: each column gets what it needs, and those
// that need much share what is left.
func (p *paper) widths(heads []string, rows [][]string) []float64 {
	const pad = 4.0
	need := make([]float64, len(heads))
	p.style("", bodySize-0.5, ink)
	for i, h := range heads {
		need[i] = p.GetStringWidth(h)*1.1 + pad
		for _, r := range rows {
			if i < len(r) {
				need[i] = max(need[i], p.GetStringWidth(r[i])+pad)
			}
		}
	}
	out := make([]float64, len(need))
	left, open := bodyWidth, len(need)
	for done := false; !done; { // settle columns that need less than their share
		done = true
		for i, n := range need {
			if out[i] == 0 && n <= left/float64(open) {
				out[i], left, open, done = n, left-n, open-1, false
			}
		}
		if open == 0 {
			break
		}
	}
	total := 0.0
	for i := range need {
		if out[i] == 0 {
			total += need[i]
		}
	}
	for i := range need {
		if out[i] == 0 {
			out[i] = left/float64(open)*0.5 + left*0.5*need[i]/total
		}
	}
	if open == 0 && len(out) > 0 {
		out[slices.Index(need, slices.Max(need))] += left
	}
	return out
}

func (p *paper) tableHead(heads []string, widths []float64) {
	p.SetFillColor(shade.r, shade.g, shade.b)
	p.room(12)
	p.Rect(marginX, p.GetY(), bodyWidth, lineHeight+2, "F")
	p.row(heads, widths, "B", true)
}

// row draws a row, and reports that it needs a page of its own first instead, unless
// it is forced.
func (p *paper) row(cells []string, widths []float64, weight string, force bool) (full bool) {
	p.style(weight, bodySize-0.5, ink)
	lines, most := make([][]string, len(widths)), 1
	for i := range widths {
		if i < len(cells) {
			lines[i] = p.SplitText(cells[i], widths[i]-3)
			most = max(most, len(lines[i]))
		}
	}
	const step = lineHeight - 0.4
	height := float64(most)*step + 2
	_, page := p.GetPageSize()
	if !force && p.GetY()+height > page-marginFoot {
		p.AddPage()
		return true
	}
	x, y := marginX, p.GetY()
	for i, w := range widths {
		p.style(weight, bodySize-0.5, verdictColour(cells, i))
		p.SetFillColor(yellow.r, yellow.g, yellow.b)
		open := false
		for n, l := range lines[i] {
			p.SetXY(x+1.5, y+1+float64(n)*step)
			if open { // a mark that began on the line above
				l = "[fill in: " + l
			}
			for _, part := range marked(l) {
				text := part.text
				if open && part.fill {
					text = strings.TrimPrefix(text, "[fill in: ")
				}
				open = part.fill && !strings.HasSuffix(part.text, "]")
				p.CellFormat(p.GetStringWidth(text)+0.01, step, text, "", 0, "L", part.fill, 0, "")
			}
		}
		x += w
	}
	p.SetDrawColor(faint.r, faint.g, faint.b)
	p.SetLineWidth(0.2)
	p.Line(marginX, y+height, marginX+bodyWidth, y+height)
	p.SetXY(marginX, y+height)
	return false
}

func verdictColour(cells []string, i int) colour {
	if i < len(cells) {
		switch cells[i] {
		case "met":
			return good
		case "missed":
			return bad
		}
	}
	return ink
}

// cards draws rows of many columns as named values below each other.
func (p *paper) cards(heads []string, rows [][]string) {
	const name = 30.0
	for _, r := range rows {
		p.room(30)
		for i, h := range heads {
			if i >= len(r) || r[i] == "" {
				continue
			}
			weight := ""
			if i < 2 {
				weight = "B"
			}
			p.style("", bodySize-0.5, soft)
			p.room(lineHeight)
			y := p.GetY()
			p.CellFormat(name, lineHeight, h, "", 0, "L", false, 0, "")
			p.SetY(y)
			p.paragraph(r[i], name, weight)
		}
		p.SetDrawColor(faint.r, faint.g, faint.b)
		p.SetLineWidth(0.2)
		p.Line(marginX, p.GetY()+1, marginX+bodyWidth, p.GetY()+1)
		p.Ln(3)
	}
}
