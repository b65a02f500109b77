package action

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

func itoa(n int) string { return strconv.Itoa(n) }

// The columns of an export, and those that an import knows.
var columns = [...]string{"id", "status", "priority", "kind", "text", "owner", "team", "due", "incident", "source", "source_text", "check", "closed_at", "outcome", "links"}

// Export writes actions as CSV (RFC 4180) with a line of names. A field that a
// spreadsheet would take for a formula gets an apostrophe before it.
func Export(w io.Writer, all []State) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns[:]); err != nil {
		return err
	}
	for _, s := range all {
		check, closed, links := "", "", make([]string, len(s.Links))
		if s.Check != nil {
			check = s.Check.String()
		}
		if !s.ClosedAt.IsZero() {
			closed = s.ClosedAt.UTC().Format("2006-01-02T15:04:05Z")
		}
		for i, l := range s.Links {
			links[i] = l.URL
		}
		row := []string{s.ID, string(s.Status), string(s.Priority), string(s.Kind), s.Text, s.Owner, s.Team, s.Due.String(), s.Source.Incident, s.Source.Of, s.Source.Text, check, closed, s.Outcome, strings.Join(links, " ")}
		for i := range row {
			row[i] = inert(row[i])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r'", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Imported is a line of a file, as an action.
type Imported struct {
	Line int
	Add  Added
	Bind *Check
}

// MaxImport is how many lines an import takes.
const MaxImport = 10000

// Import reads actions from CSV with a line of names. It knows the columns of an
// export and some names that others use; it wants at least text. Every line is
// read before any is believed; the error names the line.
func Import(r io.Reader) ([]Imported, error) {
	all, err := io.ReadAll(io.LimitReader(r, 16<<20+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read actions: %w", err)
	case len(all) > 16<<20:
		return nil, refuse("the file is larger than 16 MiB")
	case !utf8.Valid(all):
		return nil, refuse("the file is no text in UTF-8")
	}
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(all, []byte("\ufeff"))))
	in.TrimLeadingSpace = true
	names, err := in.Read()
	if err != nil {
		return nil, refuse("line 1: no line of names: %v", err)
	}
	at := map[string]int{}
	for i, n := range names {
		if c := column(n); c != "" {
			if _, twice := at[c]; twice {
				return nil, refuse("line 1: the column %s is there twice", c)
			}
			at[c] = i
		}
	}
	if _, ok := at["text"]; !ok {
		return nil, refuse("line 1: there is no column text (also action, title, summary)")
	}
	var out []Imported
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, refuse("%v", err)
		}
		line, _ := in.FieldPos(0)
		if len(out) == MaxImport {
			return nil, refuse("line %d: more than %d actions", line, MaxImport)
		}
		x, err := importRow(at, row)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		x.Line = line
		out = append(out, x)
	}
}

func column(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "text", "action", "action item", "title", "summary", "description":
		return "text"
	case "owner", "assignee", "assigned to", "responsible":
		return "owner"
	case "due", "due date", "deadline", "by":
		return "due"
	case "kind", "type":
		return "kind"
	case "id", "priority", "team", "incident", "source", "source_text", "check":
		return name
	}
	return ""
}

func importRow(at map[string]int, row []string) (Imported, error) {
	get := func(c string) string {
		i, ok := at[c]
		if !ok || i >= len(row) {
			return ""
		}
		v := strings.TrimSpace(row[i])
		if len(v) > 1 && v[0] == '\'' && strings.ContainsRune("=+-@\t\r'", rune(v[1])) {
			v = v[1:]
		}
		return v
	}
	due, err := ParseDay(get("due"))
	if err != nil {
		return Imported{}, err
	}
	x := Imported{Add: Added{Item: Item{
		Text: get("text"), Owner: get("owner"), Team: get("team"), Due: due, Kind: Kind(strings.ToLower(get("kind"))), Priority: Priority(strings.ToLower(get("priority"))),
		Source: Source{Incident: get("incident"), Of: strings.ToLower(get("source")), Text: get("source_text")},
	}}}
	if x.Add.Priority == "" {
		x.Add.Priority = P2
	}
	x.Add.Key = ImportKey(x.Add.Item)
	if c := get("check"); c != "" {
		check, err := ParseCheck(c)
		if err != nil {
			return Imported{}, err
		}
		x.Bind = &check
	}
	return x, x.Add.check()
}

// ImportKey is the same for the same action of the same incident, so that it is
// added once.
func ImportKey(i Item) string {
	sum := sha256.Sum256([]byte(i.Source.Incident + "\x00" + strings.ToLower(strings.Join(strings.Fields(i.Text), " "))))
	return "import/" + hex.EncodeToString(sum[:8])
}
