package repository

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Immutable asks whether what is stored cannot be deleted before its time.
// offers is false where the storage knows no such thing, or none that can be
// asked for here; on tells whether an S3 bucket locks each new object by
// default (Amazon S3 User Guide, "Using S3 Object Lock"). It needs the right
// s3:GetBucketObjectLockConfiguration.
func (r *Repository) Immutable(ctx context.Context) (offers, on bool, err error) {
	if r.loc.scheme != "s3" {
		return false, false, nil
	}
	o := r.opts.S3
	so, err := s3Options(r.loc, o)
	if err != nil {
		return true, false, err
	}
	options := &minio.Options{Region: so.Region, Secure: !so.DoNotUseTLS, Creds: credentials.NewIAM("")}
	if so.AccessKeyID != "" {
		options.Creds = credentials.NewStaticV4(so.AccessKeyID, so.SecretAccessKey, so.SessionToken)
	}
	if len(so.RootCA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(so.RootCA) {
			return true, false, errors.New("S3 certificate authority: no certificate in it")
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		options.Transport = t
	}
	c, err := minio.New(so.Endpoint, options)
	if err != nil {
		return true, false, fmt.Errorf("ask for the bucket's object lock: %w", err)
	}
	enabled, mode, _, _, err := c.GetObjectLockConfig(ctx, so.BucketName)
	if minio.ToErrorResponse(err).Code == "ObjectLockConfigurationNotFoundError" {
		return true, false, nil
	}
	if err != nil {
		return true, false, fmt.Errorf("ask for the bucket's object lock: %w", err)
	}
	return true, enabled == "Enabled" && mode != nil, nil
}
