package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// recoveryFacts gathers all that ways are made from. What cannot be looked at
// says why; it is an error only when the question itself is wrong.
func (a *App) recoveryFacts(ctx context.Context, s Store, q RecoveryAsk) (recovery.Facts, error) {
	id, t, err := a.target(q.Target)
	if err != nil {
		return recovery.Facts{}, err
	}
	f := recovery.Facts{Now: time.Now().UTC(), Target: id, Asked: q.To, Objectives: objectives(t), Answers: q.Answers, LastBeat: target.Unseen[target.Beat]("no heartbeat is on record here")}
	f.Grants = recovery.Grants{Restart: t.Recovery.RestartWords, Start: t.Recovery.StartWords, Promote: t.Recovery.PromoteWords, PromoteSQL: t.Recovery.Promote == config.PromoteBySQL}
	var known headroom
	if s != nil {
		_, _ = s.Kept(ctx, id, headroomFact, &known) // nothing was kept, or it cannot be read: not known
		if b, err := s.LastBeat(ctx, id); err == nil {
			f.LastBeat = target.Seen(b)
		}
	}
	meant := recovery.Meant{Target: id, Role: recovery.RolePrimary}
	if t.Watch.Standby {
		meant.Role = recovery.RoleStandby
	}
	if err := a.restorableFacts(ctx, id, q, &f, &meant); err != nil {
		return f, err
	}
	var who target.Identity
	f.Server, who = a.serverCard(ctx, q.Target, t, known.Last)
	a.lastSeen(ctx, s, id, &f)
	f.Server.Verdict = recovery.Judge(f.Server, meant)
	f.Serves = target.Seen(f.Server.Primary() && !(who.WritesRefused.Seen && who.WritesRefused.Value))
	a.standbyFacts(ctx, t, known.Last, meant, &f)
	f.Service = serviceOf(f.Server, t, a, q.Target)
	return f, a.placeFacts(ctx, q, t, meant, &f)
}

// lastSeen fills in what is on record here of a server that does not answer.
func (a *App) lastSeen(ctx context.Context, s Store, id target.ID, f *recovery.Facts) {
	if s == nil || f.Server.Started.Seen {
		return
	}
	if b := f.LastBeat; b.Seen {
		f.Server.Beat = target.Known[target.Beat]{Value: b.Value, Seen: true, Why: "the last that it acknowledged, by our own record"}
	}
	m, err := s.Acknowledged(ctx, id)
	if err != nil {
		return
	}
	at := f.Server.Position
	if !at.Seen || m.Position.Timeline > at.Value.Timeline || m.Position.Timeline == at.Value.Timeline && m.Position.LSN > at.Value.LSN {
		f.Server.Position = target.Known[target.Position]{Value: m.Position, Seen: true, Why: "its log reached at least this, by our own record"}
	}
	if !f.Server.Commit.Seen && !m.ServerTime.IsZero() {
		f.Server.Commit = target.Unseen[time.Time](f.Server.Commit.Why + "; its log was stored up to " + m.ServerTime.UTC().Format("15:04:05.999 UTC"))
	}
}

// restorableFacts are what the repository can give, and what the last proof says.
func (a *App) restorableFacts(ctx context.Context, id target.ID, q RecoveryAsk, f *recovery.Facts, meant *recovery.Meant) error {
	var to restore.Target
	if q.To != "" {
		var err error
		if to, err = restore.ParseTarget(q.To); err != nil {
			return fmt.Errorf("%w: %w", ErrUsage, err)
		}
		if !slices.Contains([]restore.Kind{restore.ToTime, restore.ToLSN, restore.ToXID}, to.Kind) {
			return fmt.Errorf("%w: just before %s cannot be restored: give a time with its zone, an LSN or xid:NUMBER", ErrUsage, q.To)
		}
	}
	unseen := func(err error) {
		why := "the repository: " + oneLine(err)
		f.Latest, f.Point = target.Unseen[restore.Plan](why), target.Unseen[restore.Plan](why)
		f.Restorable, f.ProofNote = target.Unseen[time.Time](why), why
		meant.SystemID = target.Unseen[target.SystemID](why)
	}
	repo, err := a.open(ctx, true)
	if err != nil {
		unseen(err)
		return nil
	}
	if err := repo.Refresh(ctx); err != nil {
		unseen(err)
		return nil
	}
	in, err := a.restoreInputs(ctx, repo, id)
	if err != nil {
		unseen(err)
		return nil
	}
	if n := len(in.Backups); n > 0 {
		meant.SystemID = target.Seen(in.Backups[n-1].SystemID)
	}
	if in.Coverage.Newest != nil {
		f.Restorable, meant.Reaches = target.Seen(in.Coverage.Newest.Time), target.Seen(in.Coverage.Newest.Position)
	}
	if !in.Position.ServerTime.IsZero() {
		f.Restorable = target.Seen(in.Position.ServerTime)
	}
	meant.Restorable = f.Restorable
	in.BackupID = q.Backup
	f.Latest = plannedRestore(ctx, repo, id, in, restore.Target{Kind: restore.ToLatest})
	if q.To != "" {
		if to.Kind == restore.ToTime {
			to.Time = to.Time.Add(-time.Microsecond)
		}
		f.Point = plannedRestore(ctx, repo, id, in, to)
	}
	if f.Proof, err = a.lastProofIn(repo, id)(ctx); err != nil {
		f.ProofNote = oneLine(err)
	}
	return nil
}

func plannedRestore(ctx context.Context, repo *repository.Repository, id target.ID, in restore.Inputs, to restore.Target) target.Known[restore.Plan] {
	in.Target = to
	err := lastTransaction(ctx, &in, &backup.Log{Repo: repo, Target: id})
	var p restore.Plan
	if err == nil {
		p, err = restore.Make(in)
	}
	if err != nil {
		return target.Unseen[restore.Plan](oneLine(err))
	}
	return target.Seen(p)
}

// standbyCluster is the standby of the configuration; nil when there is none.
func (a *App) standbyCluster(t config.Target) (*postgres.Cluster, error) {
	if t.Recovery.Standby == "" {
		return nil, nil
	}
	return postgres.New(postgres.Options{DSN: t.Recovery.Standby, Password: t.Recovery.StandbyPassword, RootCAFile: t.RootCAFile, Application: "refloat recover", Logger: a.log})
}

func (a *App) standbyFacts(ctx context.Context, t config.Target, known target.Headroom, meant recovery.Meant, f *recovery.Facts) {
	c, err := a.standbyCluster(t)
	if c == nil && err == nil {
		if len(known.Standbys) > 0 {
			name := known.Standbys[0].Name
			if at := known.Standbys[0].Addr; at != "" {
				name += " at " + at
			}
			f.Standby = &recovery.Standby{Name: name, Card: unseenCard(recovery.Card{What: "standby " + name}, "it is not configured (recovery.standby)")}
		}
		return
	}
	s := recovery.Standby{Name: postgres.Address(t.Recovery.Standby), DSN: t.Recovery.Standby}
	what := "the standby of " + string(f.Target)
	if err == nil {
		var who target.Identity
		if s.Card, who, err = liveCard(ctx, c, what, f.Target); err == nil {
			s.Right = who.MayPromote
		}
	}
	if err != nil {
		s.Card = unseenCard(recovery.Card{What: what, Address: s.Name}, "it does not answer: "+oneLine(err))
	}
	meant.Role = recovery.RoleStandby
	s.Card.Verdict = recovery.Judge(s.Card, meant)
	f.Standby = &s
}

var (
	debianDir = regexp.MustCompile(`^/var/lib/postgresql/(\d+)/([^/]+)/?$`)
	redhatDir = regexp.MustCompile(`^/var/lib/pgsql/(\d+)/data/?$`)
)

// serviceOf is how the target's server is run, as far as its directory says.
func serviceOf(c recovery.Card, t config.Target, a *App, name string) recovery.Service {
	s := recovery.Service{Here: c.Here.Seen && c.Here.Value}
	if cl, err := a.cluster(name, ""); err == nil {
		s.Host, _ = cl.Host()
	}
	if s.Here {
		s.Host = "this machine"
	}
	if !c.Directory.Seen {
		return s
	}
	if m := debianDir.FindStringSubmatch(c.Directory.Value); m != nil {
		s.Unit, s.BinDir = "postgresql@"+m[1]+"-"+m[2], "/usr/lib/postgresql/"+m[1]+"/bin"
	} else if m := redhatDir.FindStringSubmatch(c.Directory.Value); m != nil {
		s.Unit, s.BinDir = "postgresql-"+m[1], "/usr/pgsql-"+m[1]+"/bin"
	}
	if s.Here {
		if info, err := os.Stat(c.Directory.Value); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				if u, err := user.LookupId(fmt.Sprint(st.Uid)); err == nil {
					s.User = u.Username
				}
			}
		}
	}
	return s
}

// placeFacts look at where a restore would go, and at what would start it.
func (a *App) placeFacts(ctx context.Context, q RecoveryAsk, t config.Target, meant recovery.Meant, f *recovery.Facts) error {
	p := &f.Place
	p.Backup = q.Backup
	exe, err := os.Executable()
	if err != nil {
		exe = "refloat"
	}
	p.Program = recovery.Words(append([]string{exe}, a.locationArgs()...))
	if os.Geteuid() == 0 {
		p.Owner = t.Drill.RunAs
	} else if u, err := user.Current(); err == nil {
		p.Owner = u.Username
	}
	major := 0
	if f.Latest.Seen {
		major = f.Latest.Value.Backup.Version.Major()
	} else if f.Point.Seen {
		major = f.Point.Value.Backup.Version.Major()
	}
	switch bins, err := scratch.FindBinaries(ctx, major, t.Drill.BinDir); {
	case major == 0:
		p.Binaries = target.Unseen[string]("it is not known which version: nothing can be restored")
	case err != nil:
		p.Binaries = target.Unseen[string](oneLine(err))
	default:
		p.Binaries = target.Seen(bins.Dir)
		if f.Service.BinDir == "" && f.Service.Here {
			f.Service.BinDir = bins.Dir
		}
	}
	if p.CheckDir = t.Drill.ScratchDir; p.CheckDir == "" {
		p.CheckDir = os.TempDir()
	}
	p.CheckFree = freeAt(p.CheckDir)
	if q.Into == "" {
		return nil
	}
	if p.Dir, err = filepath.Abs(q.Into); err != nil {
		return fmt.Errorf("find %s: %w", q.Into, err)
	}
	p.Holds = holdsAt(p.Dir, strings.TrimSpace(q.Answers[AskNotEmpty]) != "", meant.SystemID.Value)
	p.Free = freeAt(p.Dir)
	return nil
}

func holdsAt(dir string, delta bool, system target.SystemID) target.Known[string] {
	h, err := restore.Look(dir, delta, system)
	switch {
	case h.Server != 0 || errors.Is(err, restore.ErrServerLeft):
		return target.Known[string]{Value: recovery.HoldsServer, Seen: true, Why: oneLine(err)}
	case errors.Is(err, restore.ErrNotEmpty):
		return target.Seen(recovery.HoldsOther)
	case err != nil:
		return target.Unseen[string](oneLine(err))
	case h.Empty:
		return target.Seen(recovery.HoldsNothing)
	case h.Unfinished:
		return target.Seen(recovery.HoldsUnfinished)
	}
	return target.Seen(recovery.HoldsOther) // of the same cluster: with the answer it may be used
}

// freeAt is the room on the file system of a folder, or of the nearest one above
// it that is there.
func freeAt(dir string) target.Known[int64] {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return target.Unseen[int64](oneLine(err))
	}
	return target.Seen(int64(st.Bavail) * int64(st.Bsize)) //nolint:unconvert // the types differ between systems
}
