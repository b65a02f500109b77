// Package walg reads WAL-G's settings, from the environment, an envdir or a
// file, and what it lists.
package walg

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// usual are folders that hold one file for each variable (envdir).
func usual() []string { return []string{"/etc/wal-g.d/env", "/etc/wal-g/env", "/etc/wal-e.d/env"} }

// Find is the WAL-G that the environment or a usual folder speaks of.
func Find(o foreign.Options) ([]foreign.Place, error) {
	for _, d := range usual() {
		if i, err := os.Stat(o.Path(d)); err == nil && i.IsDir() {
			return []foreign.Place{{Tool: foreign.WALG, Config: o.Path(d)}}, nil
		}
	}
	if prefix(o.Environ) != "" {
		return []foreign.Place{{Tool: foreign.WALG}}, nil
	}
	return nil, nil
}

// Environment is what a command of WAL-G gets: its own variables and those of
// the storage, and the prefix when one is named.
func Environment(o foreign.Options, p foreign.Place) ([]string, error) {
	env := []string{}
	for _, e := range o.Environ {
		if wanted.MatchString(e) {
			env = append(env, e)
		}
	}
	if p.Config != "" {
		more, err := fromFiles(p.Config)
		if err != nil {
			return nil, fmt.Errorf("the settings of WAL-G: %w", err)
		}
		env = append(env, more...)
	}
	switch {
	case p.Name == "":
	case strings.Contains(p.Name, "://"):
		kind, _, _ := strings.Cut(p.Name, "://")
		env = append(env, map[string]string{"s3": "WALG_S3_PREFIX=", "gs": "WALG_GS_PREFIX=", "azure": "WALG_AZ_PREFIX=", "ssh": "WALG_SSH_PREFIX="}[kind]+p.Name)
	default:
		env = append(env, "WALG_FILE_PREFIX="+p.Name)
	}
	return env, nil
}

var wanted = regexp.MustCompile(`^(WALG_|WALE_|AWS_|PG|AZURE_|GOOGLE_|SSH_|GPG_)`)

// fromFiles reads an envdir, or a file of NAME=value lines.
func fromFiles(path string) ([]string, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var out []string
	if !i.IsDir() {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
			if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				out = append(out, name+"="+strings.Trim(value, `"'`))
			}
		}
		return out, nil
	}
	files, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(path, f.Name()))
		if err != nil {
			return nil, err
		}
		value, _, _ := strings.Cut(string(text), "\n")
		out = append(out, f.Name()+"="+strings.TrimRight(value, " \t"))
	}
	return out, nil
}

func lookup(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func prefix(env []string) string {
	for _, name := range []string{"WALG_FILE_PREFIX", "WALG_S3_PREFIX", "WALG_GS_PREFIX", "WALG_AZ_PREFIX", "WALG_SSH_PREFIX", "WALG_SWIFT_PREFIX", "WALE_S3_PREFIX"} {
		if v := lookup(env, name); v != "" {
			return v
		}
	}
	return ""
}

// Read looks at one prefix.
func Read(ctx context.Context, o foreign.Options, p foreign.Place) foreign.Facts {
	f := foreign.Facts{Place: p, File: p.Config}
	env, err := Environment(o, p)
	if err == nil && prefix(env) == "" {
		err = fmt.Errorf("nothing says where WAL-G keeps backups: set WALG_FILE_PREFIX or the like, or name it: wal-g:PREFIX, wal-g:@/path/of/envdir")
	}
	if err != nil {
		f.Repository, f.Backups = foreign.Hidden[[]foreign.Repository](err.Error()), foreign.Hidden[[]foreign.Backup](err.Error())
		f.Archive = foreign.Hidden[foreign.Archive](err.Error())
		return f
	}
	if f.Name == "" {
		f.Name = prefix(env)
	}
	r := foreign.Repository{Location: prefix(env), CanBe: true, Local: !strings.Contains(prefix(env), "://")}
	for _, name := range []string{"WALG_LIBSODIUM_KEY", "WALG_LIBSODIUM_KEY_PATH", "WALG_PGP_KEY", "WALG_PGP_KEY_PATH", "WALG_GPG_KEY_ID", "WALE_GPG_KEY_ID", "WALG_CSE_KMS_ID", "WALG_ENVELOPE_PGP_KEY", "WALG_YC_CSE_KMS_KEY_ID"} {
		r.Encrypted = r.Encrypted || lookup(env, name) != ""
	}
	if r.Local {
		r.Device, _ = foreign.Device(r.Location)
	}
	f.Repository = foreign.Some([]foreign.Repository{r})
	list(ctx, o, &f, env)
	archive(&f, o, r)
	return f
}

// entry is one backup as `wal-g backup-list --detail --json` lists it.
type entry struct {
	Name     string          `json:"backup_name"`
	Time     time.Time       `json:"time"`
	Segment  string          `json:"wal_file_name"`
	Finished time.Time       `json:"finish_time"`
	Version  int             `json:"pg_version"`
	Finish   json.Number     `json:"finish_lsn"`
	System   json.Number     `json:"system_identifier"`
	Bytes    int64           `json:"uncompressed_size"`
	Data     string          `json:"data_dir"`
	Extra    json.RawMessage `json:"user_data"`
}

func list(ctx context.Context, o foreign.Options, f *foreign.Facts, env []string) {
	out, errs, code, err := o.Run(ctx, env, "wal-g", "backup-list", "--detail", "--json")
	if err == nil && code != 0 {
		if strings.Contains(string(errs), "No backups found") {
			f.Backups = foreign.Some([]foreign.Backup{})
			return
		}
		err = fmt.Errorf("wal-g backup-list ended with status %d: %s", code, foreign.LastLine(errs))
	}
	var all []entry
	if err == nil && len(strings.TrimSpace(string(out))) > 0 {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		f.Backups = foreign.Hidden[[]foreign.Backup](err.Error())
		return
	}
	backups := []foreign.Backup{}
	for _, e := range all {
		b := foreign.Backup{Label: e.Name, Kind: "full", EndedAt: e.Finished.UTC(), Bytes: e.Bytes, First: e.Segment, Last: e.Segment, Version: e.Version / 10000}
		if b.EndedAt.IsZero() {
			b.EndedAt = e.Time.UTC()
		}
		if _, prior, delta := strings.Cut(e.Name, "_D_"); delta {
			b.Kind, b.Prior = "incr", prior
		}
		if end, err := e.Finish.Int64(); err == nil && end > 0 {
			if s, err := target.ParseSegmentName(e.Segment, size(o)); err == nil {
				b.Last = target.SegmentAt(target.Position{Timeline: s.Timeline, LSN: target.LSN(end - 1)}, size(o)).Name()
			}
		}
		var id uint64
		if _, err := fmt.Sscan(e.System.String(), &id); err == nil {
			f.SystemID = target.SystemID(id)
		}
		if e.Data != "" && !slices.Contains(f.Data, e.Data) {
			f.Data = append(f.Data, e.Data)
		}
		backups = append(backups, b)
	}
	slices.SortStableFunc(backups, func(a, b foreign.Backup) int { return a.EndedAt.Compare(b.EndedAt) })
	f.Backups = foreign.Some(backups)
}

func size(o foreign.Options) int64 {
	if o.SegmentSize != 0 {
		return o.SegmentSize
	}
	return foreign.DefaultSegmentSize
}

// archive lists wal_005, where WAL-G keeps the log, when that is a folder here.
func archive(f *foreign.Facts, o foreign.Options, r foreign.Repository) {
	if !r.Local {
		f.Archive = foreign.Hidden[foreign.Archive]("the repository is not a folder of this machine; refloat drill --from " + f.Source() + " reads the log through the tool")
		return
	}
	dir := filepath.Join(r.Location, "wal_005")
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.Archive = foreign.Hidden[foreign.Archive](err.Error())
		return
	}
	var names []string
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		names = append(names, name)
	}
	f.Archive = foreign.Some(foreign.Archive{Where: dir, SegmentSize: size(o), Spans: foreign.Spans(names, size(o))})
}
