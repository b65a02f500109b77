// Package postmortem reads the reports that people write after an incident, says
// what it understood and where it stands, and finds what contradicts itself.
// Everything is pure over the text.
package postmortem

import (
	"sort"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// Place is a range of the source, with where a person finds it.
type Place struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	Lo     int    `json:"-"`
	Hi     int    `json:"-"`
}

// BlockKind says what a block is.
type BlockKind uint8

// The kinds of blocks.
const (
	Paragraph BlockKind = iota
	Heading
	Item
	Row
	Code
)

// seg maps a stretch of a block's plain text to the source.
type seg struct{ text, src int }

// Cell is one cell of a table's row.
type Cell struct {
	Lo, Hi int    // bytes of the block's text
	Head   string // the column's heading
}

// Block is a heading, a paragraph, an item of a list or a row of a table, as plain
// text.
type Block struct {
	Kind    BlockKind
	Level   int // of a heading from 1; depth of an item from 0
	Ordered bool
	Done    bool // a ticked box
	Text    string
	Section int // its section's index; -1 before the first
	Label   string
	LabelAt int         // where what follows the label begins
	Labels  SectionKind // the section that the label names
	List    int         // the list or table that it belongs to; 0 for none
	Cells   []Cell
	Head    bool // a table's heading row

	buf       []byte
	segs      []seg
	lo, hi    int
	toks      []prose.Token
	facts     []prose.Fact
	sentences []prose.Sentence
	found     []prose.Hit
	scanned   bool
	entry     bool // of the timeline
}

// Section is a heading and what stands below it.
type Section struct {
	Kind   SectionKind
	Title  string
	Level  int
	Parent int  // -1 for none
	Block  int  // the heading's index
	Lifted bool `json:"-"` // its own marks put it beside its parent
	Place  Place
}

// Report is a report as it was understood. What was not understood stays in
// its source.
type Report struct {
	Name, Format string
	Title        string
	Blocks       []*Block
	Sections     []Section
	Fields       []Field
	Written      *Day // when it was written
	Moments      []Moment
	Entries      []Entry // of the timeline
	Claims       []Claim
	Objectives   []Objective
	Actions      []Action
	Figures      []Figure
	Comments     []Comment
	Zones        []Zone

	src         []byte
	lines       []int // where each line begins
	edits       []edit
	year        int // the year that days without one belong to
	dmy         bool
	lexicon     *prose.Lexicon
	began       time.Time // the day on which the incident began
	zone        string
	zoneKnown   bool
	causeList   []cause
	causesKnown bool
	people      map[string]bool
}

// Field is a named value: "Severity: 1".
type Field struct {
	Name  string
	Kind  fieldKind
	Block *Block
	Lo    int // bytes of the block's text
	Hi    int
	Place Place
}

// Day is a day that was written somewhere.
type Day struct {
	Date  prose.Date
	At    time.Time
	Place Place
}

// Zone is a time zone that was named.
type Zone struct {
	Name  string
	Place Place
	Clock bool // beside a time, not in a sentence of its own
}

// Figure is a number with what it counts.
type Figure struct {
	Fact  prose.Fact
	Block *Block
	Place Place
}

// Comment is an HTML comment of the source.
type Comment struct {
	Text  string
	Place Place
}

// place makes a Place of a range of the source.
func (d *Report) place(lo, hi int) Place {
	lo, hi = max(0, min(lo, len(d.src))), max(0, min(hi, len(d.src)))
	n := sort.SearchInts(d.lines, lo+1) - 1
	const quote = 120
	text := d.src[lo:max(lo, hi)]
	cut := len(text) > quote
	if cut {
		text = text[:quote]
	}
	p := Place{Line: n + 1, Column: columns(d.src[d.lines[n]:lo]) + 1, Text: oneLine(string(text)), Lo: lo, Hi: hi}
	if cut {
		p.Text += "…"
	}
	return p
}

// columns counts characters, of long lines bytes.
func columns(b []byte) int {
	if len(b) > 4096 {
		return len(b)
	}
	n := 0
	for _, c := range b {
		if c&0xc0 != 0x80 {
			n++
		}
	}
	return n
}

// source maps an offset of the block's text to the source.
func (b *Block) source(off int) int {
	i := sort.Search(len(b.segs), func(i int) bool { return b.segs[i].text > off }) - 1
	if i < 0 {
		return b.lo
	}
	return b.segs[i].src + off - b.segs[i].text
}

// at is the place of a range of a block's text.
func (d *Report) at(b *Block, lo, hi int) Place {
	for lo < hi && (b.Text[lo] == ' ' || b.Text[lo] == '\n') {
		lo++
	}
	for hi > lo && (b.Text[hi-1] == ' ' || b.Text[hi-1] == '\n') {
		hi--
	}
	p := d.place(b.source(lo), b.source(max(lo, hi-1))+1)
	if hi-lo <= 120 {
		p.Text = oneLine(b.Text[lo:hi])
	}
	return p
}

// whole is the place of a block.
func (d *Report) whole(b *Block) Place { return d.at(b, 0, len(b.Text)) }

// sentence is the place of a sentence.
func (d *Report) sentence(b *Block, s prose.Sentence) Place {
	return d.at(b, b.toks[s.First].Lo, b.toks[s.End-1].Hi)
}

// kind is the kind of the section that a block stands in.
func (d *Report) kind(b *Block) SectionKind {
	if b.Section < 0 {
		return NoSection
	}
	return d.Sections[b.Section].Kind
}

// in reports whether a block belongs to a section of one of these kinds, by its
// heading or by its label.
func (d *Report) in(b *Block, kinds ...SectionKind) bool {
	k := d.kind(b)
	if b.Labels != NoSection {
		k = b.Labels
	}
	for _, want := range kinds {
		if k == want {
			return true
		}
	}
	return false
}

// prosaic lists blocks that hold sentences: all but headings and code.
func (d *Report) prosaic() []*Block {
	out := make([]*Block, 0, len(d.Blocks))
	for _, b := range d.Blocks {
		if b.Kind != Heading && b.Kind != Code && !b.Head {
			out = append(out, b)
		}
	}
	return out
}

// section lists the blocks of the sections of these kinds.
func (d *Report) section(kinds ...SectionKind) []*Block {
	var out []*Block
	for _, b := range d.prosaic() {
		if d.in(b, kinds...) {
			out = append(out, b)
		}
	}
	return out
}

// words is a block's text after its label.
func (b *Block) words() string { return b.Text[b.LabelAt:] }
