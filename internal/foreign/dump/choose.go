package dump

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
)

// Set is what is restored together.
type Set struct {
	Globals string // file that makes the roles; empty when there is none
	Files   []foreign.File
	Single  bool // one file was asked for, and not a folder
}

var digits = regexp.MustCompile(`\d+`)

// Choose takes the newest dump of each database, and the newest file with
// roles: named, or beside the dumps.
func Choose(files []foreign.File, place, globals string) Set {
	i, err := os.Stat(place)
	s := Set{Globals: globals, Single: err == nil && (!i.IsDir() || exists(filepath.Join(place, "toc.dat")))}
	newest := map[string]foreign.File{}
	var known []string
	for _, f := range files {
		if f.Database != "" {
			known = append(known, f.Database)
		}
	}
	for _, f := range files { // oldest first
		if f.Globals && f.Tables <= 0 {
			if globals == "" {
				s.Globals = f.Path
			}
			continue
		}
		key := digits.ReplaceAllString(f.Path, "#")
		if db := DatabaseOf(f, known); f.Database != "" || slices.Contains(known, db) {
			key = db
		}
		newest[key] = f
	}
	for _, f := range newest {
		s.Files = append(s.Files, f)
	}
	slices.SortFunc(s.Files, func(a, b foreign.File) int { return strings.Compare(a.Path, b.Path) })
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// DatabaseOf guesses which of some databases a plain dump is of, by its name;
// else it is what is left of the name without date and ending.
func DatabaseOf(f foreign.File, known []string) string {
	if f.Database != "" {
		return f.Database
	}
	base := filepath.Base(f.Path)
	best := ""
	for _, k := range known {
		if strings.Contains(base, k) && len(k) > len(best) {
			best = k
		}
	}
	if best != "" {
		return best
	}
	base, _, _ = strings.Cut(base, ".")
	return cmp.Or(strings.Trim(digits.ReplaceAllString(base, ""), "-_ :T"), "dump")
}
