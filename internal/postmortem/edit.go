package postmortem

import (
	"errors"
	"fmt"
	"slices"
)

// edit replaces a range of the source.
type edit struct {
	lo, hi int
	with   string
}

// Replace puts other words at a place that the document named; all else stays as
// it was written. Two replacements may not overlap.
func (d *Report) Replace(p Place, with string) error {
	if p.Lo < 0 || p.Hi > len(d.src) || p.Lo > p.Hi || p.Line == 0 {
		return errors.New("replace in a report: there is no such place in it")
	}
	for _, e := range d.edits {
		if p.Lo < e.hi && e.lo < p.Hi || p.Lo == e.lo && p.Hi == e.hi {
			return fmt.Errorf("replace in a report: line %d was already replaced", p.Line)
		}
	}
	d.edits = append(d.edits, edit{p.Lo, p.Hi, with})
	return nil
}

// Bytes is the report as it was read, with what was replaced.
func (d *Report) Bytes() []byte {
	edits := slices.Clone(d.edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return a.lo - b.lo })
	out := make([]byte, 0, len(d.src))
	at := 0
	for _, e := range edits {
		out = append(append(out, d.src[at:e.lo]...), e.with...)
		at = e.hi
	}
	return append(out, d.src[at:]...)
}
