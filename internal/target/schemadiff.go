package target

import (
	"fmt"
	"slices"
	"strings"
)

// DiffSchema compares a restored copy's schema with production's and returns
// one line a difference, for people; none when they agree. Sizes are not
// compared: production goes on.
func DiffSchema(production, copied Schema) []string {
	var out []string
	out = diffList(out, "role", production.Roles, copied.Roles)
	out = diffList(out, "tablespace", production.Tablespaces, copied.Tablespaces)
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
		out = diffDatabase(out, p, c)
	}
	for _, c := range copied.Databases {
		if _, extra := have[c.Name]; extra {
			out = append(out, fmt.Sprintf("database %s is only in the copy", c.Name))
		}
	}
	return out
}

func diffDatabase(out []string, p, c DatabaseSchema) []string {
	in := " in database " + p.Name
	out = diffList(out, "extension"+in, p.Extensions, c.Extensions)
	have := map[string]Relation{}
	for _, r := range c.Relations {
		have[r.Name] = r
	}
	for _, r := range p.Relations {
		other, ok := have[r.Name]
		if !ok {
			out = append(out, fmt.Sprintf("%s %s%s is missing in the copy", r.Kind, r.Name, in))
			continue
		}
		delete(have, r.Name)
		if r.Kind != other.Kind {
			out = append(out, fmt.Sprintf("%s%s is a %s in production and a %s in the copy", r.Name, in, r.Kind, other.Kind))
		}
		if r.Unlogged != other.Unlogged {
			out = append(out, fmt.Sprintf("%s %s%s: unlogged is %t in production and %t in the copy", r.Kind, r.Name, in, r.Unlogged, other.Unlogged))
		}
		if !slices.Equal(r.Columns, other.Columns) {
			out = append(out, fmt.Sprintf("%s %s%s has columns (%s) in production and (%s) in the copy",
				r.Kind, r.Name, in, strings.Join(r.Columns, ", "), strings.Join(other.Columns, ", ")))
		}
	}
	for _, r := range c.Relations {
		if _, extra := have[r.Name]; extra {
			out = append(out, fmt.Sprintf("%s %s%s is only in the copy", r.Kind, r.Name, in))
		}
	}
	out = diffList(out, "index"+in, p.Indexes, c.Indexes)
	out = diffList(out, "constraint"+in, p.Constraints, c.Constraints)
	return diffList(out, "function"+in, p.Functions, c.Functions)
}

func diffList(out []string, what string, production, copied []string) []string {
	out = onlyIn(out, what, production, copied, "is missing in the copy")
	return onlyIn(out, what, copied, production, "is only in the copy")
}

func onlyIn(out []string, what string, here, there []string, how string) []string {
	known := make(map[string]bool, len(there))
	for _, s := range there {
		known[s] = true
	}
	for _, s := range here {
		if !known[s] {
			out = append(out, fmt.Sprintf("%s: %s %s", what, s, how))
		}
	}
	return out
}
