// Package paper writes documents as PDF: headings, paragraphs, lists, tables and
// pictures, on A4 with page numbers. What it is given is text; it knows nothing of
// what that is about.
package paper

import (
	"fmt"
	"strings"
	"time"

	"github.com/johnfercher/maroto/v2"
	"github.com/johnfercher/maroto/v2/pkg/components/col"
	"github.com/johnfercher/maroto/v2/pkg/components/image"
	"github.com/johnfercher/maroto/v2/pkg/components/row"
	"github.com/johnfercher/maroto/v2/pkg/components/text"
	"github.com/johnfercher/maroto/v2/pkg/config"
	"github.com/johnfercher/maroto/v2/pkg/consts/align"
	"github.com/johnfercher/maroto/v2/pkg/consts/border"
	"github.com/johnfercher/maroto/v2/pkg/consts/extension"
	"github.com/johnfercher/maroto/v2/pkg/consts/fontstyle"
	"github.com/johnfercher/maroto/v2/pkg/core"
	"github.com/johnfercher/maroto/v2/pkg/props"
	"github.com/johnfercher/maroto/v2/pkg/repository"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
)

// Grid is how many columns a table's widths are parts of.
const Grid = 24

// The families of fonts. They hold Latin, Greek and Cyrillic; a character that is
// not in them is written as a question mark rather than left out.
const (
	family = "go"
	mono   = "gomono"
)

var (
	ink  = props.Color{Red: 27, Green: 31, Blue: 36}
	soft = props.Color{Red: 89, Green: 98, Blue: 109}
	rule = props.Color{Red: 205, Green: 211, Blue: 218}
	pane = props.Color{Red: 243, Green: 245, Blue: 247}
)

// Paper is a document that is being written. Make it with New.
type Paper struct {
	m   core.Maroto
	err error
}

// New begins a document.
func New(title, author string, at time.Time) *Paper {
	fonts, err := repository.New().
		AddUTF8FontFromBytes(family, fontstyle.Normal, goregular.TTF).AddUTF8FontFromBytes(family, fontstyle.Bold, gobold.TTF).
		AddUTF8FontFromBytes(family, fontstyle.Italic, goitalic.TTF).AddUTF8FontFromBytes(mono, fontstyle.Normal, gomono.TTF).Load()
	if err != nil {
		return &Paper{err: fmt.Errorf("load the fonts of the PDF: %w", err)}
	}
	c := config.NewBuilder().WithCustomFonts(fonts).WithDefaultFont(&props.Font{Family: family, Size: 9.5, Color: &ink}).
		WithLeftMargin(18).WithRightMargin(18).WithTopMargin(16).WithBottomMargin(16).WithMaxGridSize(Grid).
		WithTitle(title, true).WithAuthor(author, true).WithCreator("Refloat", true).WithCreationDate(at).
		WithPageNumber(props.PageNumber{Pattern: "{current} / {total}", Place: props.RightBottom, Family: family, Size: 8, Color: &soft}).Build()
	p := &Paper{m: maroto.New(c)}
	p.line(title, props.Text{Size: 18, Style: fontstyle.Bold, Bottom: 2})
	return p
}

func (p *Paper) line(s string, t props.Text) {
	if p.err != nil || strings.TrimSpace(s) == "" {
		return
	}
	t.Bottom += 1
	p.m.AddRows(row.New().Add(text.NewCol(Grid, plain(s), t)))
}

// Heading begins a part.
func (p *Paper) Heading(s string) {
	p.line(s, props.Text{Size: 12.5, Style: fontstyle.Bold, Top: 5, Bottom: 1})
}

// Subheading begins a part of a part.
func (p *Paper) Subheading(s string) {
	p.line(s, props.Text{Size: 10.5, Style: fontstyle.Bold, Top: 3})
}

// Text is a paragraph.
func (p *Paper) Text(s string) { p.line(s, props.Text{VerticalPadding: 1, Bottom: 1}) }

// Small is a paragraph in the background: where from, when made.
func (p *Paper) Small(s string) {
	p.line(s, props.Text{Size: 8.5, Color: &soft, VerticalPadding: 0.8, Bottom: 1})
}

// Code is text that a person types or a program prints; its lines stay.
func (p *Paper) Code(s string) {
	for l := range strings.Lines(s) {
		p.line(strings.TrimRight(l, "\n"), props.Text{Family: mono, Size: 8, Left: 3, VerticalPadding: 0.5})
	}
}

// Note is a paragraph that stands out.
func (p *Paper) Note(s string) {
	if p.err != nil {
		return
	}
	p.m.AddRows(row.New().Add(text.NewCol(Grid, plain(s), props.Text{Top: 1.5, Bottom: 2, Left: 2, Right: 2, VerticalPadding: 1})).WithStyle(&props.Cell{BackgroundColor: &pane}))
	p.m.AddRow(2)
}

// Item is an entry of a list with its mark: "1.", "–".
func (p *Paper) Item(mark, s string) {
	if p.err != nil {
		return
	}
	p.m.AddRows(row.New().Add(
		text.NewCol(1, plain(mark), props.Text{Color: &soft, Align: align.Right, Right: 1.5}),
		text.NewCol(Grid-1, plain(s), props.Text{VerticalPadding: 0.8, Bottom: 1.5}),
	))
}

// Column is a column of a table: its name, and how many of Grid it takes.
type Column struct {
	Name  string
	Width int
	Right bool // numbers
}

// Table is a table. Rows that lack cells are filled up; widths that do not add up
// to Grid are a mistake.
func (p *Paper) Table(columns []Column, rows [][]string) {
	sum := 0
	for _, c := range columns {
		sum += c.Width
	}
	if sum != Grid && p.err == nil {
		p.err = fmt.Errorf("a table of the PDF has columns of %d, not %d", sum, Grid)
	}
	if p.err != nil {
		return
	}
	side := func(c Column) align.Type {
		if c.Right {
			return align.Right
		}
		return align.Left
	}
	head := make([]core.Col, len(columns))
	for i, c := range columns {
		head[i] = text.NewCol(c.Width, plain(c.Name), props.Text{Size: 8, Color: &soft, Align: side(c), Right: 2, Bottom: 1.2})
	}
	p.m.AddRows(row.New().Add(head...).WithStyle(&props.Cell{BorderType: border.Bottom, BorderColor: &rule, BorderThickness: 0.2}))
	for _, r := range rows {
		cells := make([]core.Col, len(columns))
		for i, c := range columns {
			s := ""
			if i < len(r) {
				s = r[i]
			}
			cells[i] = text.NewCol(c.Width, plain(s), props.Text{Size: 8.5, Align: side(c), Top: 1, Bottom: 1.4, Right: 2, VerticalPadding: 0.6})
		}
		p.m.AddRows(row.New().Add(cells...).WithStyle(&props.Cell{BorderType: border.Bottom, BorderColor: &rule, BorderThickness: 0.1}))
	}
	p.m.AddRow(3)
}

// Figures are some figures shown large, each with its name, at most six.
func (p *Paper) Figures(all [][2]string) {
	if p.err != nil || len(all) == 0 {
		return
	}
	each := Grid / min(len(all), 6)
	values, names := row.New(), row.New()
	for i, x := range all[:min(len(all), 6)] {
		width := each
		if i == min(len(all), 6)-1 {
			width = Grid - each*i
		}
		values.Add(col.New(width).Add(text.New(plain(x[1]), props.Text{Size: 13, Style: fontstyle.Bold, Top: 2, Left: 2, Bottom: 0.5})))
		names.Add(col.New(width).Add(text.New(plain(x[0]), props.Text{Size: 8, Color: &soft, Left: 2, Right: 1, Bottom: 2})))
	}
	style := &props.Cell{BackgroundColor: &pane}
	p.m.AddRows(values.WithStyle(style), names.WithStyle(style))
	p.m.AddRow(3)
}

// Picture is a PNG over the whole width; height in millimetres, at most a page.
func (p *Paper) Picture(png []byte, height float64) {
	if p.err != nil {
		return
	}
	p.m.AddRows(image.NewFromBytesRow(min(height, 230), png, extension.Png, props.Rect{Percent: 100, Left: 0}))
	p.m.AddRow(2)
}

// Bytes is the document.
func (p *Paper) Bytes() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	d, err := p.m.Generate()
	if err != nil {
		return nil, fmt.Errorf("write the PDF: %w", err)
	}
	return d.GetBytes(), nil
}

// plain keeps what the fonts can show, and says where there was more.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f:
			return -1
		case r == '≤' || r == '≥' || r == '→' || r == '←' || r == '…' || r == '√' || r == '×':
			return r
		case r < 0x530, r >= 0x2010 && r <= 0x2044, r == '€':
			return r
		}
		return '?'
	}, s)
}
