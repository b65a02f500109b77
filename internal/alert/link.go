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

// CalendarLink is what the address of a calendar says: whose shifts. It does not
// expire; with a new key it is no longer good.
type CalendarLink struct {
	Team, Person string // both empty for every team
}

// Sign makes the token of a calendar's address.
func (l CalendarLink) Sign(key []byte) string {
	body := l.Team + "\n" + l.Person
	return base64.RawURLEncoding.EncodeToString([]byte(body)) + "." + base64.RawURLEncoding.EncodeToString(seal(key, calendarLabel, body))
}

// ReadCalendarLink checks a token and reads it.
func ReadCalendarLink(token string, key []byte) (CalendarLink, error) {
	body, err := opened(token, key, calendarLabel)
	if err != nil {
		return CalendarLink{}, err
	}
	team, person, ok := strings.Cut(body, "\n")
	if !ok {
		return CalendarLink{}, ErrLinkInvalid
	}
	return CalendarLink{Team: team, Person: person}, nil
}

// What a signature is for; one for the one purpose is no good for another.
const (
	ackLabel      = "refloat acknowledgement link v1\n"
	calendarLabel = "refloat calendar link v1\n"
)

// Sign makes the token of a link: its fields, and an HMAC-SHA256 over them.
func (l Link) Sign(key []byte) string {
	body := strings.Join([]string{l.Alert, l.Person, strconv.FormatInt(l.Until.Unix(), 10)}, "\n")
	return base64.RawURLEncoding.EncodeToString([]byte(body)) + "." + base64.RawURLEncoding.EncodeToString(seal(key, ackLabel, body))
}

func seal(key []byte, label, body string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(label + body))
	return mac.Sum(nil)
}

// ReadLink checks a token and reads it.
func ReadLink(token string, key []byte, now time.Time) (Link, error) {
	body, err := opened(token, key, ackLabel)
	if err != nil {
		return Link{}, err
	}
	parts := strings.Split(body, "\n")
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

// opened is the body of a token whose signature is right.
func opened(token string, key []byte, label string) (string, error) {
	head, tail, ok := strings.Cut(token, ".")
	if !ok || len(token) > 1000 {
		return "", ErrLinkInvalid
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return "", ErrLinkInvalid
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(tail)
	if err != nil || !hmac.Equal(mac, seal(key, label, string(body))) {
		return "", ErrLinkInvalid
	}
	return string(body), nil
}

// equal compares without telling by its time how much is right.
func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
