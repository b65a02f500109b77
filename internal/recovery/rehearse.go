package recovery

import (
	"fmt"
	"time"
)

// Rehearsal is whether a way back would be open if it were needed now. Nothing of
// it is tried on production: it is a dry run of what the way needs.
type Rehearsal struct {
	Name          Name           `json:"way"`
	Title         string         `json:"title"`
	Preconditions []Precondition `json:"preconditions"`
}

// Standing is what only a rehearsal looks at, beside the facts.
type Standing struct {
	Settings map[string]string // of the server; nil when it could not be asked
	Why      string            // it could not be
	Programs map[string]string // what is wrong with the program of a granted command, by step; "" for nothing
	MaxLag   time.Duration     // that is promised of a standby; 0 for no promise
}

// Rehearse looks at what each way back needs, while nothing is wrong.
func Rehearse(f Facts, s Standing) []Rehearsal {
	return []Rehearsal{
		{Wait, "Wait for crash recovery", []Precondition{s.crashSafe("fsync", "what it called written may never have reached its disk"), s.crashSafe("full_page_writes", "a page that was half written at a crash cannot be repaired from the log")}},
		{Restart, "Restart the server", []Precondition{f.directoryKnown(), s.granted(StepRestart, f.Grants.Restart, "recovery.restart")}},
		{Promote, "Promote the standby", f.rehearsePromotion(s)},
		{RestoreLatest, "Restore to the latest point", []Precondition{f.coveredNow(), f.room(f.Latest.Value.Bytes), f.binaries(), s.granted(StepStart, f.Grants.Start, "recovery.start")}},
		{RestoreTo, "Restore to just before a moment", []Precondition{f.coveredNow(), f.room(f.Latest.Value.Bytes), f.binaries()}},
	}
}

func (s Standing) crashSafe(setting, why string) Precondition {
	p := Precondition{Name: setting, Title: "A crash leaves it whole: " + setting, Met: NotSeen, Detail: or(s.Why, setting+" cannot be read")}
	switch v := s.Settings[setting]; v {
	case "":
	case "on":
		p.Met, p.Detail = Holds, setting+" is on"
	default:
		p.Met, p.Detail = Fails, fmt.Sprintf("%s is %s: %s", setting, v, why)
	}
	return p
}

// granted says whether the program of a command is there. One that is not
// granted is for a person, and nothing can be said of it.
func (s Standing) granted(step string, words []string, key string) Precondition {
	p := Precondition{Name: step + "-command", Title: "The command is there: " + key, Met: NotSeen, Detail: "none is granted (" + key + "): a person does it"}
	if len(words) == 0 {
		return p
	}
	if wrong := s.Programs[step]; wrong != "" {
		p.Met, p.Detail = Fails, wrong
		return p
	}
	p.Met, p.Detail = Holds, words[0]+" is there and may be run"
	return p
}

func (f Facts) directoryKnown() Precondition {
	p := Precondition{Name: "directory", Title: "Its data directory is known", Met: NotSeen, Detail: or(f.Server.Directory.Why, "nobody says where it is")}
	if f.Server.Directory.Seen {
		p.Met, p.Detail = Holds, f.Server.Directory.Value
	}
	return p
}

func (f Facts) coveredNow() Precondition {
	p := Precondition{Name: "covered", Title: "The repository reaches the end of the log", Met: Fails, Detail: or(f.Latest.Why, "it was not looked at")}
	if f.Latest.Seen {
		p.Met, p.Detail = Holds, "from backup "+f.Latest.Value.Backup.ID
	}
	return p
}

func (f Facts) rehearsePromotion(s Standing) []Precondition {
	known := Precondition{Name: "standby", Title: "A standby is known and answers", Met: NotSeen, Detail: "none is configured (recovery.standby)"}
	if f.Standby == nil {
		return []Precondition{known}
	}
	card := f.Standby.Card
	switch {
	case f.Standby.DSN == "":
		known.Detail = f.Standby.Name + " follows it; where it can be reached is not configured (recovery.standby)"
		return []Precondition{known}
	case !card.Alive.Seen || !card.Alive.Value:
		known.Met, known.Detail = Fails, or(card.Alive.Why, "it does not answer")
		return []Precondition{known}
	}
	known.Met, known.Detail = Holds, f.Standby.Name+" answers"
	out := []Precondition{known, f.standbyFits(), f.standbyRole(), f.mayPromote(), f.lag(s)}
	if len(f.Grants.Promote) > 0 {
		out = append(out, s.granted(StepPromote, f.Grants.Promote, "recovery.promote"))
	}
	return out
}

// lag is how far the standby is behind, by the heartbeats of both.
func (f Facts) lag(s Standing) Precondition {
	p := Precondition{Name: "standby-lag", Title: "It is as new as promised", Met: NotSeen}
	ours, theirs := f.Server.Beat, f.Standby.Card.Beat
	switch {
	case !ours.Seen:
		p.Detail = "the primary's last heartbeat is not known: " + ours.Why
	case !theirs.Seen:
		p.Detail = "the standby's last heartbeat is not known: " + theirs.Why
	default:
		behind := max(0, ours.Value.At.Sub(theirs.Value.At))
		p.Met, p.Detail = Holds, fmt.Sprintf("its last heartbeat is %s older than the primary's", behind.Round(time.Millisecond))
		if s.MaxLag > 0 && behind > s.MaxLag {
			p.Met, p.Detail = Fails, p.Detail+fmt.Sprintf("; at most %s is promised (watch.max_lag)", s.MaxLag)
		}
	}
	return p
}
