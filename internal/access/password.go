package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost is what it costs to try a password, by argon2id.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// DefaultCost takes about an eighth of a second on one core of a small machine,
// and 64 MiB: the second of the settings that RFC 9106 recommends, in one lane.
func DefaultCost() Cost { return Cost{Memory: 64 << 10, Passes: 3, Lanes: 1} }

// The most that a stored hash may ask for: what was tampered with is refused
// rather than tried.
const (
	mostMemory = 1 << 20 // KiB
	mostPasses = 20
	keyLength  = 32
	saltLength = 16
)

// Limits of a password.
const (
	leastPassword = 12  // characters
	mostPassword  = 512 // bytes
)

var errHash = errors.New("the stored hash of the password cannot be read")

// CheckPassword says why a password is too weak for an account; nil when it will
// do.
func CheckPassword(name, password string) error {
	p := norm.NFC.String(password)
	different := map[rune]bool{}
	for _, r := range strings.ToLower(p) {
		different[r] = true
	}
	switch {
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: it is not text", ErrWeak)
	case len(p) > mostPassword:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrWeak, mostPassword)
	case utf8.RuneCountInString(p) < leastPassword:
		return fmt.Errorf("%w: it needs %d characters at least", ErrWeak, leastPassword)
	case len(different) < 5:
		return fmt.Errorf("%w: it needs five different characters at least", ErrWeak)
	case name != "" && len(strings.ReplaceAll(strings.ToLower(p), strings.ToLower(name), "")) < leastPassword/2:
		return fmt.Errorf("%w: it is little more than the account's name", ErrWeak)
	}
	return nil
}

// hash makes what is kept of a password: the PHC string of argon2id, with the
// parameters.
func (c Cost) hash(password string) string {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails, crypto/rand
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Lanes, b.EncodeToString(salt), b.EncodeToString(c.key(password, salt, keyLength)))
}

func (c Cost) key(password string, salt []byte, length uint32) []byte {
	return argon2.IDKey([]byte(norm.NFC.String(password)), salt, c.Passes, c.Memory, c.Lanes, length)
}

// verify reports whether a password is the one that a hash was made of, and what
// the hash cost.
func verify(hash, password string) (bool, Cost, error) {
	parts := strings.Split(hash, "$")
	var version int
	var c Cost
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false, c, errHash
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, c, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Lanes); err != nil || c.Memory > mostMemory || c.Passes > mostPasses || c.Passes < 1 || c.Lanes < 1 || c.Memory < 8*uint32(c.Lanes) {
		return false, c, errHash
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	if err != nil || len(salt) < 8 {
		return false, c, errHash
	}
	want, err := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false, c, errHash
	}
	return subtle.ConstantTimeCompare(c.key(password, salt, uint32(len(want))), want) == 1, c, nil
}
