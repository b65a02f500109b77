package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/refloat-db/refloat/internal/tracing"
)

// tracer sends traces where the configuration says; nil for nowhere.
func (a *App) tracer(ctx context.Context) (*tracing.Tracer, error) {
	t := a.cfg.Tracing
	if t.URL == "" {
		return nil, nil
	}
	trust, err := trusting(t.RootCAFile)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return tracing.New(ctx, tracing.Options{URL: t.URL, Token: t.Token, TLS: trust, Version: Version, Logger: a.log})
}

// trusting is a TLS configuration that trusts the certificates in a file; nil
// without one.
func trusting(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read root_ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// peers are the other nodes of the configuration.
func (a *App) peers() ([]Peer, error) {
	var out []Peer
	for _, p := range a.cfg.Peers {
		trust, err := trusting(p.RootCAFile)
		if err != nil {
			return nil, fmt.Errorf("peer %s: %w", p.Name, err)
		}
		out = append(out, Peer{Name: p.Name, URL: p.URL, Token: p.Token, TLS: trust})
	}
	return out, nil
}
