package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func chainOf(t testing.TB, n int) ([]Entry, Head) {
	t.Helper()
	var out []Entry
	var head Head
	for i := range n {
		e, err := Chain(head, Event{Time: time.Date(2026, 11, 23, 12, 0, i, 123456789, time.UTC), Actor: "server", Subject: "target/shop", Kind: "backup.taken", Body: map[string]int{"n": i}})
		if err != nil {
			t.Fatal(err)
		}
		out, head = append(out, e), Head{Seq: e.Seq, Hash: e.Hash}
	}
	return out, head
}

func check(entries []Entry, head Head, anchors ...Head) Report {
	c := NewChecker(anchors...)
	for _, e := range entries {
		c.Add(e)
	}
	return c.End(head, true)
}

func TestWholeChainHasNoFindings(t *testing.T) {
	for _, n := range []int{0, 1, 20} {
		entries, head := chainOf(t, n)
		anchors := []Head{}
		if n > 3 {
			anchors = append(anchors, Head{Seq: 3, Hash: entries[2].Hash})
		}
		r := check(entries, head, anchors...)
		if len(r.Findings) != 0 || r.Entries != int64(n) || r.Head != head {
			t.Errorf("%d entries: %+v", n, r)
		}
	}
}

// The hashes come from an independent calculation by the rule in
// docs/formats/journal.md.
func TestHashIsWhatTheFormatSays(t *testing.T) {
	entries, _ := chainOf(t, 2)
	for i, want := range []string{hash1, hash2} {
		if entries[i].Hash != want {
			t.Errorf("entry %d: %s, want %s", i+1, entries[i].Hash, want)
		}
	}
}

func TestCheckerFinds(t *testing.T) {
	cases := map[string]struct {
		damage func(es []Entry, head *Head) []Entry
		seq    int64
		fault  Fault
	}{
		"changed body":  {func(es []Entry, _ *Head) []Entry { es[4].Body = json.RawMessage(`{"n":9}`); return es }, 5, Changed},
		"changed time":  {func(es []Entry, _ *Head) []Entry { es[4].Time = es[4].Time.Add(time.Second); return es }, 5, Changed},
		"changed actor": {func(es []Entry, _ *Head) []Entry { es[0].Actor = "nobody"; return es }, 1, Changed},
		"rehashed": {func(es []Entry, _ *Head) []Entry {
			es[4].Actor = "x"
			es[4].Hash = HashOf(es[4])
			return es
		}, 6, Changed},
		"missing":       {func(es []Entry, _ *Head) []Entry { return slices.Delete(es, 4, 5) }, 5, Missing},
		"missing first": {func(es []Entry, _ *Head) []Entry { return es[1:] }, 1, Missing},
		"missing, renumbered": {func(es []Entry, _ *Head) []Entry {
			es = slices.Delete(es, 4, 5)
			for i := range es {
				es[i].Seq = int64(i + 1)
			}
			return es
		}, 5, Reordered},
		"reordered": {func(es []Entry, _ *Head) []Entry {
			es[3], es[4] = es[4], es[3]
			es[3].Seq, es[4].Seq = 4, 5
			return es
		}, 4, Reordered},
		"reordered rows":   {func(es []Entry, _ *Head) []Entry { es[3], es[4] = es[4], es[3]; return es }, 4, Reordered},
		"doubled":          {func(es []Entry, _ *Head) []Entry { return slices.Insert(es, 4, es[3]) }, 4, Reordered},
		"truncated":        {func(es []Entry, _ *Head) []Entry { return es[:7] }, 8, Truncated},
		"truncated to nil": {func([]Entry, *Head) []Entry { return nil }, 1, Truncated},
		"extra":            {func(es []Entry, h *Head) []Entry { h.Seq, h.Hash = 9, es[8].Hash; return es }, 10, Extra},
		"last replaced": {func(es []Entry, _ *Head) []Entry {
			es[9].Actor = "x"
			es[9].Hash = HashOf(es[9])
			return es
		}, 10, Changed},
	}
	for name, c := range cases {
		entries, head := chainOf(t, 10)
		r := check(c.damage(entries, &head), head)
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Seq == c.seq && f.Fault == c.fault }) {
			t.Errorf("%s: want %s at %d, got %+v", name, c.fault, c.seq, r.Findings)
		}
	}
}

func TestAnchorsShowWhatAWholeRewriteHides(t *testing.T) {
	entries, _ := chainOf(t, 10)
	noted := Head{Seq: 10, Hash: entries[9].Hash}
	// The tail is cut and the end recorded anew, as one with the key could.
	if r := check(entries[:6], Head{Seq: 6, Hash: entries[5].Hash}, noted); len(r.Findings) != 1 || r.Findings[0].Fault != Truncated {
		t.Errorf("cut tail: %+v", r.Findings)
	}
	var rewritten []Entry
	at := Head{}
	for _, e := range entries {
		n, err := Chain(at, Event{Time: e.Time, Actor: "other", Subject: e.Subject, Kind: e.Kind, Body: e.Body})
		if err != nil {
			t.Fatal(err)
		}
		rewritten, at = append(rewritten, n), Head{Seq: n.Seq, Hash: n.Hash}
	}
	if r := check(rewritten, at, noted); len(r.Findings) != 1 || r.Findings[0].Fault != Changed {
		t.Errorf("rewritten: %+v", r.Findings)
	}
}

func TestHeadNeedsTheKey(t *testing.T) {
	h := Seal([]byte("key"), 4, "abcd")
	if !h.Sealed([]byte("key")) || h.Sealed([]byte("other")) {
		t.Error("seal")
	}
	h.Seq = 3
	if h.Sealed([]byte("key")) {
		t.Error("another number under the same seal")
	}
	entries, head := chainOf(t, 3)
	c := NewChecker()
	for _, e := range entries {
		c.Add(e)
	}
	if r := c.End(head, false); len(r.Findings) != 1 || r.Findings[0].Fault != BadHead {
		t.Errorf("%+v", r.Findings)
	}
}

func TestEventsMustBeWhole(t *testing.T) {
	ok := Event{Time: time.Unix(1, 0), Actor: "a", Subject: "s", Kind: "k"}
	for name, change := range map[string]func(*Event){
		"no time": func(e *Event) { e.Time = time.Time{} }, "no actor": func(e *Event) { e.Actor = "" },
		"no subject": func(e *Event) { e.Subject = "" }, "no kind": func(e *Event) { e.Kind = "" },
		"body": func(e *Event) { e.Body = func() {} }, "zero byte": func(e *Event) { e.Kind = "a\x00" },
	} {
		e := ok
		change(&e)
		if _, err := Chain(Head{}, e); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, err := Chain(Head{}, ok)
	if err != nil || !bytes.Equal(e.Body, []byte("null")) {
		t.Errorf("%v %s", err, e.Body)
	}
}

// Whatever single field of whatever entry changes, the checker says so.
func TestAnyChangeIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "entries")
		var entries []Entry
		var head Head
		for i := range n {
			e, err := Chain(head, Event{Time: time.UnixMicro(int64(i)), Actor: rapid.StringMatching(`[a-z|]{1,5}`).Draw(t, "actor"), Subject: "s", Kind: "k", Body: i})
			if err != nil {
				t.Fatal(err)
			}
			entries, head = append(entries, e), Head{Seq: e.Seq, Hash: e.Hash}
		}
		i := rapid.IntRange(0, n-1).Draw(t, "which")
		e := &entries[i]
		switch rapid.IntRange(0, 6).Draw(t, "field") {
		case 0:
			e.Seq += rapid.Int64Range(1, 3).Draw(t, "seq")
		case 1:
			e.Time = e.Time.Add(time.Microsecond)
		case 2:
			e.Actor, e.Subject = e.Actor+e.Subject, ""
		case 3:
			e.Kind += "x"
		case 4:
			e.Body = json.RawMessage(fmt.Sprint(i + 1))
		case 5:
			e.Prev += "0"
		case 6:
			e.Hash = "x" + e.Hash[1:]
		}
		if r := check(entries, head); len(r.Findings) == 0 {
			t.Fatalf("entry %d changed and nothing found", i+1)
		}
	})
}

const (
	hash1 = "7f54b91769efeb4b25a4fd728b8a678a4d8442f6316cbfd9bbdabca5eef5e7b8"
	hash2 = "cc0da03c9c1f4759a456be60ad956f29df3511fa4b67c8301c65cd33bdbab27c"
)
