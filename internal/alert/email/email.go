// Package email delivers messages over SMTP (RFC 5321).
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// TLS says how the connection to the mail server is protected.
type TLS string

// The ways. STARTTLS is required, never only tried.
const (
	STARTTLS  TLS = "starttls"
	Implicit  TLS = "implicit"
	Plaintext TLS = "plaintext" // to this machine only
)

// Options say which server takes our mail.
type Options struct {
	Host       string
	Port       int // default 587, 465 for implicit TLS, 25 for plaintext
	TLS        TLS // default STARTTLS
	From       string
	Username   string // none for no authentication
	Password   secret.Value
	RootCAFile string        // certificates that the server's is checked against; none for the system's
	Timeout    time.Duration // for one message; default 10 s
}

// Sender delivers over SMTP. It opens a connection for each message, so that a
// restarted mail server is no trouble.
type Sender struct {
	o    Options
	pool *x509.CertPool
}

var _ alert.Sender = (*Sender)(nil)

// New checks the options. It does not connect.
func New(o Options) (*Sender, error) {
	if o.Host == "" || o.From == "" {
		return nil, errors.New("email: host and from are needed")
	}
	switch o.TLS {
	case "":
		o.TLS = STARTTLS
	case STARTTLS, Implicit:
	case Plaintext:
		if !alert.OnThisMachine(o.Host) {
			return nil, fmt.Errorf("email: tls: plaintext is refused to %s, which is not this machine", o.Host)
		}
	default:
		return nil, fmt.Errorf("email: tls: %s is none of starttls, implicit, plaintext", o.TLS)
	}
	if o.Port == 0 {
		o.Port = map[TLS]int{STARTTLS: 587, Implicit: 465, Plaintext: 25}[o.TLS]
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	s := &Sender{o: o}
	if o.RootCAFile != "" {
		pem, err := os.ReadFile(o.RootCAFile)
		if err != nil {
			return nil, fmt.Errorf("email: read root_ca_file: %w", err)
		}
		s.pool = x509.NewCertPool()
		if !s.pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("email: %s holds no certificate", o.RootCAFile)
		}
	}
	if err := mail.NewMsg().From(o.From); err != nil {
		return nil, fmt.Errorf("email: from: %w", err)
	}
	return s, nil
}

// Send hands one message to the mail server and returns its reply. A reply of
// the 5xx class is alert.ErrRefused; everything else is worth another try.
func (s *Sender) Send(ctx context.Context, m alert.Message) (alert.Receipt, error) {
	msg, err := s.compose(m)
	if err != nil {
		return alert.Receipt{}, fmt.Errorf("%w: compose the mail to %s: %w", alert.ErrRefused, m.To.Address, err)
	}
	client, err := s.client()
	if err != nil {
		return alert.Receipt{}, fmt.Errorf("prepare to send mail through %s: %w", s.o.Host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if err := inTime(ctx, func() error { return client.DialAndSendWithContext(ctx, msg) }); err != nil {
		err = fmt.Errorf("send mail to %s through %s: %w", m.To.Address, s.o.Host, err)
		if refused(err) {
			err = fmt.Errorf("%w: %w", alert.ErrRefused, err)
		}
		return alert.Receipt{}, err
	}
	return alert.Receipt{Said: strings.TrimSpace(msg.ServerResponse())}, nil
}

// inTime returns when f does or ctx ends: a server that never greets would hold
// the library up for ever.
func inTime(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func refused(err error) bool {
	var send *mail.SendError
	if errors.As(err, &send) && send.ErrorCode() >= 500 {
		return true
	}
	var reply *textproto.Error
	return errors.As(err, &reply) && reply.Code >= 500
}

func (s *Sender) client() (*mail.Client, error) {
	config := &tls.Config{ServerName: s.o.Host, RootCAs: s.pool, MinVersion: tls.VersionTLS12}
	options := []mail.Option{mail.WithPort(s.o.Port), mail.WithTimeout(s.o.Timeout), mail.WithTLSConfig(config), mail.WithoutNoop()}
	if s.o.TLS != Implicit {
		options = append(options, mail.WithDialContextFunc(s.dial))
	}
	switch s.o.TLS {
	case STARTTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case Implicit:
		options = append(options, mail.WithSSL())
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS)) // it stays on this machine
	}
	if s.o.Username != "" {
		options = append(options, mail.WithUsername(s.o.Username), mail.WithPassword(s.o.Password.Reveal()), mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover))
	}
	return mail.NewClient(s.o.Host, options...)
}

// dial puts a deadline on the whole conversation, the greeting included.
func (s *Sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(s.o.Timeout))
}

func (s *Sender) compose(m alert.Message) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.From(s.o.From); err != nil {
		return nil, err
	}
	if err := msg.To(m.To.Address); err != nil {
		return nil, err
	}
	if m.ReplyTo != "" {
		if err := msg.ReplyTo(m.ReplyTo); err != nil {
			return nil, err
		}
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.At)
	domain := s.o.From[strings.LastIndexByte(s.o.From, '@')+1:]
	msg.SetMessageIDWithValue(m.ID + "@" + strings.Trim(domain, "> "))
	if m.Alert.ID != "" {
		msg.SetGenHeader("X-Refloat-Alert", m.Alert.ID)
	}
	if m.Unsubscribe != "" {
		msg.SetGenHeader("List-Unsubscribe", "<"+m.Unsubscribe+">")
		msg.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	msg.SetGenHeader("X-Refloat-Kind", string(m.Kind))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notices back
	if m.Kind == alert.Page {
		msg.SetImportance(mail.ImportanceHigh)
	}
	msg.SetBodyString(mail.TypeTextPlain, plain(m))
	msg.AddAlternativeString(mail.TypeTextHTML, page(m))
	return msg, nil
}

func plain(m alert.Message) string {
	b := m.Body
	if m.AckURL != "" {
		b += "\nAcknowledge: " + m.AckURL + "\n"
	}
	if m.ReplyTo != "" {
		b += "\nOr answer this mail with the word ack.\n"
	}
	if m.AckCommand != "" {
		b += "\nOr on the command line: " + m.AckCommand + "\n"
	}
	if m.Unsubscribe != "" {
		b += "\nNo more messages: " + m.Unsubscribe + "\n"
	}
	return b
}

func page(m alert.Message) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><html><body style="font-family:sans-serif;font-size:16px;line-height:1.5">`)
	fmt.Fprintf(&b, `<p style="font-size:20px;font-weight:bold">%s</p>`, html.EscapeString(m.Subject))
	if m.AckURL != "" {
		fmt.Fprintf(&b, `<p><a href="%s" style="display:inline-block;padding:12px 24px;background:#1a4fb4;color:#ffffff;text-decoration:none;border-radius:6px">Acknowledge</a></p>`, html.EscapeString(m.AckURL))
	}
	fmt.Fprintf(&b, `<pre style="font-family:monospace;white-space:pre-wrap">%s</pre>`, html.EscapeString(m.Body))
	if m.ReplyTo != "" {
		b.WriteString(`<p>Or answer this mail with the word <b>ack</b>.</p>`)
	}
	if m.AckCommand != "" {
		fmt.Fprintf(&b, `<p>Or on the command line: <code>%s</code></p>`, html.EscapeString(m.AckCommand))
	}
	if m.Unsubscribe != "" {
		fmt.Fprintf(&b, `<p><a href="%s">No more messages</a></p>`, html.EscapeString(m.Unsubscribe))
	}
	b.WriteString(`</body></html>`)
	return b.String()
}
