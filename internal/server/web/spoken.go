package web

import "github.com/refloat-db/refloat/internal/incident"

// spoken is what somebody did in an incident, in a few words; empty for what
// nobody needs to hear.
func spoken(kind string) string {
	return map[string]string{
		incident.KindOpened: "opened it", incident.KindJoined: "joined another cause to it", incident.KindEnded: "sees it serve again",
		incident.KindSeverity: "changed its severity", incident.KindStatus: "changed its status",
		incident.KindTaken: "took a role", incident.KindHanded: "handed a role over", incident.KindReleased: "laid a role down",
		incident.KindTask: "added a task", incident.KindTaskDone: "closed a task", incident.KindNote: "added a note", incident.KindLink: "added a link",
		incident.KindAttached: "added a file", incident.KindPublished: "sent an update", incident.KindAlertAcked: "saw an alert acknowledged",
		incident.KindLate: "says that an update is late", incident.KindWarned: "warns of a clock", incident.KindMissed: "says that an objective is missed",
		incident.KindMerged: "merged it into another", incident.KindReopened: "opened it again", incident.KindResolved: "resolved it",
	}[kind]
}
