package recovery

import "fmt"

// order is which ways are tried for a reason, the best first, and why the best
// is.
func order(r Reason) ([]Name, string) {
	switch r {
	case Starting:
		return []Name{Wait, Promote, RestoreLatest}, "it is on its way back by itself, without loss"
	case Crash:
		return []Name{Restart, Promote, RestoreLatest}, "its data is there: it recovers from its own log, which loses nothing that was acknowledged"
	case Hang:
		return []Name{Restart, Promote, RestoreLatest}, "it lives and does nothing: starting it again loses nothing that was acknowledged"
	case Unreachable:
		return []Name{Promote, RestoreLatest}, "its machine is out of reach, and the standby is not"
	case NoConnections:
		return []Name{Mend, Restart}, "it lives: ending sessions that do nothing frees places at once"
	case DiskFull:
		return []Name{Mend, Promote, RestoreLatest}, "its data is whole: it needs room, and nothing else"
	case ReadOnly:
		return []Name{Mend, Promote, RestoreLatest}, "it lives, and is kept from writing by a setting or by being a standby"
	case Denied:
		return []Name{Mend}, "it lives, and does not let Refloat in: what clients see may be another thing"
	case Failing:
		return []Name{Restart, Promote, RestoreLatest}, "a restart is the least that may help; read its log first"
	case DataDeleted:
		return []Name{RestoreTo}, "what was deleted is only in the past: it is brought back into a directory of its own, beside the server that lives"
	}
	return []Name{Restart, Promote, RestoreLatest}, "it is not known what is wrong: this is the least that may help; read its log first"
}

// recommend marks the first way for the reason in which no precondition fails,
// and says of the others why they are not.
func recommend(f Facts, all []Way) []Way {
	names, why := order(f.Reason)
	best := -1
	for rank, n := range names {
		for i := range all {
			w := &all[i]
			if w.Name != n || best >= 0 {
				continue
			}
			if p := w.Failing(); p != nil {
				continue
			}
			best = i
			w.Recommended, w.Why = true, why
			if rank > 0 {
				w.Why = fmt.Sprintf("what comes first for this (%s) is not possible; this is the next", names[0])
			}
		}
	}
	for i := range all {
		w := &all[i]
		if p := w.Failing(); p != nil {
			w.Why = fmt.Sprintf("not possible now: %s: %s", p.Title, p.Detail)
		} else if !w.Recommended {
			w.Why = "possible, and not what is best for this"
		}
		if w.Risks == nil {
			w.Risks = []string{}
		}
	}
	if best > 0 {
		w := all[best]
		copy(all[1:best+1], all[:best])
		all[0] = w
	}
	return all
}

// Find is the way of a name; nil when it is none.
func Find(all []Way, n Name) *Way {
	for i := range all {
		if all[i].Name == n {
			return &all[i]
		}
	}
	return nil
}
