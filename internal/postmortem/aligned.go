package postmortem

import "strings"

// stretch is the part of a line between wide gaps.
type stretch struct{ lo, hi int }

// stretches cuts a line where two or more spaces stand, or a tab.
func stretches(t string) []stretch {
	var out []stretch
	for i := 0; i < len(t); {
		for i < len(t) && (t[i] == ' ' || t[i] == '\t') {
			i++
		}
		lo := i
		for i < len(t) && t[i] != '\t' && !(t[i] == ' ' && i+1 < len(t) && (t[i+1] == ' ' || t[i+1] == '\t')) {
			i++
		}
		if hi := lo + len(strings.TrimRight(t[lo:i], " ")); hi > lo {
			out = append(out, stretch{lo, hi})
		}
	}
	return out
}

// aligned reads a table whose columns are set apart by spaces only, from its line
// of names to the next blank line; a line that leaves the first column empty goes on
// with the row above.
func (r *reader) aligned(lines []line, i int) bool {
	const longest = 400 // a line of a table that a person set by hand
	at := func(l line) string { return string(r.src[l.lo:l.hi]) }
	if r.align != nil && !r.blank {
		if l := lines[i]; l.hi-l.lo <= longest && r.alignedRow(at(l), l.lo) {
			return true
		}
		r.align = nil
		return false
	}
	r.align = nil
	l := lines[i]
	if l.hi-l.lo > longest || !r.blank && r.headingBefore() == 0 {
		return false
	}
	cols := stretches(at(l))
	if len(cols) < 3 {
		return false
	}
	known, acts := 0, false
	for _, c := range cols {
		k := fieldName(at(l)[c.lo:c.hi])
		if k != noField {
			known++
		}
		acts = acts || k == fieldAction
	}
	if known < 2 || !acts && known < 3 || i+1 >= len(lines) || lines[i+1].hi-lines[i+1].lo > longest || len(stretches(at(lines[i+1]))) < 2 {
		return false
	}
	r.close()
	r.cols = nil
	r.list++
	b := &Block{Kind: Row, lo: l.lo, hi: l.hi, Section: len(r.doc.Sections) - 1, Head: true, List: r.list}
	for n, c := range cols {
		r.cell(b, l.lo+c.lo, l.lo+c.hi, n)
	}
	r.doc.Blocks = append(r.doc.Blocks, b)
	r.align = cols
	return true
}

// alignedRow reads a further line of an aligned table. A row is written once its last
// line is known, so its cells hold all of their lines.
func (r *reader) alignedRow(t string, lo int) bool {
	parts := stretches(t)
	if len(parts) == 0 {
		return false
	}
	if strings.Trim(t, "- =\t+") == "" {
		return true // a line of dashes below the names
	}
	cells := make([]stretch, len(r.align))
	for _, p := range parts {
		n := 0
		for n+1 < len(r.align) && r.align[n+1].lo <= p.lo+2 {
			n++
		}
		if cells[n].hi == 0 {
			cells[n].lo = p.lo
		}
		cells[n].hi = p.hi
	}
	last := r.doc.Blocks[len(r.doc.Blocks)-1]
	goesOn := cells[0].hi == 0 && !last.Head && last.Kind == Row && len(last.Cells) == len(cells) && len(last.buf) < 2000
	if !goesOn && cells[0].hi == 0 && len(parts) < 2 {
		return false
	}
	b := &Block{Kind: Row, lo: lo, hi: lo + len(t), Section: len(r.doc.Sections) - 1, List: r.list}
	for n, c := range cells {
		from := len(b.buf)
		if n > 0 {
			b.buf = append(b.buf, " | "...)
			from = len(b.buf)
		}
		if goesOn {
			b.copied(last, last.Cells[n])
		}
		if c.hi > c.lo {
			if len(b.buf) > from {
				b.buf = append(b.buf, ' ')
			}
			r.append(b, lo+c.lo, lo+c.hi)
		}
		r.endCell(b, from, n)
	}
	if goesOn {
		b.lo = last.lo
		r.doc.Blocks[len(r.doc.Blocks)-1] = b
		return true
	}
	r.doc.Blocks = append(r.doc.Blocks, b)
	return true
}

// copied takes a cell of another block with the places that its words came from.
func (b *Block) copied(from *Block, c Cell) {
	shift := len(b.buf) - c.Lo
	for n, s := range from.segs {
		next := len(from.buf)
		if n+1 < len(from.segs) {
			next = from.segs[n+1].text
		}
		if next <= c.Lo || s.text >= c.Hi {
			continue
		}
		if s.text < c.Lo {
			s.src += c.Lo - s.text
			s.text = c.Lo
		}
		s.text += shift
		b.segs = append(b.segs, s)
	}
	b.buf = append(b.buf, from.buf[c.Lo:c.Hi]...)
}
