package repository

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/azure"
	"github.com/kopia/kopia/repo/blob/gcs"
	"github.com/kopia/kopia/repo/blob/s3"
	"github.com/kopia/kopia/repo/blob/sftp"
)

// openStorage connects to where o's blobs are. Writing through the result is
// durable when PutBlob returns.
func openStorage(ctx context.Context, l location, o Options, create bool) (blob.Storage, error) {
	switch l.scheme {
	case "file":
		return openFolder(ctx, l.path, create)
	case "s3":
		so, err := s3Options(l, o.S3)
		if err != nil {
			return nil, err
		}
		return s3.New(ctx, so, create)
	case "azblob":
		ao, err := azureOptions(l, o.Azure)
		if err != nil {
			return nil, err
		}
		return azure.New(ctx, ao, create)
	case "gs":
		gopt, err := gcsOptions(l, o.GCS, o.ReadOnly)
		if err != nil {
			return nil, err
		}
		return gcs.New(ctx, gopt, create)
	case "sftp":
		so, err := sftpOptions(l, o.SFTP)
		if err != nil {
			return nil, err
		}
		st, err := sftp.New(ctx, so, create)
		if err != nil {
			return nil, sftpError(err, o.SFTP)
		}
		return st, nil
	}
	return nil, fmt.Errorf("unknown kind of storage %q", l.scheme)
}

const defaultS3Endpoint = "s3.amazonaws.com"

func s3Options(l location, o S3Options) (*s3.Options, error) {
	out := &s3.Options{
		BucketName: l.bucket, Prefix: l.prefix, Endpoint: o.Endpoint, Region: o.Region,
		AccessKeyID: o.AccessKeyID, SecretAccessKey: o.SecretAccessKey.Reveal(), SessionToken: o.SessionToken.Reveal(),
		DoNotUseTLS: o.Plaintext,
	}
	if out.Endpoint == "" {
		out.Endpoint = defaultS3Endpoint
	}
	if strings.Contains(out.Endpoint, "://") || strings.Contains(out.Endpoint, "/") {
		return nil, fmt.Errorf("S3 endpoint %q: write host or host:port, without http:// and without a path", out.Endpoint)
	}
	if (o.AccessKeyID == "") != o.SecretAccessKey.IsZero() {
		return nil, errors.New("S3 credentials: give both the access key id and the secret access key, or neither (then the machine's role is used)")
	}
	if o.Plaintext && !loopback(out.Endpoint) {
		return nil, fmt.Errorf("S3 endpoint %q: unencrypted HTTP is accepted only for a loopback address; use TLS", out.Endpoint)
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("S3 certificate authority: %w", err)
		}
		out.RootCA = pem
	}
	return out, nil
}

func loopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

func azureOptions(l location, o AzureOptions) (*azure.Options, error) {
	if o.Account == "" || o.Key.IsZero() {
		return nil, errors.New("azblob: give the storage account and its key")
	}
	return &azure.Options{Container: l.bucket, Prefix: l.prefix, StorageAccount: o.Account, StorageKey: o.Key.Reveal()}, nil
}

func gcsOptions(l location, o GCSOptions, readOnly bool) (*gcs.Options, error) {
	if o.CredentialsFile != "" {
		if _, err := os.Stat(o.CredentialsFile); err != nil {
			return nil, fmt.Errorf("gs: credentials file: %w", err)
		}
	}
	return &gcs.Options{BucketName: l.bucket, Prefix: l.prefix, ServiceAccountCredentialsFile: o.CredentialsFile, ReadOnly: readOnly}, nil
}

// sftpError says in words what kopia reports with its whole configuration.
func sftpError(err error, o SFTPOptions) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "knownhosts: key mismatch"):
		return fmt.Errorf("%w: the host's key is not the one in %s; nothing was sent to it", ErrUnreachable, o.KnownHostsFile)
	case strings.Contains(text, "knownhosts:"):
		return fmt.Errorf("%w: the host is not in %s; nothing was sent to it", ErrUnreachable, o.KnownHostsFile)
	case strings.Contains(text, "unable to authenticate"):
		return fmt.Errorf("%w: the host refuses the key %s", ErrUnreachable, o.KeyFile)
	}
	if at := strings.LastIndex(text, "ssh: "); at >= 0 {
		return fmt.Errorf("%w: %s", ErrUnreachable, text[at:])
	}
	return err
}

func sftpOptions(l location, o SFTPOptions) (*sftp.Options, error) {
	if o.KeyFile == "" || o.KnownHostsFile == "" {
		return nil, errors.New("sftp: give the private key file and the known_hosts file; a host that is not in it is refused")
	}
	for _, f := range []string{o.KeyFile, o.KnownHostsFile} {
		st, err := os.Stat(f)
		if err != nil {
			return nil, fmt.Errorf("sftp: %w", err)
		}
		if st.Size() == 0 {
			return nil, fmt.Errorf("sftp: %s is empty", f)
		}
	}
	out := &sftp.Options{Path: l.path, Host: l.host, Port: l.port, Username: l.user, Keyfile: o.KeyFile, KnownHostsFile: o.KnownHostsFile}
	out.DirectoryShards = defaultShards()
	return out, nil
}
