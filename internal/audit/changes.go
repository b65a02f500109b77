package audit

// Changes compares two reports of one target: findings that were not there
// before, and those that are no longer there. A finding is gone only when its
// rule could look again. One that somebody accepted is not counted in either
// report.
func Changes(before, after Report) (appeared, gone []Finding) {
	looked := map[string]bool{}
	for _, r := range after.Results {
		// One that found something but could not look everywhere may have missed it.
		looked[r.Rule] = r.Outcome != Unknown && (r.Outcome != Found || r.Why == "")
	}
	was, is := open(before), open(after)
	for _, f := range after.Findings {
		if _, there := was[f.Key()]; is[f.Key()] && !there {
			appeared = append(appeared, f)
		}
	}
	for _, f := range before.Findings {
		if was[f.Key()] && !is[f.Key()] && looked[f.Rule] {
			gone = append(gone, f)
		}
	}
	return appeared, gone
}

// Carry adds to a report the findings of the one before whose rules could not
// look this time, so that what nobody could see is not taken for mended.
func Carry(before, after Report) Report {
	_, gone := Changes(before, after)
	is := open(after)
	absent := map[string]bool{}
	for _, f := range gone {
		absent[f.Key()] = true
	}
	known := map[string]bool{}
	for _, r := range after.Results {
		known[r.Rule] = true
	}
	for _, f := range before.Findings {
		if f.Suppressed == nil && !is[f.Key()] && !absent[f.Key()] && known[f.Rule] {
			after.Findings = append(after.Findings, f)
		}
	}
	return after
}

func open(r Report) map[string]bool {
	out := map[string]bool{}
	for _, f := range r.Findings {
		if f.Suppressed == nil {
			out[f.Key()] = true
		}
	}
	return out
}
