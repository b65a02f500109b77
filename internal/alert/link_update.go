package alert

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

const updateLabel = "refloat update link v1\n"

// UpdateLink is what a link says that acknowledges an update of an incident:
// which update, and to whom it was sent. It is no good for anything else.
type UpdateLink struct {
	Incident, Update string
	Reader           string    // a person, or a contact that is nobody's own
	Until            time.Time // to the second
}

// Sign makes the token of a link.
func (l UpdateLink) Sign(key []byte) string {
	body := strings.Join([]string{l.Incident, l.Update, l.Reader, strconv.FormatInt(l.Until.Unix(), 10)}, "\n")
	return base64.RawURLEncoding.EncodeToString([]byte(body)) + "." + base64.RawURLEncoding.EncodeToString(seal(key, updateLabel, body))
}

// ReadUpdateLink checks a token and reads it.
func ReadUpdateLink(token string, key []byte, now time.Time) (UpdateLink, error) {
	body, err := opened(token, key, updateLabel)
	if err != nil {
		return UpdateLink{}, err
	}
	parts := strings.Split(body, "\n")
	if len(parts) != 4 {
		return UpdateLink{}, ErrLinkInvalid
	}
	until, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return UpdateLink{}, ErrLinkInvalid
	}
	l := UpdateLink{Incident: parts[0], Update: parts[1], Reader: parts[2], Until: time.Unix(until, 0)}
	if !now.Before(l.Until) {
		return l, ErrLinkExpired
	}
	return l, nil
}
