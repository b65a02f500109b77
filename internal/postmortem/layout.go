package postmortem

import (
	"strings"
)

// reader builds blocks from lines.
type reader struct {
	doc   *Report
	table map[string]SectionKind
	names []string
	order map[SectionKind]int // in which kinds win
	list  int
	para  *Block   // the paragraph or item that a next line may go on
	last  int      // length of the last line of it
	cols  []string // the headings of the open table
	inRow bool
	align []stretch // the columns of the open table that spaces set apart
	fence string
	blank bool   // the line before was blank
	src   []byte // the source with its comments blanked
}

// longestBlock is how many bytes one block holds at most, so that work which looks
// back and forth within one stays small.
const longestBlock = 8 << 10

// line is a line of the source without its end.
type line struct{ lo, hi int }

// scan reads Markdown and plain text line by line.
func (r *reader) scan() {
	d := r.doc
	r.blank = true
	lines := make([]line, 0, len(d.lines))
	for i, lo := range d.lines {
		hi := len(d.src)
		if i+1 < len(d.lines) {
			hi = d.lines[i+1] - 1
		} else if hi > lo && d.src[hi-1] == '\n' {
			hi--
		}
		if hi > lo && d.src[hi-1] == '\r' {
			hi--
		}
		for hi-lo > longestBlock { // no person wrote such a line; parted, it costs no more than many
			lines = append(lines, line{lo, lo + longestBlock})
			lo += longestBlock
		}
		lines = append(lines, line{lo, hi})
	}
	for i := r.frontMatter(lines); i < len(lines); i++ {
		i += r.one(lines, i)
	}
	r.close()
}

// frontMatter reads YAML between two lines of dashes as fields.
func (r *reader) frontMatter(lines []line) int {
	if len(lines) < 3 || r.text(lines[0]) != "---" {
		return 0
	}
	for i := 1; i < len(lines) && i < 60; i++ {
		if t := r.text(lines[i]); t == "---" || t == "..." {
			for _, l := range lines[1:i] {
				if strings.Contains(r.text(l), ":") {
					r.begin(Paragraph, l.lo, l.hi)
					r.close()
				}
			}
			return i + 1
		}
	}
	return 0
}

func (r *reader) text(l line) string { return strings.TrimSpace(string(r.src[l.lo:l.hi])) }

// one reads line i and says how many further lines it took.
func (r *reader) one(lines []line, i int) int {
	l := lines[i]
	const longest = 1 << 16 // what is longer holds no mark-up that a person wrote
	var t string
	if l.hi-l.lo <= longest {
		t = string(r.src[l.lo:l.hi])
	} else {
		t = string(r.src[l.lo : l.lo+longest])
	}
	trimmed := strings.TrimSpace(t)
	if r.fenced(trimmed, l) {
		return 0
	}
	if trimmed == "" {
		r.close()
		r.blank, r.inRow = true, false
		return 0
	}
	defer func() { r.blank = false }()
	indent := len(t) - len(strings.TrimLeft(t, " \t"))
	lo := l.lo + indent
	switch {
	case r.heading(lines, i, trimmed, lo, l.hi):
		return r.underlined(lines, i)
	case rule(trimmed), attribute(trimmed):
		r.close()
	case strings.Trim(trimmed, "|=!") == "" && strings.Contains(trimmed, "==="): // the frame of a table in AsciiDoc
		r.close()
	case r.aligned(lines, i):
	case strings.HasPrefix(trimmed, "|") || r.inRow && strings.Contains(trimmed, "|") || r.tableHead(lines, i, trimmed):
		r.row(lo, l.hi, lines, i)
	case strings.HasPrefix(trimmed, ">"):
		n := 0
		for n < len(trimmed) && (trimmed[n] == '>' || trimmed[n] == ' ') {
			n++
		}
		if n < len(trimmed) {
			r.flow(trimmed[n:], lo+n, l.hi)
		}
	default:
		if n, ordered, done := marker(trimmed); n > 0 {
			b := r.begin(Item, lo+n, l.hi)
			b.Level, b.Ordered, b.Done = min(indent/2, 8), ordered, done
			return 0
		}
		if it := r.item(); it != nil && indent >= 2 && len(it.buf) < longestBlock {
			if labelled(trimmed) > 0 {
				b := r.begin(Item, lo, l.hi)
				b.Level = it.Level + 1
				return 0
			}
			r.joined(it, lo, l.hi)
			return 0
		}
		r.flow(trimmed, lo, l.hi)
	}
	return 0
}

// item is the list's item that was read last, when nothing came after it.
func (r *reader) item() *Block {
	n := len(r.doc.Blocks)
	if n == 0 || r.doc.Blocks[n-1].Kind != Item {
		return nil
	}
	return r.doc.Blocks[n-1]
}

// flow begins a paragraph or goes on with the one before.
func (r *reader) flow(t string, lo, hi int) {
	if r.para != nil && !r.blank && r.goesOn(t) {
		r.extend(lo, hi)
		return
	}
	r.begin(Paragraph, lo, hi)
}

// goesOn reports whether a line goes on with the sentence of the line before.
func (r *reader) goesOn(t string) bool {
	if labelled(t) > 0 || timeLed(t) || len(r.para.buf) > longestBlock {
		return false
	}
	c := t[0]
	if c >= 'a' && c <= 'z' {
		return true
	}
	end := r.src[max(0, r.para.hi-1)]
	closed := strings.IndexByte(".:;!?", end) >= 0
	return r.last >= 50 && !closed || r.last >= 62 && end != ':' || end == ','
}

func timeLed(t string) bool {
	t = strings.TrimLeft(t, "[(*_`~")
	if len(t) < 4 || t[0] < '0' || t[0] > '9' {
		return (strings.HasPrefix(t, "T+") || strings.HasPrefix(t, "t+")) && len(t) > 2
	}
	n := 0
	for n < len(t) && n < 20 && (t[n] >= '0' && t[n] <= '9' || t[n] == ':' || t[n] == '-') {
		n++
	}
	return n >= 4 && strings.ContainsAny(t[:n], ":-") && strings.IndexAny(t[:n], ":-") <= 4
}

// labelled is where the value begins in "Name: value"; 0 for other lines.
func labelled(t string) int {
	limit := min(len(t), 64)
	words, start := 0, true
	for i := 0; i < limit; i++ {
		switch c := t[i]; {
		case c == ':' && i > 0 && strings.HasPrefix(t[i:], ":: "): // AsciiDoc
			return i + 3
		case c == '.' && i > 1 && strings.HasPrefix(t[i:], "..."): // a form's dotted line
			return leaders(t, i)
		case c == ':' && i > 0:
			if i+1 < len(t) && t[i+1] != ' ' && t[i+1] != '*' && t[i+1] != '_' && t[i+1] != '\t' {
				return 0
			}
			if words > 5 {
				return 0
			}
			n := i + 1
			for n < len(t) && strings.IndexByte("*_ \t", t[n]) >= 0 {
				n++
			}
			return n
		case c == ' ':
			start = true
		case c == '.' || c == ',' || c == ';' || c == '|' || c == '!' || c == '?' || c == ')' && strings.IndexByte(t[:i], '(') < 0 || i == 0 && c >= '0' && c <= '9':
			return 0
		case start:
			words, start = words+1, false
		}
	}
	return 0
}

// leaders is where the value begins after dots that lead to it; 0 where they lead
// nowhere, as in "and then…".
func leaders(t string, i int) int {
	n := i
	for n < len(t) && t[n] == '.' {
		n++
	}
	if n-i < 4 && (n-i < 3 || t[i-1] != ' ') {
		return 0
	}
	for n < len(t) && (t[n] == ' ' || t[n] == ':') {
		n++
	}
	if n == len(t) {
		return 0
	}
	return n
}

// marker is the length of a list's mark: "- ", "* ", "1. ", "a) ", "- [x] ".
func marker(t string) (n int, ordered, done bool) {
	switch {
	case strings.HasPrefix(t, "- ") || strings.HasPrefix(t, "* ") || strings.HasPrefix(t, "+ ") || strings.HasPrefix(t, "-\t"):
		n = 2
	case strings.HasPrefix(t, ". "): // AsciiDoc
		n, ordered = 2, true
	case strings.HasPrefix(t, "• ") || strings.HasPrefix(t, "– ") || strings.HasPrefix(t, "— "):
		n = 4
		if t[0] == 0xe2 && t[3] != ' ' {
			n = 3
		}
	case strings.HasPrefix(t, "•"), strings.HasPrefix(t, "·"), strings.HasPrefix(t, "◦"), strings.HasPrefix(t, "▪"):
		n = len(string([]rune(t)[:1]))
	default:
		i := 0
		if t[0] == '(' {
			i++
		}
		from := i
		for i < len(t) && i < from+3 && t[i] >= '0' && t[i] <= '9' {
			i++
		}
		if i == from && i < len(t) && (t[i]|32 >= 'a' && t[i]|32 <= 'z') {
			i++
		}
		if i > from && i+1 < len(t) && (t[i] == '.' || t[i] == ')') && (t[i+1] == ' ' || t[i+1] == '\t') {
			n, ordered = i+2, true
		}
	}
	if n > 0 && n+3 < len(t) && t[n] == '[' && t[n+2] == ']' && (t[n+1] == ' ' || t[n+1]|32 == 'x') {
		done = t[n+1]|32 == 'x'
		n += 3
	}
	for n > 0 && n < len(t) && t[n] == ' ' {
		n++
	}
	return min(n, len(t)), ordered, done
}

// attribute reports whether a line gives AsciiDoc's attributes to the block below.
func attribute(t string) bool {
	return len(t) > 2 && t[0] == '[' && t[len(t)-1] == ']' && (strings.HasPrefix(t, "[cols") || strings.HasPrefix(t, "[options") || strings.HasPrefix(t, "[%") || strings.HasPrefix(t, "[source") || strings.HasPrefix(t, "[.") || strings.HasPrefix(t, "[#"))
}

func rule(t string) bool {
	return len(t) >= 3 && (strings.Trim(t, "- ") == "" || strings.Trim(t, "* ") == "" || strings.Trim(t, "_ ") == "" || strings.Trim(t, "=") == "" || strings.Trim(t, "~") == "")
}

// fenced takes lines of code blocks.
func (r *reader) fenced(t string, l line) bool {
	if r.fence != "" {
		if strings.HasPrefix(t, r.fence) && strings.Trim(t, r.fence[:1]) == "" {
			r.fence = ""
			return true
		}
		r.begin(Code, l.lo, l.hi)
		r.close()
		return true
	}
	for _, f := range []string{"```", "~~~"} {
		if strings.HasPrefix(t, f) && (f == "```" || strings.Trim(t, "~abcdefghijklmnopqrstuvwxyz") == "") {
			r.close()
			n := len(t) - len(strings.TrimLeft(t, f[:1]))
			r.fence = t[:n]
			return true
		}
	}
	return false
}

// begin opens a block over a range of the source.
func (r *reader) begin(kind BlockKind, lo, hi int) *Block {
	r.close()
	b := &Block{Kind: kind, lo: lo, hi: hi, Section: len(r.doc.Sections) - 1}
	if kind == Item {
		if n := len(r.doc.Blocks); n > 0 && r.doc.Blocks[n-1].List == r.list && r.doc.Blocks[n-1].Kind == Item {
			b.List = r.list
		} else {
			r.list++
			b.List = r.list
		}
	}
	r.append(b, lo, hi)
	r.doc.Blocks = append(r.doc.Blocks, b)
	if kind == Paragraph || kind == Item {
		r.para, r.last = b, hi-lo
	}
	return b
}

func (r *reader) close() { r.para = nil }

// extend adds a line to the open block.
func (r *reader) extend(lo, hi int) {
	r.joined(r.para, lo, hi)
	r.last = hi - lo
}
