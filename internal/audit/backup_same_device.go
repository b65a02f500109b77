package audit

import "fmt"

// backupSameDevice: the repository is on the data's disk.
func backupSameDevice() Rule {
	return Rule{
		ID: "backup-same-device", Area: AreaBackup, Severity: High,
		Title: "the repository is on the same disk as the data",
		Why:   "one broken or full disk takes the data and every backup of it",
		Fix:   "move the repository to another machine or to object storage",
		Looks: "the device of the data directory and of the repository, on this machine",
		Judge: func(f Facts) Result {
			return onRepository(f, func(_ Care, r RepositoryFacts) Result {
				switch {
				case !r.Local:
					return passed()
				case !f.Host.Seen:
					return unknown("where the data is: " + f.Host.Why)
				case f.Host.Value.DataDevice == 0:
					return notApplicable("the data is on another machine")
				case f.Host.Value.DataDevice != r.Device:
					return passed()
				}
				return found(Finding{Object: r.Location, Evidence: fmt.Sprintf("%s and the data directory %s are on the same device", r.Location, f.Host.Value.DataDirectory)})
			})
		},
	}
}
