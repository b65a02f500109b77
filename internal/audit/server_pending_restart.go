package audit

import (
	"maps"
	"slices"

	"github.com/refloat-db/refloat/internal/target"
)

// serverPendingRestart: the files say something else than the server does.
func serverPendingRestart() Rule {
	weighty := []string{"wal_level", "archive_mode", "max_wal_senders", "max_replication_slots", "max_prepared_transactions", "shared_preload_libraries", "data_directory", "hba_file"}
	return Rule{
		ID: "server-pending-restart", Area: AreaServer, Severity: Medium,
		Title: "changed settings wait for a restart",
		Why:   "what somebody believes to be set is not, and the next restart, perhaps in an emergency, brings a change that nobody tried",
		Fix:   "restart the server at a quiet time; or take the change back",
		Looks: "pg_settings.pending_restart; every role may see it, for hidden settings GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return settings(f, []string{"wal_level"}, func(s target.ServerFacts) Result {
				var out []Finding
				for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
					v := s.Settings[name]
					if !v.PendingRestart {
						continue
					}
					x := ofSetting(name, v)
					x.Evidence += "; the file says something else since"
					if !slices.Contains(weighty, name) {
						x.Severity = Low
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
