package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// onServer judges the server's facts, when they are known.
func onServer(f Facts, judge func(target.ServerFacts) Result) Result {
	if !f.Server.Seen {
		return unknown("the server: " + f.Server.Why)
	}
	return judge(f.Server.Value)
}

// setting judges one setting, when the role may see it.
func setting(f Facts, name string, judge func(target.Setting) []Finding) Result {
	return onServer(f, func(s target.ServerFacts) Result {
		v, ok := s.Settings[name]
		if !ok {
			return unknown("the role may not see the setting " + name)
		}
		return found(judge(v)...)
	})
}

// ofSetting is a finding about a setting, with where it is set.
func ofSetting(name string, s target.Setting) Finding {
	f := Finding{Object: name, Evidence: fmt.Sprintf("%s = %s%s, set by %s", name, s.Value, s.Unit, s.Source), File: s.File, Line: s.Line}
	if s.File != "" {
		f.Evidence += fmt.Sprintf(", %s line %d", s.File, s.Line)
	}
	return f
}
