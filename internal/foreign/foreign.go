// Package foreign holds what Refloat knows of backups that another tool makes:
// what an adapter found where that tool keeps them. Adapters only read; they
// live below this package, one a tool.
package foreign

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Tool is a backup tool that Refloat can read.
type Tool string

// The tools.
const (
	PgBackRest Tool = "pgbackrest"
	Barman     Tool = "barman"
	WALG       Tool = "wal-g"
	Dump       Tool = "dump" // files of pg_dump and pg_dumpall
	Jobs       Tool = "jobs" // what cron and systemd run
)

// Place is where a tool keeps backups: a stanza, a server, a prefix, a path.
type Place struct {
	Tool   Tool   `json:"tool"`
	Name   string `json:"name"`
	Config string `json:"config,omitempty"` // the tool's configuration, when it is not in its usual place
}

// String is the place as the command line takes it.
func (p Place) String() string {
	if p.Config == "" {
		return p.Source()
	}
	return string(p.Tool) + ":" + p.Name + "@" + p.Config
}

// Source names tool and place alone, as a proof does.
func (p Place) Source() string { return strings.TrimSuffix(string(p.Tool)+":"+p.Name, ":") }

// ParsePlace reads TOOL:NAME, or TOOL:NAME@CONFIG; wal-g needs no name.
func ParsePlace(s string) (Place, error) {
	tool, name, named := strings.Cut(s, ":")
	p := Place{Tool: Tool(tool), Name: name}
	if p.Tool == PgBackRest || p.Tool == Barman || p.Tool == WALG {
		if n, config, at := strings.Cut(name, "@/"); at {
			p.Name, p.Config = n, "/"+config
		}
	}
	switch p.Tool {
	case PgBackRest, Barman:
		if p.Name == "" {
			return p, fmt.Errorf("%q: name the stanza or server, as in %s:main, or %s:main@/etc/%s.conf", s, tool, tool, tool)
		}
	case Dump, Jobs:
		if !filepath.IsAbs(p.Name) {
			return p, fmt.Errorf("%q: give an absolute path, as in %s:/var/backups", s, tool)
		}
	case WALG:
	default:
		return p, fmt.Errorf("%q: want pgbackrest:STANZA, barman:SERVER, wal-g, dump:PATH or jobs:PATH", s)
	}
	if named && name == "" {
		return p, fmt.Errorf("%q: nothing follows the colon", s)
	}
	return p, nil
}

// Facts is what an adapter found at one place. What it could not look at says
// so for itself; what a tool does not have is nil or empty.
type Facts struct {
	Place

	File        string                      `json:"file,omitempty"` // the configuration that was read
	Line        int                         `json:"line,omitempty"` // where it speaks of this place
	SystemID    target.SystemID             `json:"system_id"`      // of the cluster that was backed up; 0 when unknown
	Data        []string                    `json:"data,omitempty"` // data directories that it names
	Health      *target.Known[Health]       `json:"health,omitempty"`
	Backups     *target.Known[[]Backup]     `json:"backups,omitempty"` // physical ones, oldest first
	Archive     *target.Known[Archive]      `json:"archive,omitempty"`
	Files       *target.Known[[]File]       `json:"files,omitempty"` // of dumps, oldest first
	Repository  *target.Known[[]Repository] `json:"repository,omitempty"`
	Retention   *target.Known[Retention]    `json:"retention,omitempty"`
	QueueMax    *target.Known[Setting]      `json:"queue_max,omitempty"` // log beyond it is thrown away
	Jobs        *target.Known[[]Job]        `json:"jobs,omitempty"`
	Tested      target.Known[[]Test]        `json:"tested"` // restores of it that were proven or not, oldest first
	NamedByUser bool                        `json:"named"`  // not found by itself
}

// Health is what the tool says of itself.
type Health struct {
	OK   bool     `json:"ok"`
	Said []string `json:"said,omitempty"` // what is wrong, in its words
}

// Backup is one physical backup of another tool.
type Backup struct {
	Label   string    `json:"label"`
	Kind    string    `json:"kind"` // full, diff, incr
	Prior   string    `json:"prior,omitempty"`
	EndedAt time.Time `json:"ended_at"`
	Bytes   int64     `json:"bytes"`             // when restored
	First   string    `json:"first"`             // first segment of log that it needs
	Last    string    `json:"last"`              // last one
	Error   string    `json:"error,omitempty"`   // what the tool noted
	Version int       `json:"version,omitempty"` // the server's major version
}

// Archive is the log that the tool holds.
type Archive struct {
	Where       string `json:"where"`
	SegmentSize int64  `json:"segment_size"`
	Spans       []Span `json:"spans"` // without a hole in any; by timeline, then position
}

// Span is a stretch of segments of one timeline, none of them missing.
type Span struct {
	First string `json:"first"`
	Last  string `json:"last"`
	Count int    `json:"count"`
}

// Repository is where the tool keeps its backups.
type Repository struct {
	Location  string `json:"location"`
	Local     bool   `json:"local"`     // a folder of this machine
	Device    uint64 `json:"device"`    // that it is on; 0 when it is not local
	Encrypted bool   `json:"encrypted"` // by the tool
	CanBe     bool   `json:"can_be"`    // the tool could encrypt it
}

// Retention is how many the tool keeps.
type Retention struct {
	Full int    `json:"full"` // whole backups; 0 when it counts by time, or keeps all
	Said string `json:"said"` // the setting, as it is written
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// Setting is a line of a tool's configuration.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"` // empty when it is not set
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}

// File is one dump.
type File struct {
	Path     string    `json:"path"`
	Bytes    int64     `json:"bytes"`
	At       time.Time `json:"at"`                 // last written
	Form     Form      `json:"form"`               // what it holds
	Packed   string    `json:"packed,omitempty"`   // gzip, zstd …
	Problem  string    `json:"problem,omitempty"`  // why it cannot be restored whole
	Unread   string    `json:"unread,omitempty"`   // why it could not be looked into
	Database string    `json:"database,omitempty"` // as far as it says
	Server   int       `json:"server,omitempty"`   // major version of the server that was dumped
	Client   int       `json:"client,omitempty"`   // major version of the program that dumped
	Tables   int64     `json:"tables"`             // tables with rows in it; -1 when unknown
	Filtered bool      `json:"filtered,omitempty"` // row security chose what was dumped
	Globals  bool      `json:"globals,omitempty"`  // it holds roles
}

// Form is the form of a dump.
type Form string

// The forms.
const (
	Plain     Form = "plain"     // SQL
	Custom    Form = "custom"    // pg_dump -Fc
	Directory Form = "directory" // pg_dump -Fd
	Tar       Form = "tar"       // pg_dump -Ft
	Other     Form = "other"     // no dump, or none that can be told
)

// Job is something that cron or systemd runs and that makes backups.
type Job struct {
	File     string            `json:"file"`
	Line     int               `json:"line,omitempty"`
	Schedule string            `json:"schedule,omitempty"` // as it is written
	User     string            `json:"user,omitempty"`
	Command  string            `json:"command"`
	Scripts  map[string]string `json:"scripts,omitempty"` // shell scripts that it runs, by path
	Unread   []string          `json:"unread,omitempty"`  // those that may not be read, with the reason
	Mail     string            `json:"mail,omitempty"`    // who hears of its output
	Heard    bool              `json:"heard"`             // somebody does, or systemd keeps it
	Systemd  bool              `json:"systemd,omitempty"`
}

// Test is a restore that was tried.
type Test struct {
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict"`
	Summary string    `json:"summary"`
}

// Some is a fact that the tool has.
func Some[T any](v T) *target.Known[T] { k := target.Seen(v); return &k }

// Hidden is a fact that the tool has and that could not be looked at.
func Hidden[T any](why string) *target.Known[T] { k := target.Unseen[T](why); return &k }

// Options say where adapters look.
type Options struct {
	Root        string    // of the file system that is searched; empty for /
	Environ     []string  // where WAL-G finds what it needs
	SegmentSize int64     // of the server's log; 0 for PostgreSQL's default
	Data        string    // the server's data directory, "" when it is not known
	Now         time.Time // by our clock
	Run         Runner    // runs the tools' listing commands
}

// Path is a path below the root that is searched.
func (o Options) Path(p string) string {
	if o.Root == "" || o.Root == "/" {
		return p
	}
	return filepath.Join(o.Root, p)
}
