package audit

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// atPlaces judges each place where another tool keeps backups, as far as it has
// what the rule looks at, and names those that could not be looked at.
func atPlaces[T any](f Facts, of func(foreign.Facts) *target.Known[T], judge func(foreign.Facts, T) []Finding) Result {
	var out []Finding
	var blind []string
	looked := false
	for _, x := range f.Foreign {
		k := of(x)
		switch {
		case k == nil:
		case !k.Seen:
			blind = append(blind, x.Source()+": "+cmp.Or(k.Why, "nobody looked"))
		default:
			looked = true
			out = append(out, ofPlace(x, judge(x, k.Value))...)
		}
	}
	if !looked && len(blind) == 0 {
		return notApplicable("no other tool was found that has such a thing of this server; --foreign names a place")
	}
	return foundBut(strings.Join(blind, "; "), out...)
}

// ofPlace says of findings where they were made.
func ofPlace(x foreign.Facts, findings []Finding) []Finding {
	for i := range findings {
		findings[i].Object = cmp.Or(findings[i].Object, x.Source())
		if findings[i].File == "" && x.File != "" && x.Tool != foreign.Dump && x.Tool != foreign.Jobs {
			findings[i].File, findings[i].Line = x.File, x.Line
		}
	}
	return findings
}

func backupsOf(x foreign.Facts) *target.Known[[]foreign.Backup]        { return x.Backups }
func filesOf(x foreign.Facts) *target.Known[[]foreign.File]            { return x.Files }
func archiveOf(x foreign.Facts) *target.Known[foreign.Archive]         { return x.Archive }
func repositoryOf(x foreign.Facts) *target.Known[[]foreign.Repository] { return x.Repository }
func jobsOf(x foreign.Facts) *target.Known[[]foreign.Job]              { return x.Jobs }

// whole are the backups that the tool notes no error of.
func whole(all []foreign.Backup) []foreign.Backup {
	return slices.DeleteFunc(slices.Clone(all), func(b foreign.Backup) bool { return b.Error != "" })
}

// series groups dumps that a job writes one after the other: names that differ
// in digits only. Each is oldest first.
func series(files []foreign.File) map[string][]foreign.File {
	out := map[string][]foreign.File{}
	for _, f := range files {
		name := undated(f.Path)
		out[name] = append(out[name], f)
	}
	return out
}

// undated is a path without the numbers in its name, and in the folder's name
// when that is a date.
func undated(file string) string {
	dir, base := path.Split(file)
	if parent, last := path.Split(strings.TrimSuffix(dir, "/")); date.MatchString(last) {
		dir = parent + digits.ReplaceAllString(last, "#") + "/"
	}
	return dir + digits.ReplaceAllString(base, "#")
}

var (
	digits = regexp.MustCompile(`\d+`)
	date   = regexp.MustCompile(`^[\d_T:.-]+$`)
)

// dumps are the files that hold the data of databases, as far as can be told.
func dumps(files []foreign.File) []foreign.File {
	return slices.DeleteFunc(slices.Clone(files), func(f foreign.File) bool { return f.Globals && f.Tables == 0 || onlyRoles(f) })
}

func onlyRoles(f foreign.File) bool {
	base := strings.ToLower(path.Base(f.Path))
	return f.Tables <= 0 && (strings.Contains(base, "globals") || strings.Contains(base, "roles"))
}

// newestOfEach is the newest dump of each series.
func newestOfEach(files []foreign.File) []foreign.File {
	var out []foreign.File
	for _, s := range series(files) {
		out = append(out, s[len(s)-1])
	}
	slices.SortFunc(out, func(a, b foreign.File) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// backsUp are the programs whose failure is a backup that was not made.
func backsUp(call string) bool {
	return slices.Contains([]string{"pg_dump", "pg_dumpall", "pg_basebackup", "pgbackrest", "barman", "wal-g", "pg_probackup"}, call)
}
