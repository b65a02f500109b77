package audit

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// onServer judges the server's facts, when they are known.
func onServer(f Facts, judge func(target.ServerFacts) Result) Result {
	if !f.Server.Seen {
		return unknown("the server: " + cmp.Or(f.Server.Why, "nobody looked"))
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

// settings judges several settings, when the role may see all of them.
func settings(f Facts, names []string, judge func(target.ServerFacts) Result) Result {
	return onServer(f, func(s target.ServerFacts) Result {
		for _, name := range names {
			if _, ok := s.Settings[name]; !ok {
				return unknown("the role may not see the setting " + name)
			}
		}
		return judge(s)
	})
}

// part judges one part of the server's facts, when it is known.
func part[T any](f Facts, what string, of func(target.ServerFacts) target.Known[T], judge func(target.ServerFacts, T) Result) Result {
	return onServer(f, func(s target.ServerFacts) Result {
		k := of(s)
		if !k.Seen {
			return unknown(unseenPart(what, k.Why))
		}
		return judge(s, k.Value)
	})
}

func unseenPart(what, why string) string { return what + ": " + cmp.Or(why, "nobody looked") }

// insideDatabases judges each database, and names those that nobody could look
// into, where there seems to be nothing.
func insideDatabases(f Facts, judge func(target.ServerFacts, target.DatabaseFacts) []Finding) Result {
	return part(f, "databases", databasesOf, func(s target.ServerFacts, all []target.DatabaseFacts) Result {
		var out []Finding
		var unseen []string
		for _, d := range all {
			out = append(out, judge(s, d)...)
			if !d.Inside.Seen && d.AllowsConn {
				unseen = append(unseen, unseenPart("database "+d.Name, d.Inside.Why))
			}
		}
		return foundBut(strings.Join(unseen, "; "), out...)
	})
}

func databasesOf(s target.ServerFacts) target.Known[[]target.DatabaseFacts] { return s.Databases }

func sendersOf(s target.ServerFacts) target.Known[[]target.Sender] { return s.Senders }

func slotsOf(s target.ServerFacts) target.Known[[]target.SlotFacts] { return s.Slots }

// value is a setting's, "" when it is not known.
func value(s target.ServerFacts, name string) string { return s.Settings[name].Value }

// number is a setting as a number in its own unit, 0 when it is not known.
func number(s target.ServerFacts, name string) int64 {
	n, _ := strconv.ParseInt(value(s, name), 10, 64)
	return n
}

// megabytes is a setting whose unit is MB, as bytes.
func megabytes(s target.ServerFacts, name string) int64 { return number(s, name) << 20 }

// since is how long ago something happened by the server's clock.
func since(f Facts, s target.ServerFacts, at time.Time) time.Duration {
	return f.At.Add(s.Server.ClockOffset).Sub(at)
}

// ofSetting is a finding about a setting, with where it is set.
func ofSetting(name string, s target.Setting) Finding {
	unit := s.Unit
	if s.Value == "-1" || s.Value == "0" {
		unit = "" // these are words
	}
	f := Finding{Object: name, Evidence: fmt.Sprintf("%s = %s%s, set by %s", name, shown(s.Value), unit, s.Source), File: s.File, Line: s.Line}
	if s.File != "" {
		f.Evidence += fmt.Sprintf(", %s line %d", s.File, s.Line)
	}
	return f
}

// shown is a setting's value for a report, which may go far: what looks like a
// secret in a command is left out.
func shown(value string) string {
	if value == "" {
		return "''"
	}
	return secretWord.ReplaceAllString(value, "$1***")
}

var secretWord = regexp.MustCompile(`(?i)((?:[a-z0-9_-]*(?:password|passwd|passphrase|secret|token)[a-z0-9_-]*|[a-z0-9_]*_key|sas)(?:=| +))("[^"]*"|'[^']*'|\S+)`)

// bytesText is a size for a person.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " " + units[i]
}

// spanText is a duration for a person.
func spanText(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Minute:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Millisecond).String()
}

// examplesText names some of counted objects.
func examplesText(e target.Examples) string {
	out := strings.Join(e.Names, ", ")
	if rest := e.Count - int64(len(e.Names)); rest > 0 {
		out += fmt.Sprintf(" and %d more", rest)
	}
	return out
}

// firstOfEach keeps the first finding about each object.
func firstOfEach(all []Finding) (out []Finding) {
	seen := map[string]bool{}
	for _, f := range all {
		if !seen[f.Object] {
			seen[f.Object] = true
			out = append(out, f)
		}
	}
	return out
}

// quoteID quotes a name for SQL.
func quoteID(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
