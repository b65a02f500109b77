package prose

import "strings"

// Class is what a word or a phrase speaks of.
type Class uint8

// Hit is a phrase that was found: tokens [First, End).
type Hit struct {
	Class      Class
	First, End int
}

// Lexicon finds phrases in tokens. A word of a phrase that ends in * stands for
// every word that begins so. The longest phrase of a class wins at a place.
type Lexicon struct {
	byHead map[string][]phrase
}

type phrase struct {
	class Class
	words []string
}

// headLen is how much of a phrase's first word is its key.
const headLen = 3

func headOf(w string) string {
	if len(w) > headLen {
		return w[:headLen]
	}
	return w
}

// Entry is the phrases of one class, parted by bars.
type Entry struct {
	Class   Class
	Phrases string
}

// NewLexicon reads entries. It panics on a first word that is shorter than its
// key and open at its end, which would never be found.
func NewLexicon(entries []Entry) *Lexicon {
	l := &Lexicon{byHead: map[string][]phrase{}}
	for _, e := range entries {
		for _, p := range strings.Split(e.Phrases, "|") {
			words := strings.Fields(p)
			first := strings.TrimSuffix(words[0], "*")
			if len(first) < headLen && first != words[0] {
				panic("lexicon: " + p + " is open too early")
			}
			l.byHead[headOf(first)] = append(l.byHead[headOf(first)], phrase{e.Class, words})
		}
	}
	return l
}

// Scan lists the phrases of a text in order.
func (l *Lexicon) Scan(toks []Token) []Hit {
	var out []Hit
	for i := range toks {
		w := toks[i].S
		if toks[i].Kind == Number {
			continue
		}
		for _, p := range l.byHead[headOf(w)] {
			if n := p.matches(toks, i); n > 0 {
				out = add(out, Hit{p.class, i, i + n})
			}
		}
	}
	return out
}

func add(out []Hit, h Hit) []Hit {
	for k := len(out) - 1; k >= 0 && out[k].First == h.First; k-- {
		if out[k].Class == h.Class {
			out[k].End = max(out[k].End, h.End)
			return out
		}
	}
	return append(out, h)
}

// matches is how many tokens a phrase takes from token i; hyphens between words
// count as spaces.
func (p phrase) matches(toks []Token, i int) int {
	at := i
	for n, w := range p.words {
		if n > 0 && at < len(toks) && (toks[at].S == "-" || toks[at].S == "‑") {
			at++
		}
		if at >= len(toks) || !same(w, toks[at].S) {
			return 0
		}
		at++
	}
	return at - i
}

func same(pattern, w string) bool {
	if n := len(pattern) - 1; pattern[n] == '*' {
		return len(w) >= n && w[:n] == pattern[:n]
	}
	return pattern == w
}
