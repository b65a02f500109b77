package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// configText is the commented configuration for a server that was looked at.
func configText(r InitRequest, s target.Server) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# yaml-language-server: $schema=https://raw.githubusercontent.com/refloat-db/refloat/main/docs/refloat.schema.json")
	line("# Refloat's configuration; docs/configuration.md explains every key.")
	line("# Check it with: refloat config check")
	line("version: 1\n")
	line("# Metrics, journal, and log on its way to the repository. Not needed to restore.")
	line("state_dir: %s\n", quoteYAML(r.StateDir))
	line("# Where backups live: file://, s3://, azblob://, gs:// or sftp://. A folder on the")
	line("# database's own machine is lost with that machine.")
	line("repository:\n  url: %s", quoteYAML(r.RepositoryURL))
	line("  # Without this passphrase nothing can be restored. Keep a copy elsewhere.")
	line("  passphrase_file: %s\n", quoteYAML(r.PassphraseFile))
	b.WriteString("targets:\n" + targetText(r, s))
	return b.String()
}

// targetText is one target's part of it, indented by two.
func targetText(r InitRequest, s target.Server) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("  %s:", r.Name)
	line("    # PostgreSQL %s, %s, system identifier %s", s.Version, sizeWords(s.Size), s.SystemID)
	line("    dsn: %s", quoteYAML(r.DSN))
	if r.PasswordFile != "" {
		line("    password_file: %s", quoteYAML(r.PasswordFile))
	}
	if r.PasswordEnv != "" {
		line("    password_env: %s", quoteYAML(r.PasswordEnv))
	}
	if r.Owner != "" {
		line("    owner: %s", quoteYAML(r.Owner))
	}
	line("    # What you promise. Status and drills measure against it.")
	line("    objectives:\n      data_loss: 1m      # at most so much work is lost\n      resolution: %-6s # restored within", resolutionFor(s.Size))
	line("      detection: 1m      # an outage is noticed within\n      proof_age: 7d      # the last proof is never older")
	line("    backup:\n      schedule: daily 02:00 # deltas: only pages that changed; a full after every five")
	line("    log:\n      enabled: true\n      # Log that may wait on the server when the repository cannot be reached. Past")
	line("      # it the slot is given up: rather a gap than a full disk in production.")
	line("      max_retained: 10GiB")
	if r.Synchronous {
		line("      # With synchronous_standby_names = 'refloat_%s' on the server, a commit waits", strings.ReplaceAll(r.Name, "-", "_"))
		line("      # until the log is on this machine's disk.\n      synchronous: true")
	}
	line("    # A small row each second, which drills look for; refloat init --grants prints")
	line("    # the SQL that allows it.\n    heartbeat:\n      enabled: true")
	line("    drill:\n      schedule: weekly sun 04:00\n      # Your own questions to the restored copy:")
	line("      # assertions:\n      #   - {name: customers are there, database: shop, sql: SELECT count(*) > 0 FROM customers}")
	line("    retention:\n      days: 14    # every moment of them\n      weekly: 4   # then one backup a week\n      monthly: 6  # and one a month")
	return b.String()
}

// quoteYAML writes s as a double-quoted scalar when it must be quoted. JSON's
// strings are YAML's.
func quoteYAML(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@?=", r)
	}
	body := strings.Replace(s, "://", "//", 1)
	if body != "" && strings.IndexFunc(strings.ReplaceAll(body, ":", ""), func(r rune) bool { return !plain(r) }) < 0 &&
		strings.ContainsAny(body[:1], "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") && !strings.HasSuffix(body, ":") {
		return s
	}
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

// resolutionFor suggests what can be promised for a cluster of a size: twice
// the time of restoring it at a modest 100 MiB/s, and time to act.
func resolutionFor(size int64) string {
	const rate = 100 << 20 // bytes a second
	need := 30*time.Minute + 2*time.Duration(size/rate)*time.Second
	for _, h := range []int{1, 2, 4, 8, 12, 24} {
		if need <= time.Duration(h)*time.Hour {
			return fmt.Sprintf("%dh", h)
		}
	}
	return fmt.Sprintf("%dd", int(need/(24*time.Hour))+1)
}

func sizeWords(n int64) string {
	switch {
	case n >= 1<<40:
		return fmt.Sprintf("%.1f TiB", float64(n)/(1<<40))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Advice is something about a server that stands in the way of a recovery, or
// will.
type Advice struct {
	Blocks bool   `json:"blocks"` // no backup is possible before it is mended
	What   string `json:"what"`
	Next   string `json:"next"`
}

// advise says what is to be mended on a server. It is pure.
func advise(s target.Server, synchronous bool) []Advice {
	out := []Advice{}
	add := func(when, blocks bool, what, next string) {
		if when {
			out = append(out, Advice{Blocks: blocks, What: what, Next: next})
		}
	}
	const grants = "run the SQL that refloat init --grants prints"
	r := s.Role
	add(!r.Replication, true, "role "+r.Name+" lacks REPLICATION: no base backup and no log", grants)
	add(r.Replication && s.ReplicationNote != "", true, "no replication connection: "+s.ReplicationNote, "add the pg_hba.conf lines that refloat init --grants prints, and reload")
	add(s.Settings["wal_level"] == "minimal", true, "wal_level is minimal: the log cannot be kept", "set wal_level = replica and restart the server")
	add(atMost(s.Settings["max_wal_senders"], 1), true, "max_wal_senders is "+s.Settings["max_wal_senders"]+": base backup and log need one each", "set max_wal_senders = 10 and restart the server")
	add(atMost(s.Settings["max_replication_slots"], 0), true, "max_replication_slots is 0: the log needs a slot", "set max_replication_slots = 10 and restart the server")
	add(s.InRecovery, false, "the server is a standby: no heartbeat can be written there, and its log ends when it falls behind", "use the primary's address, or one that follows it")
	add(!r.Superuser && !r.Monitor, false, "role "+r.Name+" is not a member of pg_monitor: sizes and settings stay hidden", grants)
	add(!r.Heartbeat, false, "the heartbeat's table is missing, or the role may not write it: drills then cannot show that the last second is there", grants)
	add(!s.DataChecksums, false, "data checksums are off: a damaged page in production cannot be told from a good one", "stop the server and run pg_checksums --enable")
	add(s.Settings["fsync"] == "off", false, "fsync is off: the server loses data when its machine stops", "set fsync = on")
	add(s.Settings["full_page_writes"] == "off", false, "full_page_writes is off: base backups can hold torn pages", "set full_page_writes = on")
	add(s.Settings["max_slot_wal_keep_size"] == "-1", false, "max_slot_wal_keep_size is not set: while Refloat is not running, nothing bounds the log that its slot holds", "set max_slot_wal_keep_size = '12GB', a little more than log.max_retained")
	add(synchronous && s.Settings["synchronous_standby_names"] == "", false, "synchronous_standby_names is empty: no commit waits for Refloat yet", "set it once refloat server runs; until then commits would wait for ever")
	return out
}

func atMost(text string, n int) bool {
	var v int
	_, err := fmt.Sscan(text, &v)
	return err == nil && v <= n
}
