package postmortem

import (
	"bytes"
	"html"
)

// append adds a range of the source to a block as plain text: emphasis, links,
// tags and code marks go, their words stay.
func (r *reader) append(b *Block, lo, hi int) {
	const look = 512 // how far mark-up may reach
	src := r.src
	from := lo
	flush := func(to int) {
		if to > from {
			b.segs = append(b.segs, seg{len(b.buf), from})
			b.buf = append(b.buf, src[from:to]...)
		}
	}
	skip := func(at, n int) int {
		flush(at)
		from = at + n
		return from
	}
	for i := lo; i < hi; {
		c := src[i]
		switch c {
		case '*', '`', '~':
			n := 1
			for i+n < hi && src[i+n] == c {
				n++
			}
			if c == '~' && n != 2 || c == '*' && n > 3 || c == '*' && i > lo && i+n < hi && src[i-1] == ' ' && src[i+n] == ' ' {
				i += n
				continue
			}
			i = skip(i, n)
		case '_':
			n := 1
			for i+n < hi && src[i+n] == '_' {
				n++
			}
			if i > lo && alnum(src[i-1]) && i+n < hi && alnum(src[i+n]) || n > 3 {
				i += n
				continue
			}
			i = skip(i, n)
		case '\\':
			if i+1 < hi && src[i+1] < 0x80 && !alnum(src[i+1]) && src[i+1] != ' ' {
				i = skip(i, 1) + 1
				continue
			}
			i++
		case '!', '[':
			at := i
			if c == '!' {
				at++
			}
			if at < hi && src[at] == '[' {
				if end := bytes.Index(src[at:min(hi, at+look)], []byte("](")); end > 0 {
					if bytes.IndexByte(src[at+end:min(hi, at+end+look)], ')') > 0 {
						i = skip(i, at+1-i)
						continue
					}
				}
			}
			i++
		case ']':
			if i+1 < hi && src[i+1] == '(' {
				if end := bytes.IndexByte(src[i:min(hi, i+look)], ')'); end > 0 {
					i = skip(i, end+1)
					continue
				}
			}
			i++
		case '<':
			if i+1 < hi && (alnum(src[i+1]) && src[i+1] > '9' || src[i+1] == '/') {
				if end := bytes.IndexByte(src[i:min(hi, i+look)], '>'); end > 0 && tagLike(src[i+1:i+end]) {
					flush(i)
					b.buf = append(b.buf, ' ')
					from = i + end + 1
					i = from
					continue
				}
			}
			i++
		case '&':
			if end := bytes.IndexByte(src[i:min(hi, i+12)], ';'); end > 1 && bytes.IndexFunc(src[i+1:i+end], func(r rune) bool { return r != '#' && (r >= 0x80 || !alnum(byte(r))) }) < 0 {
				if s := html.UnescapeString(string(src[i : i+end+1])); len(s) < end+1 {
					flush(i)
					b.segs = append(b.segs, seg{len(b.buf), i})
					b.buf = append(b.buf, s...)
					from = i + end + 1
					i = from
					continue
				}
			}
			i++
		default:
			i++
		}
	}
	flush(hi)
	b.hi = hi
}

// tagLike tells a tag of HTML from words between angle brackets.
func tagLike(s []byte) bool {
	name := bytes.TrimPrefix(s, []byte("/"))
	if i := bytes.IndexAny(name, " \t/"); i >= 0 {
		name = name[:i]
	}
	switch string(bytes.ToLower(name)) {
	case "b", "i", "em", "strong", "br", "a", "p", "div", "span", "code", "sub", "sup", "details", "summary", "u", "kbd", "img", "font", "center", "small", "mark", "del", "ins", "hr", "table", "tr", "td", "th", "ul", "ol", "li", "abbr", "time":
		return true
	}
	return false
}

func alnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// joined adds a further line to a block.
func (r *reader) joined(b *Block, lo, hi int) {
	b.segs = append(b.segs, seg{len(b.buf), lo - 1})
	b.buf = append(b.buf, ' ')
	r.append(b, lo, hi)
}
