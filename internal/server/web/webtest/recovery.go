package webtest

import (
	"time"

	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/target"
)

// offer is what there is to choose from in an incident.
func offer(now time.Time, v server.IncidentView, q server.RecoveryAsk) server.RecoveryOffer {
	system := target.SystemID(7391205512345678901)
	card := recovery.Card{
		What: "the target shop", Address: "shop-db-1.example.net:5432", Host: target.Seen("shop-db-1"), Alive: target.Known[bool]{Seen: true, Why: "nobody listens"},
		SystemID: target.Seen(system), Directory: target.Unseen[string]("it does not answer"), Size: target.Seen(int64(214 << 30)), Role: target.Unseen[string]("it does not answer"),
	}
	card.Verdict = recovery.Judge(card, recovery.Meant{Target: "shop", SystemID: target.Seen(system), Role: recovery.RolePrimary})
	measured := func(d time.Duration) recovery.Figure {
		return recovery.Figure{Known: true, Value: d, From: "the last drill", At: now.Add(-26 * time.Hour), Age: 26 * time.Hour}
	}
	estimate := 7 * time.Minute
	restart := recovery.Way{
		Name: recovery.Restart, Title: "Restart the server", Time: recovery.Figure{Why: "no drill has measured it"}, Loss: measured(0), Recommended: true, Why: "its process is gone, and its directory is whole as far as anybody has seen",
		Risks:         []string{"what ended it may end it again: look at the memory first"},
		Preconditions: []recovery.Precondition{{Name: "same", Title: "It is the server that is meant", Met: recovery.Holds, Detail: "its system identifier is that of the backups"}, {Name: "room", Title: "Its disk has room", Met: recovery.NotSeen, Detail: "it does not answer"}},
		Steps: []recovery.Step{{ID: recovery.StepRestart, Title: "Start it", ByHand: true, Commands: []recovery.Command{{Title: "Start the service", Text: "systemctl start postgresql@17-main", On: "shop-db-1"}}},
			{ID: recovery.StepAnswers, Title: "Wait until it serves"}, {ID: recovery.StepVerify, Title: "Verify it"}},
	}
	restore := recovery.Way{
		Name: recovery.RestoreLatest, Title: "Restore to the newest moment", Time: measured(372 * time.Second), Estimate: &estimate, Loss: measured(time.Second), Gap: measured(time.Second), Why: "slower, and for when the directory is gone",
		Risks:         []string{"whoever can still reach the old server would write to the wrong one"},
		Preconditions: []recovery.Precondition{{Name: "dir", Title: "There is a directory to restore into", Met: recovery.Holds, Detail: "/srv/restore is empty"}, {Name: recovery.AskFenced, Title: "The old primary cannot take writes any more", Met: recovery.Fails, Detail: "nobody has said so"}},
		Steps:         []recovery.Step{{ID: recovery.StepRestore, Title: "Restore into /srv/restore", Commands: []recovery.Command{{Title: "Restore", Text: "refloat restore shop --into /srv/restore"}}}},
	}
	return server.RecoveryOffer{Target: "shop", Reason: recovery.Crash, Began: v.Started, At: now, Cards: []recovery.Card{card}, Ways: []recovery.Way{restart, restore}, Advice: restart.Title + ": " + restart.Why}
}
