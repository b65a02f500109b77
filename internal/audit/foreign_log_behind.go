package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// foreignLogBehind: the server says that it archived what the archive has not.
func foreignLogBehind() Rule {
	return Rule{
		ID: "foreign-log-behind", Area: AreaForeign, Severity: Critical,
		Title: "another tool's archive lacks log that the server counts as archived",
		Why:   "what the server calls archived it deletes: that log exists nowhere, and a restore ends before it",
		Fix:   "mend archive_command (SHOW archive_command; does it end with an error when the tool does? does it write to this archive?), then take a new backup",
		Looks: "pg_stat_archiver.last_archived_wal against the newest segment in the archive",
		Judge: func(f Facts) Result {
			return atPlaces(f, archiveOf, func(x foreign.Facts, a foreign.Archive) []Finding {
				if !f.Server.Seen || !f.Server.Value.Archiver.Seen || x.SystemID != 0 && x.SystemID != f.Server.Value.Server.SystemID {
					return nil
				}
				last := f.Server.Value.Archiver.Value
				told, err := target.ParseSegmentName(last.LastWAL, a.SegmentSize)
				if err != nil {
					return nil // nothing was archived yet, or a history file just now
				}
				has := "none"
				if newest, err := target.ParseSegmentName(a.Newest(), a.SegmentSize); err == nil {
					if newest.Number >= told.Number || newest.Timeline > told.Timeline {
						return nil
					}
					has = newest.Name()
				}
				return []Finding{{Evidence: fmt.Sprintf("the server says that it archived %s at %s; the newest in %s is %s", last.LastWAL, last.LastAt.UTC().Format("2006-01-02 15:04:05Z"), a.Where, has)}}
			})
		},
	}
}
