package pgbackrest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
)

// Restorer restores a stanza into a scratch directory. It works with a
// configuration of its own, which holds nothing but where the repository is:
// what the stanza's says of servers, links and tablespaces is production's.
type Restorer struct {
	Work   foreign.Work
	Stanza string
	config string
}

// kept are the options that a restore needs of the stanza's configuration.
var kept = regexp.MustCompile(`^(repo\d+-.*|process-max|buffer-size|io-timeout|protocol-timeout|compress-level-network)$`)

// NewRestorer reads where the repository is.
func NewRestorer(o foreign.Options, p foreign.Place, w foreign.Work) (*Restorer, error) {
	file := Config(o, p)
	conf, err := foreign.ReadINI(files(file)...)
	if err != nil {
		return nil, fmt.Errorf("the configuration of pgBackRest: %w", err)
	}
	values := map[string]string{}
	for _, section := range []string{"global", "global:restore", "global:archive-get", p.Name, p.Name + ":restore", p.Name + ":archive-get"} {
		for key, v := range conf[section] {
			if kept.MatchString(key) && !strings.Contains(key, "retention") {
				values[key] = v.Value
			}
		}
	}
	lines := make([]string, 0, len(values)+8)
	for key, v := range values {
		lines = append(lines, key+"="+v)
	}
	slices.Sort(lines)
	for _, d := range []string{"lock", "spool", "log"} {
		path, err := w.Folder(d)
		if err != nil {
			return nil, err
		}
		lines = append(lines, d+"-path="+path)
	}
	text := "[global]\n" + strings.Join(lines, "\n") + "\nlog-level-file=off\nlog-level-console=warn\n\n[" + p.Name + "]\n"
	config, err := w.File("pgbackrest.conf", text)
	return &Restorer{Work: w, Stanza: p.Name, config: config}, err
}

func (r *Restorer) run(ctx context.Context, data string, args ...string) (stdout, stderr []byte, code int, err error) {
	return r.Work.Run(ctx, nil, "pgbackrest", append([]string{"--config=" + r.config, "--stanza=" + r.Stanza, "--pg1-path=" + data}, args...)...)
}

// Restore restores the newest backup.
func (r *Restorer) Restore(ctx context.Context, data, tablespaces string) (foreign.Backup, error) {
	i, err := ask(ctx, foreign.Options{Run: r.Work.Run}, r.config, r.Stanza)
	if err != nil {
		return foreign.Backup{}, err
	}
	var f foreign.Facts
	said(&f, i)
	all := f.Backups.Value
	if len(all) == 0 {
		return foreign.Backup{}, fmt.Errorf("pgBackRest has no backup of stanza %s: %s", r.Stanza, strings.Join(f.Health.Value.Said, "; "))
	}
	last := all[len(all)-1]
	out, errs, code, err := r.run(ctx, data, "--set="+last.Label, "--tablespace-map-all="+tablespaces, "--type=default", "restore")
	if err != nil {
		return last, err
	}
	if code != 0 {
		return last, fmt.Errorf("pgbackrest restore of %s ended with status %d: %s", last.Label, code, foreign.LastLine(append(errs, out...)))
	}
	return last, nil
}

// Fetch reads a file of the log. pgBackRest ends with 1 when it is not there.
func (r *Restorer) Fetch(ctx context.Context, data, name string) ([]byte, error) {
	to := filepath.Join(r.Work.Dir, "segment-"+name)
	out, errs, code, err := r.run(ctx, data, "archive-get", name, to)
	switch {
	case err != nil:
		return nil, err
	case code == 1:
		_ = os.Remove(to)
		return nil, fmt.Errorf("%w: %s", foreign.ErrNotInArchive, name)
	case code != 0:
		_ = os.Remove(to)
		return nil, fmt.Errorf("pgbackrest archive-get %s ended with status %d: %s", name, code, foreign.LastLine(append(errs, out...)))
	}
	return foreign.Take(to)
}
