package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverClock: the server's clock is not ours.
func serverClock() Rule {
	const small, large = 2 * time.Second, time.Minute
	return Rule{
		ID: "server-clock", Area: AreaServer, Severity: High,
		Title: "the server's clock is wrong, or ours",
		Why:   "a restore to a time ends elsewhere than was asked for, and the age of backups and proofs is not what it seems",
		Fix:   "run a time service (chrony, systemd-timesyncd) on both machines",
		Looks: "clock_timestamp() of the server, against our own clock; every role may see it",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				off := s.Server.ClockOffset
				switch {
				case s.Server.Version == 0:
					return unknown("the server's clock: nobody looked")
				case off.Abs() < small:
					return passed()
				}
				how := "ahead of"
				if off < 0 {
					how = "behind"
				}
				x := Finding{Object: "clock", Evidence: fmt.Sprintf("the server's clock is %s %s ours", spanText(off.Abs()), how)}
				if off.Abs() < large {
					x.Severity = Medium
				}
				return found(x)
			})
		},
	}
}
