package target

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DiffSchema compares a restored copy's schema with production's and returns
// one line a difference, for people; none when they agree. Production goes on
// while a copy is made, so its schema is given as it was before and as it was
// after: what was made, changed or dropped in between may be either way in the
// copy. Objects are told apart by their OID, which a physical copy shares, so
// that a table that is dropped and made again under its name is not taken for
// one that was there all the time. Sizes are not compared.
func DiffSchema(before, copied, after Schema) []string {
	var out []string
	out = diffLines(out, "role", before.Roles, copied.Roles, after.Roles)
	out = diffLines(out, "tablespace", before.Tablespaces, copied.Tablespaces, after.Tablespaces)
	d := schemaDiff{steady: true}
	d.objects("", "database", databases(before), databases(copied), databases(after))
	have, then := byOID(copied), byOID(after)
	for _, b := range before.Databases {
		c, inCopy := have[b.OID]
		a, inAfter := then[b.OID]
		if inCopy && inAfter {
			d.steady = slices.EqualFunc(all(b), all(a), slices.Equal)
			d.database(b, c, a)
		}
	}
	return append(out, d.lines...)
}

func byOID(s Schema) map[uint32]DatabaseSchema {
	out := map[uint32]DatabaseSchema{}
	for _, d := range s.Databases {
		out[d.OID] = d
	}
	return out
}

func databases(s Schema) []Object {
	var out []Object
	for _, d := range s.Databases {
		out = append(out, Object{OID: d.OID, Text: d.Name})
	}
	return out
}

// all are a database's objects, by kind.
func all(d DatabaseSchema) [][]Object {
	return [][]Object{d.Extensions, relations(d), d.Indexes, d.Constraints, d.Functions}
}

// schemaDiff collects differences.
type schemaDiff struct {
	steady bool // production's objects are after as they were before
	lines  []string
}

func (d *schemaDiff) database(b, c, a DatabaseSchema) {
	in := " in database " + b.Name
	d.objects(in, "extension", b.Extensions, c.Extensions, a.Extensions)
	d.objects(in, "", relations(b), relations(c), relations(a))
	d.objects(in, "index", b.Indexes, c.Indexes, a.Indexes)
	d.objects(in, "constraint", b.Constraints, c.Constraints, a.Constraints)
	d.objects(in, "function", b.Functions, c.Functions, a.Functions)
}

// relations renders relations with all that must be the same.
func relations(d DatabaseSchema) []Object {
	var out []Object
	for _, r := range d.Relations {
		unlogged := ""
		if r.Unlogged {
			unlogged = "unlogged "
		}
		out = append(out, Object{OID: r.OID, Text: fmt.Sprintf("%s%s %s (%s)", unlogged, r.Kind, r.Name, strings.Join(r.Columns, ", "))})
	}
	return out
}

// objects compares the objects of one kind.
func (d *schemaDiff) objects(in, kind string, before, copied, after []Object) {
	if kind != "" {
		kind += " "
	}
	have, then := texts(copied), texts(after)
	was := texts(before)
	for _, b := range before {
		c, inCopy := have[b.OID]
		a, inAfter := then[b.OID]
		switch {
		case !inAfter: // dropped meanwhile
		case !inCopy:
			d.lines = append(d.lines, fmt.Sprintf("%s%s%s is missing in the copy", kind, b.Text, in))
		case a == b.Text && c != b.Text:
			d.lines = append(d.lines, fmt.Sprintf("%s%s%s is %s in the copy", kind, b.Text, in, c))
		}
	}
	newest := uint32(0) // what is made later has a higher OID
	for _, b := range before {
		newest = max(newest, b.OID)
	}
	for _, c := range copied {
		_, inBefore := was[c.OID]
		_, inAfter := then[c.OID]
		// Something that production never showed was made and dropped meanwhile,
		// as long as there are signs that such things go on.
		if !inBefore && !inAfter && d.steady && c.OID <= newest {
			d.lines = append(d.lines, fmt.Sprintf("%s%s%s is only in the copy", kind, c.Text, in))
		}
	}
}

func texts(list []Object) map[uint32]string {
	out := make(map[uint32]string, len(list))
	for _, o := range list {
		out[o.OID] = o.Text
	}
	return out
}

// diffLines compares what has no OID of its own to go by: what production had
// both before and after must be in the copy, and what is in the copy must have
// been in production before or after.
func diffLines(out []string, what string, before, copied, after []string) []string {
	in := func(list []string) map[string]bool {
		return maps.Collect(func(yield func(string, bool) bool) {
			for _, s := range list {
				if !yield(s, true) {
					return
				}
			}
		})
	}
	had, has := in(before), in(after)
	for _, s := range before {
		if has[s] && !slices.Contains(copied, s) {
			out = append(out, fmt.Sprintf("%s: %s is missing in the copy", what, s))
		}
	}
	for _, s := range copied {
		if !had[s] && !has[s] {
			out = append(out, fmt.Sprintf("%s: %s is only in the copy", what, s))
		}
	}
	return out
}
