package recovery

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Card is a server's identity, shown before anything acts on it. What could not
// be looked at says why.
type Card struct {
	What        string                         `json:"what"` // the target, its standby, a directory
	Address     string                         `json:"address,omitempty"`
	Host        target.Known[string]           `json:"host"` // that it runs on, by its own word
	Port        int                            `json:"port,omitempty"`
	Alive       target.Known[bool]             `json:"alive"` // it answers, or its process is there
	Process     int                            `json:"process,omitempty"`
	SystemID    target.Known[target.SystemID]  `json:"system_id"`
	Directory   target.Known[string]           `json:"data_directory"`
	Version     target.Known[string]           `json:"version"`
	Role        target.Known[string]           `json:"role"`  // primary or standby
	State       string                         `json:"state"` // of a directory: as its control file says
	Size        target.Known[int64]            `json:"size"`
	Position    target.Known[target.Position]  `json:"position"`
	Commit      target.Known[time.Time]        `json:"last_commit"`
	Beat        target.Known[target.Beat]      `json:"last_heartbeat"`
	Started     target.Known[time.Time]        `json:"started"`
	Connections target.Known[[]target.Clients] `json:"connections"`
	Here        target.Known[bool]             `json:"here"` // it runs on this machine
	Verdict     Verdict                        `json:"verdict"`
}

// The roles of a server.
const (
	RolePrimary = "primary"
	RoleStandby = "standby"
)

// Is answers whether a server is the one that is meant.
type Is string

// The answers.
const (
	IsMeant    Is = "this is the one"
	IsNotMeant Is = "this is NOT the one"
	IsUnclear  Is = "not certain"
)

// Verdict says whether a server is the one that is meant, and why.
type Verdict struct {
	Is  Is       `json:"is"`
	Why []string `json:"why"`
}

// Meant is what is known of the server that is meant.
type Meant struct {
	Target     target.ID
	SystemID   target.Known[target.SystemID] // of its backups
	Restorable target.Known[time.Time]
	Reaches    target.Known[target.Position] // the repository's log
	Role       string                        // that it should have
}

// Judge says whether the card is that of the server that is meant. A
// system identifier that differs is a no, whatever else fits; one that is not
// known is never a yes.
func Judge(c Card, m Meant) Verdict {
	v := Verdict{Is: IsUnclear}
	add := func(format string, args ...any) { v.Why = append(v.Why, fmt.Sprintf(format, args...)) }
	switch {
	case !c.SystemID.Seen:
		add("its system identifier is not known: %s", or(c.SystemID.Why, "it was not looked at"))
	case !m.SystemID.Seen:
		add("there is nothing to compare its system identifier %s with: %s", c.SystemID.Value, or(m.SystemID.Why, "the repository has no backup"))
	case c.SystemID.Value != m.SystemID.Value:
		v.Is = IsNotMeant
		add("its system identifier is %s, that of the backups of %s is %s: it is another cluster", c.SystemID.Value, m.Target, m.SystemID.Value)
	default:
		v.Is = IsMeant
		add("its system identifier is %s, as that of the backups of %s", c.SystemID.Value, m.Target)
	}
	switch {
	case !c.Alive.Seen:
		add("whether it lives is not known: %s", or(c.Alive.Why, "it was not looked at"))
	case c.Alive.Value:
		add("it lives")
	default:
		add("it does not live: %s", or(c.Alive.Why, "nobody answers"))
	}
	if c.Role.Seen && m.Role != "" && c.Role.Value != m.Role {
		add("it is a %s, and a %s is meant", c.Role.Value, m.Role)
		if v.Is == IsMeant {
			v.Is = IsUnclear
		}
	}
	switch {
	case c.Here.Seen && c.Here.Value:
		add("it is on this machine")
	case c.Here.Seen:
		add("it is on another machine than this one")
	}
	v.newer(c, m, add)
	return v
}

// newer says whether the server has work that the repository lacks.
func (v Verdict) newer(c Card, m Meant, add func(string, ...any)) {
	if v.Is == IsNotMeant {
		return
	}
	if c.Commit.Seen && m.Restorable.Seen && c.Commit.Value.After(m.Restorable.Value) {
		add("its last commit (%s) is NEWER than what can be restored (%s)", clock(c.Commit.Value), clock(m.Restorable.Value))
		return
	}
	if c.Position.Seen && m.Reaches.Seen {
		switch here, there := c.Position.Value, m.Reaches.Value; {
		case here.Timeline > there.Timeline || here.Timeline == there.Timeline && here.LSN > there.LSN:
			add("its log is at %s, the repository's ends at %s: it may have work that the repository lacks", here, there)
		default:
			add("the repository's log reaches %s; its own was last seen at %s", there, here)
		}
	}
}

// Primary reports that it lives and takes writes, as far as is known.
func (c Card) Primary() bool {
	return c.Alive.Seen && c.Alive.Value && c.Role.Seen && c.Role.Value == RolePrimary
}

// Dead reports that it was looked at where it runs, and no process of it lives.
// That nobody answers from afar is no proof of that.
func (c Card) Dead() bool {
	return c.Alive.Seen && !c.Alive.Value && c.Here.Seen && c.Here.Value && c.Directory.Seen
}

// Lines are the card as it is shown and journalled.
func (c Card) Lines() []string {
	var out []string
	line := func(name, value string) { out = append(out, fmt.Sprintf("%s: %s", name, value)) }
	line("server", c.What)
	if c.Address != "" {
		line("address", c.Address)
	}
	line("verdict", string(c.Verdict.Is))
	for _, w := range c.Verdict.Why {
		line("  because", w)
	}
	line("host", shown(c.Host, func(s string) string { return s }))
	line("system identifier", shown(c.SystemID, target.SystemID.String))
	line("data directory", shown(c.Directory, func(s string) string { return s }))
	line("PostgreSQL", shown(c.Version, func(s string) string { return s }))
	line("role", shown(c.Role, func(s string) string { return s }))
	if c.State != "" {
		line("control file says", c.State)
	}
	line("size", shown(c.Size, func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }))
	line("last commit", shown(c.Commit, clock))
	line("log position", shown(c.Position, target.Position.String))
	line("last heartbeat", shown(c.Beat, func(b target.Beat) string { return fmt.Sprintf("%d, %s", b.Seq, clock(b.At)) }))
	line("running since", shown(c.Started, clock))
	line("connections", shown(c.Connections, func(all []target.Clients) string {
		if len(all) == 0 {
			return "none"
		}
		s := ""
		for i, x := range all {
			if i > 0 {
				s += ", "
			}
			s += fmt.Sprintf("%d %s", x.Count, or(x.Application, "(no name)"))
			if x.Active > 0 {
				s += fmt.Sprintf(" (%d at work)", x.Active)
			}
		}
		return s
	}))
	return out
}

func shown[T any](k target.Known[T], f func(T) string) string {
	if !k.Seen {
		return "not known: " + or(k.Why, "it was not looked at")
	}
	if k.Why != "" {
		return f(k.Value) + " (" + k.Why + ")"
	}
	return f(k.Value)
}
