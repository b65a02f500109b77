package alert

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// LinkLasts is for how long a link acknowledges.
const LinkLasts = 7 * 24 * time.Hour

// Errors of links.
var (
	ErrLinkInvalid = errors.New("this link is not one of ours")
	ErrLinkExpired = errors.New("this link has expired")
)

// Link is what a link that acknowledges says: which alert, and to whom it was
// sent.
type Link struct {
	Alert, Person string
	Until         time.Time // to the second
}

// Sign makes the token of a link: its fields, and an HMAC-SHA256 over them.
func (l Link) Sign(key []byte) string {
	body := strings.Join([]string{l.Alert, l.Person, strconv.FormatInt(l.Until.Unix(), 10)}, "\n")
	return base64.RawURLEncoding.EncodeToString([]byte(body)) + "." + base64.RawURLEncoding.EncodeToString(seal(key, body))
}

func seal(key []byte, body string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("refloat acknowledgement link v1\n" + body))
	return mac.Sum(nil)
}

// ReadLink checks a token and reads it.
func ReadLink(token string, key []byte, now time.Time) (Link, error) {
	head, tail, ok := strings.Cut(token, ".")
	if !ok || len(token) > 1000 {
		return Link{}, ErrLinkInvalid
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return Link{}, ErrLinkInvalid
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(tail)
	if err != nil || !hmac.Equal(mac, seal(key, string(body))) {
		return Link{}, ErrLinkInvalid
	}
	parts := strings.Split(string(body), "\n")
	if len(parts) != 3 {
		return Link{}, ErrLinkInvalid
	}
	until, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return Link{}, ErrLinkInvalid
	}
	l := Link{Alert: parts[0], Person: parts[1], Until: time.Unix(until, 0)}
	if !now.Before(l.Until) {
		return l, ErrLinkExpired
	}
	return l, nil
}
