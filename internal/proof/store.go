package proof

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// Records keep small named objects; a repository does.
type Records interface {
	Put(ctx context.Context, name string, content []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	// Names yields the names that begin with prefix, in order.
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Absent reports whether an error of Get says that there is no such record.
	Absent(err error) bool
}

// Store keeps proofs beside the backups that they are about: the signed bytes
// in proofs/TARGET/ID.json, their signature in ID.json.minisig, the keys in
// proofs/keys/KEYID.pub.
type Store struct{ Records Records }

const (
	jsonSuffix = ".json"
	sigSuffix  = ".json.minisig"
	keyPrefix  = "proofs/keys/"
)

// ErrNoProof means that the target has no proof of this name, or none at all.
var ErrNoProof = errors.New("no proof")

func prefixOf(id target.ID) string { return "proofs/" + string(id) + "/" }

// Stored is a proof as it is kept.
type Stored struct {
	Proof     Proof
	Signed    []byte // the bytes that the signature is over
	Signature []byte
}

// Hash is what the next proof names as the one before it.
func (s Stored) Hash() string {
	sum := sha256.Sum256(s.Signed)
	return hex.EncodeToString(sum[:])
}

// Append numbers, chains, signs and keeps a proof, and returns it as kept.
func (s Store) Append(ctx context.Context, signer *Signer, p Proof) (Stored, error) {
	before, err := s.Latest(ctx, p.Subject())
	switch {
	case errors.Is(err, ErrNoProof):
		p.Sequence, p.Previous = 1, ""
	case err != nil:
		return Stored{}, fmt.Errorf("append a proof: %w", err)
	default:
		p.Sequence, p.Previous = before.Proof.Sequence+1, before.Hash()
	}
	p.Format = Format
	// Names sort in the order of the chain, whatever clocks say.
	p.ID = fmt.Sprintf("%s-%08d-%s", p.Subject(), p.Sequence, p.StartedAt.UTC().Format("20060102T150405Z"))
	signed, err := Encode(p)
	if err != nil {
		return Stored{}, err
	}
	signature, err := signer.sign(p, signed)
	if err != nil {
		return Stored{}, err
	}
	k := signer.Public()
	if err := s.Records.Put(ctx, keyPrefix+k.ID()+".pub", k.File()); err != nil {
		return Stored{}, fmt.Errorf("keep the public key: %w", err)
	}
	// The signature first: a proof is there once it can be checked.
	if err := s.Records.Put(ctx, prefixOf(p.Subject())+p.ID+sigSuffix, signature); err != nil {
		return Stored{}, fmt.Errorf("keep the signature of proof %s: %w", p.ID, err)
	}
	if err := s.Records.Put(ctx, prefixOf(p.Subject())+p.ID+jsonSuffix, signed); err != nil {
		return Stored{}, fmt.Errorf("keep proof %s: %w", p.ID, err)
	}
	return Stored{Proof: p, Signed: signed, Signature: signature}, nil
}

// IDs lists the names of a target's proofs, oldest first.
func (s Store) IDs(ctx context.Context, id target.ID) ([]string, error) {
	var out []string
	for name, err := range s.Records.Names(ctx, prefixOf(id)) {
		if err != nil {
			return nil, fmt.Errorf("list the proofs of %s: %w", id, err)
		}
		if rest, ok := strings.CutSuffix(strings.TrimPrefix(name, prefixOf(id)), jsonSuffix); ok {
			out = append(out, rest)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Sources lists the chains of a target's drills of other tools' backups.
func (s Store) Sources(ctx context.Context, id target.ID) ([]target.ID, error) {
	var out []target.ID
	for name, err := range s.Records.Names(ctx, "proofs/"+string(id)+".") {
		if err != nil {
			return nil, fmt.Errorf("list the proofs of %s: %w", id, err)
		}
		subject, _, _ := strings.Cut(strings.TrimPrefix(name, "proofs/"), "/")
		if n := len(out); n == 0 || out[n-1] != target.ID(subject) {
			out = append(out, target.ID(subject))
		}
	}
	return out, nil
}

// Get reads one proof. It fails when its signature is not by a key of the
// repository.
func (s Store) Get(ctx context.Context, id target.ID, proofID string) (Stored, error) {
	signed, err := s.Records.Get(ctx, prefixOf(id)+proofID+jsonSuffix)
	if err != nil {
		if s.Records.Absent(err) {
			return Stored{}, fmt.Errorf("%w %s of %s; `refloat proof list %s` shows those there are", ErrNoProof, proofID, id, id)
		}
		return Stored{}, fmt.Errorf("read proof %s: %w", proofID, err)
	}
	out := Stored{Signed: signed}
	if out.Signature, err = s.Records.Get(ctx, prefixOf(id)+proofID+sigSuffix); err != nil {
		return Stored{}, fmt.Errorf("read the signature of proof %s: %w", proofID, err)
	}
	if _, err := s.check(ctx, out, nil); err != nil {
		return Stored{}, fmt.Errorf("proof %s: %w", proofID, err)
	}
	if out.Proof, err = Decode(signed); err != nil {
		return Stored{}, err
	}
	if out.Proof.ID != proofID || out.Proof.Subject() != id {
		return Stored{}, fmt.Errorf("proof %s of %s is kept under the name of %s of %s", out.Proof.ID, out.Proof.Subject(), proofID, id)
	}
	return out, nil
}

// ErrForged means that a proof's bytes are not what its signature is over.
var ErrForged = errors.New("the signature does not fit")

// check verifies a signature and returns the key's ID. With trusted keys, only
// those count.
func (s Store) check(ctx context.Context, p Stored, trusted []PublicKey) (string, error) {
	keyID, err := signerOf(p.Signature)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrForged, err)
	}
	if len(trusted) == 0 {
		text, err := s.Records.Get(ctx, keyPrefix+keyID+".pub")
		if err != nil {
			return keyID, fmt.Errorf("read the public key %s: %w", keyID, err)
		}
		k, err := ParsePublicKey(string(text))
		if err != nil {
			return keyID, err
		}
		trusted = []PublicKey{k}
	}
	for _, k := range trusted {
		if k.ID() == keyID && k.Verify(p.Signed, p.Signature) {
			return keyID, nil
		}
	}
	return keyID, fmt.Errorf("%w (key %s)", ErrForged, keyID)
}

// Latest reads the newest proof; ErrNoProof when there is none.
func (s Store) Latest(ctx context.Context, id target.ID) (Stored, error) {
	ids, err := s.IDs(ctx, id)
	if err != nil {
		return Stored{}, err
	}
	if len(ids) == 0 {
		return Stored{}, fmt.Errorf("%w of %s", ErrNoProof, id)
	}
	return s.Get(ctx, id, ids[len(ids)-1])
}

// List reads every proof of a target, oldest first.
func (s Store) List(ctx context.Context, id target.ID) ([]Stored, error) {
	ids, err := s.IDs(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]Stored, 0, len(ids))
	for _, x := range ids {
		p, err := s.Get(ctx, id, x)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// ChainReport is what a look through a target's whole chain found.
type ChainReport struct {
	Target target.ID `json:"target"`
	Proofs int       `json:"proofs"`
	Keys   []string  `json:"keys"`   // that signed them
	Faults []string  `json:"faults"` // empty when all is well
}

// VerifyChain looks through a target's chain for proofs that were changed, are
// missing, out of order or not signed by a trusted key (any key of the
// repository when none is given).
func (s Store) VerifyChain(ctx context.Context, id target.ID, trusted []PublicKey) (ChainReport, error) {
	r := ChainReport{Target: id, Keys: []string{}, Faults: []string{}}
	ids, err := s.IDs(ctx, id)
	if err != nil {
		return r, err
	}
	var before *Stored
	for _, x := range ids {
		r.Proofs++
		p := Stored{}
		if p.Signed, err = s.Records.Get(ctx, prefixOf(id)+x+jsonSuffix); err == nil {
			p.Signature, err = s.Records.Get(ctx, prefixOf(id)+x+sigSuffix)
		}
		if err == nil {
			var key string
			key, err = s.check(ctx, p, trusted)
			if err == nil && !slices.Contains(r.Keys, key) {
				r.Keys = append(r.Keys, key)
			}
		}
		if err == nil {
			p.Proof, err = Decode(p.Signed)
		}
		if err != nil {
			r.Faults = append(r.Faults, fmt.Sprintf("%s: %v", x, err))
			before = nil
			continue
		}
		if fault := follows(before, p, r.Proofs == 1); fault != "" {
			r.Faults = append(r.Faults, x+": "+fault)
		}
		before = &p
	}
	return r, nil
}

// follows says why p cannot come after before; "" when it can. Without a
// readable one before, only the first has a known place.
func follows(before *Stored, p Stored, first bool) string {
	switch {
	case first && (p.Proof.Sequence != 1 || p.Proof.Previous != ""):
		return fmt.Sprintf("it is number %d, and those before it are missing", p.Proof.Sequence)
	case before == nil:
		return ""
	case p.Proof.Sequence != before.Proof.Sequence+1:
		return fmt.Sprintf("it is number %d and comes after number %d: proofs are missing or out of order", p.Proof.Sequence, before.Proof.Sequence)
	case p.Proof.Previous != before.Hash():
		return "it does not name the proof before it: one of the two was changed"
	}
	return ""
}

// Export writes a proof, its signature, the key and a page to read into dir,
// and returns the names of the files.
func (s Store) Export(ctx context.Context, p Stored, dir string) ([]string, error) {
	keyID, err := signerOf(p.Signature)
	if err != nil {
		return nil, err
	}
	key, err := s.Records.Get(ctx, keyPrefix+keyID+".pub")
	if err != nil {
		return nil, fmt.Errorf("read the public key %s: %w", keyID, err)
	}
	page, err := HTML(p)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("export proof %s: %w", p.Proof.ID, err)
	}
	var names []string
	for _, f := range []struct {
		name string
		text []byte
	}{
		{p.Proof.ID + jsonSuffix, p.Signed}, {p.Proof.ID + sigSuffix, p.Signature},
		{p.Proof.ID + ".html", page}, {"refloat-" + keyID + ".pub", key},
	} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.text, 0o644); err != nil {
			return names, fmt.Errorf("export proof %s: %w", p.Proof.ID, err)
		}
		names = append(names, path)
	}
	return names, nil
}
