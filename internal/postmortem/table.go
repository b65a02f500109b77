package postmortem

import (
	"bytes"
	"strings"
)

// tableHead reports whether a line without a leading bar begins a table.
func (r *reader) tableHead(lines []line, i int, t string) bool {
	if !strings.Contains(t, "|") || i+1 >= len(lines) || lines[i+1].hi-lines[i+1].lo > 1000 {
		return false
	}
	u := r.text(lines[i+1])
	return strings.Contains(u, "-|") || strings.Contains(u, "- |") || strings.Contains(u, "-+-") || strings.Contains(u, ":|")
}

// row reads a line of a table.
func (r *reader) row(lo, hi int, lines []line, i int) {
	if sep := r.src[lo:hi]; len(bytes.Trim(sep, "|-: +\t")) == 0 {
		r.inRow = true
		return
	}
	head := !r.inRow
	if head {
		r.cols = nil
		r.list++
	}
	jira := bytes.HasPrefix(r.src[lo:hi], []byte("||"))
	if head && !jira { // a heading row has a line of dashes below
		u := ""
		if i+1 < len(lines) && lines[i+1].hi-lines[i+1].lo < 2000 {
			u = r.text(lines[i+1])
		}
		head = u != "" && strings.Trim(u, "|-: +") == "" && strings.Contains(u, "-")
	}
	r.inRow = true
	b := &Block{Kind: Row, lo: lo, hi: hi, Section: len(r.doc.Sections) - 1, Head: head && (jira || !r.blankRow(lo, hi)), List: r.list}
	r.close()
	for at, col := lo, 0; at < hi; {
		for at < hi && r.src[at] == '|' {
			at++
			if !jira {
				break
			}
		}
		end := at
		for end < hi && r.src[end] != '|' {
			if r.src[end] == '\\' || r.src[end] == '`' && bytes.IndexByte(r.src[end+1:min(hi, end+200)], '`') > 0 {
				if r.src[end] == '`' {
					end += bytes.IndexByte(r.src[end+1:min(hi, end+200)], '`') + 1
				} else {
					end++
				}
			}
			end++
		}
		end = min(end, hi)
		if at >= hi && col > 0 {
			break
		}
		r.cell(b, at, end, col)
		col++
		at = end
	}
	r.doc.Blocks = append(r.doc.Blocks, b)
}

func (r *reader) blankRow(lo, hi int) bool { return len(bytes.Trim(r.src[lo:hi], "| \t")) == 0 }

// cell adds a cell to a row.
func (r *reader) cell(b *Block, lo, hi, col int) {
	if len(b.buf) > 0 {
		b.buf = append(b.buf, " | "...)
	}
	from := len(b.buf)
	for lo < hi && (r.src[lo] == ' ' || r.src[lo] == '\t') {
		lo++
	}
	for hi > lo && (r.src[hi-1] == ' ' || r.src[hi-1] == '\t') {
		hi--
	}
	r.append(b, lo, hi)
	r.endCell(b, from, col)
}

func (r *reader) endCell(b *Block, from, col int) {
	c := Cell{Lo: from, Hi: len(b.buf)}
	if b.Head {
		r.cols = append(r.cols, strings.ToLower(strings.TrimSpace(string(b.buf[from:]))))
	} else if col < len(r.cols) {
		c.Head = r.cols[col]
	}
	b.Cells = append(b.Cells, c)
}
