package audit

import (
	"path"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiveDataDisk: the archive is on the disk that the data is on.
func serverArchiveDataDisk() Rule {
	return Rule{
		ID: "server-archive-data-disk", Area: AreaServer, Severity: High,
		Title: "the archive is on the data's disk",
		Why:   "what takes the data takes the log with it, and an archive that fills the disk stops the server",
		Fix:   "archive to another machine or to object storage; or let Refloat stream the log to a repository elsewhere",
		Looks: "the setting archive_command, and where the data directory is: GRANT pg_monitor; which disk a path is on only on the server's host",
		Judge: func(f Facts) Result {
			return archiveCommand(f, func(s target.ServerFacts, c shellReading, x Finding) Result {
				why, dirs := "", archiveDirectories(c)
				if len(dirs) == 0 {
					return notApplicable("archive_command names no directory that it writes to")
				}
				for _, dir := range dirs {
					data := s.Server.DataDirectory
					on, known := f.Host.Value.Devices[dir]
					switch {
					case !path.IsAbs(dir), data != "" && (dir == data || strings.HasPrefix(dir, data+"/")):
						x.Evidence += ": " + dir + " is inside the data directory"
						return found(x)
					case f.Host.Seen && f.Host.Value.DataDirectory != "" && known && on == f.Host.Value.DataDevice:
						x.Evidence += ": " + dir + " is on the same device as the data directory"
						return found(x)
					case known:
					case data == "":
						why = "the role may not see where the data directory is: GRANT pg_monitor"
					case !f.Host.Seen:
						why = unseenPart("which disk "+dir+" is on", f.Host.Why)
					default:
						why = "which disk " + dir + " is on: it can be seen on the server's host only"
					}
				}
				return foundBut(why)
			})
		},
	}
}

// ArchiveDirectories lists the directories of the server's host that its
// archive command writes to, for those who can see which disk they are on.
func ArchiveDirectories(s target.ServerFacts) []string {
	c, err := readShell(value(s, "archive_command"))
	if err != nil || !archives(s) {
		return nil
	}
	return archiveDirectories(c)
}

func archiveDirectories(c shellReading) (out []string) {
	for _, call := range c.Work {
		to := call.destination()
		if to == "" || to == "/dev/null" || strings.Contains(to, "$") {
			continue
		}
		if strings.Contains(path.Base(to), "%f") {
			to = path.Dir(to)
		}
		out = append(out, path.Clean(to))
	}
	return out
}
