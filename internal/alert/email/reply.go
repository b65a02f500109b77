package email

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Reply is what an answer to a page says.
type Reply struct {
	Acknowledges bool
	Automatic    bool   // a machine wrote it, or it is marked so: out of office, a bounce, a list
	Notice       bool   // and it says itself that nobody reads an answer (RFC 3834)
	Wanted       bool   // its first line would acknowledge
	First        string // its first line, as far as it was understood
}

// Limits of what is read from a mail.
const (
	maxMail  = 1 << 20
	maxParts = 20
	maxDepth = 5
	maxLine  = 200
)

// ErrMail means that a mail cannot be read.
var ErrMail = errors.New("this mail cannot be read")

// words that acknowledge when they come first.
var words = []string{"ack", "acked", "acknowledge", "acknowledged", "ok", "okay"}

// ReadReply reads an answer to a page (RFC 5322, RFC 2045). It acknowledges when
// its first line begins with the word ack, or one like it, and no machine wrote
// it: a page that an out-of-office notice acknowledges reaches nobody.
func ReadReply(message io.Reader) (Reply, error) {
	m, err := mail.ReadMessage(io.LimitReader(message, maxMail))
	if err != nil {
		return Reply{}, errors.Join(ErrMail, err)
	}
	r := Reply{Automatic: automatic(m.Header)}
	left := maxParts
	text, _ := body(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0, &left)
	r.First = firstLine(text)
	first := strings.FieldsFunc(strings.ToLower(r.First), func(c rune) bool { return !('a' <= c && c <= 'z' || c >= 0x80) })
	r.Notice = r.Automatic && (m.Header.Get("Auto-Submitted") != "" || report(m.Header))
	r.Wanted = len(first) > 0 && slices.Contains(words, first[0]) && strings.HasPrefix(strings.ToLower(r.First), first[0])
	r.Acknowledges = r.Wanted && !r.Automatic
	return r, nil
}

// automatic reports mail that no person wrote (RFC 3834, and what came before
// it).
func automatic(h mail.Header) bool {
	if v := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))); v != "" && v != "no" {
		return true
	}
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Failed-Recipients", "List-Id"} {
		if h.Get(name) != "" {
			return true
		}
	}
	if v := strings.ToLower(h.Get("X-Auto-Response-Suppress")); strings.Contains(v, "oof") && strings.Contains(v, "autoreply") {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(h.Get("Precedence"))) {
	case "bulk", "junk", "list", "auto_reply":
		return true
	}
	return report(h)
}

func report(h mail.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "multipart/report")
}

// body is the plain text of a mail, or of the part that has it; html says that it
// was made from HTML, which counts only where there is no plain text.
func body(contentType, encoding string, r io.Reader, depth int, left *int) (text string, isHTML bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || contentType == "" {
		kind = "text/plain"
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	switch {
	case strings.HasPrefix(kind, "multipart/") && depth < maxDepth:
		return part(multipart.NewReader(r, params["boundary"]), depth, left)
	case kind == "text/plain":
		b, _ := io.ReadAll(io.LimitReader(r, maxMail)) // what could be read, is
		return string(b), false
	case kind == "text/html":
		b, _ := io.ReadAll(io.LimitReader(r, maxMail))
		return plainOf(b), true
	}
	return "", false
}

func part(r *multipart.Reader, depth int, left *int) (text string, isHTML bool) {
	for {
		p, err := r.NextRawPart()
		if err != nil || *left <= 0 {
			return text, isHTML
		}
		*left--
		if strings.HasPrefix(strings.ToLower(p.Header.Get("Content-Disposition")), "attachment") {
			continue
		}
		got, fromHTML := body(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1, left)
		if got != "" && (text == "" || isHTML && !fromHTML) {
			text, isHTML = got, fromHTML
		}
	}
}

// plainOf is the text that HTML shows, a line for each block, without what it
// quotes.
func plainOf(source []byte) string {
	z := html.NewTokenizer(bytes.NewReader(source))
	var out strings.Builder
	hidden := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			if hidden == 0 {
				out.WriteString(strings.ReplaceAll(string(z.Text()), "\n", " "))
			}
		case html.StartTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "style", "script", "title", "blockquote":
				hidden++
			case "p", "div", "br", "li", "tr", "table":
				out.WriteByte('\n')
			}
		case html.SelfClosingTagToken:
			out.WriteByte('\n')
		case html.EndTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "style", "script", "title", "blockquote":
				hidden = max(0, hidden-1)
			case "p", "div", "li", "tr":
				out.WriteByte('\n')
			}
		}
	}
}

// firstLine is the first line that is neither empty nor quoted.
func firstLine(text string) string {
	text = strings.TrimPrefix(text, "\ufeff")
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimSpace(strings.ReplaceAll(line, "\u00a0", " "))
		if line != "" && !strings.HasPrefix(line, ">") {
			return strings.ToValidUTF8(line[:min(len(line), maxLine)], "")
		}
	}
	return ""
}
