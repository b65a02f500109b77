package alert

import (
	"encoding/base32"
	"strings"
)

const replyLabel = "refloat reply address v1\n"

var replyText = base32.StdEncoding.WithPadding(base32.NoPadding)

// ReplyToken is the part of an address that acknowledges an alert in a person's
// name when mail comes to it. It is short, since an address holds 64 characters
// before its @ (RFC 5321, 4.5.3.1.1), and in lower case, since that may change.
func ReplyToken(alertID, person string, key []byte) string {
	mac := seal(key, replyLabel, alertID+"\n"+person)
	return alertID + "." + strings.ToLower(replyText.EncodeToString(mac[:15]))
}

// ReadReplyToken finds for whom of the people a token was made; "" stands for
// nobody by name.
func ReadReplyToken(token string, people []string, key []byte) (Link, error) {
	token = strings.ToLower(token)
	id, _, ok := strings.Cut(token, ".")
	if !ok || len(token) > 64 {
		return Link{}, ErrLinkInvalid
	}
	found, person := false, ""
	for _, p := range append([]string{""}, people...) {
		if same := equal(ReplyToken(id, p, key), token); same {
			found, person = true, p
		}
	}
	if !found {
		return Link{}, ErrLinkInvalid
	}
	return Link{Alert: id, Person: person}, nil
}
