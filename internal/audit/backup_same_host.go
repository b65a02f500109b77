package audit

import "fmt"

// backupSameHost: the repository is on the server's machine.
func backupSameHost() Rule {
	return Rule{
		ID: "backup-same-host", Area: AreaBackup, Severity: Medium,
		Title: "the repository is on the machine of the server",
		Why:   "the loss of that machine takes the data and every backup of it",
		Fix:   "move the repository to another machine or to object storage",
		Looks: "whether the server and the repository are on this machine",
		Judge: func(f Facts) Result {
			return onRepository(f, func(_ Care, r RepositoryFacts) Result {
				switch {
				case !r.Local:
					return passed()
				case !f.Host.Seen:
					return unknown("where the data is: " + f.Host.Why)
				case f.Host.Value.DataDevice == 0:
					return passed()
				case f.Host.Value.DataDevice == r.Device:
					return notApplicable("it is even on the same disk: see backup-same-device")
				}
				return found(Finding{Object: r.Location, Evidence: fmt.Sprintf("%s is a folder on the machine that has the data directory %s", r.Location, f.Host.Value.DataDirectory)})
			})
		},
	}
}
