package audit

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

var auditDay = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// sound are the facts of a server where all is well: it archives, has one
// standby, and everything was looked at.
func sound() *target.ServerFacts {
	settings := map[string]target.Setting{}
	for name, v := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on", "zero_damaged_pages": "off",
		"wal_level": "replica", "max_wal_senders": "10", "max_replication_slots": "10", "wal_segment_size": "16777216",
		"archive_mode": "on", "archive_command": "pgbackrest --stanza=main archive-push %p", "archive_library": "", "archive_timeout": "60",
		"max_slot_wal_keep_size": "65536", "wal_keep_size": "1024", "max_wal_size": "1024", "min_wal_size": "80",
		"synchronous_standby_names": "", "default_transaction_read_only": "off", "autovacuum": "on", "track_counts": "on",
		"autovacuum_freeze_max_age": "200000000", "autovacuum_multixact_freeze_max_age": "400000000", "shared_preload_libraries": "",
	} {
		settings[name] = target.Setting{Value: v, Source: "default"}
	}
	here := target.Connection{Address: "127.0.0.1:5432", Local: true}
	return &target.ServerFacts{
		Server:       target.Server{Version: 150020, DataDirectory: "/data", Role: target.Role{Name: "refloat", Replication: true, Monitor: true}},
		Settings:     settings,
		Scoped:       target.Seen([]target.ScopedSetting(nil)),
		FileErrors:   target.Seen([]target.FileError(nil)),
		Connection:   target.Seen(here),
		Replication:  target.Seen(here),
		Archiver:     target.Seen(target.Archiver{Archived: 9, LastAt: auditDay.Add(-time.Minute)}),
		ArchiveQueue: target.Seen(target.ArchiveQueue{}),
		WAL:          target.Seen(target.WALDirectory{Files: 64, Bytes: 1 << 30}),
		Slots:        target.Seen([]target.SlotFacts{{Name: "berlin", Active: true, Reserves: true, WALStatus: "reserved"}}),
		Senders:      target.Seen([]target.Sender{{Role: "standby", Application: "berlin", Local: true, Slot: "berlin", State: "streaming", Sync: "async"}}),
		Standby:      target.Unseen[target.StandbyFacts]("the server is not a standby"),
		Prepared:     target.Seen([]target.Prepared(nil)),
		Transactions: target.Seen([]target.Transaction(nil)),
		Connections:  target.Seen(target.Connections{Used: 5, Max: 100, Reserved: 3, Senders: 1}),
		HBA:          target.Seen([]target.HBARule{{Line: 1, Type: "hostssl", Databases: []string{"all"}, Users: []string{"all"}, Address: "0.0.0.0", Netmask: "0.0.0.0", Method: "scram-sha-256"}}),
		Roles:        target.Seen([]target.RoleFacts{{Name: "postgres", Superuser: true}, {Name: "standby", Replication: true}}),
		Databases:    target.Seen([]target.DatabaseFacts{{Name: "shop", AllowsConn: true, ConnLimit: -1, XIDAge: 9, MultixactAge: 1, Inside: target.Seen(target.DatabaseInside{})}}),
	}
}

func (c serverRuleCase) facts() Facts {
	s := sound()
	c.broken(s)
	f := Facts{Target: "shop", At: auditDay, Server: target.Seen(*s), Host: target.Seen(Host{DataDirectory: "/data", DataDevice: 1, Devices: map[string]uint64{"/same": 1, "/other": 2}})}
	if c.care {
		f.Care = &Care{}
	}
	return f
}

// serverRuleCase is a fact that makes a rule find something.
type serverRuleCase struct {
	rule     string
	severity Severity
	evidence string
	care     bool
	broken   func(*target.ServerFacts)
}

func set(name, v string) func(*target.ServerFacts) {
	return func(s *target.ServerFacts) { s.Settings[name] = target.Setting{Value: v, Source: "configuration file"} }
}

func slot(change func(*target.SlotFacts)) func(*target.ServerFacts) {
	return func(s *target.ServerFacts) { change(&s.Slots.Value[0]) }
}

func sender(change func(*target.Sender)) func(*target.ServerFacts) {
	return func(s *target.ServerFacts) { change(&s.Senders.Value[0]) }
}

func database(change func(*target.DatabaseFacts)) func(*target.ServerFacts) {
	return func(s *target.ServerFacts) { change(&s.Databases.Value[0]) }
}

func inside(change func(*target.DatabaseInside)) func(*target.ServerFacts) {
	return database(func(d *target.DatabaseFacts) { change(&d.Inside.Value) })
}

func breakBoth(a, b func(*target.ServerFacts)) func(*target.ServerFacts) {
	return func(s *target.ServerFacts) { a(s); b(s) }
}

func serverRuleCases() []serverRuleCase {
	one := target.Examples{Count: 7, Names: []string{"public.t"}}
	alone := func(s *target.ServerFacts) { s.Senders.Value, s.Slots.Value = nil, nil }
	kept := sender(func(w *target.Sender) { w.Application = "pg_receivewal" })
	standby := func(b target.StandbyFacts) func(*target.ServerFacts) {
		return func(s *target.ServerFacts) { s.Server.InRecovery, s.Standby = true, target.Seen(b) }
	}
	return []serverRuleCase{
		{rule: "server-full-page-writes", severity: Critical, broken: set("full_page_writes", "off")},
		{rule: "server-damage-ignored", severity: Critical, broken: set("data_sync_retry", "on")},
		{rule: "server-checksum-failures", severity: Critical, evidence: "3 pages", broken: database(func(d *target.DatabaseFacts) { d.ChecksumFailures = 3 })},
		{rule: "server-senders", severity: High, evidence: "10 in use", broken: func(s *target.ServerFacts) { s.Connections.Value.Senders = 10 }},
		{rule: "server-senders", severity: Low, broken: set("max_wal_senders", "2")},
		{rule: "server-archiving-missing", severity: High, broken: breakBoth(set("archive_mode", "off"), alone)},
		{rule: "server-archive-discards", severity: Critical, broken: set("archive_command", "/bin/true")},
		{rule: "server-archive-discards", severity: Info, evidence: "/bin/true", broken: breakBoth(set("archive_command", "/bin/true"), kept)},
		{rule: "server-archive-swallows", severity: Medium, broken: breakBoth(set("archive_command", "cp -n %p /other/%f || true"), kept)},
		{rule: "server-archive-data-disk", severity: High, evidence: "same device", broken: set("archive_command", "cp -n %p /same/%f")},
		{rule: "server-archive-timeout", severity: Medium, broken: set("archive_timeout", "7200")},
		{rule: "server-archiver-failing", severity: High, evidence: "nothing was archived", broken: func(s *target.ServerFacts) {
			s.Archiver.Value, s.ArchiveQueue.Value.Waiting = target.Archiver{FailedAt: auditDay, Failed: 1}, 1
		}},
		{rule: "server-archiver-stalled", severity: High, evidence: "64 segments", broken: func(s *target.ServerFacts) { s.ArchiveQueue.Value = target.ArchiveQueue{Waiting: 64, Oldest: auditDay} }},
		{rule: "server-slot-lost", severity: High, evidence: "unreserved", broken: slot(func(x *target.SlotFacts) { x.WALStatus = "unreserved" })},
		{rule: "server-slot-lost", severity: High, evidence: "rows_removed", broken: slot(func(x *target.SlotFacts) { x.Active, x.Invalid = false, "rows_removed" })},
		{rule: "server-slot-inactive", severity: Medium, evidence: "for 6m", broken: slot(func(x *target.SlotFacts) { x.Active, x.InactiveSince = false, auditDay.Add(-6*time.Minute) })},
		{rule: "server-slot-inactive", severity: Info, broken: slot(func(x *target.SlotFacts) { x.Active, x.Reserves = false, false })},
		{rule: "server-slot-unbounded", severity: Medium, broken: set("max_slot_wal_keep_size", "-1")},
		{rule: "server-slot-behind", severity: Medium, broken: slot(func(x *target.SlotFacts) { x.Retained = 40 << 30 })},
		{rule: "server-standby-lag", severity: Medium, evidence: "2 GiB", broken: sender(func(w *target.Sender) { w.Behind = 2 << 30 })},
		{rule: "server-standby-lag", severity: Medium, evidence: "7m", broken: sender(func(w *target.Sender) { w.ReplayLag = 7 * time.Minute })},
		{rule: "server-standby-lag", severity: Medium, broken: standby(target.StandbyFacts{Receiving: true, Unreplayed: 1, LastReplayed: auditDay.Add(-time.Hour)})},
		{rule: "server-standby-disconnected", severity: High, evidence: "neither", broken: standby(target.StandbyFacts{})},
		{rule: "server-synchronous-standby", severity: Medium, evidence: "synchronous_commit = local", broken: breakBoth(set("synchronous_standby_names", "FIRST 2 (a, b)"), set("synchronous_commit", "local"))},
		{rule: "server-tables-without-key", severity: Medium, evidence: "slot cdc", broken: breakBoth(inside(func(d *target.DatabaseInside) { d.WithoutKey = one }), func(s *target.ServerFacts) {
			s.Slots.Value = append(s.Slots.Value, target.SlotFacts{Name: "cdc", Logical: true, Database: "shop", Active: true})
		})},
		{rule: "server-tables-without-key", severity: Info, evidence: "wal_level is logical", broken: breakBoth(set("wal_level", "logical"), inside(func(d *target.DatabaseInside) { d.WithoutKey = one }))},
		{rule: "server-large-objects", severity: Info, evidence: "more than 10000", broken: inside(func(d *target.DatabaseInside) { d.LargeObjects = 10001 })},
		{rule: "server-extensions", severity: Info, evidence: "pg_stat_statements", broken: set("shared_preload_libraries", "pg_stat_statements")},
		{rule: "server-invalid-indexes", severity: Low, evidence: "public.t and 6 more", broken: inside(func(d *target.DatabaseInside) { d.InvalidIndexes = one })},
		{rule: "server-databases", severity: Low, evidence: "limit of 0", broken: database(func(d *target.DatabaseFacts) { d.ConnLimit = 0 })},
		{rule: "server-long-transactions", severity: Low, evidence: "7h", broken: func(s *target.ServerFacts) {
			s.Transactions.Value = []target.Transaction{{PID: 7, State: "active", Began: auditDay.Add(-7 * time.Hour), StateSince: auditDay}}
		}},
		{rule: "server-xid-wraparound", severity: Medium, broken: database(func(d *target.DatabaseFacts) { d.XIDAge = 401_000_000 })},
		{rule: "server-xid-wraparound", severity: Critical, broken: database(func(d *target.DatabaseFacts) { d.XIDAge = 2_000_000_000 })},
		{rule: "server-multixact-wraparound", severity: Medium, broken: database(func(d *target.DatabaseFacts) { d.MultixactAge = 801_000_000 })},
		{rule: "server-autovacuum", severity: Medium, evidence: "track_counts", broken: set("track_counts", "off")},
		{rule: "server-connections", severity: High, broken: func(s *target.ServerFacts) { s.Connections.Value.Used = 96 }},
		{rule: "server-replication-tls", severity: High, broken: sender(func(w *target.Sender) { w.Local, w.Address = false, "192.0.2.7" })},
		{rule: "server-replication-tls", severity: High, care: true, broken: func(s *target.ServerFacts) { s.Replication.Value.Local = false }},
		{rule: "server-superuser", severity: Medium, care: true, broken: func(s *target.ServerFacts) { s.Server.Role.Superuser = true }},
		{rule: "server-version-eol", severity: High, broken: func(s *target.ServerFacts) { s.Server.Version = 130023 }},
		{rule: "server-version-outdated", severity: Low, evidence: "15.20 was the newest", broken: func(s *target.ServerFacts) { s.Server.Version = 150019 }},
		{rule: "server-clock", severity: Medium, evidence: "10s behind", broken: func(s *target.ServerFacts) { s.Server.ClockOffset = -10 * time.Second }},
		{rule: "server-clock", severity: High, evidence: "2 days behind", broken: func(s *target.ServerFacts) { s.Server.ClockOffset = -49 * time.Hour }},
		{rule: "server-pending-restart", severity: Low, evidence: "fsync", broken: func(s *target.ServerFacts) { s.Settings["fsync"] = target.Setting{Value: "on", PendingRestart: true} }},
	}
}

func resultOf(f Facts, rule string) Result {
	for _, res := range Judge(Rules(), f).Results {
		if res.Rule == rule {
			return res
		}
	}
	return Result{}
}

func TestServerRules(t *testing.T) {
	for _, x := range Judge(Rules(), serverRuleCase{broken: func(*target.ServerFacts) {}}.facts()).Findings {
		t.Errorf("found where all is well: %+v", x)
	}
	for _, c := range serverRuleCases() {
		res := resultOf(c.facts(), c.rule)
		if len(res.Findings) == 0 {
			t.Errorf("%s (%s): %s %s", c.rule, c.evidence, res.Outcome, res.Why)
			continue
		}
		x := res.Findings[0]
		if x.Severity != c.severity || !strings.Contains(x.Evidence, c.evidence) || x.Object == "" {
			t.Errorf("%s: want %s, %q, got %+v", c.rule, c.severity, c.evidence, x)
		}
	}
}

// What was found with a fact is never called good without it.
func TestServerRulesWithoutAFact(t *testing.T) {
	for _, c := range serverRuleCases() {
		whole := reflect.TypeFor[target.ServerFacts]()
		for i := range whole.NumField() {
			f := c.facts()
			part := reflect.ValueOf(&f.Server.Value).Elem().Field(i)
			if seen := part.FieldByName; part.Kind() != reflect.Struct || !seen("Seen").IsValid() {
				continue
			}
			part.SetZero()
			if res := resultOf(f, c.rule); res.Outcome == Passed || res.Outcome == Unknown && res.Why == "" {
				t.Errorf("%s (%s) without %s: %+v", c.rule, c.evidence, whole.Field(i).Name, res)
			}
		}
		for _, name := range []string{"archive_mode", "archive_command", "wal_level", "max_slot_wal_keep_size", "synchronous_commit", "wal_segment_size", "data_checksums"} {
			f := c.facts()
			delete(f.Server.Value.Settings, name)
			if res := resultOf(f, c.rule); res.Outcome == Passed {
				t.Errorf("%s (%s) without the setting %s: %+v", c.rule, c.evidence, name, res)
			}
		}
	}
}

// A slot that reconnects, a transaction just prepared, an idle primary: these
// are no findings.
func TestServerRulesLeaveAlone(t *testing.T) {
	for what, broken := range map[string]func(*target.ServerFacts){
		"a slot away for a minute":      slot(func(x *target.SlotFacts) { x.Active, x.InactiveSince = false, auditDay.Add(-time.Minute) }),
		"a transaction prepared now":    func(s *target.ServerFacts) { s.Prepared.Value = []target.Prepared{{GID: "x", At: auditDay}} },
		"a failure, then a success":     func(s *target.ServerFacts) { s.Archiver.Value.FailedAt = auditDay.Add(-time.Hour) },
		"a failure of long ago":         func(s *target.ServerFacts) { s.Archiver.Value.FailedAt = auditDay },
		"Refloat instead of an archive": breakBoth(set("archive_mode", "off"), slot(func(x *target.SlotFacts) { x.Name = "refloat_shop" })),
		"no timeout beside a receiver":  breakBoth(set("archive_timeout", "0"), sender(func(w *target.Sender) { w.Application = "barman_receive_wal" })),
		"an idle standby": func(s *target.ServerFacts) {
			s.Server.InRecovery, s.Standby = true, target.Seen(target.StandbyFacts{Receiving: true, LastReplayed: auditDay.Add(-48 * time.Hour)})
		},
		"a standby that is there":    breakBoth(set("synchronous_standby_names", "ANY 1 (berlin, paris)"), sender(func(w *target.Sender) { w.Sync = "quorum" })),
		"an archive on its own disk": set("archive_command", "test ! -f /other/%f && cp %p /other/%f"),
		"trust refused by an error":  func(s *target.ServerFacts) { s.HBA.Value[0].Method = "cert" },
		"a delayed standby": func(s *target.ServerFacts) {
			s.Server.InRecovery, s.Standby = true, target.Seen(target.StandbyFacts{Receiving: true, Unreplayed: 9, LastReplayed: auditDay.Add(-time.Hour), ApplyDelay: time.Hour})
		},
	} {
		for _, x := range Judge(Rules(), serverRuleCase{broken: broken}.facts()).Findings {
			t.Errorf("%s: %+v", what, x)
		}
	}
}

func TestNeededStandbys(t *testing.T) {
	for names, want := range map[string]int{"a": 1, "a, b": 1, "*": 1, "2 (a, b)": 2, "FIRST 3 (a,b,c)": 3, " any 2 ( * )": 2, "2": 1} {
		if got := neededStandbys(names); got != want {
			t.Errorf("%q: %d, want %d", names, got, want)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	for value, want := range map[string]string{
		`PGPASSWORD=hunter2 x %p`:                               `PGPASSWORD=*** x %p`,
		`AWS_SECRET_ACCESS_KEY="hunter2 x" aws s3 cp %p s3://b`: `AWS_SECRET_ACCESS_KEY=*** aws s3 cp %p s3://b`,
		`age --passphrase hunter2 %p`:                           `age --passphrase *** %p`,
		`AZURE_STORAGE_KEY='hunter2' az %p`:                     `AZURE_STORAGE_KEY=*** az %p`,
		`pgbackrest --stanza=main archive-push %p`:              `pgbackrest --stanza=main archive-push %p`,
		`gpg --passphrase-fd 0 -c %p`:                           `gpg --passphrase-fd *** -c %p`,
	} {
		if got := shown(value); got != want {
			t.Errorf("%s: %s", value, got)
		}
	}
}
