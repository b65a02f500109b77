// Package bucket puts a status page's files into an S3 bucket, from where they
// are served when nothing of ours is up any more.
package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/statuspage"
)

// Options say where a bucket is and how it is opened.
type Options struct {
	URL             string // s3://bucket/prefix
	Endpoint        string // host or host:port; none for AWS
	Region          string
	AccessKeyID     string // none for the machine's role
	SecretAccessKey secret.Value
	SessionToken    secret.Value
	CAFile          string // certificates that the service's is checked against; none for the system's
	Plaintext       bool   // to a loopback address only
}

// Bucket is a place in a bucket. Safe for concurrent use.
type Bucket struct {
	c              *minio.Client
	bucket, prefix string

	mu  sync.Mutex
	put map[string][sha256.Size]byte // what this process put there last
}

// New checks the options. It does not connect.
func New(o Options) (*Bucket, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("a bucket is written like s3://bucket/prefix, not %q", o.URL)
	}
	if o.Endpoint == "" {
		o.Endpoint = "s3.amazonaws.com"
	}
	switch {
	case strings.Contains(o.Endpoint, "/"):
		return nil, fmt.Errorf("S3 endpoint %q: write host or host:port, without http:// and without a path", o.Endpoint)
	case (o.AccessKeyID == "") != o.SecretAccessKey.IsZero():
		return nil, errors.New("S3 credentials: give both the access key id and the secret access key, or neither (then the machine's role is used)")
	case o.Plaintext && !loopback(o.Endpoint):
		return nil, fmt.Errorf("S3 endpoint %q: unencrypted HTTP is accepted only for a loopback address; use TLS", o.Endpoint)
	}
	so := &minio.Options{Region: o.Region, Secure: !o.Plaintext, Creds: credentials.NewIAM("")}
	if o.AccessKeyID != "" {
		so.Creds = credentials.NewStaticV4(o.AccessKeyID, o.SecretAccessKey.Reveal(), o.SessionToken.Reveal())
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("S3 certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("S3 certificate authority: %s holds no certificate", o.CAFile)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		so.Transport = t
	}
	b := &Bucket{bucket: u.Host, prefix: strings.Trim(u.Path, "/"), put: map[string][sha256.Size]byte{}}
	if b.prefix != "" {
		b.prefix += "/"
	}
	if b.c, err = minio.New(o.Endpoint, so); err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", b.bucket, err)
	}
	return b, nil
}

func loopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Write puts files there, in their order, and removes pages of ours that are no
// longer among them. What this process put there already is not sent again.
// An error leaves what was put; writing again goes on.
func (b *Bucket) Write(ctx context.Context, all []statuspage.File) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := map[string]bool{}
	for _, f := range all {
		wanted[f.Name] = true
		sum := sha256.Sum256(f.Body)
		if b.put[f.Name] == sum {
			continue
		}
		// A page must not be shown from a cache when it has become old.
		o := minio.PutObjectOptions{ContentType: f.Type, CacheControl: "public, max-age=30"}
		if _, err := b.c.PutObject(ctx, b.bucket, b.prefix+f.Name, bytes.NewReader(f.Body), int64(len(f.Body)), o); err != nil {
			return fmt.Errorf("put %s into bucket %s: %w", f.Name, b.bucket, err)
		}
		b.put[f.Name] = sum
	}
	listing, end := context.WithCancel(ctx)
	defer end()
	for x := range b.c.ListObjects(listing, b.bucket, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if x.Err != nil {
			return fmt.Errorf("list bucket %s: %w", b.bucket, x.Err)
		}
		name := strings.TrimPrefix(x.Key, b.prefix)
		if wanted[name] || !statuspage.Ours(name) {
			continue
		}
		if err := b.c.RemoveObject(ctx, b.bucket, x.Key, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("remove %s from bucket %s: %w", name, b.bucket, err)
		}
		delete(b.put, name)
	}
	return nil
}
