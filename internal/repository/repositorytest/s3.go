package repositorytest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/secret"
)

const (
	s3Access = "refloat-test"
	s3Secret = "refloat-test-secret"
)

// S3Server is a real S3 server (versitygw) over a folder, for one test.
type S3Server struct {
	Endpoint string // host:port
	Root     string // the folder below which each bucket is a folder

	cmd  *exec.Cmd
	done chan struct{}
}

// StartS3 starts a server on a free loopback port; it ends with the test.
// Without the versitygw program the test is skipped, or fails when the
// environment says REFLOAT_TEST_REQUIRE=1.
func StartS3(t testing.TB) *S3Server {
	t.Helper()
	bin := findVersityGW()
	if bin == "" {
		if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
			t.Fatal("versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
		}
		t.Skip("versitygw is not installed")
	}
	dir := t.TempDir()
	s := &S3Server{Root: filepath.Join(dir, "data")}
	for _, d := range []string{s.Root, filepath.Join(dir, "sidecar"), filepath.Join(dir, "versions")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(bin, "--port", s.Endpoint, "--quiet", "posix", "--sidecar", filepath.Join(dir, "sidecar"), "--versioning-dir", filepath.Join(dir, "versions"), s.Root)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s3Access, "ROOT_SECRET_KEY="+s3Secret)
	s.cmd.Dir = dir
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.done = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.Stop)
	s.wait(t)
	return s
}

// Stop ends the server at once; idempotent.
func (s *S3Server) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

func (s *S3Server) wait(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Endpoint+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-s.done:
			t.Fatal("versitygw ended at once")
		case <-ctx.Done():
			t.Fatal("versitygw does not answer")
		}
	}
}

// Bucket makes a bucket and gives options for a repository in it.
func (s *S3Server) Bucket(t testing.TB, name string) repository.Options {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.Root, name), 0o700); err != nil {
		t.Fatal(err)
	}
	return s.options(t, name)
}

func (s *S3Server) options(t testing.TB, name string) repository.Options {
	return repository.Options{
		URL:        fmt.Sprintf("s3://%s/backups", name),
		Passphrase: secret.New(Passphrase),
		CacheDir:   t.TempDir(),
		S3: repository.S3Options{
			Endpoint: s.Endpoint, Region: "us-east-1", Plaintext: true,
			AccessKeyID: s3Access, SecretAccessKey: secret.New(s3Secret),
		},
	}
}

// LockedBucket makes a bucket whose objects cannot be deleted for a day, with
// versions, and gives options for a repository in it.
func (s *S3Server) LockedBucket(t testing.TB, name string) repository.Options {
	t.Helper()
	c, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s3Access, s3Secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: "us-east-1", ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	mode, days, unit := minio.Governance, uint(1), minio.Days
	if err := c.SetBucketObjectLockConfig(t.Context(), name, &mode, &days, &unit); err != nil {
		t.Fatal(err)
	}
	return s.options(t, name)
}

func findVersityGW() string {
	if p, err := exec.LookPath("versitygw"); err == nil {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	p := filepath.Join(home, "go", "bin", "versitygw")
	if _, err := os.Stat(p); err != nil {
		return ""
	}
	return p
}
