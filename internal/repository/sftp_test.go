package repository_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
	"github.com/refloat-db/refloat/internal/secret"
	"golang.org/x/crypto/ssh"
)

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// startSFTP serves the file system over SFTP on loopback until the test ends.
func startSFTP(t *testing.T) repository.SFTPOptions {
	t.Helper()
	host, _ := newKey(t)
	user, userPEM := newKey(t)
	conf := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(k.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	conf.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveSFTP(c, conf)
		}
	}()
	dir := t.TempDir()
	o := repository.SFTPOptions{KeyFile: filepath.Join(dir, "key"), KnownHostsFile: filepath.Join(dir, "known_hosts")}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	line := fmt.Sprintf("[127.0.0.1]:%s %s", port, ssh.MarshalAuthorizedKey(host.PublicKey()))
	if err := errors.Join(os.WriteFile(o.KeyFile, userPEM, 0o600), os.WriteFile(o.KnownHostsFile, []byte(line), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "port"), []byte(port), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func serveSFTP(c net.Conn, conf *ssh.ServerConfig) {
	_, chans, reqs, err := ssh.NewServerConn(c, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, in, err := nc.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range in {
				_ = r.Reply(r.Type == "subsystem", nil)
				if r.Type == "subsystem" {
					go func() {
						if s, err := sftp.NewServer(ch); err == nil {
							_ = s.Serve()
						}
						_ = ch.Close()
					}()
				}
			}
		}()
	}
}

func sftpOptions(t testing.TB, o repository.SFTPOptions) repository.Options {
	t.Helper()
	port, err := os.ReadFile(filepath.Join(filepath.Dir(o.KeyFile), "port"))
	if err != nil {
		t.Fatal(err)
	}
	return repository.Options{
		URL:        fmt.Sprintf("sftp://backup@127.0.0.1:%s%s/repository", port, t.TempDir()),
		Passphrase: secret.New(repositorytest.Passphrase), SFTP: o,
	}
}

func TestSFTP(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	t.Parallel()
	o := startSFTP(t)
	repositorytest.Run(t, func(t testing.TB) repository.Options { return sftpOptions(t, o) })
}

// TestSFTPUnknownHost: a host that is not in known_hosts, or has another key
// there, is never talked to.
func TestSFTPUnknownHost(t *testing.T) {
	t.Parallel()
	o := startSFTP(t)
	other, _ := newKey(t)
	for name, line := range map[string]string{
		"not listed": "example.com " + string(ssh.MarshalAuthorizedKey(other.PublicKey())),
		"other key":  "127.0.0.1 " + string(ssh.MarshalAuthorizedKey(other.PublicKey())),
	} {
		if err := os.WriteFile(o.KnownHostsFile, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := repository.Create(context.Background(), sftpOptions(t, o)); !errors.Is(err, repository.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
