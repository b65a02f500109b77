package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// lookEvery is how often a certificate's files are looked at for a change.
const lookEvery = 10 * time.Second

// certificate is one in files, read again when they change.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	now    *tls.Certificate
	stamp  string // of the files that it was read from
	failed string // of those that could not be
	looked time.Time
}

// TLSFromFiles speaks TLS with a certificate from files, PEM. What is renewed
// there is used without a restart; what cannot be read leaves the one before.
func TLSFromFiles(cert, key string, log *slog.Logger) (*tls.Config, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &certificate{cert: cert, key: key, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil }}, nil
}

func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if s := c.stat(); s != c.stamp {
			if err := c.read(); err != nil && s != c.failed {
				c.failed = s
				c.log.Error("read the renewed certificate; the one before is used", "error", err)
			}
		}
	}
	return c.now
}

// stat changes when a file does.
func (c *certificate) stat() string {
	out := ""
	for _, f := range []string{c.cert, c.key} {
		if info, err := os.Stat(f); err == nil {
			out += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return out
}

func (c *certificate) read() error {
	stamp := c.stat()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.now, c.stamp = &pair, stamp
	return nil
}

// ACMEOptions say how certificates are asked for.
type ACMEOptions struct {
	Domains   []string
	Email     string
	Directory string // URL; empty for Let's Encrypt
	RootCA    string // PEM file that the directory's own certificate is checked against; empty for the system's
	Cache     string // directory in which they are kept
}

// TLSFromACME speaks TLS with certificates that are asked for by ACME when they
// are first needed, and renewed. Whoever gives them must reach this listener at
// port 443 of each domain (TLS-ALPN-01).
func TLSFromACME(o ACMEOptions) (*tls.Config, error) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(o.Domains...), Email: o.Email, Cache: autocert.DirCache(o.Cache)}
	if o.Directory != "" {
		m.Client = &acme.Client{DirectoryURL: o.Directory}
	}
	if o.RootCA != "" {
		pem, err := os.ReadFile(o.RootCA)
		if err != nil {
			return nil, fmt.Errorf("read the ACME directory's certificate: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the ACME directory's certificate: %s holds none", o.RootCA)
		}
		if m.Client == nil {
			return nil, errors.New("an ACME root certificate needs a directory of its own")
		}
		m.Client.HTTPClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}}
	}
	c := m.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	return c, nil
}
