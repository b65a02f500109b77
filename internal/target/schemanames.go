package target

import (
	"fmt"
	"maps"
	"slices"
)

// DiffNames compares a copy that was loaded from a dump with production, by
// names and definitions alone: a loaded copy has OIDs of its own. One line a
// difference, for people.
func DiffNames(production, copied Schema) []string {
	var out []string
	out = diffSets(out, "role", production.Roles, copied.Roles)
	out = diffSets(out, "tablespace", production.Tablespaces, copied.Tablespaces)
	have := map[string]DatabaseSchema{}
	for _, d := range copied.Databases {
		have[d.Name] = d
	}
	for _, p := range production.Databases {
		c, ok := have[p.Name]
		if !ok {
			out = append(out, fmt.Sprintf("database %s is missing in the copy", p.Name))
			continue
		}
		delete(have, p.Name)
		in := " in database " + p.Name
		kinds := []string{"extension" + in + ":", "", "index" + in + ":", "constraint" + in + ":", "function" + in + ":"}
		here, there := all(p), all(c)
		for i, kind := range kinds {
			if kind == "" {
				kind = "in database " + p.Name + ":"
			}
			out = diffSets(out, kind, lines(here[i]), lines(there[i]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		out = append(out, fmt.Sprintf("database %s is only in the copy", name))
	}
	return out
}

func lines(objects []Object) []string {
	out := make([]string, 0, len(objects))
	for _, o := range objects {
		out = append(out, o.Text)
	}
	return out
}

func diffSets(out []string, what string, production, copied []string) []string {
	out = absent(out, what, production, copied, "is missing in the copy")
	return absent(out, what, copied, production, "is only in the copy")
}

func absent(out []string, what string, of, in []string, how string) []string {
	known := make(map[string]bool, len(in))
	for _, s := range in {
		known[s] = true
	}
	for _, s := range of {
		if !known[s] {
			out = append(out, fmt.Sprintf("%s %s %s", what, s, how))
		}
	}
	return out
}
