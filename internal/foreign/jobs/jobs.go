// Package jobs reads what cron and systemd run, as far as it makes backups of
// PostgreSQL.
package jobs

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
)

// makes tells a command that has to do with backups.
var makes = regexp.MustCompile(`\b(pg_dump|pg_dumpall|pg_basebackup|pgbackrest|barman|wal-g|pg_probackup)\b`)

// Find is the place of this machine's jobs.
func Find(o foreign.Options) ([]foreign.Place, error) {
	f := Read(o, foreign.Place{Tool: foreign.Jobs, Name: o.Path("/")})
	if f.Jobs.Seen && len(f.Jobs.Value) == 0 {
		return nil, nil
	}
	return []foreign.Place{f.Place}, nil
}

// Read looks at every job below a root, or at one crontab.
func Read(o foreign.Options, p foreign.Place) foreign.Facts {
	r := reader{root: p.Name}
	f := foreign.Facts{Place: p, File: p.Name}
	if i, err := os.Stat(p.Name); err != nil {
		f.Jobs = foreign.Hidden[[]foreign.Job](err.Error())
		return f
	} else if !i.IsDir() {
		r.root = o.Path("/")
		r.crontab(p.Name, systemWide(p.Name), "")
	} else {
		r.all()
	}
	if len(r.jobs) == 0 && len(r.unread) > 0 {
		f.Jobs = foreign.Hidden[[]foreign.Job](strings.Join(r.unread, "; "))
		return f
	}
	for i := range r.jobs {
		r.jobs[i].Unread = append(r.jobs[i].Unread, r.unread...)
	}
	f.Jobs = foreign.Some(r.jobs)
	return f
}

// Folders are those that the jobs write dumps to, as far as they say so plainly.
func Folders(jobs []foreign.Job) []string {
	var out []string
	for _, j := range jobs {
		for _, text := range append(slices.Collect(values(j.Scripts)), j.Command) {
			if !strings.Contains(text, "pg_dump") {
				continue
			}
			for _, m := range writes.FindAllStringSubmatch(text, -1) {
				d := filepath.Clean(m[1])
				if !slices.Contains(out, d) && !strings.HasPrefix(d, "/dev") && d != "/" {
					out = append(out, d)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func values(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

var writes = regexp.MustCompile(`(?:>\s*|-f\s*|--file[= ])["']?(/[^\s"'$;|&]*/)`)

type reader struct {
	root   string
	jobs   []foreign.Job
	unread []string
}

func (r *reader) path(p string) string { return filepath.Join(r.root, p) }

func (r *reader) all() {
	r.crontab(r.path("/etc/crontab"), true, "")
	r.each("/etc/cron.d", func(f string) { r.crontab(f, true, "") })
	r.each("/var/spool/cron/crontabs", func(f string) { r.crontab(f, false, filepath.Base(f)) })
	r.each("/var/spool/cron", func(f string) { r.crontab(f, false, filepath.Base(f)) })
	for _, when := range []string{"hourly", "daily", "weekly", "monthly"} {
		r.each("/etc/cron."+when, func(f string) {
			text, ok := r.text(f)
			if ok && makes.MatchString(text) {
				r.add(foreign.Job{File: f, Schedule: when, User: "root", Command: f, Heard: !quiet(text), Scripts: map[string]string{f: text}})
			}
		})
	}
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/usr/local/lib/systemd/system"} {
		r.each(dir, r.unit)
	}
}

// each visits the files of a folder. One that is not there holds no job.
func (r *reader) each(dir string, visit func(string)) {
	real, err := filepath.EvalSymlinks(r.path(dir))
	if err != nil || real != filepath.Clean(r.path(dir)) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.unread = append(r.unread, err.Error())
		}
		return // a link to one that is visited under its own name
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		r.unread = append(r.unread, err.Error())
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			visit(filepath.Join(real, e.Name()))
		}
	}
}

const longest = 1 << 20 // a script or crontab that is longer is not one

func (r *reader) text(path string) (string, bool) {
	i, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	if err == nil && i.Size() > longest {
		return "", false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		r.unread = append(r.unread, err.Error())
		return "", false
	}
	return string(b), true
}

// systemWide reports whether the lines of a crontab name a user.
func systemWide(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for l := range strings.Lines(string(text)) {
		if m := line.FindStringSubmatch(strings.TrimRight(l, "\n")); m != nil && !strings.HasPrefix(strings.TrimSpace(l), "#") && !setting.MatchString(l) {
			first, _, _ := strings.Cut(strings.TrimSpace(m[2]), " ")
			_, err := user.Lookup(first)
			return err == nil && !makes.MatchString(first)
		}
	}
	return false
}

var (
	setting = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$`)
	line    = regexp.MustCompile(`^\s*(@\w+|(?:\S+\s+){4}\S+)\s+(.*)$`)
)

// crontab reads a table of cron; withUser ones name a user before the command.
func (r *reader) crontab(path string, withUser bool, user string) {
	text, ok := r.text(path)
	if !ok {
		return
	}
	mail, told := "", false
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		l := lines.Text()
		if strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue
		}
		if m := setting.FindStringSubmatch(l); m != nil {
			if m[1] == "MAILTO" {
				mail, told = strings.Trim(strings.TrimSpace(m[2]), `"'`), true
			}
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		j := foreign.Job{File: path, Line: n, Schedule: m[1], User: user, Command: m[2], Mail: mail}
		if withUser {
			j.User, j.Command, _ = strings.Cut(strings.TrimSpace(m[2]), " ")
		}
		j.Command = strings.TrimSpace(unescape(j.Command))
		r.scripts(&j)
		if r.concerns(j) {
			all := j.Command
			for _, s := range j.Scripts {
				all += "\n" + s
			}
			j.Heard = (!told || mail != "") && !quiet(j.Command) || speaks.MatchString(all)
			r.add(j)
		}
	}
}

// unescape: a bare % ends a command in a crontab, what follows is its input.
func unescape(command string) string {
	var b strings.Builder
	for i := 0; i < len(command); i++ {
		switch {
		case command[i] == '\\' && i+1 < len(command) && command[i+1] == '%':
			i++
			b.WriteByte('%')
		case command[i] == '%':
			return b.String()
		default:
			b.WriteByte(command[i])
		}
	}
	return b.String()
}

var (
	quietly = regexp.MustCompile(`2>\s*/dev/null|&>>?\s*/dev/null|>&\s*/dev/null|>\s*/dev/null\s+2>&1`)
	speaks  = regexp.MustCompile(`\b(mail|mailx|sendmail|curl|wget|logger|systemd-cat|chronic|cronitor|healthchecks)\b`)
)

func quiet(command string) bool { return quietly.MatchString(command) && !speaks.MatchString(command) }

// scripts reads the shell scripts that a command runs.
func (r *reader) scripts(j *foreign.Job) {
	for _, word := range strings.FieldsFunc(j.Command, func(c rune) bool { return strings.ContainsRune(" \t'\";&|()", c) }) {
		if !filepath.IsAbs(word) || makes.MatchString(filepath.Base(word)) {
			continue
		}
		path := r.path(word)
		if i, err := os.Stat(path); err != nil || !i.Mode().IsRegular() || i.Size() > longest {
			if path = word; r.root == "/" {
				continue
			}
			if i, err := os.Stat(path); err != nil || !i.Mode().IsRegular() || i.Size() > longest {
				continue
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			j.Unread = append(j.Unread, err.Error())
			continue
		}
		if shell.Match(text) {
			if j.Scripts == nil {
				j.Scripts = map[string]string{}
			}
			j.Scripts[word] = string(text)
		}
	}
}

var shell = regexp.MustCompile(`^#!\s*\S*(/env\s+)?\S*\b(sh|bash|dash|ksh)\b`)

func (r *reader) concerns(j foreign.Job) bool {
	if makes.MatchString(j.Command) {
		return true
	}
	for _, s := range j.Scripts {
		if makes.MatchString(s) {
			return true
		}
	}
	return false
}

func (r *reader) add(j foreign.Job) {
	r.jobs = append(r.jobs, j)
}

// unit reads a service that a timer starts.
func (r *reader) unit(path string) {
	base, is := strings.CutSuffix(path, ".service")
	if !is {
		return
	}
	timer, ok := r.text(base + ".timer")
	if !ok {
		return
	}
	text, ok := r.text(path)
	if !ok {
		return
	}
	j := foreign.Job{File: path, Systemd: true, Heard: true}
	for l := range strings.Lines(timer) {
		if v, is := strings.CutPrefix(strings.TrimSpace(l), "OnCalendar="); is {
			j.Schedule = v
		}
	}
	n := 0
	for l := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		n++
		l = strings.TrimSpace(l)
		if v, is := strings.CutPrefix(l, "User="); is {
			j.User = v
		}
		v, is := strings.CutPrefix(l, "ExecStart=")
		if !is {
			continue
		}
		command := strings.TrimLeft(v, "-@:+!")
		x := j
		x.Line, x.Command = n, command
		if strings.Contains(v[:len(v)-len(command)], "-") {
			x.Command = fmt.Sprintf("%s || true", command) // which is what the - before it means
		}
		r.scripts(&x)
		if r.concerns(x) {
			r.add(x)
		}
	}
}
