package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
)

// Gone says that production is what was lost: it cannot be asked, and its
// silence is no reason to be uncertain. What only it could tell is not asked.
type Gone struct {
	Why   string
	Since time.Time // the first bad look; zero when that is not known
}

// copyDelivered copies the delivered directory, so that what was delivered is
// never started nor changed, and tells the copy where its log comes from.
func (r *run) copyDelivered(ctx context.Context, dir, data, socket string) error {
	own, err := owner(r.o.RunAs)
	if err != nil {
		return err
	}
	if err := room(dir, r.plan.Bytes); err != nil {
		return err
	}
	c := copier{ctx: ctx, own: own, spaces: filepath.Join(dir, "tablespaces"), total: r.plan.Bytes, tell: r.progress}
	if err := c.tree(r.o.Delivered, data); err != nil {
		return fmt.Errorf("copy %s: %w", r.o.Delivered, err)
	}
	if err := restore.Configure(r.plan, restore.Options{Dir: data, Owner: own, Before: r.o.Before, RestoreCommand: r.o.RestoreCommand(socket, r.plan.Until)}); err != nil {
		return err
	}
	r.p.RestoredBytes = c.done
	r.done("restore", c.done)
	return nil
}

// copier copies a data directory. Tablespaces are copied into a folder beside it.
type copier struct {
	ctx         context.Context
	own         *restore.Owner
	spaces      string
	done, total int64
	tell        func(phase string, done, total int64)
}

func (c *copier) tree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, c.ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			if err := os.MkdirAll(at, mode.Perm()); err != nil {
				return err
			}
			return c.give(at)
		case mode&fs.ModeSymlink != 0:
			return c.link(path, rel, at)
		case mode.IsRegular():
			return c.file(path, at, mode.Perm())
		}
		return nil // a socket of whoever serves the log
	})
}

// link copies what a tablespace's link, or that of pg_wal, leads to.
func (c *copier) link(path, rel, at string) error {
	leads, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if rel == "pg_wal" {
		return c.tree(leads, at)
	}
	if filepath.Dir(rel) != "pg_tblspc" {
		return fmt.Errorf("%s is a link, which PostgreSQL does not make", path)
	}
	beside := filepath.Join(c.spaces, filepath.Base(rel))
	if err := os.MkdirAll(c.spaces, 0o755); err != nil {
		return err
	}
	if err := c.tree(leads, beside); err != nil {
		return err
	}
	return os.Symlink(beside, at)
}

func (c *copier) file(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	c.done += n
	c.tell("restore", c.done, max(c.total, c.done))
	return c.give(to)
}

func (c *copier) give(path string) error {
	if c.own == nil {
		return nil
	}
	return os.Lchown(path, c.own.UID, c.own.GID)
}

// lossSince measures by the log and the heartbeat how new the copy is, against
// the moment at which production was first seen to be gone. Whether anything was
// committed in between nobody can tell: it is at most so much.
func (r *run) lossSince(held time.Time, how string) (time.Duration, string, error) {
	if held.IsZero() {
		return 0, "", errors.New("data loss cannot be measured: neither the log nor a heartbeat says how new the copy is")
	}
	return max(0, r.o.Gone.Since.Sub(held)), fmt.Sprintf("at most: %s (%s) to the first bad look at production (%s)", how, held.UTC().Format(time.RFC3339Nano), r.o.Gone.Since.UTC().Format(time.RFC3339Nano)), nil
}

// notAsked answers a check that only production could, when it is gone.
func (r *run) notAsked(c proof.Check) proof.Check {
	c.Outcome, c.Detail = proof.NotAsked, "production is gone: "+strings.TrimSpace(r.o.Gone.Why)
	return c
}
