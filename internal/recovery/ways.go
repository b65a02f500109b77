package recovery

import (
	"fmt"
	"strings"
)

const noDrillOf = "not measured: no drill rehearses this on production"

const nothingWrong = "it serves, and nothing says what is wrong with it: say so with --reason"

// crashKeeps says why a figure for a crash recovery is not given.
const crashKeeps = "not measured: PostgreSQL replays what it acknowledged from its own log, unless fsync or synchronous_commit is off; it is measured by the heartbeat once it serves"

func wait(f Facts) Way {
	w := Way{
		Name: Wait, Title: "Wait for crash recovery", Time: unmeasured("%s; it takes as long as the log since the last checkpoint takes to replay", noDrillOf),
		Loss: unmeasured(crashKeeps), Gap: unmeasured("not asked: nothing is restored"),
		Risks: []string{"if it fails it starts over again and again, while time passes", "nothing tells how far it is but the server's log"},
	}
	p := Precondition{Name: "recovering", Title: "The server is starting up or recovering", Met: NotSeen, Detail: "it cannot be seen from here"}
	switch {
	case f.Reason == Starting:
		p.Met, p.Detail = Holds, "it refuses sessions and says so"
	case f.Reason == Unknown && f.Serves.Seen && f.Serves.Value:
		p.Met, p.Detail = Fails, nothingWrong
	case f.Server.Dead():
		p.Met, p.Detail = Fails, "no process of it lives: there is nothing to wait for"
	case f.Reason != Crash && f.Reason != Unknown:
		p.Met, p.Detail = Fails, "this is no crash recovery: "+string(f.Reason)
	}
	w.Preconditions = []Precondition{p}
	w.Steps = []Step{{ID: StepAnswers, Title: "Wait until it serves", Commands: f.lookAtLog()}, f.verifyStep()}
	return w
}

func restart(f Facts) Way {
	w := Way{
		Name: Restart, Title: "Restart the server", Time: unmeasured(noDrillOf), Loss: unmeasured(crashKeeps), Gap: unmeasured("not asked: nothing is restored"),
		Risks: []string{"a server that ended over damaged files ends over them again", "every session that is left ends"},
	}
	files := Precondition{Name: "directory", Title: "Its data directory is there", Met: NotSeen, Detail: "it cannot be looked at from here: " + or(f.Server.Directory.Why, "it is on another machine")}
	if f.Server.Here.Seen && f.Server.Here.Value {
		files.Met, files.Detail = Holds, "its control file says: "+or(f.Server.State, "it is there")
		if !f.Server.SystemID.Seen {
			files.Met, files.Detail = Fails, or(f.Server.SystemID.Why, "its control file cannot be read")
		}
	}
	same := Precondition{Name: "same-server", Title: "It is the server that is meant", Met: Holds, Detail: first(f.Server.Verdict.Why)}
	switch f.Server.Verdict.Is {
	case IsNotMeant:
		same.Met = Fails
	case IsUnclear, "":
		same.Met = NotSeen
	}
	trouble := Precondition{Name: "helps", Title: "A restart can mend this", Met: Holds, Detail: string(f.Reason)}
	switch f.Reason {
	case Unknown:
		if f.Serves.Seen && f.Serves.Value {
			trouble.Met, trouble.Detail = Fails, nothingWrong
		}
	case DataDeleted:
		trouble.Met, trouble.Detail = Fails, "what was deleted stays deleted"
	case DiskFull:
		trouble.Met, trouble.Detail = Fails, "it needs room to start: make room first"
	case Denied:
		trouble.Met, trouble.Detail = Fails, "it lives and does not let us in"
	case Unreachable:
		trouble.Met, trouble.Detail = NotSeen, "nothing comes back from its host"
	}
	w.Preconditions = []Precondition{files, same, trouble}
	step := Step{ID: StepRestart, Title: "Restart the server", ByHand: len(f.Grants.Restart) == 0, Commands: f.restartCommands()}
	w.Steps = []Step{f.identifyStep(), step, {ID: StepAnswers, Title: "Wait until it serves", Commands: f.lookAtLog()}, f.verifyStep()}
	return w
}

func promote(f Facts) Way {
	w := Way{
		Name: Promote, Title: "Promote the standby", Time: unmeasured(noDrillOf), Loss: f.standbyLoss(), Gap: unmeasured("not asked: nothing is restored"),
		Risks: []string{
			"two primaries if the old one comes back: what is written to either is lost to the other",
			"clients must be led to the new primary; the old one can follow it only after pg_rewind or a new base backup",
			"what the standby had not received is gone",
		},
	}
	s := f.Standby
	known := Precondition{Name: "standby", Title: "A standby is known and answers", Met: Fails, Detail: "none is configured (recovery.standby), and the server named none"}
	if s != nil {
		known.Detail = or(s.Card.Alive.Why, s.Name+" does not answer")
		switch {
		case s.DSN == "":
			known.Met, known.Detail = NotSeen, fmt.Sprintf("%s followed it when it was last seen; where it is, is not configured (recovery.standby)", s.Name)
		case s.Card.Alive.Seen && s.Card.Alive.Value:
			known.Met, known.Detail = Holds, s.Name+" answers"
		}
	}
	w.Preconditions = []Precondition{known}
	if s != nil && s.DSN != "" {
		w.Preconditions = append(w.Preconditions, f.standbyFits(), f.standbyRole(), f.mayPromote())
	}
	w.Preconditions = append(w.Preconditions, f.fenced())
	step := Step{ID: StepPromote, Title: "Promote the standby", ByHand: len(f.Grants.Promote) == 0 && !f.Grants.PromoteSQL, Commands: f.promoteCommands()}
	w.Steps = []Step{f.identifyStep(), step, {ID: StepAnswers, Title: "Wait until it takes writes", Commands: []Command{}}, f.verifyStep()}
	return w
}

func (f Facts) standbyFits() Precondition {
	p := Precondition{Name: "standby-cluster", Title: "It is a standby of this cluster", Met: NotSeen, Detail: first(f.Standby.Card.Verdict.Why)}
	switch c := f.Standby.Card; {
	case c.Verdict.Is == IsNotMeant:
		p.Met = Fails
	case c.Verdict.Is == IsMeant:
		p.Met = Holds
	case f.Server.SystemID.Seen && c.SystemID.Seen && f.Server.SystemID.Value == c.SystemID.Value:
		p.Met = Holds
	}
	return p
}

func (f Facts) standbyRole() Precondition {
	p := Precondition{Name: "standby-role", Title: "It is in recovery", Met: NotSeen, Detail: or(f.Standby.Card.Role.Why, "its role is not known")}
	if r := f.Standby.Card.Role; r.Seen {
		p.Met, p.Detail = Holds, "it is a "+r.Value
		if r.Value != RoleStandby {
			p.Met, p.Detail = Fails, "it takes writes already: there is nothing to promote"
		}
	}
	return p
}

func (f Facts) mayPromote() Precondition {
	p := Precondition{Name: "may-promote", Title: "It can be promoted from here", Met: Holds, Detail: "by the command that the configuration grants"}
	switch {
	case len(f.Grants.Promote) > 0:
	case !f.Grants.PromoteSQL:
		p.Met, p.Detail = NotSeen, "the configuration grants no way (recovery.promote): a person does it"
	case !f.Standby.Right.Seen:
		p.Met, p.Detail = NotSeen, or(f.Standby.Right.Why, "whether our role may call pg_promote() is not known")
	case !f.Standby.Right.Value:
		p.Met, p.Detail = Fails, "our role there may not call pg_promote(): GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO it, on the primary, while there is one"
	default:
		p.Detail = "our role there may call pg_promote()"
	}
	return p
}

// fenced holds when the old primary was looked at where it runs and is dead, or
// when a person says that it cannot come back. That nobody answers is not enough.
func (f Facts) fenced() Precondition {
	p := Precondition{Name: AskFenced, Title: "The old primary cannot take writes any more", Met: Fails}
	said := strings.TrimSpace(f.Answers[AskFenced])
	switch {
	case f.Server.Primary(): // whatever anybody says: it is seen
		p.Detail = "it answers and takes writes: two primaries would be the result; stop it and keep it from coming back, then say how with --fenced"
	case said != "":
		p.Met, p.Detail = Holds, "said: "+said
	case f.Server.Dead():
		p.Met, p.Detail = Holds, "no process of it lives on this machine, where its data directory is, and nobody listens at its address"
	default:
		p.Detail = "that it does not answer does not say that it is dead: switch its machine off, or take its disk or network away, then say how with --fenced"
	}
	return p
}

// mend is for what only a person can give back to a server that lives.
func mend(f Facts) (Way, bool) {
	c, risk := f.mendCommands()
	if len(c) == 0 {
		return Way{}, false
	}
	return Way{
		Name: Mend, Title: "Mend it in place", Time: unmeasured("not measured: a person does it"), Loss: unmeasured(crashKeeps), Gap: unmeasured("not asked: nothing is restored"), Risks: []string{risk},
		Preconditions: []Precondition{{Name: "same-server", Title: "It is the server that is meant", Met: metOf(f.Server.Verdict.Is), Detail: first(f.Server.Verdict.Why)}},
		Steps:         []Step{{ID: StepMend, Title: "Give it what it lacks", ByHand: true, Commands: c}, {ID: StepAnswers, Title: "Wait until it serves", Commands: []Command{}}, f.verifyStep()},
	}, true
}

func metOf(is Is) Met {
	switch is {
	case IsMeant:
		return Holds
	case IsNotMeant:
		return Fails
	}
	return NotSeen
}

func restoreLatest(f Facts) Way {
	w := Way{Name: RestoreLatest, Title: "Restore to the latest point", Time: f.restoreTime(), Loss: f.restoreLoss(), Gap: f.gap()}
	plan := Precondition{Name: "covered", Title: "The repository reaches the end of the log", Met: Fails, Detail: or(f.Latest.Why, "it was not looked at")}
	if f.Latest.Seen {
		p := f.Latest.Value
		plan.Met, plan.Detail, w.Estimate = Holds, fmt.Sprintf("from backup %s", p.Backup.ID), p.Estimate
		if p.End != nil {
			plan.Detail += " to " + p.End.String()
		}
	}
	f.restoring(&w, plan, f.Latest.Value.Bytes, "latest")
	return w
}

func restoreTo(f Facts) Way {
	title := "Restore to just before a moment, a transaction or a position"
	if f.Asked != "" {
		title = "Restore to just before " + f.Asked
	}
	w := Way{Name: RestoreTo, Title: title, Time: f.restoreTime(), Loss: unmeasured("not measured: all that was committed from that point on is given up on purpose"), Gap: unmeasured("not asked: the point is chosen")}
	plan := Precondition{Name: "covered", Title: "The repository reaches the point", Met: Fails, Detail: "say the point: --to with a time and its zone, an LSN, or xid:NUMBER of the transaction to stop before (a statement is not looked for: take its time, or its transaction's number from the log)"}
	if f.Asked != "" {
		plan.Detail = or(f.Point.Why, "it was not looked at")
	}
	if f.Point.Seen {
		plan.Met, plan.Detail, w.Estimate = Holds, fmt.Sprintf("from backup %s", f.Point.Value.Backup.ID), f.Point.Value.Estimate
	}
	f.restoring(&w, plan, f.Point.Value.Bytes, or(f.Asked, "POINT"))
	return w
}

// restoring fills in what every restore has: where to, and what comes after.
func (f Facts) restoring(w *Way, covered Precondition, bytes int64, to string) {
	w.Risks = []string{"it takes the longest, and the room of a second cluster, and of a third while a copy is checked"}
	if w.Name == RestoreTo {
		w.Risks = append(w.Risks, "what was committed after the point is not in the restored cluster: it has to be brought over by hand, where it is wanted")
	}
	w.Preconditions = []Precondition{covered, f.destination(), f.room(bytes), f.binaries(), f.roomToCheck(bytes)}
	w.Steps = []Step{
		f.identifyStep(),
		{ID: StepRestore, Title: "Restore into " + or(f.Place.Dir, "DIRECTORY"), Commands: f.restoreCommands(to, w.Name == RestoreTo)},
		{ID: StepCheck, Title: "Recover and check a throw-away copy of it", Commands: []Command{}},
	}
	second := f.Server.Primary() || f.Serves.Seen && f.Serves.Value
	if second {
		w.Risks = append(w.Risks, "the server that is meant lives: what is restored is a second one of the same cluster, and clients must not reach both")
	}
	if second && strings.TrimSpace(f.Answers[AskSecondPrimary]) == "" {
		return // it ends with a directory that was checked; nothing is started beside a primary unasked
	}
	w.Steps = append(w.Steps, Step{ID: StepStart, Title: "Start a server on it", ByHand: len(f.Grants.Start) == 0, Commands: f.startCommands()})
	if second {
		return // what answers at the target's address is the other one
	}
	w.Steps = append(w.Steps, Step{ID: StepAnswers, Title: "Wait until it serves at the target's address", Commands: []Command{}}, f.verifyStep())
}

func (f Facts) destination() Precondition {
	p := Precondition{Name: "destination", Title: "There is a place to restore into", Met: NotSeen, Detail: "say where with --into: a directory that is empty or not there yet"}
	if f.Place.Dir == "" {
		return p
	}
	switch h := f.Place.Holds; {
	case !h.Seen:
		p.Met, p.Detail = Fails, or(h.Why, f.Place.Dir+" cannot be looked at")
	case h.Value == HoldsNothing || h.Value == HoldsUnfinished:
		p.Met, p.Detail = Holds, fmt.Sprintf("%s holds %s", f.Place.Dir, h.Value)
	case h.Value == HoldsServer:
		p.Met, p.Detail = Fails, fmt.Sprintf("%s: a server is running on it", f.Place.Dir)
		if h.Why != "" {
			p.Detail = h.Why
		}
	case strings.TrimSpace(f.Answers[AskNotEmpty]) != "":
		p.Met, p.Detail = Holds, fmt.Sprintf("%s is not empty, and is to be turned into the restored cluster: %s", f.Place.Dir, f.Answers[AskNotEmpty])
	default:
		p.Met, p.Detail = Fails, fmt.Sprintf("%s is not empty; name another directory, or say with --delta that what is in it may be turned into the restored cluster", f.Place.Dir)
	}
	return p
}

// spare is what recovery writes beside the cluster.
const spare = 256 << 20

func (f Facts) room(bytes int64) Precondition {
	p := Precondition{Name: "room", Title: "There is room for it", Met: NotSeen, Detail: or(f.Place.Free.Why, "no directory was named")}
	if !f.Place.Free.Seen || bytes <= 0 {
		return p
	}
	free := f.Place.Free.Value
	p.Met, p.Detail = Holds, fmt.Sprintf("%d MiB are free, %d MiB are needed", free>>20, (bytes+spare)>>20+1)
	if free < bytes+spare && f.Place.Holds.Value == HoldsNothing {
		p.Met = Fails
	}
	return p
}

// roomToCheck does not keep from restoring: without it nothing of what was
// restored can be verified here, and nothing is started.
func (f Facts) roomToCheck(bytes int64) Precondition {
	p := Precondition{Name: "room-to-check", Title: "There is room to check a copy of it", Met: NotSeen, Detail: or(f.Place.CheckFree.Why, "it was not looked at")}
	if !f.Place.CheckFree.Seen || bytes <= 0 {
		return p
	}
	free := f.Place.CheckFree.Value
	p.Met, p.Detail = Holds, fmt.Sprintf("%d MiB are free in %s, %d MiB are needed", free>>20, f.Place.CheckDir, (bytes+spare)>>20+1)
	if free < bytes+spare {
		p.Met, p.Detail = NotSeen, p.Detail+": what is restored cannot be verified there; make room, or set drill.scratch_dir to another file system"
	}
	return p
}

func (f Facts) binaries() Precondition {
	b := f.Place.Binaries
	p := Precondition{Name: "binaries", Title: "A server of the right version is here", Met: Holds, Detail: b.Value}
	if !b.Seen {
		p.Met, p.Detail = Fails, or(b.Why, "it was not looked for")
	}
	return p
}

func (f Facts) identifyStep() Step {
	return Step{ID: StepIdentify, Title: "Look again at which server this is", Commands: []Command{}}
}

func (f Facts) verifyStep() Step {
	return Step{ID: StepVerify, Title: "Verify the server that serves, reading only", Commands: []Command{}}
}

func first(list []string) string {
	if len(list) == 0 {
		return "it was not looked at"
	}
	return list[0]
}
