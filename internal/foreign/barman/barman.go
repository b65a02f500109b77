// Package barman reads Barman's configuration, its catalogue and log on disk,
// and what its own check says.
package barman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

const usual = "/etc/barman.conf"

// Find lists the servers of the usual configuration.
func Find(o foreign.Options) ([]foreign.Place, error) {
	conf, err := read(o, o.Path(usual))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []foreign.Place
	for section := range conf {
		if section != "barman" {
			out = append(out, foreign.Place{Tool: foreign.Barman, Name: section, Config: o.Path(usual)})
		}
	}
	slices.SortFunc(out, func(a, b foreign.Place) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func read(o foreign.Options, main string) (foreign.INI, error) {
	conf, err := foreign.ReadINI(main)
	if err != nil {
		return nil, err
	}
	dir := conf.Get("configuration_files_directory", "barman").Value
	if dir == "" {
		dir = "/etc/barman.d"
	}
	more, _ := filepath.Glob(filepath.Join(o.Path(dir), "*.conf"))
	return foreign.ReadINI(append([]string{main}, more...)...)
}

// Config is where the configuration of a server is.
func Config(o foreign.Options, p foreign.Place) string {
	if p.Config != "" {
		return p.Config
	}
	return o.Path(usual)
}

// Read looks at one server.
func Read(ctx context.Context, o foreign.Options, p foreign.Place) foreign.Facts {
	f := foreign.Facts{Place: p, File: Config(o, p)}
	conf, err := read(o, f.File)
	if err == nil && conf[p.Name] == nil {
		err = fmt.Errorf("%s has no server %s", f.File, p.Name)
	}
	if err != nil {
		why := "the configuration of Barman: " + err.Error()
		f.Repository, f.Retention = foreign.Hidden[[]foreign.Repository](why), foreign.Hidden[foreign.Retention](why)
		f.Health, f.Backups = foreign.Hidden[foreign.Health](why), foreign.Hidden[[]foreign.Backup](why)
		f.Archive = foreign.Hidden[foreign.Archive](why)
		return f
	}
	f.Line = conf[p.Name][""].Line
	d := folders(conf, p.Name)
	f.Retention = foreign.Some(retention(conf, p.Name))
	r := foreign.Repository{Location: d.home, Local: true}
	r.Device, _ = foreign.Device(d.home)
	f.Repository = foreign.Some([]foreign.Repository{r})
	catalogue(&f, o, d)
	f.Health = health(ctx, o, f.File, p.Name)
	return f
}

// directories are where Barman keeps what it has of a server.
type directories struct{ home, base, wals, incoming, streaming string }

func folders(conf foreign.INI, server string) directories {
	get := func(key, otherwise string) string {
		if v := conf.Get(key, server, "barman").Value; v != "" {
			return strings.NewReplacer("%(barman_home)s", conf.Get("barman_home", "barman").Value, "%(name)s", server).Replace(v)
		}
		return otherwise
	}
	home := get("backup_directory", filepath.Join(get("barman_home", "/var/lib/barman"), server))
	return directories{home: home, base: get("basebackups_directory", filepath.Join(home, "base")), wals: get("wals_directory", filepath.Join(home, "wals")),
		incoming: get("incoming_wals_directory", filepath.Join(home, "incoming")), streaming: get("streaming_wals_directory", filepath.Join(home, "streaming"))}
}

func retention(conf foreign.INI, server string) foreign.Retention {
	s := conf.Get("retention_policy", server, "barman")
	r := foreign.Retention{Said: "retention_policy is not set: all are kept", File: s.File, Line: s.Line}
	if s.Value != "" {
		r.Said = "retention_policy = " + s.Value
	}
	if word, n, ok := strings.Cut(s.Value, " "); ok && strings.EqualFold(word, "REDUNDANCY") {
		r.Full, _ = strconv.Atoi(strings.TrimSpace(n))
	}
	return r
}

// catalogue reads the backup.info of each backup, and the names in the archive.
func catalogue(f *foreign.Facts, o foreign.Options, d directories) {
	entries, err := os.ReadDir(d.base)
	if err != nil {
		f.Backups, f.Archive = foreign.Hidden[[]foreign.Backup](err.Error()), foreign.Hidden[foreign.Archive](err.Error())
		return
	}
	size := o.SegmentSize
	list := []foreign.Backup{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(d.base, e.Name(), "backup.info"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			f.Backups, f.Archive = foreign.Hidden[[]foreign.Backup](err.Error()), foreign.Hidden[foreign.Archive](err.Error())
			return
		}
		b, system, segment := backup(e.Name(), text)
		list = append(list, b)
		if system != 0 {
			f.SystemID = system
		}
		if segment != 0 {
			size = segment
		}
	}
	f.Backups = foreign.Some(list) // names begin with the time
	if size == 0 {
		size = foreign.DefaultSegmentSize
	}
	names, err := segments(d.wals)
	// What arrived and is not filed yet is given out by barman get-wal too.
	for _, dir := range []string{d.incoming, d.streaming} {
		arrived, _ := os.ReadDir(dir)
		for _, e := range arrived {
			names = append(names, e.Name())
		}
	}
	if err != nil {
		f.Archive = foreign.Hidden[foreign.Archive](err.Error())
		return
	}
	f.Archive = foreign.Some(foreign.Archive{Where: d.wals, SegmentSize: size, Spans: foreign.Spans(names, size)})
}

func backup(id string, text []byte) (foreign.Backup, target.SystemID, int64) {
	v := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			v[key] = value
		}
	}
	b := foreign.Backup{Label: id, Kind: "full", First: v["begin_wal"], Last: v["end_wal"]}
	b.Bytes, _ = strconv.ParseInt(v["size"], 10, 64)
	if version, err := strconv.Atoi(v["version"]); err == nil {
		b.Version = version / 10000
	}
	if at, err := time.Parse("2006-01-02 15:04:05.999999-07:00", v["end_time"]); err == nil {
		b.EndedAt = at.UTC()
	}
	switch {
	case v["status"] != "DONE" && v["status"] != "WAITING_FOR_WALS":
		b.Error = strings.TrimSpace(v["status"] + ": " + v["error"])
	case v["error"] != "" && v["error"] != "None":
		b.Error = v["error"]
	}
	system, _ := strconv.ParseUint(v["systemid"], 10, 64)
	size, _ := strconv.ParseInt(v["xlog_segment_size"], 10, 64)
	return b, target.SystemID(system), size
}

func segments(dir string) ([]string, error) {
	folders, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range folders {
		if !d.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, d.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// health asks Barman's own check, which needs no change of anything.
func health(ctx context.Context, o foreign.Options, config, server string) *target.Known[foreign.Health] {
	out, errs, code, err := o.Run(ctx, nil, "barman", "-c", config, "-f", "json", "check", server)
	if err != nil {
		return foreign.Hidden[foreign.Health](err.Error())
	}
	var all map[string]json.RawMessage
	var checks map[string]struct{ Hint, Status string }
	if json.Unmarshal(out, &all) != nil || json.Unmarshal(all[server], &checks) != nil {
		return foreign.Hidden[foreign.Health](fmt.Sprintf("barman check ended with status %d: %s", code, foreign.LastLine(append(errs, out...))))
	}
	h := foreign.Health{OK: true}
	for name, c := range checks {
		if c.Status != "OK" {
			h.OK = false
			h.Said = append(h.Said, strings.TrimSpace(strings.ReplaceAll(name, "_", " ")+": "+c.Status+" "+c.Hint))
		}
	}
	slices.Sort(h.Said)
	return foreign.Some(h)
}
