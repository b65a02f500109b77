// Package prose finds dates, times, zones, durations, figures and topics in the
// sentences of a report. It knows words, not reports; it never fails, and its
// work grows with the length of the text alone.
package prose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// TokenKind tells words, numbers and marks apart.
type TokenKind uint8

// The kinds of tokens.
const (
	Word TokenKind = iota
	Number
	Mark
)

// Token is one word, one run of digits or one mark of punctuation.
type Token struct {
	Lo, Hi int // bytes of the text
	Kind   TokenKind
	Gap    bool   // white space stands before it
	S      string // in lower case
}

// Lower makes ASCII letters small and leaves all else, so that offsets stay.
func Lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// Tokens cuts a text. A word may hold apostrophes and underscores; letters and
// digits part, so that 5h24m gives four tokens.
func Tokens(text string) []Token {
	low := Lower(text)
	out := make([]Token, 0, len(text)/5+4)
	gap := false
	for i := 0; i < len(low); {
		r, n := rune(low[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(low[i:])
		}
		start := i
		kind := Mark
		switch {
		case r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\u00a0' || r == '\u202f' || r == '\u2009':
			gap = true
			i += n
			continue
		case r >= '0' && r <= '9':
			kind = Number
			for i < len(low) && low[i] >= '0' && low[i] <= '9' {
				i++
			}
		case letter(r):
			kind = Word
			i = wordEnd(low, i)
		default:
			i += n
		}
		out = append(out, Token{Lo: start, Hi: i, Kind: kind, Gap: gap, S: low[start:i]})
		gap = false
	}
	return out
}

func letter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= utf8.RuneSelf && unicode.IsLetter(r)
}

func wordEnd(s string, i int) int {
	for i < len(s) {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		switch {
		case letter(r) || r == '_':
			i += n
		case (r == '\'' || r == '’') && i+n < len(s) && letter(rune(s[i+n])):
			i += n
		default:
			return i
		}
	}
	return i
}

// Sentence is a range of tokens, [First, End).
type Sentence struct{ First, End int }

// noStop are words after which a full stop ends no sentence.
const noStop = " e g i approx vs no jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun mr ms mrs dr st incl resp ca fig inc ltd min hr hrs etc "

// Sentences cuts tokens at full stops, question marks and semicolons.
func Sentences(text string, toks []Token) []Sentence {
	var out []Sentence
	first := 0
	const longest = 400 // tokens; what goes on longer is no sentence
	cut := func(end int) {
		for end-first > longest {
			out = append(out, Sentence{first, first + longest})
			first += longest
		}
		if end > first {
			out = append(out, Sentence{first, end})
			first = end
		}
	}
	for i, t := range toks {
		if t.Kind != Mark {
			continue
		}
		last := i+1 == len(toks) || toks[i+1].Gap
		switch t.S {
		case "!", "?", ";":
			if last {
				cut(i + 1)
			}
		case ".":
			if !last || i == 0 {
				continue
			}
			if p := toks[i-1]; p.Kind == Word && !t.Gap && i+1 < len(toks) && strings.Contains(noStop, " "+p.S+" ") && !upper(text, toks[i+1]) {
				continue
			}
			if p := toks[i-1]; p.Kind == Word && len(p.S) == 1 && i+1 < len(toks) {
				continue
			}
			cut(i + 1)
		}
	}
	cut(len(toks))
	return out
}

// upper reports whether a token begins with a capital letter.
func upper(text string, t Token) bool {
	r, _ := utf8.DecodeRuneInString(text[t.Lo:])
	return unicode.IsUpper(r)
}

// Capital reports whether a token of a text begins with a capital letter.
func Capital(text string, t Token) bool { return t.Kind == Word && upper(text, t) }
