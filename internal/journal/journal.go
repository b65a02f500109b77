// Package journal is the append-only record of everything that happened: each
// entry carries the hash of the one before, so that a changed, missing or
// reordered entry shows. docs/formats/journal.md specifies the chain. This
// room holds the pure part; the store keeps the entries.
package journal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
)

// Entry is one thing that happened, as it is kept.
type Entry struct {
	Seq     int64           `json:"seq"`     // 1, 2, 3 … without holes
	Time    time.Time       `json:"time"`    // UTC, whole microseconds
	Actor   string          `json:"actor"`   // a person, a node or a rule, for example "server"
	Subject string          `json:"subject"` // what it is about, for example "target/shop"
	Kind    string          `json:"kind"`    // dotted, for example "backup.taken"
	Body    json.RawMessage `json:"body"`    // compact JSON
	Prev    string          `json:"prev"`    // hash of the entry before; empty for the first
	Hash    string          `json:"hash"`    // SHA-256 over all of the above, hexadecimal
}

// Event is what a caller wants recorded. Body is marshalled to JSON; nil
// becomes null.
type Event struct {
	Time    time.Time
	Actor   string
	Subject string
	Kind    string
	Body    any
}

// Head is the end of the chain: the last entry's sequence number and hash. The
// zero Head stands before the first entry. MAC, where a store has a key,
// authenticates the pair, so that cutting entries off the end shows.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
	MAC  string `json:"mac,omitempty"`
}

// Log keeps a journal. Implementations are safe for concurrent use.
type Log interface {
	// Append adds an event at the end. When it returns nil the entry is
	// durable. It is not idempotent: calling it twice records two entries.
	Append(ctx context.Context, e Event) (Entry, error)
	// AppendAfter adds events at the end, all or none, if the last entry of a
	// scope still has the sequence number last, 0 for none; else it adds nothing
	// and returns ErrMoved. A scope is a subject, or with a slash at its end all
	// subjects that begin with it.
	AppendAfter(ctx context.Context, scope string, last int64, all ...Event) ([]Entry, error)
	// Read returns up to limit entries with a sequence number above after, in
	// order; none at the end.
	Read(ctx context.Context, after int64, limit int) ([]Entry, error)
	// ReadScope returns the entries of a scope with a sequence number above
	// after, in order, all of them.
	ReadScope(ctx context.Context, scope string, after int64) ([]Entry, error)
	// Verify reads the whole journal and says what is wrong with it. Anchors
	// are heads that were noted elsewhere and must still be in the chain. The
	// error is for what kept it from looking.
	Verify(ctx context.Context, anchors ...Head) (Report, error)
}

// Report is what a verification read and found.
type Report struct {
	Entries  int64     `json:"entries"`
	Head     Head      `json:"head"`
	Findings []Finding `json:"findings"`
}

// Fault names what is wrong with an entry.
type Fault string

// The faults.
const (
	Changed   Fault = "changed"   // its content is not what was hashed
	Missing   Fault = "missing"   // it was there and is not
	Reordered Fault = "reordered" // it was written at another place
	Truncated Fault = "truncated" // entries at the end are gone
	Extra     Fault = "extra"     // it is beyond the recorded end
	BadHead   Fault = "head"      // the record of the end is not ours
)

// Finding is one fault.
type Finding struct {
	Seq    int64  `json:"seq"`
	Fault  Fault  `json:"fault"`
	Detail string `json:"detail"`
}

// ErrMoved means that entries were added to a scope since it was looked at.
var ErrMoved = errors.New("entries were added meanwhile")

// ErrEvent means that an event cannot be recorded as it is.
var ErrEvent = errors.New("not a journal event")

// Chain makes the entry that follows head. The time is cut to microseconds and
// turned to UTC, so that what is stored is exactly what was hashed.
func Chain(head Head, e Event) (Entry, error) {
	if e.Actor == "" || e.Subject == "" || e.Kind == "" || e.Time.IsZero() {
		return Entry{}, fmt.Errorf("%w: actor %q, subject %q, kind %q and time must all be given", ErrEvent, e.Actor, e.Subject, e.Kind)
	}
	if strings.ContainsRune(e.Actor+e.Subject+e.Kind, 0) {
		return Entry{}, fmt.Errorf("%w: a zero byte in actor, subject or kind", ErrEvent)
	}
	raw, err := json.Marshal(e.Body)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: body of %s: %w", ErrEvent, e.Kind, err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, raw); err != nil {
		return Entry{}, fmt.Errorf("%w: body of %s: %w", ErrEvent, e.Kind, err)
	}
	out := Entry{
		Seq: head.Seq + 1, Time: e.Time.UTC().Truncate(time.Microsecond),
		Actor: e.Actor, Subject: e.Subject, Kind: e.Kind, Body: body.Bytes(), Prev: head.Hash,
	}
	out.Hash = HashOf(out)
	return out, nil
}

// HashOf is the hash that an entry with this content must carry.
func HashOf(e Entry) string {
	h := sha256.New()
	field(h, []byte("refloat-journal-1"))
	number(h, e.Seq)
	number(h, e.Time.UnixMicro())
	for _, s := range []string{e.Actor, e.Subject, e.Kind} {
		field(h, []byte(s))
	}
	field(h, e.Body)
	field(h, []byte(e.Prev))
	return hex.EncodeToString(h.Sum(nil))
}

// Seal authenticates a head with a store's key.
func Seal(key []byte, seq int64, last string) Head {
	m := hmac.New(sha256.New, key)
	field(m, []byte("refloat-journal-head-1"))
	number(m, seq)
	field(m, []byte(last))
	return Head{Seq: seq, Hash: last, MAC: hex.EncodeToString(m.Sum(nil))}
}

// Sealed reports whether the head was made with key.
func (h Head) Sealed(key []byte) bool {
	return hmac.Equal([]byte(Seal(key, h.Seq, h.Hash).MAC), []byte(h.MAC))
}

// Lengths go before the bytes, so that two different entries never feed the
// hash the same stream.
func field(h hash.Hash, b []byte) {
	number(h, int64(len(b)))
	_, _ = h.Write(b) // a hash never fails
}

func number(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	_, _ = h.Write(b[:])
}
