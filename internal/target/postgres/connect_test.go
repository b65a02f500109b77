package postgres

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func TestNewRefusesPasswords(t *testing.T) {
	const secretText = "hunter2"
	for _, dsn := range []string{
		"postgres://u:hunter2@db.example/x",
		"postgresql://u:hunter2@db.example/x?sslmode=disable",
		"postgres://u@db.example/x?password=hunter2",
		"postgres://u@db.example/x?sslpassword=hunter2",
		"postgres://u:hunter2%zz@db.example/x",
		"postgres://u:12/hunter2@db.example/x",
		"postgres://u:12#hunter2@db.example/x",
		"postgres://u:12?hunter2@db.example/x",
		"host=db.example password=hunter2",
		"host=db.example password = 'hunter2 x'",
		"host=db.example password='hunter2",
		"host=db.example hunter2",
	} {
		_, err := New(Options{DSN: dsn})
		if err == nil {
			t.Errorf("%s was accepted", dsn)
			continue
		}
		if strings.Contains(err.Error(), secretText) {
			t.Errorf("%s: the error shows the password: %v", dsn, err)
		}
	}
	if _, err := New(Options{DSN: "host=h password=x"}); !errors.Is(err, ErrPasswordInDSN) {
		t.Errorf("got %v", err)
	}
}

func TestNewChoosesTLS(t *testing.T) {
	for _, c := range []struct {
		dsn  string
		name string // of the server that the certificate must have; "" for no check
		tls  bool
	}{
		{"postgres://u@db.example/x", "db.example", true},
		{"host=db.example user=u", "db.example", true},
		{"host=192.0.2.7 user=u", "192.0.2.7", true},
		{"postgres://u@db.example/x?sslmode=disable", "", false},
		{"host=db.example user=u sslmode=disable", "", false},
		{"host=127.0.0.1 user=u sslmode=disable", "", false},
		{"host=/run/postgresql user=u", "", false},
		{"postgres://u@db.example/x?sslmode=require", "", true},
	} {
		got, err := New(Options{DSN: c.dsn, Password: secret.New("p")})
		if err != nil {
			t.Errorf("%s: %v", c.dsn, err)
			continue
		}
		conf := got.config.TLSConfig
		if (conf != nil) != c.tls {
			t.Errorf("%s: TLS is %t", c.dsn, conf != nil)
		} else if c.name != "" && (conf.ServerName != c.name || conf.InsecureSkipVerify || len(got.config.Fallbacks) > 0) {
			t.Errorf("%s: the server's name is not checked: %+v, %d fallbacks", c.dsn, conf.ServerName, len(got.config.Fallbacks))
		}
	}
	local, err := New(Options{DSN: "host=127.0.0.1 user=u"})
	if err != nil || local.config.TLSConfig != nil && !local.config.TLSConfig.InsecureSkipVerify {
		t.Errorf("a server on this host must not need a certificate: %v", err)
	}
	if _, err := New(Options{DSN: "host=db.example user=u", RootCAFile: "/does/not/exist"}); err == nil {
		t.Error("a missing file of certificates was accepted")
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	srv := targettest.Start(t, targettest.Options{})
	var log bytes.Buffer
	c, err := New(Options{
		DSN:      strings.Replace(srv.DSN("postgres"), "postgres@", "nobody@", 1),
		Password: secret.New("hunter2"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := c.connect(t.Context(), "")
	_, err2 := c.connectReplication(t.Context(), "x")
	for _, err := range []error{err1, err2} {
		if err == nil || strings.Contains(err.Error()+log.String(), "hunter2") {
			t.Fatalf("got %v\n%s", err, log.String())
		}
	}
}

func TestSessionAttributes(t *testing.T) {
	srv := targettest.Start(t, targettest.Options{})
	for session, fits := range map[string]bool{"read-write": true, "primary": true, "standby": false, "read-only": false, "any": true} {
		c, err := New(Options{DSN: srv.DSN("postgres") + "&target_session_attrs=" + session})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := c.connectReplication(t.Context(), "")
		if (err == nil) != fits {
			t.Errorf("%s: %v", session, err)
		}
		if conn != nil {
			closeReplication(conn)
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	f.Add("host=a password='b c' user = d")
	f.Add("postgres://u:p@h/d?x=y")
	f.Fuzz(func(t *testing.T, dsn string) {
		given, err := parseDSN(dsn)
		if _, has := given["password"]; has {
			t.Fatalf("%q passed with a password: %v", dsn, err)
		}
	})
}
