package email

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// mailServer is a real SMTP server whose behaviour a test sets.
type mailServer struct {
	port   int
	caFile string

	mu    sync.Mutex
	got   []string
	users []string
	rcpt  error
	data  func() error
}

func (m *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{m: m}, nil }

type session struct{ m *mailServer }

func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return s.m.rcpt }
func (s *session) AuthMechanisms() []string             { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		s.m.users = append(s.m.users, user)
		if password != "sesame" {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "wrong password"}
		}
		return nil
	}), nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.m.data != nil {
		if err := s.m.data(); err != nil {
			return err
		}
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.got = append(s.m.got, string(b))
	return nil
}

func serve(t *testing.T, way TLS) *mailServer {
	t.Helper()
	m := &mailServer{}
	cert := m.certificate(t)
	srv := smtp.NewServer(m)
	srv.Domain, srv.AllowInsecureAuth = "mail.test", false
	srv.ErrorLog = discard{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	switch way {
	case STARTTLS:
		srv.TLSConfig = config
	case Implicit:
		l = tls.NewListener(l, config)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _, _ = srv.Close(), l.Close(); <-done })
	return m
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// certificate makes one for 127.0.0.1 that signs itself.
func (m *mailServer) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	m.caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(m.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (m *mailServer) sender(t *testing.T, o Options) *Sender {
	t.Helper()
	o.Host, o.Port, o.From = "127.0.0.1", m.port, "refloat@example.org"
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message() alert.Message {
	return alert.Message{
		ID: "m1", Kind: alert.Page, To: alert.Contact{ID: "ada.email", Via: alert.Email, Address: "ada@example.org"}, Alert: alert.Alert{ID: "a7"},
		Subject: "[HIGH] shop refuses connections", Body: "shop refuses connections\n<b>\n", AckURL: "https://refloat.example.org/ack/xyz", AckCommand: "refloat ack a7", ReplyTo: "refloat+a7.x@page.example.org", At: time.Now(),
	}
}

func TestMailArrivesWhole(t *testing.T) {
	for _, way := range []TLS{STARTTLS, Implicit, Plaintext} {
		t.Run(string(way), func(t *testing.T) {
			m := serve(t, way)
			o := Options{TLS: way, RootCAFile: m.caFile}
			if way != Plaintext {
				o.Username, o.Password = "refloat", secret.New("sesame")
			}
			r, err := m.sender(t, o).Send(t.Context(), message())
			if err != nil {
				t.Fatal(err)
			}
			if r.Said == "" {
				t.Error("no receipt")
			}
			if way != Plaintext && len(m.users) == 0 {
				t.Error("did not sign in")
			}
			got := strings.Join(m.got, "")
			for _, want := range []string{"To: <ada@example.org>", "Message-ID: <m1@example.org>", "X-Refloat-Alert: a7", "Auto-Submitted: auto-generated", "https://refloat.example.org/ack/xyz", "refloat ack a7", "text/html", "Reply-To: <refloat+a7.x@page.example.org>", "answer this mail with the word ack"} {
				if !strings.Contains(got, want) {
					t.Errorf("the mail lacks %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, "<b>\r\n</pre>") {
				t.Error("the body is not escaped in HTML")
			}
		})
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		set     func(m *mailServer, o *Options)
		refused bool
	}{
		"unknown recipient": {func(m *mailServer, _ *Options) { m.rcpt = &smtp.SMTPError{Code: 550, Message: "no such user"} }, true},
		"greylisted":        {func(m *mailServer, _ *Options) { m.rcpt = &smtp.SMTPError{Code: 451, Message: "try later"} }, false},
		"refused after data": {func(m *mailServer, _ *Options) {
			m.data = func() error { return &smtp.SMTPError{Code: 554, Message: "spam"} }
		}, true},
		"full after data": {func(m *mailServer, _ *Options) {
			m.data = func() error { return &smtp.SMTPError{Code: 452, Message: "full"} }
		}, false},
		"wrong password":    {func(_ *mailServer, o *Options) { o.Username, o.Password = "refloat", secret.New("guess") }, true},
		"unknown authority": {func(_ *mailServer, o *Options) { o.RootCAFile = "" }, false},
		"hangs after data": {func(m *mailServer, o *Options) {
			o.Timeout, m.data = 300*time.Millisecond, func() error { <-time.After(2 * time.Second); return nil }
		}, false},
		"server without TLS":    {func(m *mailServer, o *Options) { *m = *serve(t, Plaintext); o.RootCAFile = m.caFile }, false},
		"nobody listens":        {func(m *mailServer, _ *Options) { m.port = 1 }, false},
		"an address of no kind": {func(_ *mailServer, _ *Options) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := serve(t, STARTTLS)
			o := Options{TLS: STARTTLS, RootCAFile: m.caFile}
			c.set(m, &o)
			msg := message()
			if name == "an address of no kind" {
				msg.To.Address = "not an address\r\nBcc: x@example.org"
			}
			began := time.Now()
			_, err := m.sender(t, o).Send(t.Context(), msg)
			if err == nil || errors.Is(err, alert.ErrRefused) != c.refused {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), "guess") || strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error shows the password: %v", err)
			}
			if len(m.got) > 0 && name != "hangs after data" {
				t.Error("the mail arrived")
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestPlaintextLeavesNoMachine(t *testing.T) {
	if _, err := New(Options{Host: "mail.example.org", From: "a@example.org", TLS: Plaintext}); err == nil {
		t.Fatal("plaintext to another machine passed")
	}
}
