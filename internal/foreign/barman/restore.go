package barman

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/refloat-db/refloat/internal/foreign"
)

// Restorer restores a server's newest backup into a scratch directory. Barman
// works as its own user only, so it restores into a folder of that user, which
// is handed over then.
type Restorer struct {
	Work   foreign.Work
	server string
	config string
	base   string
	slot   string
}

// NewRestorer reads where Barman keeps a server's backups.
func NewRestorer(o foreign.Options, p foreign.Place, w foreign.Work) (*Restorer, error) {
	r := &Restorer{Work: w, server: p.Name, config: Config(o, p)}
	conf, err := read(o, r.config)
	if err == nil && conf[p.Name] == nil {
		err = fmt.Errorf("%s has no server %s", r.config, p.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration of Barman: %w", err)
	}
	r.base = folders(conf, p.Name).base
	r.slot = conf.Get("slot_name", p.Name, "barman").Value
	name := conf.Get("barman_user", "barman").Value
	if name == "" {
		name = "barman"
	}
	if os.Geteuid() != 0 {
		return r, nil // Barman itself refuses another user than its own
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("the user of Barman: %w", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	r.Work.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return r, nil
}

// Slot is the slot through which Barman receives, "" for none.
func (r *Restorer) Slot() string { return r.slot }

// Restore restores the newest whole backup.
func (r *Restorer) Restore(ctx context.Context, data, tablespaces string) (foreign.Backup, error) {
	var f foreign.Facts
	catalogue(&f, foreign.Options{}, directories{base: r.base})
	if !f.Backups.Seen {
		return foreign.Backup{}, fmt.Errorf("the backups of Barman: %s", f.Backups.Why)
	}
	all := slices.DeleteFunc(f.Backups.Value, func(b foreign.Backup) bool { return b.Error != "" })
	if len(all) == 0 {
		return foreign.Backup{}, fmt.Errorf("there is no whole backup of %s at Barman", r.server)
	}
	last := all[len(all)-1]
	owner, err := os.Stat(data)
	if err != nil {
		return last, err
	}
	// A folder of Barman's own, on the same file system as the copy.
	own, err := os.MkdirTemp(filepath.Dir(filepath.Dir(data)), "refloat-barman-")
	if err != nil {
		return last, err
	}
	defer func() { _ = os.RemoveAll(own) }()
	w := r.Work
	w.Dir = own
	if w.Credential != nil {
		if err := os.Chown(own, int(w.Credential.Uid), int(w.Credential.Gid)); err != nil {
			return last, err
		}
	}
	args := []string{"-c", r.config, "recover", "--get-wal"}
	for _, name := range spaces(r.base, last.Label) {
		args = append(args, "--tablespace", name+":"+filepath.Join(own, "tablespaces", name))
	}
	out, errs, code, err := w.Run(ctx, nil, "barman", append(args, r.server, last.Label, filepath.Join(own, "data"))...)
	if err != nil {
		return last, err
	}
	if code != 0 {
		return last, fmt.Errorf("barman recover of %s ended with status %d: %s", last.Label, code, foreign.LastLine(append(out, errs...)))
	}
	return last, handOver(own, data, tablespaces, owner)
}

// handOver moves what Barman restored to where it is wanted, and gives it to
// the user who will run it.
func handOver(own, data, tablespaces string, owner os.FileInfo) error {
	if err := os.Remove(data); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(own, "data"), data); err != nil {
		return err
	}
	links, _ := filepath.Glob(filepath.Join(data, "pg_tblspc", "*"))
	for _, l := range links {
		to, err := os.Readlink(l)
		if err != nil {
			continue
		}
		moved := filepath.Join(tablespaces, filepath.Base(to))
		if !strings.HasPrefix(to, own+"/") {
			return fmt.Errorf("the tablespace %s was put to %s by Barman, outside its folder", filepath.Base(l), to)
		}
		if err := os.Rename(to, moved); err != nil {
			return err
		}
		if err := os.Remove(l); err != nil {
			return err
		}
		if err := os.Symlink(moved, l); err != nil {
			return err
		}
	}
	st, ok := owner.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	for _, dir := range []string{data, tablespaces} {
		if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(st.Uid), int(st.Gid))
		}); err != nil {
			return err
		}
	}
	return nil
}

var space = regexp.MustCompile(`\('((?:[^'\\]|\\.)*)',`)

// spaces are the names of a backup's tablespaces.
func spaces(base, id string) []string {
	text, err := os.ReadFile(filepath.Join(base, id, "backup.info"))
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		list, is := strings.CutPrefix(line, "tablespaces=")
		if !is {
			continue
		}
		for _, m := range space.FindAllStringSubmatch(list, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// Fetch reads a file of the log, one that is not filed yet too.
func (r *Restorer) Fetch(ctx context.Context, _, name string) ([]byte, error) {
	out, errs, code, err := r.Work.Run(ctx, nil, "barman", "-c", r.config, "get-wal", "--partial", r.server, name)
	switch {
	case err != nil:
		return nil, err
	case code != 0 && strings.Contains(string(errs), "not found"):
		return nil, fmt.Errorf("%w: %s", foreign.ErrNotInArchive, name)
	case code != 0:
		return nil, fmt.Errorf("barman get-wal %s ended with status %d: %s", name, code, foreign.LastLine(errs))
	}
	return out, nil
}
