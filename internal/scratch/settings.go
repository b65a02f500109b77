package scratch

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// harmless are the settings of every scratch server. They go on the command
// line, where they win over the copy's postgresql.auto.conf: whatever
// production was told to do (archive, replicate, run jobs, load libraries,
// listen), its copy must not do. fsync stays on, so that the measured time is
// that of a real recovery.
func harmless(major int) map[string]string {
	s := map[string]string{
		"listen_addresses":                "",
		"ssl":                             "off",
		"archive_mode":                    "off",
		"archive_command":                 "",
		"archive_cleanup_command":         "",
		"recovery_end_command":            "",
		"primary_conninfo":                "",
		"primary_slot_name":               "",
		"synchronous_standby_names":       "",
		"shared_preload_libraries":        "",
		"session_preload_libraries":       "",
		"local_preload_libraries":         "",
		"max_logical_replication_workers": "0",
		"autovacuum":                      "off",
		"jit":                             "off",
		// Without hot standby the copy need not have as many connections,
		// workers and locks as production, and accepts no connection before
		// recovery has ended.
		"hot_standby":                    "off",
		"max_connections":                "20",
		"max_wal_senders":                "0",
		"superuser_reserved_connections": "3",
		"reserved_connections":           "0",
		"shared_buffers":                 "128MB",
		"huge_pages":                     "off",
		"restart_after_crash":            "off",
		"event_source":                   "refloat",
		"cluster_name":                   "refloat-scratch",
		"bonjour":                        "off",
		"logging_collector":              "off",
		"log_destination":                "stderr",
		"log_line_prefix":                "%m [%p] ",
		"log_min_messages":               "warning",
		"log_startup_progress_interval":  "5s",
		"lc_messages":                    "C",
		"default_transaction_read_only":  "off",
		"ignore_checksum_failure":        "off",
		"zero_damaged_pages":             "off",
		"ignore_invalid_pages":           "off",
		"ignore_system_indexes":          "off",
		"allow_in_place_tablespaces":     "off",
		"fsync":                          "on",
		"full_page_writes":               "on",
		"transaction_timeout":            "0",
		"event_triggers":                 "off",
		"archive_library":                "",
		"io_method":                      "sync",
		"summarize_wal":                  "off",
		"sync_replication_slots":         "off",
	}
	for name, since := range map[string]int{
		"log_startup_progress_interval": 15, "allow_in_place_tablespaces": 15, "archive_library": 15,
		"reserved_connections": 16, "transaction_timeout": 17, "event_triggers": 17, "summarize_wal": 17, "sync_replication_slots": 17, "io_method": 18,
	} {
		if major < since {
			delete(s, name)
		}
	}
	return s
}

// usual are settings that Options.Settings may change.
func usual() map[string]string {
	// Recovery must hold as many prepared transactions as production had, and
	// with hot standby off nothing else says how many.
	return map[string]string{"max_prepared_transactions": "1000"}
}

// sessionOptions win over what ALTER ROLE and ALTER DATABASE say, which wins
// over the command line.
func sessionOptions(major int) string {
	names := []string{"session_preload_libraries=", "local_preload_libraries=", "default_transaction_read_only=off",
		"statement_timeout=0", "idle_in_transaction_session_timeout=0", "role=none", "jit=off"}
	if major >= 17 {
		names = append(names, "event_triggers=off", "transaction_timeout=0")
	}
	return "-c " + strings.Join(names, " -c ")
}

var recoveryLine = regexp.MustCompile(`^\s*(restore_command|recovery_target\w*)\s*=`)

// onlyRecovery is a postgresql.auto.conf without all that is not recovery:
// production may have been told anything with ALTER SYSTEM, such as to write a
// file elsewhere or to read one that is not on this host.
func onlyRecovery(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if recoveryLine.MatchString(line) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// arguments renders settings as -c options in a stable order.
func arguments(settings map[string]string) []string {
	var args []string
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	pairs := make([][2]string, 0, len(settings))
	for i := 0; i < len(args); i += 2 {
		pairs = append(pairs, [2]string{args[i], args[i+1]})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[1], b[1]) })
	args = args[:0]
	for _, p := range pairs {
		args = append(args, p[0], p[1])
	}
	return args
}

// hba lets in whoever can reach the private socket directory, and nobody else.
const hba = "local all all trust\n"

// config is the whole configuration file of a scratch server: the copy's own
// postgresql.conf is not read.
func config(hbaFile, identFile, socketDir string) string {
	q := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	return fmt.Sprintf("hba_file = %s\nident_file = %s\nunix_socket_directories = %s\nunix_socket_permissions = 0700\n", q(hbaFile), q(identFile), q(socketDir))
}
