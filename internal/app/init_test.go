package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/target"
)

func noEnv(string) (string, bool) { return "", false }

func TestConfigTextIsGood(t *testing.T) {
	for _, dsn := range []string{
		"postgres://refloat@db.example.org:5433/shop?sslmode=require&connect_timeout=3",
		"host=/var/run/postgresql user=refloat dbname='my db'",
		`host=db user="odd: #name"`,
		"postgres://refloat@[::1]/postgres",
	} {
		dir := t.TempDir()
		r := InitRequest{DSN: dsn, Name: "my-shop", Out: filepath.Join(dir, "refloat.yaml"), Owner: "Anna: the #1", Synchronous: true}
		if err := r.fill(); err != nil {
			t.Fatal(err)
		}
		if _, err := makePassphrase(r.PassphraseFile); err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse(r.Out, []byte(configText(r, target.Server{Version: 150018, Size: 3 << 40})), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		m := c.Targets["my-shop"]
		if m.DSN != dsn || m.Owner != r.Owner || !m.Log.Synchronous || m.Objectives.Resolution.Std() < 12*time.Hour || c.StateDir != filepath.Join(dir, "state") {
			t.Errorf("%s was read as %+v", dsn, m)
		}
	}
}

func TestInitKeepsDataOutOfEtc(t *testing.T) {
	r := InitRequest{DSN: "postgres://refloat@db/shop", Out: "/etc/refloat/refloat.yaml"}
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	if r.Name != "shop" || r.RepositoryURL != "file:///var/lib/refloat/repository" || r.StateDir != "/var/lib/refloat/state" || r.PassphraseFile != "/etc/refloat/refloat.passphrase" {
		t.Errorf("%+v", r)
	}
}

func TestPassphraseIsNeverOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "passphrase")
	if made, err := makePassphrase(file); err != nil || !made {
		t.Fatal(made, err)
	}
	first, err := os.ReadFile(file)
	if err != nil || len(strings.ReplaceAll(strings.TrimSpace(string(first)), "-", "")) < 26 {
		t.Fatalf("%q %v", first, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	made, err := makePassphrase(file)
	second, rerr := os.ReadFile(file)
	if made || err != nil || rerr != nil || string(first) != string(second) {
		t.Errorf("%v %v %v: %q became %q", made, err, rerr, first, second)
	}
}

func TestAdvice(t *testing.T) {
	good := target.Server{DataChecksums: true, Role: target.Role{Name: "refloat", Replication: true, Monitor: true, Heartbeat: true}, Settings: map[string]string{
		"wal_level": "replica", "max_wal_senders": "10", "max_replication_slots": "10", "fsync": "on", "full_page_writes": "on", "max_slot_wal_keep_size": "12288",
	}}
	if got := advise(good, false); len(got) != 0 {
		t.Errorf("a good server: %+v", got)
	}
	for _, c := range []struct {
		name   string
		change func(*target.Server)
		blocks bool
		want   string
	}{
		{"no replication", func(s *target.Server) { s.Role.Replication = false }, true, "lacks REPLICATION"},
		{"hba", func(s *target.Server) { s.ReplicationNote = "no pg_hba.conf entry" }, true, "no pg_hba.conf entry"},
		{"minimal", func(s *target.Server) { s.Settings["wal_level"] = "minimal" }, true, "wal_level"},
		{"slots", func(s *target.Server) { s.Settings["max_replication_slots"] = "0" }, true, "max_replication_slots"},
		{"checksums", func(s *target.Server) { s.DataChecksums = false }, false, "checksums"},
		{"unbounded", func(s *target.Server) { s.Settings["max_slot_wal_keep_size"] = "-1" }, false, "max_slot_wal_keep_size"},
		{"heartbeat", func(s *target.Server) { s.Role.Heartbeat = false }, false, "heartbeat"},
	} {
		s := good
		s.Settings = map[string]string{}
		for k, v := range good.Settings {
			s.Settings[k] = v
		}
		c.change(&s)
		got := advise(s, false)
		if len(got) != 1 || got[0].Blocks != c.blocks || !strings.Contains(got[0].What, c.want) || got[0].Next == "" {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestMarkOf(t *testing.T) {
	heard := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	st := backup.ReceiverState{
		Repository: target.Position{Timeline: 1, LSN: 100}, ServerTime: heard.Add(time.Hour), // its clock is an hour ahead
		HeardAt: heard, Lag: 7 * time.Second,
	}
	m, ok := markOf(st, heard.Add(2*time.Second))
	if !ok || !m.ServerTime.Equal(heard.Add(time.Hour+2*time.Second-7*time.Second)) || m.Position != st.Repository {
		t.Errorf("%+v %v", m, ok)
	}
	st.Lag = -1
	if _, ok := markOf(st, heard); ok {
		t.Error("an unknown lag made a mark")
	}
}

func TestJournalFilter(t *testing.T) {
	e := journal.Entry{Time: time.Unix(100, 0), Subject: "target/shop", Kind: "backup.taken"}
	for _, c := range []struct {
		f    JournalFilter
		want bool
	}{
		{JournalFilter{}, true},
		{JournalFilter{Target: "shop", Kind: "backup"}, true},
		{JournalFilter{Kind: "backup.taken"}, true},
		{JournalFilter{Kind: "back"}, false},
		{JournalFilter{Kind: "backup.taken.late"}, false},
		{JournalFilter{Target: "sho"}, false},
		{JournalFilter{Since: time.Unix(101, 0)}, false},
	} {
		if got := c.f.takes(e); got != c.want {
			t.Errorf("%+v: %v", c.f, got)
		}
	}
}

func TestParsePosition(t *testing.T) {
	want := target.Position{Timeline: 3, LSN: 0x16B374D848}
	if got, err := parsePosition(want.String()); err != nil || got != want {
		t.Errorf("%v %v", got, err)
	}
	for _, s := range []string{"", "0/1", "0:0/1", "1:", "x:0/1", "1:zz", "99999999999:0/1"} {
		if p, err := parsePosition(s); err == nil {
			t.Errorf("%q was read as %v", s, p)
		}
	}
}

func TestQuoteShell(t *testing.T) {
	for in, want := range map[string]string{"file:///srv/a-b": "file:///srv/a-b", "file:///a b": "'file:///a b'", "it's": `'it'\''s'`, "": "''", "$(x)": "'$(x)'"} {
		if got := quoteShell(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
