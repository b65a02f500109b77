package audit

import (
	"fmt"
	"strings"
	"time"
)

// backupAlarm: an alarm stands.
func backupAlarm() Rule {
	return Rule{
		ID: RuleAlarm, Area: AreaBackup, Severity: High,
		Title: "an alarm stands",
		Why:   "refloat server has met something that needs a person",
		Fix:   "refloat status TARGET",
		Looks: "the alarms that refloat server on this machine has raised",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				if !c.Alarms.Seen {
					return notApplicable("there is no state of refloat server on this machine: " + c.Alarms.Why)
				}
				var out []Finding
				for _, a := range c.Alarms.Value {
					x := Finding{Object: strings.TrimSuffix(a.Code+"/"+a.Key, "/"), Severity: Medium, Evidence: fmt.Sprintf("%s since %s: %s", a.Code, a.Since.UTC().Format(time.RFC3339), a.Detail), Fix: a.Next}
					if a.Grave {
						x.Severity = High
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}

// RuleAlarm is the rule whose findings are alarms already.
const RuleAlarm = "backup-alarm"
