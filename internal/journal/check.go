package journal

import "fmt"

// maxFindings bounds a report; a journal that is wrong in more places than
// this is simply wrong.
const maxFindings = 200

// Checker goes over a journal in order. Feed it every entry with Add, then ask
// End.
type Checker struct {
	last     Head
	entries  int64
	findings []Finding
	broken   []Entry // whose hash does not fit their place
	anchors  []Head
}

// NewChecker makes a Checker that also expects the given heads in the chain.
func NewChecker(anchors ...Head) *Checker { return &Checker{anchors: anchors} }

// Add checks the next entry.
func (c *Checker) Add(e Entry) {
	c.entries++
	want := c.last.Seq + 1
	switch {
	case e.Seq < want:
		c.find(e.Seq, Reordered, "its number does not follow the one before, %d", c.last.Seq)
	case e.Seq == want+1:
		c.find(want, Missing, "entry %d is not there", want)
	case e.Seq > want:
		c.find(want, Missing, "entries %d to %d are not there", want, e.Seq-1)
	}
	intact := HashOf(e) == e.Hash
	if !intact && len(c.broken) < maxFindings {
		c.broken = append(c.broken, e)
	}
	// After a hole, or in an entry already found broken, the link cannot fit
	// and says nothing new.
	if intact && e.Seq == want && e.Prev != c.last.Hash {
		c.find(e.Seq, Changed, "it follows an entry with hash %s, but the entry before has %s", short(e.Prev), short(c.last.Hash))
	}
	for _, a := range c.anchors {
		if a.Seq == e.Seq && a.Hash != e.Hash {
			c.find(e.Seq, Changed, "it was noted elsewhere with hash %s, now it has %s", short(a.Hash), short(e.Hash))
		}
	}
	c.last = Head{Seq: e.Seq, Hash: e.Hash}
}

// End compares with the recorded head and returns the report. Valid says
// whether the head was made with the store's key.
func (c *Checker) End(head Head, valid bool) Report {
	c.placeBroken()
	switch {
	case !valid:
		c.find(head.Seq, BadHead, "the record of the journal's end was not made with this store's key")
	case head.Seq > c.last.Seq:
		c.find(c.last.Seq+1, Truncated, "the journal ended with entry %d; entries from %d on are gone", head.Seq, c.last.Seq+1)
	case head.Seq < c.last.Seq:
		c.find(head.Seq+1, Extra, "the journal ended with entry %d; later ones were not appended by this store", head.Seq)
	case head.Hash != c.last.Hash:
		c.find(head.Seq, Changed, "the recorded end has hash %s, the last entry %s", short(head.Hash), short(c.last.Hash))
	}
	for _, a := range c.anchors {
		if a.Seq > c.last.Seq && a.Seq > head.Seq {
			c.find(a.Seq, Truncated, "entry %d was noted elsewhere and is gone", a.Seq)
		}
	}
	return Report{Entries: c.entries, Head: c.last, Findings: c.findings}
}

// placeBroken tells entries that changed places from entries that changed.
func (c *Checker) placeBroken() {
	for _, e := range c.broken {
		from := int64(0)
		for _, other := range c.broken {
			moved := e
			moved.Seq = other.Seq
			if other.Seq != e.Seq && HashOf(moved) == e.Hash {
				from = other.Seq
				break
			}
		}
		if from != 0 {
			c.find(e.Seq, Reordered, "it was written as entry %d", from)
			continue
		}
		c.find(e.Seq, Changed, "its content has another hash than the one recorded with it")
	}
}

func (c *Checker) find(seq int64, f Fault, format string, args ...any) {
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, Finding{Seq: seq, Fault: f, Detail: fmt.Sprintf(format, args...)})
	}
}

func short(h string) string {
	switch {
	case h == "":
		return "(none)"
	case len(h) > 12:
		return h[:12] + "…"
	}
	return h
}
