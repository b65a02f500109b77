package audit

import (
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// receivers are programs, by application_name, that keep the log which they
// are sent.
func receivers() []string {
	return []string{"pg_receivewal", "pg_receivexlog", "barman_receive_wal", "pghoard"}
}

// keptBy names a receiver that is connected and keeps the log, "" for none.
// An empty why says that one would have been seen.
func keptBy(s target.ServerFacts) (by, why string) {
	for _, slot := range s.Slots.Value {
		if slot.Active && !slot.Logical && !slot.Temporary && strings.HasPrefix(slot.Name, "refloat_") {
			return "Refloat (slot " + slot.Name + ")", ""
		}
	}
	for _, w := range s.Senders.Value {
		if w.State == "streaming" && (slices.Contains(receivers(), w.Application) || strings.HasPrefix(w.Application, "refloat_")) {
			return w.Application, ""
		}
	}
	switch {
	case !s.Slots.Seen:
		return "", unseenPart("slots", s.Slots.Why)
	case !s.Senders.Seen:
		return "", unseenPart("connected receivers of the log", s.Senders.Why)
	}
	return "", ""
}

func archiveSettings() []string { return []string{"archive_mode", "archive_command"} }

// archives reports whether the server hands segments to a command or library.
func archives(s target.ServerFacts) bool {
	return value(s, "archive_mode") != "off" && (value(s, "archive_command") != "" || value(s, "archive_library") != "")
}

// archiveCommand judges what the archive command does, when there is one.
func archiveCommand(f Facts, judge func(s target.ServerFacts, c shellReading, about Finding) Result) Result {
	return settings(f, archiveSettings(), func(s target.ServerFacts) Result {
		command := s.Settings["archive_command"]
		switch {
		case value(s, "archive_mode") == "off":
			return notApplicable("archive_mode is off")
		case value(s, "archive_library") != "":
			return notApplicable("a library archives: " + value(s, "archive_library"))
		case command.Value == "" || command.Value == "(disabled)":
			return notApplicable("archive_command is empty")
		}
		c, err := readShell(command.Value)
		if err != nil {
			return unknown("archive_command cannot be read as a shell command: " + err.Error())
		}
		return judge(s, c, ofSetting("archive_command", command))
	})
}

// goodArchiveCommand is the fix for a bad one.
const goodArchiveCommand = "archive with a tool that checks, as in: ALTER SYSTEM SET archive_command = 'pgbackrest --stanza=NAME archive-push %p'; SELECT pg_reload_conf(); or let Refloat stream the log, and set archive_mode = off"

// destination is where a call of an archive command writes a segment to, on
// the server's host; "" when it does not, or elsewhere.
func (c shellCall) destination() string {
	var plain []string
	for i, a := range c.Args {
		if !strings.HasPrefix(a, "-") && (i == 0 || c.Args[i-1] != "-o") {
			plain = append(plain, a)
		}
	}
	to := ""
	switch c.Name {
	case "cp", "mv", "install", "rsync", "scp", "ln":
		if len(plain) > 1 {
			to = plain[len(plain)-1]
		}
		if i := slices.IndexFunc(c.Args, func(a string) bool { return a == "-t" }); i >= 0 && i+1 < len(c.Args) {
			to = c.Args[i+1]
		}
		if host, _, remote := strings.Cut(to, ":"); remote && !strings.Contains(host, "/") {
			return ""
		}
	case "dd":
		for _, a := range c.Args {
			if v, ok := strings.CutPrefix(a, "of="); ok {
				to = v
			}
		}
	case "cat", "gzip", "pigz", "bzip2", "xz", "zstd", "lz4", "lzop", "gpg", "openssl", "age":
		to = c.Out
		if i := slices.Index(c.Args, "-o"); i >= 0 && i+1 < len(c.Args) {
			to = c.Args[i+1]
		}
	}
	return to
}

// overwrites reports whether a call would replace a file that is there.
func (c shellCall) overwrites() bool {
	has := func(flags ...string) bool {
		return slices.ContainsFunc(c.Args, func(a string) bool {
			return slices.Contains(flags, a) || len(a) > 1 && a[0] == '-' && a[1] != '-' && c.Name != "rsync" && strings.Contains(a, "n") && slices.Contains(flags, "-n")
		})
	}
	switch c.Name {
	case "cp", "mv", "install":
		return !has("-n", "--no-clobber", "--update=none", "--update=none-fail", "-b", "--backup")
	case "rsync":
		return !has("--ignore-existing")
	case "dd":
		return !slices.Contains(c.Args, "conv=excl") && !slices.Contains(c.Args, "conv=excl,fsync") && !slices.Contains(c.Args, "conv=fsync,excl")
	case "ln":
		return has("-f", "-sf", "--force")
	}
	return c.Over || c.Out == "" && has("-f", "--force")
}
