package statuspage

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Subscriber is somebody who wants to be told of what is published. Its secret
// signs what a webhook is sent.
type Subscriber struct {
	ID        string    `json:"id"`
	Via       string    `json:"via"` // ByEmail or ByWebhook
	Address   string    `json:"address"`
	Secret    string    `json:"-"`
	Asked     time.Time `json:"asked"`              // first
	Confirmed time.Time `json:"confirmed,omitzero"` // empty until they did
	Mailed    time.Time `json:"mailed,omitzero"`    // when something to confirm was last made
	Asks      int       `json:"asks"`               // how often that was
}

// How a subscription comes about.
const (
	ConfirmWithin = 24 * time.Hour // what is not confirmed by then is forgotten
	AskAgain      = time.Hour      // the same address is asked to confirm no more often
	AskMost       = 3              // and so often at most, until it is forgotten
)

// Errors of subscribing.
var (
	// ErrAddress means that an address cannot be used; the message says why, to
	// whoever typed it.
	ErrAddress = errors.New("this address cannot be used")
	// ErrBusy means that too many sign up at the moment.
	ErrBusy = errors.New("too many sign up at the moment")
	// ErrLinkInvalid and ErrLinkExpired mean that a link leads nowhere.
	ErrLinkInvalid = errors.New("this link is not one of ours, or the subscription is gone")
	ErrLinkExpired = errors.New("this link has expired")
)

// ReadEmail checks an email address and writes it in one way. There is one
// address, and nothing else that a mail's header could be steered with.
func ReadEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" || len(text) > 254 || strings.ContainsAny(text, "<>()[]\",;:\\ \r\n\t") {
		return "", fmt.Errorf("%w: an email address looks like ann@example.org", ErrAddress)
	}
	local, domain, _ := strings.Cut(a.Address, "@")
	if !strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") || len(local) > 64 {
		return "", fmt.Errorf("%w: an email address looks like ann@example.org", ErrAddress)
	}
	for _, r := range a.Address {
		if r <= ' ' || r == 0x7f || r > 0x7f && (r < 0xa1 || plainText(string(r)) == "") {
			return "", fmt.Errorf("%w: it holds a character that no address has", ErrAddress)
		}
	}
	return local + "@" + strings.ToLower(domain), nil
}

// ReadWebhook checks the address of an endpoint. anywhere allows hosts that are
// not public, and http.
func ReadWebhook(text string, anywhere bool) (string, error) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > 1000 || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return "", fmt.Errorf("%w: an endpoint looks like https://example.org/hook", ErrAddress)
	case u.Scheme != "https" && (u.Scheme != "http" || !anywhere):
		return "", fmt.Errorf("%w: it must begin with https://", ErrAddress)
	case u.User != nil || u.Fragment != "":
		return "", fmt.Errorf("%w: it must hold no user and no part after #", ErrAddress)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", fmt.Errorf("%w: there is no port %s", ErrAddress, port)
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !anywhere && !PublicAddress(a) {
		return "", fmt.Errorf("%w: its host is not on the public internet", ErrAddress)
	}
	if h := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")); !anywhere && (h == "localhost" || strings.HasSuffix(h, ".localhost") || strings.HasSuffix(h, ".internal") || strings.HasSuffix(h, ".local")) {
		return "", fmt.Errorf("%w: its host is not on the public internet", ErrAddress)
	}
	return u.String(), nil
}

// PublicAddress reports whether an address is one of the public internet. What
// strangers name must not lead into our own network (server-side request
// forgery).
func PublicAddress(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", // RFC 6890
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10", "::/96", // and what hides a v4 address
	} {
		if netip.MustParsePrefix(p).Contains(a) {
			return false
		}
	}
	return true
}

// Purpose is what a link is for; one for the one is no good for another.
type Purpose string

// The purposes.
const (
	ToConfirm     Purpose = "confirm"
	ToUnsubscribe Purpose = "unsubscribe"
)

// Link is what a link in a mail says.
type Link struct {
	For        Purpose
	Subscriber string    // ID
	Until      time.Time // to the second; empty for ever
}

// Sign makes the token of a link: its fields, and an HMAC-SHA256 over them.
func (l Link) Sign(key []byte) string {
	until := int64(0)
	if !l.Until.IsZero() {
		until = l.Until.Unix()
	}
	body := l.Subscriber + "\n" + strconv.FormatInt(until, 10)
	return base64.RawURLEncoding.EncodeToString([]byte(body)) + "." + base64.RawURLEncoding.EncodeToString(seal(key, l.For, body))
}

func seal(key []byte, p Purpose, body string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("refloat status page " + string(p) + " link v1\n" + body))
	return mac.Sum(nil)
}

// ReadLink checks a token for a purpose and reads it.
func ReadLink(token string, p Purpose, key []byte, now time.Time) (Link, error) {
	head, tail, ok := strings.Cut(token, ".")
	if !ok || len(token) > 400 {
		return Link{}, ErrLinkInvalid
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return Link{}, ErrLinkInvalid
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(tail)
	if err != nil || !hmac.Equal(mac, seal(key, p, string(body))) {
		return Link{}, ErrLinkInvalid
	}
	id, until, ok := strings.Cut(string(body), "\n")
	n, err := strconv.ParseInt(until, 10, 64)
	if !ok || err != nil || id == "" {
		return Link{}, ErrLinkInvalid
	}
	l := Link{For: p, Subscriber: id}
	if n != 0 {
		l.Until = time.Unix(n, 0)
		if !now.Before(l.Until) {
			return l, ErrLinkExpired
		}
	}
	return l, nil
}

// ChallengeAnswer is what an endpoint answers to a challenge to show that it has
// the secret: its HMAC-SHA256, in hexadecimal.
func ChallengeAnswer(secret, challenge string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(challenge))
	return hex.EncodeToString(mac.Sum(nil))
}

// Notice is an update on its way to subscribers: what is on the page, and no
// more.
type Notice struct {
	Key      string   `json:"key"` // unique; the update's ID on the page
	Incident string   `json:"incident"`
	Title    string   `json:"title"`
	Services []string `json:"services"`
	Update   Update   `json:"update"`
}

// Notices are the updates of a publication, the oldest first.
func (p Publication) Notices() []Notice {
	var out []Notice
	for _, i := range p.Incidents {
		for _, u := range i.Updates {
			out = append(out, Notice{Key: u.ID, Incident: i.ID, Title: i.Title, Services: i.Services, Update: u})
		}
	}
	slices.SortStableFunc(out, func(a, b Notice) int { return a.Update.At.Compare(b.Update.At) })
	return out
}

// ConfirmKey is the key of the delivery that asks somebody to confirm.
const ConfirmKey = "confirm"

// Delivery is one message on its way to one subscriber. It is kept before it is
// sent.
type Delivery struct {
	Key        string // of its notice, or ConfirmKey
	Subscriber Subscriber
	Notice     Notice // empty for ConfirmKey
	At         time.Time
	NotBefore  time.Time
	State      string // Waiting, Sent or Failed
	Attempts   []Attempt
}

// Attempt is one try to send.
type Attempt struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"` // empty when it was taken over
	Said  string    `json:"said,omitempty"`
}

// pauses grow: who cannot be reached is a stranger, who must not be flooded.
func pause(n int) time.Duration {
	all := [...]time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}
	if n < len(all) {
		return all[n]
	}
	return time.Hour
}

// keepTrying is for how long a message is tried.
const keepTrying = 24 * time.Hour

// After is the delivery after one more attempt. refused means that the same
// again is of no use.
func (d Delivery) After(x Attempt, refused bool) Delivery {
	d.Attempts = append(slices.Clone(d.Attempts), x)
	d.NotBefore = x.At.Add(pause(len(d.Attempts) - 1))
	switch {
	case x.Error == "":
		d.State = Sent
	case refused || d.NotBefore.Sub(d.Attempts[0].At) > keepTrying:
		d.State = Failed
	}
	return d
}

// States of a delivery.
const (
	Waiting = "waiting"
	Sent    = "sent"
	Failed  = "failed"
)

// Bounds of what strangers may fill the store with.
const (
	MostPending        = 1000 // subscribers who have not confirmed
	MostPendingWebhook = 3    // of them, for one endpoint
)
