package foreign

import (
	"cmp"
	"slices"

	"github.com/refloat-db/refloat/internal/target"
)

// DefaultSegmentSize is PostgreSQL's.
const DefaultSegmentSize = 16 << 20

// Spans joins segments that follow each other; names that are none are left
// out.
func Spans(names []string, size int64) []Span {
	var all []target.Segment
	for _, n := range names {
		if s, err := target.ParseSegmentName(n, size); err == nil {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b target.Segment) int {
		return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.Number, b.Number))
	})
	out := []Span{}
	var last target.Segment
	for i, s := range slices.Compact(all) {
		if i > 0 && s == last.Next() {
			out[len(out)-1].Last = s.Name()
			out[len(out)-1].Count++
		} else {
			out = append(out, Span{First: s.Name(), Last: s.Name(), Count: 1})
		}
		last = s
	}
	return out
}

// Missing is the first segment from first to last that no span holds, and how
// many are missing. A segment on a later timeline stands for one of the
// timeline that it left.
func (a Archive) Missing(first, last string) (name string, count uint64) {
	from, err1 := target.ParseSegmentName(first, a.SegmentSize)
	to, err2 := target.ParseSegmentName(last, a.SegmentSize)
	if err1 != nil || err2 != nil {
		return "", 0
	}
	for n := from.Number; n <= to.Number; n++ {
		held, next := a.held(n, from.Timeline, to.Timeline)
		if held {
			n = max(n, next-1)
			continue
		}
		if name == "" {
			name = target.Segment{Timeline: from.Timeline, Number: n, Size: from.Size}.Name()
		}
		if next == 0 {
			next = to.Number + 1
		}
		count += min(next, to.Number+1) - n
		n = next - 1
	}
	return name, count
}

// held reports whether a segment's number is held on one of the timelines. When
// it is, next is the first that its span does not hold; else the first one that
// is held again, 0 for none.
func (a Archive) held(n uint64, from, to target.Timeline) (is bool, next uint64) {
	for _, s := range a.Spans {
		f, err1 := target.ParseSegmentName(s.First, a.SegmentSize)
		l, err2 := target.ParseSegmentName(s.Last, a.SegmentSize)
		if err1 != nil || err2 != nil || f.Timeline < from || f.Timeline > to {
			continue
		}
		if f.Number <= n && n <= l.Number {
			return true, l.Number + 1
		}
		if f.Number > n && (next == 0 || f.Number < next) {
			next = f.Number
		}
	}
	return false, next
}

// Newest is the last segment of the newest timeline, "" when there is none.
func (a Archive) Newest() string {
	if len(a.Spans) == 0 {
		return ""
	}
	return a.Spans[len(a.Spans)-1].Last
}
