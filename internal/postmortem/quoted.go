package postmortem

import (
	"strings"
)

// unquoted is a text with its quotations blanked, byte for byte, where it names
// the entry of the journal that they are from: what somebody said then is no claim
// of the report. Other quotations are read like the rest.
func unquoted(s string) string {
	if !strings.Contains(s, "“") || !sourced(s) {
		return s
	}
	out := []byte(s)
	for at := 0; ; {
		i := strings.Index(s[at:], "“")
		if i < 0 {
			return string(out)
		}
		lo := at + i + len("“")
		n := strings.Index(s[lo:], "”")
		if n < 0 {
			return string(out)
		}
		for k := lo; k < lo+n; k++ {
			out[k] = ' '
		}
		at = lo + n + len("”")
	}
}

// sourced reports whether a text names an entry of the journal: "journal 12".
func sourced(s string) bool {
	const mark = "journal "
	for at := 0; ; {
		i := strings.Index(s[at:], mark)
		if i < 0 {
			return false
		}
		at += i + len(mark)
		if at < len(s) && s[at] >= '0' && s[at] <= '9' {
			return true
		}
	}
}

// unfilled reports whether a block still holds a mark for what a person must write.
func (b *Block) unfilled() bool { return strings.Contains(b.said(), fillMark) }

// said is a block's text without what it quotes from the journal.
func (b *Block) said() string { return unquoted(b.Text) }

// gap reports whether the report leaves a field open, marked as such.
func (d *Report) gap(kinds ...fieldKind) bool {
	for _, f := range d.Fields {
		for _, k := range kinds {
			if f.Kind == k && strings.HasPrefix(f.value(), fillMark) {
				return true
			}
		}
	}
	return false
}
