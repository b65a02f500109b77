package target

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// beatResolution is what a PostgreSQL timestamptz keeps.
const beatResolution = time.Microsecond

// NextBeat makes the beat after prev; the zero Beat begins a chain. The hash
// is SHA-256 over the target, the sequence number, the time in microseconds
// since 1970 and the hash before, one a line.
func NextBeat(id ID, prev Beat, now time.Time) Beat {
	b := Beat{Seq: prev.Seq + 1, At: now.UTC().Truncate(beatResolution), Prev: prev.Hash}
	b.Hash = hashBeat(id, b)
	return b
}

func hashBeat(id ID, b Beat) string {
	text := string(id) + "\n" + strconv.FormatInt(b.Seq, 10) + "\n" + strconv.FormatInt(b.At.UnixMicro(), 10) + "\n" + b.Prev + "\n"
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// VerifyBeats checks a stretch of target id's chain in ascending order: no
// beat is missing, changed or out of place. The first beat's predecessor need
// not be in the stretch. The error names the first beat that does not fit.
func VerifyBeats(id ID, beats []Beat) error {
	for i, b := range beats {
		if b.Hash != hashBeat(id, b) {
			return fmt.Errorf("heartbeat %d of %s: its hash does not fit its content", b.Seq, id)
		}
		if i == 0 {
			continue
		}
		switch before := beats[i-1]; {
		case b.Seq != before.Seq+1:
			return fmt.Errorf("heartbeat %d of %s follows %d: beats are missing between them", b.Seq, id, before.Seq)
		case b.Prev != before.Hash:
			return fmt.Errorf("heartbeat %d of %s does not follow the %d before it: the chain is broken", b.Seq, id, before.Seq)
		}
	}
	return nil
}

// Errors of writing a heartbeat that callers tell apart.
var (
	// ErrReadOnly means that the server takes no writes: a standby, or
	// default_transaction_read_only.
	ErrReadOnly = errors.New("the server is read-only")
	// ErrNoHeartbeat means that the heartbeat's table is not there, or not ours
	// to write; `refloat init --grants` prints what makes it.
	ErrNoHeartbeat = errors.New("the heartbeat's table is missing or the role may not write it")
)
