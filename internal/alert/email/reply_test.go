package email

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestReadReply(t *testing.T) {
	const head = "From: Ada <ada@example.org>\nTo: refloat+x@page.example.org\nSubject: Re: [CRITICAL] shop\n"
	both := head + "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n%PLAIN%\n--b\nContent-Type: text/html\n\n<p>%HTML%</p>\n--b--\n"
	for name, c := range map[string]struct {
		mail       string
		yes, robot bool
	}{
		"ack":                        {head + "\nack\n", true, false},
		"with more":                  {head + "\n\n  Ack, looking into it.\n\n> Alert: 7\n", true, false},
		"capitals":                   {head + "\nACK!\n", true, false},
		"acknowledged":               {head + "\nAcknowledged\n", true, false},
		"ok":                         {head + "\nok\n", true, false},
		"something else":             {head + "\nwhat is this?\n", false, false},
		"ack is quoted":              {head + "\n> ack\n", false, false},
		"only the page, quoted":      {head + "\n> [CRITICAL] shop\n> or answer with ack\n", false, false},
		"not ack":                    {head + "\nnot ack\n", false, false},
		"a longer word":              {head + "\nackermann is on holiday\n", false, false},
		"a byte order mark":          {head + "Content-Type: text/plain; charset=utf-8\n\n\ufeffack\n", true, false},
		"empty":                      {head + "\n", false, false},
		"out of office":              {head + "Auto-Submitted: auto-replied\n\nack\n", false, true},
		"of an older kind":           {head + "Precedence: bulk\n\nack\n", false, true},
		"of Exchange":                {head + "X-Auto-Response-Suppress: DR, OOF, AutoReply\n\nack\n", false, true},
		"a person says so":           {head + "Auto-Submitted: no\n\nack\n", true, false},
		"a provider's own header":    {head + "Feedback-ID: i1a2b3c4d:Provider\n\nack\n", true, false},
		"a mailing list":             {head + "List-Id: <db.example.org>\n\nack\n", false, true},
		"a bounce":                   {head + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nack\n--b--\n", false, true},
		"base64":                     {head + "Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("ack\n")) + "\n", true, false},
		"quoted-printable":           {head + "Content-Transfer-Encoding: quoted-printable\n\n=61ck\n", true, false},
		"plain and HTML":             {strings.NewReplacer("%PLAIN%", "ack", "%HTML%", "ack").Replace(both), true, false},
		"plain counts, not HTML":     {strings.NewReplacer("%PLAIN%", "no", "%HTML%", "ack").Replace(both), false, false},
		"HTML alone":                 {head + "Content-Type: text/html\n\n<html><head><style>p{}</style></head><body><div>ack</div><blockquote>[CRITICAL] shop</blockquote></body></html>\n", true, false},
		"HTML that only quotes":      {head + "Content-Type: text/html\n\n<blockquote><p>ack</p></blockquote>\n", false, false},
		"an attachment says it":      {head + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\nContent-Type: text/plain\n\nack\n--b--\n", false, false},
		"nested":                     {head + "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nack\n--b--\n--a--\n", true, false},
		"a boundary that never ends": {head + "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/plain\n\nack\n", true, false},
	} {
		r, err := ReadReply(strings.NewReader(crlf(c.mail)))
		if err != nil || r.Acknowledges != c.yes || r.Automatic != c.robot {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := ReadReply(strings.NewReader("no mail")); !errors.Is(err, ErrMail) {
		t.Error(err)
	}
}

// Whatever comes, reading ends, and a mail of a machine acknowledges nothing.
func FuzzReadReply(f *testing.F) {
	f.Add([]byte(crlf("Subject: x\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/html\n\n<p>ack\n--a--\n")))
	f.Add([]byte(crlf("Auto-Submitted: auto-replied\n\nack\n")))
	f.Add([]byte("\r\n\r\nack"))
	f.Fuzz(func(t *testing.T, mail []byte) {
		r, err := ReadReply(strings.NewReader(string(mail)))
		if r.Acknowledges && (r.Automatic || err != nil || len(r.First) == 0) {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// answer hands a mail over as a mail server does.
func answer(t *testing.T, at, from, to, mail string) error {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "mail.test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(crlf(mail))); err != nil {
		t.Fatal(err)
	}
	return w.Close()
}

func TestAnswersAcknowledge(t *testing.T) {
	var mu sync.Mutex
	var got []string
	over := errors.New("alert a8 is not open any more")
	inbox, err := Open(t.Context(), Replies{
		Address: "refloat@page.example.org", Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Known: func(token string) bool { return strings.HasPrefix(token, "a7.") || strings.HasPrefix(token, "a8.") },
		Acknowledge: func(_ context.Context, token string) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, token)
			if strings.HasPrefix(token, "a8.") {
				return over
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inbox.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const ours = "refloat+a7.abc@page.example.org"
	for _, c := range []struct {
		name, from, to, mail, refused string
		takes                         []string
	}{
		{"ack", "ada@example.org", ours, "Subject: Re\n\nack\n", "", []string{"a7.abc"}},
		{"another case", "ada@example.org", "Refloat+A7.ABC@Page.Example.org", "Subject: Re\n\nack\n", "", []string{"a7.abc"}},
		{"unclear", "ada@example.org", ours, "Subject: Re\n\nwhat?\n", "begin your answer with the word ack", nil},
		{"out of office", "ada@example.org", ours, "Auto-Submitted: auto-replied\n\nack\n", "", nil},
		{"through a list", "ada@example.org", ours, "List-Id: <db.example.org>\n\nack\n", "marked as automatic", nil},
		{"something on a list", "ada@example.org", ours, "List-Id: <db.example.org>\n\nhello\n", "", nil},
		{"a bounce", "", ours, "Subject: Undelivered\n\nack\n", "", nil},
		{"it has ended", "ada@example.org", "refloat+a8.abc@page.example.org", "Subject: Re\n\nack\n", "not open any more", []string{"a8.abc"}},
		{"a wrong token", "ada@example.org", "refloat+b1.abc@page.example.org", "Subject: Re\n\nack\n", "nobody here", nil},
		{"no token", "ada@example.org", "refloat@page.example.org", "Subject: Re\n\nack\n", "nobody here", nil},
		{"another domain", "ada@example.org", "refloat+a7.abc@example.com", "Subject: Re\n\nack\n", "nobody here", nil},
	} {
		mu.Lock()
		got = nil
		mu.Unlock()
		err := answer(t, inbox.Address(), c.from, c.to, c.mail)
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", c.name, err)
		}
		mu.Lock()
		if !slices.Equal(got, c.takes) {
			t.Errorf("%s: acknowledged %v", c.name, got)
		}
		mu.Unlock()
	}
}
