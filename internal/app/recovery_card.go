package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

const (
	identifyWithin = 8 * time.Second // a server that does not answer by then does not answer
	sizeWithin     = 3 * time.Second
	controlFile    = "global/pg_control"
)

// liveCard asks a server who it is. The error says why it could not.
func liveCard(ctx context.Context, c *postgres.Cluster, what string, id target.ID) (recovery.Card, target.Identity, error) {
	host, port := c.Host()
	card := recovery.Card{What: what, Address: fmt.Sprintf("%s:%d", host, port), Port: port}
	ctx, cancel := context.WithTimeout(ctx, identifyWithin)
	defer cancel()
	who, err := c.Identity(ctx)
	if err != nil {
		return card, who, err
	}
	card.Host, card.Alive = who.Host, target.Seen(true)
	card.SystemID, card.Version, card.Size = target.Seen(who.SystemID), target.Seen(who.Version.String()), target.Seen(who.Size)
	card.Position = target.Seen(target.Position{Timeline: who.Timeline, LSN: who.Position})
	card.Commit, card.Connections, card.Started = who.Commit, who.Clients, target.Seen(who.StartedAt)
	card.Role = target.Seen(recovery.RolePrimary)
	if who.InRecovery {
		card.Role = target.Seen(recovery.RoleStandby)
	}
	card.Directory = target.Unseen[string]("the role may not see it: GRANT pg_monitor TO " + who.Role.Name)
	if who.DataDirectory != "" {
		card.Directory = target.Seen(who.DataDirectory)
	}
	card.Here = target.Seen(onThisMachine(host))
	if beats, err := c.Beats(ctx, 1); err != nil {
		card.Beat = target.Unseen[target.Beat](oneLine(err))
	} else if len(beats) == 0 {
		card.Beat = target.Unseen[target.Beat]("it has none")
	} else {
		card.Beat = target.Seen(beats[0])
	}
	return card, who, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// onThisMachine reports whether a host, as a connection string names it, is this
// machine.
func onThisMachine(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	at := net.ParseIP(host)
	if at == nil {
		found, err := net.LookupIP(host) //nolint:noctx // the resolver's own limits are short
		if err != nil || len(found) == 0 {
			return false
		}
		at = found[0]
	}
	if at.IsLoopback() {
		return true
	}
	own, _ := net.InterfaceAddrs()
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(at) {
			return true
		}
	}
	return false
}

// serverCard is the identity of a target's server: by its own word, or, when it
// does not answer and its data is on this machine, from its data directory.
func (a *App) serverCard(ctx context.Context, name string, t config.Target, known target.Headroom) (recovery.Card, target.Identity) {
	what := "target " + name
	c, err := a.cluster(name, "refloat recover")
	if err != nil {
		return unseenCard(recovery.Card{What: what}, oneLine(err)), target.Identity{}
	}
	card, who, err := liveCard(ctx, c, what, target.ID(name))
	if err == nil {
		return card, who
	}
	card = unseenCard(card, "it does not answer: "+oneLine(err))
	dir, from := t.Recovery.DataDirectory, "recovery.data_directory"
	if dir == "" && known.Directory != "" {
		host, _ := c.Host()
		if !onThisMachine(host) {
			card.Directory = target.Known[string]{Value: known.Directory, Seen: true, Why: "as it said when it last answered"}
			card.Here = target.Seen(false)
			return card, who
		}
		dir, from = known.Directory, "what the server said when it last answered"
	}
	if dir == "" {
		card.Directory = target.Unseen[string]("nobody says where it is: set recovery.data_directory where it is on this machine")
		return card, who
	}
	host, _ := c.Host()
	nobody := onThisMachine(host) && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT))
	a.directoryCard(ctx, &card, dir, from, t.Drill.BinDir, nobody)
	return card, who
}

// unseenCard says of everything why it is not known.
func unseenCard(c recovery.Card, why string) recovery.Card {
	c.Host, c.Alive, c.SystemID = target.Unseen[string](why), target.Unseen[bool](why), target.Unseen[target.SystemID](why)
	c.Directory, c.Version, c.Role, c.Size = target.Unseen[string](why), target.Unseen[string](why), target.Unseen[string](why), target.Unseen[int64](why)
	c.Position, c.Commit, c.Beat = target.Unseen[target.Position](why), target.Unseen[time.Time](why), target.Unseen[target.Beat](why)
	c.Started, c.Connections, c.Here = target.Unseen[time.Time](why), target.Unseen[[]target.Clients](why), target.Unseen[bool](why)
	return c
}

// livesOn says whether a server that does not answer lives on a data directory of
// this machine. Where it left its pid file and its process is not here, it was
// killed, or it runs in another container or on another machine that shares the
// disk: nobody must listen at its address, which is one of this machine, before it
// counts as dead.
func livesOn(dir string, nobodyListens bool) (lives target.Known[bool], pid int) {
	if pid, lives := restore.LiveServer(dir); lives {
		return target.Known[bool]{Value: true, Seen: true, Why: fmt.Sprintf("process %d works there, and does not answer", pid)}, pid
	}
	if _, err := os.Lstat(filepath.Join(dir, "postmaster.pid")); err == nil && !nobodyListens {
		return target.Unseen[bool]("it left its postmaster.pid, and its process is not in sight: it was killed, or runs in another container or on another machine that shares this disk"), 0
	}
	return target.Known[bool]{Seen: true, Why: "no process of it lives on this machine"}, 0
}

// directoryCard fills in what a data directory on this machine says of a server
// that does not answer. It reads only.
func (a *App) directoryCard(ctx context.Context, c *recovery.Card, dir, from, binDir string, nobodyListens bool) {
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		why := fmt.Sprintf("%s (%s) is no data directory that can be read from here: %s", dir, from, oneLine(err))
		c.Directory, c.SystemID = target.Unseen[string](why), target.Unseen[target.SystemID](why)
		// Where the folder above is here and it is not, it is gone, and not elsewhere.
		if _, err := os.Stat(filepath.Dir(dir)); err == nil {
			c.Here = target.Known[bool]{Value: true, Seen: true, Why: "its folder should be on this machine"}
			c.Alive, c.Process = livesOn(dir, nobodyListens)
		}
		return
	}
	host, err := os.Hostname()
	if err == nil {
		c.Host = target.Seen(host)
	}
	c.Directory, c.Here = target.Seen(dir), target.Seen(true)
	c.Alive, c.Process = livesOn(dir, nobodyListens)
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	major, nerr := strconv.Atoi(strings.TrimSpace(string(version)))
	if err = errors.Join(err, nerr); err != nil {
		c.Version = target.Unseen[string](oneLine(err))
		return
	}
	c.Version = target.Seen(strconv.Itoa(major))
	c.Role = target.Seen(recovery.RolePrimary)
	if _, err := os.Stat(filepath.Join(dir, "standby.signal")); err == nil {
		c.Role = target.Seen(recovery.RoleStandby)
	}
	c.Size = sizeOfDir(ctx, dir)
	bins, err := scratch.FindBinaries(ctx, major, binDir)
	var control target.ControlData
	if err == nil {
		control, err = postgres.ControlData(ctx, bins.Dir, dir)
	}
	if err != nil {
		c.SystemID = target.Unseen[target.SystemID](oneLine(err))
		return
	}
	c.SystemID, c.State = target.Seen(control.SystemID), control.State
	c.Position = target.Known[target.Position]{Value: control.Position, Seen: true, Why: "of its last checkpoint: its log goes further"}
	c.Commit = target.Unseen[time.Time](fmt.Sprintf("a server that does not run does not say; its last checkpoint was at %s", control.Checkpoint.Format("15:04:05 UTC")))
	why := "it does not run"
	c.Connections, c.Started, c.Beat = target.Unseen[[]target.Clients](why), target.Unseen[time.Time](why), target.Unseen[target.Beat](why)
}

// sizeOfDir adds up files for as long as a person would wait.
func sizeOfDir(ctx context.Context, dir string) target.Known[int64] {
	ctx, cancel := context.WithTimeout(ctx, sizeWithin)
	defer cancel()
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	if err != nil {
		return target.Unseen[int64](fmt.Sprintf("more than %d MiB: adding it up takes longer than %s", n>>20, sizeWithin))
	}
	return target.Seen(n)
}
