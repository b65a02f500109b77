package repository

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kopia/kopia/repo/blob"
	"github.com/refloat-db/refloat/internal/secret"
)

func TestParseLocation(t *testing.T) {
	for _, c := range []struct{ in, out, err string }{
		{"file:///var/lib/refloat/", "file:///var/lib/refloat", ""},
		{"file:///", "file:///", ""},
		{"s3://bucket", "s3://bucket/", ""},
		{"s3://bucket/a/b/", "s3://bucket/a/b", ""},
		{"azblob://container/p", "azblob://container/p", ""},
		{"gs://bucket/../x", "gs://bucket/x", ""},
		{"sftp://u@host/srv/x", "sftp://u@host/srv/x", ""},
		{"sftp://u@host:2222/srv/x", "sftp://u@host:2222/srv/x", ""},
		{"file://relative/path", "", "absolute"},
		{"file:relative", "", "absolute"},
		{"/var/lib", "", "unknown kind"},
		{"http://bucket/x", "", "unknown kind"},
		{"s3:///x", "", "s3://bucket/prefix"},
		{"s3://key@bucket/x", "", "s3://bucket/prefix"},
		{"s3://bucket/x?endpoint=y", "", "query"},
		{"sftp://host/srv", "", "user@host"},
		{"sftp://u@host/", "", "user@host"},
		{"sftp://u@host:99999/x", "", "port"},
		{"sftp://u:hunter2@host/x", "", "password"},
		{"s3://u:hunter2@bucket/x%zz", "", "not a URL"},
	} {
		l, err := parseLocation(c.in)
		if c.err == "" {
			if err != nil || l.String() != c.out {
				t.Errorf("%s: %s, %v", c.in, l, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", c.in, err, c.err)
		}
	}
}

func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{"file:///a", "s3://b/p", "sftp://u@h:22/p", "azblob://c", "gs://b/../..", "s3://%41/", "://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := parseLocation(s)
		if err != nil {
			return
		}
		if strings.HasPrefix(l.prefix, "/") || strings.Contains("/"+l.prefix, "/../") || l.prefix != "" && !strings.HasSuffix(l.prefix, "/") {
			t.Errorf("%q: prefix %q", s, l.prefix)
		}
		if l.path != "" && !strings.HasPrefix(l.path, "/") {
			t.Errorf("%q: path %q", s, l.path)
		}
	})
}

func FuzzSealedName(f *testing.F) {
	for _, s := range []string{"refloat.a", "refloat.log~db~x", "refloat.~", "refloat.a/b", "refloat...", "p123", "refloat-snapshot.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := sealedName(blob.ID(s)); ok {
			if id, err := blobName(name); err != nil || string(id) != s {
				t.Errorf("blob %q is object %q, which is blob %q, %v", s, name, id, err)
			}
		}
		if id, err := blobName(s); err == nil {
			if name, ok := sealedName(id); !ok || name != s {
				t.Errorf("object %q is blob %q, which is object %q", s, id, name)
			}
		}
	})
}

func FuzzStoredName(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x5e, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'a'})
	f.Add([]byte{0x5e, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, err := storedName(b); err == nil && len(name)+8 > len(b) {
			t.Errorf("name of %d bytes in %d", len(name), len(b))
		}
	})
}

func TestStorageOptions(t *testing.T) {
	dir := t.TempDir()
	key, empty := filepath.Join(dir, "key"), filepath.Join(dir, "empty")
	for f, text := range map[string]string{key: "x", empty: ""} {
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := secret.New("s3cr3t")
	for _, c := range []struct {
		name string
		o    Options
		err  string // "" when they are fit
	}{
		{"S3 at AWS", Options{URL: "s3://b/p"}, ""},
		{"S3 with keys", Options{URL: "s3://b/p", S3: S3Options{AccessKeyID: "a", SecretAccessKey: s}}, ""},
		{"S3 half a key", Options{URL: "s3://b/p", S3: S3Options{AccessKeyID: "a"}}, "both"},
		{"S3 the other half", Options{URL: "s3://b/p", S3: S3Options{SecretAccessKey: s}}, "both"},
		{"S3 endpoint with a scheme", Options{URL: "s3://b/p", S3: S3Options{Endpoint: "https://x"}}, "without http"},
		{"S3 plaintext to the world", Options{URL: "s3://b/p", S3: S3Options{Endpoint: "10.0.0.1:9000", Plaintext: true}}, "loopback"},
		{"S3 plaintext to AWS", Options{URL: "s3://b/p", S3: S3Options{Plaintext: true}}, "loopback"},
		{"S3 plaintext to a deceptive name", Options{URL: "s3://b/p", S3: S3Options{Endpoint: "127.0.0.1.example.com", Plaintext: true}}, "loopback"},
		{"S3 plaintext to loopback", Options{URL: "s3://b/p", S3: S3Options{Endpoint: "127.0.0.1:9000", Plaintext: true}}, ""},
		{"S3 plaintext to IPv6 loopback", Options{URL: "s3://b/p", S3: S3Options{Endpoint: "[::1]:9000", Plaintext: true}}, ""},
		{"S3 authority missing", Options{URL: "s3://b/p", S3: S3Options{CAFile: filepath.Join(dir, "none")}}, "authority"},
		{"Azure", Options{URL: "azblob://c/p", Azure: AzureOptions{Account: "a", Key: s}}, ""},
		{"Azure without a key", Options{URL: "azblob://c/p", Azure: AzureOptions{Account: "a"}}, "key"},
		{"GCS", Options{URL: "gs://b/p", GCS: GCSOptions{CredentialsFile: key}}, ""},
		{"GCS credentials missing", Options{URL: "gs://b/p", GCS: GCSOptions{CredentialsFile: filepath.Join(dir, "none")}}, "credentials"},
		{"SFTP", Options{URL: "sftp://u@h/p", SFTP: SFTPOptions{KeyFile: key, KnownHostsFile: key}}, ""},
		{"SFTP without known hosts", Options{URL: "sftp://u@h/p", SFTP: SFTPOptions{KeyFile: key}}, "known_hosts"},
		{"SFTP with empty known hosts", Options{URL: "sftp://u@h/p", SFTP: SFTPOptions{KeyFile: key, KnownHostsFile: empty}}, "empty"},
		{"SFTP key missing", Options{URL: "sftp://u@h/p", SFTP: SFTPOptions{KeyFile: filepath.Join(dir, "none"), KnownHostsFile: key}}, "no such file"},
	} {
		l, err := parseLocation(c.o.URL)
		if err != nil {
			t.Fatal(err)
		}
		switch l.scheme {
		case "s3":
			_, err = s3Options(l, c.o.S3)
		case "azblob":
			_, err = azureOptions(l, c.o.Azure)
		case "gs":
			_, err = gcsOptions(l, c.o.GCS, false)
		case "sftp":
			_, err = sftpOptions(l, c.o.SFTP)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error shows a secret: %v", c.name, err)
		}
	}
}

// TestClassify: what libraries say only in words.
func TestClassify(t *testing.T) {
	if classify(nil) != nil || classify(context.Canceled) != nil {
		t.Error("nothing, or a cancelled context, is of a kind")
	}
	if k := classify(blob.ErrBlobNotFound); !errors.Is(k, ErrCorrupt) {
		t.Errorf("a missing blob is %v", k)
	}
}
