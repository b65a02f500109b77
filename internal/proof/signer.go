package proof

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aead.dev/minisign"
)

// Signer signs proofs with a minisign key, whose signatures the stock minisign
// program checks: minisign -Vm PROOF.json -p KEY.pub.
type Signer struct{ key minisign.PrivateKey }

// OpenSigner reads the signing key from a file, or makes it there, private to
// the user, when there is none. A damaged key is never replaced.
func OpenSigner(path string) (*Signer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSigner(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	if i, err := os.Stat(path); err == nil && i.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the signing key %s can be read by others: chmod 600 it, and consider it known if others had access", path)
	}
	var key minisign.PrivateKey
	if err := key.UnmarshalText(bytes.TrimSpace(text)); err != nil {
		return nil, fmt.Errorf("the signing key %s is damaged: restore it, or move it away to begin with a new one: %w", path, err)
	}
	return &Signer{key: key}, nil
}

func makeSigner(path string) (*Signer, error) {
	_, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	text, err := key.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".signing-key-*") // with mode 0600
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	// A link, unlike a rename, never replaces a key that another process made.
	if err := os.Link(f.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return OpenSigner(path)
		}
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		err = errors.Join(d.Sync(), d.Close())
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
	}
	return &Signer{key: key}, nil
}

// PublicKey is a minisign public key in the form of a .pub file.
type PublicKey struct{ key minisign.PublicKey }

// Public is the key that checks the signer's signatures.
func (s *Signer) Public() PublicKey {
	return PublicKey{key: s.key.Public().(minisign.PublicKey)}
}

// ID names the key, 16 hexadecimal digits.
func (k PublicKey) ID() string { return fmt.Sprintf("%016X", k.key.ID()) }

// String is the key alone, for minisign -P.
func (k PublicKey) String() string { return k.key.String() }

// File is the content of a .pub file.
func (k PublicKey) File() []byte {
	text, err := k.key.MarshalText()
	if err != nil {
		return nil // a key of ours always encodes
	}
	return append(text, '\n')
}

// ParsePublicKey reads a .pub file, or a key alone.
func ParsePublicKey(text string) (PublicKey, error) {
	var k PublicKey
	if err := k.key.UnmarshalText([]byte(strings.TrimSpace(text))); err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	return k, nil
}

// sign returns the content of a .minisig file. The trusted comment says what
// was signed, for people who check it with the stock program.
func (s *Signer) sign(p Proof, signed []byte) ([]byte, error) {
	r := minisign.NewReader(bytes.NewReader(signed)) // hashes first, as current minisign does
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, fmt.Errorf("sign proof %s: %w", p.ID, err)
	}
	trusted := fmt.Sprintf("refloat proof %s target:%s sequence:%d verdict:%s ended:%s", p.ID, p.Target, p.Sequence, p.Verdict, p.EndedAt.UTC().Format("2006-01-02T15:04:05Z"))
	return r.SignWithComments(s.key, trusted, "signature from refloat"), nil
}

// SignFile returns the content of a .minisig file over a file that is no proof.
// The trusted comment is one line that says what it is.
func (s *Signer) SignFile(content []byte, trusted string) ([]byte, error) {
	r := minisign.NewReader(bytes.NewReader(content))
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return r.SignWithComments(s.key, trusted, "signature from refloat"), nil
}

// Verify reports whether signature is key's over exactly these bytes.
func (k PublicKey) Verify(signed, signature []byte) bool {
	r := minisign.NewReader(bytes.NewReader(signed))
	if _, err := io.Copy(io.Discard, r); err != nil {
		return false
	}
	return r.Verify(k.key, signature)
}

// signerOf reads which key a signature says that it is of.
func signerOf(signature []byte) (string, error) {
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", fmt.Errorf("signature: %w", err)
	}
	return fmt.Sprintf("%016X", s.KeyID), nil
}
