package postmortem

import (
	"bytes"
	"html"
	"strings"

	markup "golang.org/x/net/html"
)

// htmlReader turns a page into the same blocks as Markdown, tag by tag; no tree
// is built, so that depth costs nothing.
type htmlReader struct {
	*reader
	open    *Block
	depth   int // of lists
	ordered []bool
	bold    int
	mute    int // inside script or style
	level   int // of the heading that is open
	head    bool
	col     int
	cell    int
	inCell  bool
	gap     bool // white space was read, and not yet written
}

func (h *htmlReader) scan(src []byte) {
	z := markup.NewTokenizer(bytes.NewReader(src))
	off := 0
	for {
		kind := z.Next()
		raw := len(z.Raw())
		lo := off
		off += raw
		switch kind {
		case markup.ErrorToken:
			h.flush()
			return
		case markup.TextToken:
			if h.mute == 0 {
				h.text(lo, off)
			}
		case markup.StartTagToken, markup.SelfClosingTagToken:
			name, _ := z.TagName()
			h.start(string(name), off)
		case markup.EndTagToken:
			name, _ := z.TagName()
			h.end(string(name))
		}
	}
}

func (h *htmlReader) start(name string, off int) {
	switch name {
	case "script", "style", "head", "template":
		if name != "head" {
			h.mute++
		}
	case "h1", "h2", "h3", "h4", "h5", "h6":
		h.flush()
		h.level = int(name[1] - '0')
	case "ul", "ol":
		h.flush()
		h.depth++
		if len(h.ordered) < 64 {
			h.ordered = append(h.ordered, name == "ol")
		}
		if h.depth == 1 {
			h.list++
		}
	case "li":
		h.flush()
		h.block(Item, off)
		h.open.Level = max(0, min(h.depth, 8)-1)
		h.open.Ordered = len(h.ordered) > 0 && h.ordered[len(h.ordered)-1]
		h.open.List = h.list
	case "table":
		h.flush()
		h.list++
		h.cols = nil
	case "tr":
		h.flush()
		h.block(Row, off)
		h.open.List, h.col, h.inCell = h.list, 0, false
	case "td", "th":
		if h.open == nil || h.open.Kind != Row {
			h.flush()
			h.block(Row, off)
			h.open.List, h.col = h.list, 0
		}
		h.closeCell()
		if name == "th" && h.col == 0 && h.cols == nil {
			h.open.Head = true
		} else if name == "td" {
			h.open.Head = false
		}
		if h.col > 0 {
			h.open.buf = append(h.open.buf, " | "...)
		}
		h.cell, h.inCell, h.gap = len(h.open.buf), true, false
	case "br":
		if h.open != nil && h.open.Kind == Paragraph {
			h.flush()
		}
		h.gap = true
	case "b", "strong":
		h.bold++
	case "p", "div", "section", "article", "header", "footer", "main", "blockquote", "dt", "dd", "pre", "hr", "body", "figure", "title":
		if h.open != nil && (h.open.Kind == Item || h.open.Kind == Row) {
			h.gap = true
			return
		}
		h.flush()
	}
}

func (h *htmlReader) end(name string) {
	switch name {
	case "script", "style", "template":
		h.mute = max(0, h.mute-1)
	case "h1", "h2", "h3", "h4", "h5", "h6", "tr", "li", "title":
		h.flush()
		h.level = 0
	case "ul", "ol":
		h.flush()
		h.depth = max(0, h.depth-1)
		if n := len(h.ordered); n > 0 {
			h.ordered = h.ordered[:n-1]
		}
	case "td", "th":
		h.closeCell()
	case "b", "strong":
		h.bold = max(0, h.bold-1)
	case "p", "div", "section", "article", "blockquote", "dt", "dd", "pre", "table":
		if h.open != nil && (h.open.Kind == Item || h.open.Kind == Row) {
			h.gap = true
			return
		}
		h.flush()
	}
}

func (h *htmlReader) block(kind BlockKind, off int) {
	h.open = &Block{Kind: kind, lo: off, hi: off, Section: len(h.doc.Sections) - 1}
	h.gap = false
}

func (h *htmlReader) closeCell() {
	if h.open != nil && h.open.Kind == Row && h.inCell {
		h.endCell(h.open, h.cell, h.col)
		h.col++
		h.inCell = false
	}
}

// flush ends the open block.
func (h *htmlReader) flush() {
	b := h.open
	if b == nil {
		return
	}
	h.closeCell()
	h.open = nil
	if len(bytes.TrimSpace(b.buf)) == 0 {
		return
	}
	text := string(b.buf)
	if b.Kind == Paragraph && h.level == 0 && len(text) <= 100 && h.head {
		if t := strings.TrimSpace(text); r1(h.reader.about(t)) && len(strings.Fields(t)) <= 6 && (strings.HasSuffix(t, ":") || h.reader.named(t) != NoSection) {
			b.Kind, b.Level = Heading, 6
		}
	}
	h.head = false
	if h.level > 0 && b.Kind == Paragraph {
		b.Kind, b.Level = Heading, h.level
	}
	h.doc.Blocks = append(h.doc.Blocks, b)
	if b.Kind == Heading {
		h.reader.open(b, b.Level, strings.TrimSpace(text))
	}
}

func r1(k SectionKind) bool { return k != NoSection }

// text writes words with single spaces between them, and where they came from.
func (h *htmlReader) text(lo, hi int) {
	src := h.src
	for i := lo; i < hi; {
		c := src[i]
		if c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			h.gap = true
			i++
			continue
		}
		if h.open != nil && len(h.open.buf) > longestBlock {
			h.flush()
		}
		if h.open == nil {
			h.block(Paragraph, i)
			h.head = h.bold > 0
		}
		b := h.open
		h.head = h.head && h.bold > 0
		if h.gap && len(b.buf) > 0 {
			b.segs = append(b.segs, seg{len(b.buf), max(0, i-1)})
			b.buf = append(b.buf, ' ')
		}
		h.gap = false
		b.segs = append(b.segs, seg{len(b.buf), i})
		if c == '&' {
			if end := bytes.IndexByte(src[i:min(hi, i+12)], ';'); end > 1 {
				b.buf = append(b.buf, html.UnescapeString(string(src[i:i+end+1]))...)
				i += end + 1
				b.hi = i
				continue
			}
		}
		end := i + 1
		for end < hi && src[end] > ' ' && src[end] != '&' {
			end++
		}
		b.buf = append(b.buf, src[i:end]...)
		i, b.hi = end, end
	}
}
