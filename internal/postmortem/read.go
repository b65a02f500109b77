package postmortem

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// Read understands a report. The name decides between HTML and text only where
// the text does not; there is no text that cannot be read.
func Read(name string, src []byte) *Report {
	d := &Report{Name: name, src: src, lines: []int{0}, lexicon: prose.NewLexicon(append(vocabulary(), topicWords()...))}
	for i, c := range src {
		if c == '\n' && i+1 < len(src) {
			d.lines = append(d.lines, i+1)
		}
	}
	r := &reader{doc: d, table: headingTable(), order: map[SectionKind]int{}, src: d.comments()}
	for i, h := range headings {
		r.order[h.kind] = i
	}
	for n := range r.table {
		r.names = append(r.names, n)
	}
	d.Format = format(name, r.src)
	if d.Format == "html" {
		(&htmlReader{reader: r}).scan(r.src)
	} else {
		r.scan()
	}
	d.settle(r)
	d.readFields()
	d.readDates()
	d.readEntries()
	d.readMoments()
	d.readClaims()
	d.readObjectives()
	d.readActions()
	d.readFigures()
	return d
}

func format(name string, src []byte) string {
	head := bytes.ToLower(bytes.TrimSpace(src[:min(len(src), 2048)]))
	ext := strings.ToLower(filepath.Ext(name))
	switch {
	case bytes.HasPrefix(head, []byte("<!doctype html")), bytes.HasPrefix(head, []byte("<html")):
		return "html"
	case ext == ".html" || ext == ".htm" || ext == ".xhtml":
		return "html"
	case bytes.HasPrefix(head, []byte("<h1")), bytes.HasPrefix(head, []byte("<body")), bytes.HasPrefix(head, []byte("<article")), bytes.HasPrefix(head, []byte("<h2")), bytes.HasPrefix(head, []byte("<head")), bytes.HasPrefix(head, []byte("<section")):
		return "html"
	case ext == ".md" || ext == ".markdown" || bytes.HasPrefix(head, []byte("#")) || bytes.Contains(head, []byte("\n#")) || bytes.Contains(head, []byte("**")):
		return "markdown"
	}
	return "text"
}

// comments takes HTML comments out of a copy of the source, and keeps them.
func (d *Report) comments() []byte {
	if !bytes.Contains(d.src, []byte("<!--")) {
		return d.src
	}
	out := bytes.Clone(d.src)
	for at := 0; ; {
		i := bytes.Index(out[at:], []byte("<!--"))
		if i < 0 {
			return out
		}
		lo := at + i
		n := bytes.Index(out[lo:], []byte("-->"))
		if n < 0 {
			return out
		}
		hi := lo + n + 3
		d.Comments = append(d.Comments, Comment{Text: strings.TrimSpace(string(d.src[lo+4 : max(lo+4, hi-3)])), Place: d.place(lo, hi)})
		for k := lo; k < hi; k++ {
			if out[k] != '\n' && out[k] != '\r' {
				out[k] = ' '
			}
		}
		at = hi
	}
}

// settle makes blocks' texts final: words, facts, sentences and labels.
func (d *Report) settle(r *reader) {
	kept := d.Blocks[:0]
	renumber := make([]int, len(d.Blocks))
	for i, b := range d.Blocks {
		renumber[i] = len(kept)
		b.Text, b.buf = plain(b.buf), nil
		if strings.TrimSpace(b.Text) == "" && b.Kind != Heading {
			continue
		}
		kept = append(kept, b)
		said := b.said()
		b.toks = prose.Tokens(said)
		b.facts = prose.Scan(said, b.toks)
		b.sentences = prose.Sentences(said, b.toks)
		if b.Kind != Heading && b.Kind != Code {
			d.label(r, b)
		}
	}
	d.Blocks = kept
	for i := range d.Sections {
		s := &d.Sections[i]
		s.Block = renumber[s.Block]
		s.Place = d.whole(d.Blocks[s.Block])
	}
	d.titled()
	d.spread()
}

// stopped is the length of a label that ends with a full stop: "Root cause. The
// loader …". Only the name of a section is one.
func (r *reader) stopped(t string) int {
	i := strings.Index(t[:min(len(t), 32)], ". ")
	if i <= 0 || len(strings.Fields(t[:i])) > 4 || r.named(t[:i]) == NoSection || len(strings.TrimSpace(t[i+1:])) == 0 {
		return 0
	}
	return i + 2
}

// timed is the length of a moment's name that stands before its time without a
// mark: "detected 16:05", "start 2024-10-01 16:02".
func (b *Block) timed() int {
	if len(b.facts) == 0 || len(b.Text) > 120 || b.facts[0].First == 0 || b.facts[0].First > 2 {
		return 0
	}
	if f := b.facts[0]; f.Kind != prose.ClockFact && f.Kind != prose.DateFact || fieldMoments[fieldName(b.Text[:f.Lo])] == "" {
		return 0
	}
	return b.facts[0].Lo
}

// label finds "Name: value", and "Name – value" in bold at the front of an item.
func (d *Report) label(r *reader, b *Block) {
	if b.Kind == Row {
		return
	}
	lead := len(b.Text) - len(strings.TrimLeft(b.Text, " \t"))
	n := labelled(b.said()[lead:])
	if n == 0 {
		n = r.stopped(b.Text[lead:])
	}
	if n == 0 {
		n = b.timed()
	}
	if n == 0 {
		if b.Kind != Item && b.Kind != Paragraph {
			return
		}
		for _, sep := range []string{" – ", " — ", " - "} {
			if i := strings.Index(b.Text[:min(len(b.Text), 48)], sep); i > 0 && (fieldName(b.Text[:i]) != noField && len(strings.Fields(b.Text[:i])) <= 4) {
				b.Label, b.LabelAt = strings.TrimSpace(b.Text[:i]), i+len(sep)
			}
		}
		return
	}
	name := strings.TrimSpace(b.Text[:lead+n])
	name = strings.TrimSpace(strings.TrimRight(strings.TrimRight(name, " *_\t"), ":. "))
	if name == "" || timeLed(name) {
		return
	}
	b.Label, b.LabelAt = name, min(lead+n, len(b.Text))
	b.Labels = r.named(name)
	if b.Labels == Detection || b.Labels == Recovery || b.Labels == Response || b.Labels == Meta {
		if k := d.kind(b); k == ActionItems || k == Timeline {
			b.Labels = NoSection
		}
	}
	if d.kind(b) == ActionItems && b.Labels != ActionItems {
		b.Labels = NoSection // "Summary: …" and "Recovery: …" in an action name the action's matter
	}
}

// spread gives the items below "Challenges:" its label.
func (d *Report) spread() {
	var open SectionKind
	for i, b := range d.Blocks {
		switch {
		case b.Kind == Heading:
			open = NoSection
		case b.Labels != NoSection && b.Kind == Paragraph && strings.TrimSpace(b.words()) == "":
			open = b.Labels
		case b.Labels != NoSection && b.Kind == Paragraph && strings.HasSuffix(strings.TrimSpace(b.Text), ":"):
			open = b.Labels
		case b.Labels != NoSection && b.Kind == Item && strings.TrimSpace(b.words()) == "":
			for _, c := range d.Blocks[i+1 : min(len(d.Blocks), i+200)] {
				if c.Kind != Item || c.Level <= b.Level {
					break
				}
				if c.Labels == NoSection {
					c.Labels = b.Labels
				}
			}
		case b.Kind == Item && open != NoSection:
			if b.Labels == NoSection {
				b.Labels = open
			}
		default:
			open = NoSection
		}
	}
}

// titled finds the report's title.
func (d *Report) titled() {
	if len(d.Sections) > 0 && (d.Sections[0].Kind == NoSection || d.Sections[0].Kind == Other) {
		d.Title = d.Sections[0].Title
		if strings.ContainsAny(d.Title, "\\&<`") { // mark-up within it
			d.Title = strings.Trim(strings.TrimSpace(d.Blocks[d.Sections[0].Block].Text), ":# ")
		}
		return
	}
	for _, b := range d.Blocks {
		if b.Kind == Paragraph && (b.Label == "" || fieldName(b.Label) == noField || fieldName(b.Label) == fieldTitle) && b.Section < 0 && len(b.Text) < 160 {
			d.Title = strings.TrimSpace(b.Text)
			if fieldName(b.Label) == fieldTitle {
				d.Title = strings.TrimSpace(b.words())
			}
			return
		}
		if b.Kind == Heading {
			return
		}
	}
}

// plain makes text of bytes, with a question mark for each one that belongs to no
// character, so that offsets stay.
func plain(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		_, n := utf8.DecodeRune(b)
		if n == 1 && b[0] >= utf8.RuneSelf {
			out = append(out, '?')
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return string(out)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
