package audit

import "github.com/refloat-db/refloat/internal/target"

// serverArchivingMissing: nobody keeps the log.
func serverArchivingMissing() Rule {
	return Rule{
		ID: "server-archiving-missing", Area: AreaServer, Severity: High,
		Title: "nobody keeps the log",
		Why:   "everything after the last base backup or dump is lost with the server, and no point in time can be restored",
		Fix:   "let Refloat stream the log: refloat init, then refloat server; or set archive_mode = on with an archive_command, and restart the server",
		Looks: "the settings archive_mode and archive_command, which every role may see, and who receives the log: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return settings(f, archiveSettings(), func(s target.ServerFacts) Result {
				mode := s.Settings["archive_mode"]
				switch {
				case archives(s):
					return passed()
				case mode.Value != "off":
					x := ofSetting("archive_command", s.Settings["archive_command"])
					x.Evidence += ", while archive_mode = " + mode.Value
					x.Why = "the server keeps every segment until there is a command, so that nothing is archived and the disk fills"
					x.Fix = "ALTER SYSTEM SET archive_command = '…'; SELECT pg_reload_conf(); or ALTER SYSTEM SET archive_mode = off, and restart the server"
					return found(x)
				case s.Server.InRecovery:
					return notApplicable("a standby: the log is kept on the primary")
				}
				by, why := keptBy(s)
				if by != "" {
					return passed()
				}
				if why != "" {
					return unknown(why)
				}
				x := ofSetting("archive_mode", mode)
				x.Evidence += "; no receiver of the log is connected"
				return found(x)
			})
		},
	}
}
