package audit

import (
	"slices"
	"testing"
)

func TestChanges(t *testing.T) {
	report := func(o Outcome, why string, objects ...string) Report {
		r := Report{Results: []Result{{Rule: "server-slots", Outcome: o, Why: why}}}
		for _, n := range objects {
			r.Findings = append(r.Findings, Finding{Rule: "server-slots", Object: n})
		}
		return r
	}
	accepted := report(Found, "", "a")
	accepted.Findings[0].Suppressed = &Suppression{Owner: "ann"}
	keys := func(list []Finding) (out []string) {
		for _, f := range list {
			out = append(out, f.Object)
		}
		return out
	}
	for name, x := range map[string]struct {
		before, after  Report
		appeared, gone []string
		carried        []string
	}{
		"first report":              {Report{}, report(Found, "", "a", "b"), []string{"a", "b"}, nil, []string{"a", "b"}},
		"the same":                  {report(Found, "", "a"), report(Found, "", "a"), nil, nil, []string{"a"}},
		"one for another":           {report(Found, "", "a"), report(Found, "", "b"), []string{"b"}, []string{"a"}, []string{"b"}},
		"mended":                    {report(Found, "", "a"), report(Passed, ""), nil, []string{"a"}, nil},
		"nobody could look":         {report(Found, "", "a"), report(Unknown, "no right"), nil, nil, []string{"a"}},
		"could not look everywhere": {report(Found, "", "a"), report(Found, "one database", "b"), []string{"b"}, nil, []string{"b", "a"}},
		"no longer applies":         {report(Found, "", "a"), report(NotApplicable, "gone"), nil, []string{"a"}, nil},
		"accepted":                  {report(Found, "", "a"), accepted, nil, []string{"a"}, []string{"a"}},
		"no longer accepted":        {accepted, report(Found, "", "a"), []string{"a"}, nil, []string{"a"}},
		"a rule that is no more":    {report(Found, "", "a"), Report{}, nil, nil, nil},
	} {
		appeared, gone := Changes(x.before, x.after)
		if !slices.Equal(keys(appeared), x.appeared) || !slices.Equal(keys(gone), x.gone) {
			t.Errorf("%s: appeared %v, gone %v", name, keys(appeared), keys(gone))
		}
		if got := keys(Carry(x.before, x.after).Findings); !slices.Equal(got, x.carried) {
			t.Errorf("%s: carried %v, want %v", name, got, x.carried)
		}
	}
}
