// Package pgbackrest reads pgBackRest's configuration and what it says of its
// stanzas.
package pgbackrest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// usual are the places of its configuration (pgBackRest's user guide).
func usual() []string { return []string{"/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"} }

// Find lists the stanzas of the usual configuration. The error says why it
// could not be read; there being none is none.
func Find(o foreign.Options) ([]foreign.Place, error) {
	for _, f := range usual() {
		conf, err := foreign.ReadINI(files(o.Path(f))...)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var out []foreign.Place
		for section := range conf {
			if section != "global" && !strings.Contains(section, ":") {
				out = append(out, foreign.Place{Tool: foreign.PgBackRest, Name: section, Config: o.Path(f)})
			}
		}
		slices.SortFunc(out, func(a, b foreign.Place) int { return strings.Compare(a.Name, b.Name) })
		return out, nil
	}
	return nil, nil
}

// files are the configuration and what it includes.
func files(main string) []string {
	more, _ := filepath.Glob(filepath.Join(filepath.Dir(main), "conf.d", "*.conf"))
	return append([]string{main}, more...)
}

// Config is where the configuration of a stanza is.
func Config(o foreign.Options, p foreign.Place) string {
	if p.Config != "" {
		return p.Config
	}
	for _, f := range usual() {
		if _, err := os.Stat(o.Path(f)); err == nil {
			return o.Path(f)
		}
	}
	return o.Path(usual()[0])
}

// Arguments are those that each command of a stanza begins with. Nothing is
// logged to a file: looking leaves no trace.
func Arguments(config, stanza string) []string {
	args := []string{"--config=" + config, "--stanza=" + stanza, "--log-level-file=off", "--log-level-console=warn"}
	if d := filepath.Join(filepath.Dir(config), "conf.d"); dirExists(d) {
		args = append(args, "--config-include-path="+d)
	}
	return args
}

func dirExists(d string) bool {
	i, err := os.Stat(d)
	return err == nil && i.IsDir()
}

// Read looks at one stanza.
func Read(ctx context.Context, o foreign.Options, p foreign.Place) foreign.Facts {
	f := foreign.Facts{Place: p, File: Config(o, p)}
	conf, err := foreign.ReadINI(files(f.File)...)
	if err != nil {
		why := "the configuration of pgBackRest: " + err.Error()
		f.Repository, f.Retention = foreign.Hidden[[]foreign.Repository](why), foreign.Hidden[foreign.Retention](why)
		f.QueueMax = foreign.Hidden[foreign.Setting](why)
	} else {
		configured(&f, conf)
	}
	info, err := ask(ctx, o, f.File, p.Name)
	if err != nil {
		f.Health, f.Backups = foreign.Hidden[foreign.Health](err.Error()), foreign.Hidden[[]foreign.Backup](err.Error())
		f.Archive = foreign.Hidden[foreign.Archive](err.Error())
		return f
	}
	said(&f, info)
	archive(&f, o, info)
	return f
}

var numbered = regexp.MustCompile(`^(pg|repo)(\d+)-`)

// configured reads what the configuration says of the stanza.
func configured(f *foreign.Facts, conf foreign.INI) {
	sections := []string{f.Name, "global:backup", "global:archive-push", "global"}
	f.Line = conf[f.Name][""].Line
	queue := conf.Get("archive-push-queue-max", f.Name+":archive-push", f.Name, "global:archive-push", "global")
	f.QueueMax = foreign.Some(queue)
	repos := map[string]bool{"1": true}
	for _, s := range sections {
		for key, v := range conf[s] {
			m := numbered.FindStringSubmatch(key)
			switch {
			case m == nil:
			case m[1] == "repo":
				repos[m[2]] = true
			case strings.HasSuffix(key, "-path") && !strings.Contains(key, "socket") && v.Value != "":
				f.Data = append(f.Data, filepath.Clean(v.Value))
			}
		}
	}
	list, retention := []foreign.Repository{}, foreign.Retention{Said: "retention-full is not set: all are kept"}
	for n := range repos {
		get := func(key string) foreign.Setting { return conf.Get("repo"+n+"-"+key, sections...) }
		list = append(list, repository(get))
		keep := get("retention-full")
		if keep.Value == "" {
			keep = conf.Get("retention-full", sections...)
		}
		full, err := strconv.Atoi(keep.Value)
		if err == nil && get("retention-full-type").Value != "time" && (retention.Full == 0 || full > retention.Full) {
			retention = foreign.Retention{Full: full, Said: keep.Name + "=" + keep.Value, File: keep.File, Line: keep.Line}
		} else if err == nil {
			retention.Said = keep.Name + "=" + keep.Value + " by time"
		}
	}
	slices.SortFunc(list, func(a, b foreign.Repository) int { return strings.Compare(a.Location, b.Location) })
	f.Repository, f.Retention = foreign.Some(list), foreign.Some(retention)
}

func repository(get func(string) foreign.Setting) foreign.Repository {
	r := foreign.Repository{CanBe: true, Encrypted: get("cipher-type").Value != "" && get("cipher-type").Value != "none"}
	path, kind, host := get("path").Value, get("type").Value, get("host").Value
	if path == "" {
		path = "/var/lib/pgbackrest"
	}
	switch {
	case host != "":
		r.Location = host + ":" + path
	case kind == "" || kind == "posix" || kind == "cifs":
		r.Location, r.Local = path, kind != "cifs"
		if d, err := foreign.Device(path); err == nil && r.Local {
			r.Device = d
		}
	default:
		r.Location = kind + "://" + get(kind+"-bucket").Value + get(kind+"-container").Value + path
	}
	return r
}

// info is what `pgbackrest info --output=json` says of a stanza.
type info struct {
	Archive []struct {
		Database struct {
			ID int `json:"id"`
		} `json:"database"`
		ID  string `json:"id"`
		Min string `json:"min"`
		Max string `json:"max"`
	} `json:"archive"`
	Backup []struct {
		Archive  struct{ Start, Stop string } `json:"archive"`
		Database struct {
			ID int `json:"id"`
		} `json:"database"`
		Error     bool     `json:"error"`
		ErrorList []string `json:"error-list"`
		Info      struct {
			Size int64 `json:"size"`
		} `json:"info"`
		Label     string  `json:"label"`
		Prior     *string `json:"prior"`
		Timestamp struct {
			Stop int64 `json:"stop"`
		} `json:"timestamp"`
		Type string `json:"type"`
	} `json:"backup"`
	DB []struct {
		ID       int             `json:"id"`
		SystemID json.RawMessage `json:"system-id"`
		Version  string          `json:"version"`
	} `json:"db"`
	Repo []struct {
		Key    int `json:"key"`
		Status struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"status"`
	} `json:"repo"`
	Status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
}

func ask(ctx context.Context, o foreign.Options, config, stanza string) (info, error) {
	out, errs, code, err := o.Run(ctx, nil, "pgbackrest", append(Arguments(config, stanza), "info", "--output=json")...)
	if err != nil {
		return info{}, err
	}
	var all []info
	if code != 0 || json.Unmarshal(out, &all) != nil || len(all) != 1 {
		return info{}, fmt.Errorf("pgbackrest info ended with status %d: %s", code, foreign.LastLine(append(errs, out...)))
	}
	return all[0], nil
}

// said copies what pgBackRest says of the stanza.
func said(f *foreign.Facts, i info) {
	h := foreign.Health{OK: i.Status.Code == 0}
	if !h.OK {
		h.Said = append(h.Said, i.Status.Message)
	}
	for _, r := range i.Repo {
		if r.Status.Code != 0 && r.Status.Message != i.Status.Message {
			h.Said = append(h.Said, fmt.Sprintf("repository %d: %s", r.Key, r.Status.Message))
			h.OK = false
		}
	}
	f.Health = foreign.Some(h)
	versions := map[int]int{}
	for _, d := range i.DB {
		id, _ := strconv.ParseUint(strings.Trim(string(d.SystemID), `"`), 10, 64)
		f.SystemID = target.SystemID(id) // the last is the one in use
		versions[d.ID], _ = strconv.Atoi(strings.Split(d.Version, ".")[0])
	}
	backups := []foreign.Backup{}
	for _, b := range i.Backup {
		x := foreign.Backup{Label: b.Label, Kind: b.Type, EndedAt: time.Unix(b.Timestamp.Stop, 0).UTC(), Bytes: b.Info.Size, First: b.Archive.Start, Last: b.Archive.Stop, Version: versions[b.Database.ID]}
		if b.Prior != nil {
			x.Prior = *b.Prior
		}
		if b.Error {
			x.Error = strings.TrimSpace("it holds pages with wrong checksums " + strings.Join(b.ErrorList, ", "))
		}
		backups = append(backups, x)
	}
	f.Backups = foreign.Some(backups)
}

// archive walks the folders of log of a local repository. What info says,
// first and last segment, tells nothing of a hole between them.
func archive(f *foreign.Facts, o foreign.Options, i info) {
	size := o.SegmentSize
	if size == 0 {
		size = foreign.DefaultSegmentSize
	}
	if f.Repository == nil || !f.Repository.Seen {
		f.Archive = foreign.Hidden[foreign.Archive]("the repository is not known")
		return
	}
	why := "the repository is not a folder of this machine; refloat drill --from " + f.Source() + " reads the log through the tool"
	for _, r := range f.Repository.Value {
		if !r.Local {
			continue
		}
		if f.Health.Value.Said != nil && len(i.Archive) == 0 {
			why = "pgBackRest says of the stanza: " + strings.Join(f.Health.Value.Said, "; ")
			break
		}
		names, err := segments(filepath.Join(r.Location, "archive", f.Name), i)
		if err != nil {
			why = "the archive of pgBackRest: " + err.Error()
			continue
		}
		f.Archive = foreign.Some(foreign.Archive{Where: filepath.Join(r.Location, "archive", f.Name), SegmentSize: size, Spans: foreign.Spans(names, size)})
		return
	}
	f.Archive = foreign.Hidden[foreign.Archive](why)
}

// segments lists the segments of the archive that is in use.
func segments(dir string, i info) ([]string, error) {
	if len(i.Archive) == 0 {
		return nil, nil
	}
	id := i.Archive[len(i.Archive)-1].ID
	folders, err := os.ReadDir(filepath.Join(dir, id))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range folders {
		if !d.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, id, d.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if name, _, ok := strings.Cut(f.Name(), "-"); ok && !strings.Contains(f.Name(), ".partial") {
				names = append(names, name)
			}
		}
	}
	return names, nil
}
