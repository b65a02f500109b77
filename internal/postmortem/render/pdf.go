package render

import (
	"bytes"
	"fmt"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"github.com/refloat-db/refloat/internal/postmortem"
)

// Measures of a page, in millimetres.
const (
	marginX    = 18.0
	marginTop  = 18.0
	marginFoot = 20.0
	paperWidth = 210.0
	bodyWidth  = paperWidth - 2*marginX
	bodySize   = 9.5 // points
	lineHeight = 4.8
)

type colour struct{ r, g, b int }

var (
	ink    = colour{29, 35, 41}
	soft   = colour{91, 102, 112}
	faint  = colour{213, 219, 225}
	shade  = colour{243, 246, 248}
	accent = colour{31, 95, 168}
	good   = colour{46, 125, 79}
	bad    = colour{179, 38, 30}
	yellow = colour{255, 241, 194}
)

// PDF writes a report as a PDF on A4: md is its file form, the document gives title
// and picture. Its fonts hold Latin, Greek and Cyrillic letters; others are
// question marks. The same report gives the same bytes.
func PDF(d postmortem.Document, md string) ([]byte, error) {
	font, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("write the report as PDF: read the font: %w", err)
	}
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCatalogSort(true)
	f.SetCreationDate(d.Written)
	f.SetModificationDate(d.Written)
	f.SetTitle(d.Title, true)
	f.SetCreator("Refloat", true)
	f.AddUTF8FontFromBytes("go", "", goregular.TTF)
	f.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	f.SetMargins(marginX, marginTop, marginX)
	f.SetAutoPageBreak(true, marginFoot)
	f.SetCellMargin(0)
	f.AliasNbPages("{n}")
	p := &paper{Fpdf: f, doc: d, source: []byte(md), font: font}
	f.SetFooterFunc(p.footer)
	f.AddPage()
	root := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList)).Parser().Parse(text.NewReader(p.source))
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		p.block(n, 0)
	}
	var out bytes.Buffer
	if err := f.Output(&out); err != nil {
		return nil, fmt.Errorf("write the report as PDF: %w", err)
	}
	return out.Bytes(), nil
}

// paper draws a report's blocks one below the other.
type paper struct {
	*fpdf.Fpdf
	doc    postmortem.Document
	source []byte
	font   *sfnt.Font
	buf    sfnt.Buffer
}

func (p *paper) footer() {
	p.SetY(-14)
	p.style("", 8, soft)
	p.CellFormat(bodyWidth/2, 5, p.known(foot(p.doc)), "", 0, "L", false, 0, "")
	p.CellFormat(bodyWidth/2, 5, fmt.Sprintf("%d / {n}", p.PageNo()), "", 0, "R", false, 0, "")
}

func (p *paper) style(weight string, size float64, c colour) {
	p.SetFont("go", weight, size)
	p.SetTextColor(c.r, c.g, c.b)
}

// known is a text with only letters that the font has.
func (p *paper) known(s string) string {
	return strings.Map(func(r rune) rune {
		if i, err := p.font.GlyphIndex(&p.buf, r); err != nil || i == 0 || r > 0xffff {
			return '?'
		}
		return r
	}, s)
}

// room begins a new page where less than a height is left.
func (p *paper) room(height float64) bool {
	_, page := p.GetPageSize()
	if p.GetY()+height <= page-marginFoot {
		return false
	}
	p.AddPage()
	return true
}

// words is the text of a node and of all below it.
func (p *paper) words(n ast.Node) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, in bool) (ast.WalkStatus, error) { // it gives no error
		if !in {
			return ast.WalkContinue, nil
		}
		switch t := n.(type) {
		case *ast.Text:
			b.Write(t.Segment.Value(p.source))
			if t.SoftLineBreak() || t.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(t.Value)
		case *ast.AutoLink:
			b.Write(t.URL(p.source))
		case *east.TaskCheckBox:
			if t.IsChecked {
				b.WriteString("[x] ")
			} else {
				b.WriteString("[ ] ")
			}
		}
		return ast.WalkContinue, nil
	})
	return p.known(strings.Join(strings.Fields(unescape(b.String())), " "))
}

// block draws one block; depth is how far it is indented.
func (p *paper) block(n ast.Node, depth int) {
	switch t := n.(type) {
	case *ast.Heading:
		p.heading(t)
	case *ast.Paragraph, *ast.TextBlock:
		p.paragraph(p.words(n), float64(depth)*5, "")
		p.Ln(1.6)
	case *ast.List:
		i := t.Start
		for item := t.FirstChild(); item != nil; item = item.NextSibling() {
			bullet := "•"
			if t.IsOrdered() {
				bullet = fmt.Sprintf("%d.", i)
				i++
			}
			p.item(item, depth, bullet)
		}
		p.Ln(1.2)
	case *ast.Blockquote:
		for c := t.FirstChild(); c != nil; c = c.NextSibling() {
			p.block(c, depth+1)
		}
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		lines := n.Lines()
		for i := range lines.Len() {
			s := lines.At(i)
			p.paragraph(p.known(strings.TrimRight(string(s.Value(p.source)), "\n")), float64(depth)*5+3, "")
		}
		p.Ln(1.6)
	case *ast.ThematicBreak:
		p.Ln(2)
	case *east.Table:
		p.table(t)
	default: // raw HTML is nobody's text
	}
}

func (p *paper) heading(h *ast.Heading) {
	title := p.words(h)
	switch h.Level {
	case 1:
		p.style("B", 19, ink)
		p.MultiCell(bodyWidth, 8.5, title, "", "L", false)
		p.SetDrawColor(accent.r, accent.g, accent.b)
		p.SetLineWidth(0.8)
		p.Line(marginX, p.GetY()+2, marginX+bodyWidth, p.GetY()+2)
		p.Ln(6)
	default:
		p.room(26) // a heading does not stand alone at the foot
		p.Ln(2.5)
		size := map[int]float64{2: 13, 3: 11}[h.Level]
		if size == 0 {
			size = 10
		}
		p.style("B", size, ink)
		p.MultiCell(bodyWidth, 6, title, "", "L", false)
		if h.Level == 2 {
			p.SetDrawColor(faint.r, faint.g, faint.b)
			p.SetLineWidth(0.3)
			p.Line(marginX, p.GetY()+0.6, marginX+bodyWidth, p.GetY()+0.6)
		}
		p.Ln(2.4)
		if strings.EqualFold(title, "timeline") {
			p.picture()
		}
	}
}

// paragraph draws wrapped text; what is to be filled in stands on yellow.
func (p *paper) paragraph(s string, indent float64, weight string) {
	p.style(weight, bodySize, ink)
	p.SetFillColor(yellow.r, yellow.g, yellow.b)
	for _, l := range p.SplitText(s, bodyWidth-indent) {
		p.room(lineHeight)
		p.SetX(marginX + indent)
		p.line(l, lineHeight)
		p.Ln(lineHeight)
	}
}

// line draws a line at the place where the pen is, with marks on yellow.
func (p *paper) line(l string, height float64) {
	for _, part := range marked(l) {
		p.CellFormat(p.GetStringWidth(part.text)+0.01, height, part.text, "", 0, "L", part.fill, 0, "")
	}
}

type run struct {
	text string
	fill bool
}

// marked parts a line into what is written and what is to be filled in. A mark that
// goes on over lines is one on each of them only where it begins.
func marked(l string) []run {
	var out []run
	for l != "" {
		i := strings.Index(l, "[fill in: ")
		if i < 0 {
			return append(out, run{l, false})
		}
		end := len(l)
		if n := strings.IndexByte(l[i:], ']'); n >= 0 {
			end = i + n + 1
		}
		if i > 0 {
			out = append(out, run{l[:i], false})
		}
		out, l = append(out, run{l[i:end], true}), l[end:]
	}
	return out
}

func (p *paper) item(n ast.Node, depth int, bullet string) {
	indent := 5 + float64(depth)*5
	p.style("", bodySize, ink)
	first := true
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if l, is := c.(*ast.List); is {
			p.block(l, depth+1)
			continue
		}
		if first {
			p.room(lineHeight)
			y := p.GetY()
			p.SetX(marginX + indent - 4)
			p.CellFormat(4, lineHeight, bullet, "", 0, "L", false, 0, "")
			p.SetY(y)
			first = false
		}
		p.paragraph(p.words(c), indent, "")
		p.Ln(0.7)
	}
}
