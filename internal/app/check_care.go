package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/schedule"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// known is a fact from a call that may fail.
func known[T any](v T, err error) target.Known[T] {
	if err != nil {
		return target.Unseen[T](strings.Join(strings.Fields(err.Error()), " "))
	}
	return target.Seen(v)
}

// careFacts reads what Refloat itself knows of a target. What cannot be read is
// not known, and no reason to read nothing else.
func (a *App) careFacts(ctx context.Context, name string, t config.Target, now time.Time) *audit.Care {
	o, id := t.Objectives, target.ID(name)
	c := &audit.Care{
		Promised:   audit.Promised{DataLoss: o.DataLoss.Std(), Resolution: o.Resolution.Std(), Detection: o.Detection.Std(), ProofAge: o.ProofAge.Std()},
		Configured: a.configured(t, now),
		Alarms:     known(a.alarmFacts(ctx, id)),
	}
	repo, err := a.open(ctx, true)
	if err != nil {
		c.Backups, c.Coverage, c.Log = known[[]audit.BackupFacts](nil, err), known(audit.CoverageFacts{}, err), known(audit.LogFacts{}, err)
		c.Proofs, c.Repository, c.Kept = known[[]audit.ProofFacts](nil, err), known(audit.RepositoryFacts{}, err), known[[]string](nil, err)
		return c
	}
	catalogue := &backup.Catalogue{Repo: repo}
	list, err := catalogue.List(ctx, id)
	c.Backups = known(backupFacts(ctx, catalogue, id, list), err)
	c.Coverage = known(coverageFacts(ctx, catalogue, id, list, now))
	c.Log = known(logFacts(ctx, repo, id))
	c.Proofs = known(a.proofFacts(ctx, repo, id))
	c.Repository = known(a.repositoryFacts(ctx, repo))
	c.Kept = known(a.keptFacts(ctx, catalogue, id, t, now))
	for _, url := range a.cfg.Repository.Copies {
		c.Copies = append(c.Copies, known(a.copyFacts(ctx, url, repo.Fingerprint(), id)))
	}
	return c
}

func (a *App) configured(t config.Target, now time.Time) audit.Configured {
	c := audit.Configured{File: a.cfg.Path, Log: t.Log.Enabled, Heartbeat: t.Heartbeat.Enabled, PartialEvery: t.Log.PartialEvery.Std()}
	if w, err := when(t.Backup.Schedule); err == nil && w != nil { // an error would have been one of the configuration
		c.BackupDue, c.BackupEvery = schedule.Last(w, now)
	}
	if w, err := when(t.Drill.Schedule); err == nil && w != nil {
		_, c.DrillEvery = schedule.Last(w, now)
	}
	return c
}

func backupFacts(ctx context.Context, c *backup.Catalogue, id target.ID, list []backup.Backup) []audit.BackupFacts {
	out := []audit.BackupFacts{}
	here := map[string]bool{}
	for _, b := range list { // oldest first, parents before children
		readable := b.Parent == "" || here[b.Parent]
		here[b.ID] = readable
		out = append(out, audit.BackupFacts{
			ID: b.ID, Full: b.Kind == backup.Full, EndedAt: b.EndedAt, Took: b.Took, Bytes: b.Bytes, Stored: b.Stored, Log: b.End.LSN, Damage: len(b.Findings), Readable: readable,
		})
	}
	damaged, err := c.Damaged(ctx, id)
	if err != nil {
		return out // the list itself says the same
	}
	for _, d := range damaged {
		out = append(out, audit.BackupFacts{ID: d.ID})
	}
	slices.SortStableFunc(out, func(a, b audit.BackupFacts) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func coverageFacts(ctx context.Context, c *backup.Catalogue, id target.ID, list []backup.Backup, now time.Time) (audit.CoverageFacts, error) {
	r, err := c.Coverage(ctx, id, now)
	if err != nil {
		return audit.CoverageFacts{}, err
	}
	out := audit.CoverageFacts{Gaps: []audit.GapFacts{}}
	if r.Newest != nil {
		out.Newest = r.Newest.Time
	}
	for _, s := range r.Spans {
		if out.From.IsZero() || s.FromTime.Before(out.From) {
			out.From = s.FromTime
		}
	}
	for _, g := range r.Gaps {
		open := !slices.ContainsFunc(list, func(b backup.Backup) bool {
			return b.Start.Timeline > g.To.Timeline || b.Start.Timeline == g.To.Timeline && b.Start.LSN >= g.To.LSN
		})
		to := g.To.String()
		if g.To == (target.Position{}) {
			to = "the end of the log"
		}
		out.Gaps = append(out.Gaps, audit.GapFacts{From: g.From.String(), To: to, Reason: g.Reason, Open: open})
	}
	return out, nil
}

func logFacts(ctx context.Context, repo *repository.Repository, id target.ID) (audit.LogFacts, error) {
	p, err := (&backup.Log{Repo: repo, Target: id}).Position(ctx)
	if errors.Is(err, repository.ErrNotFound) && !errors.Is(err, backup.ErrLogBroken) {
		return audit.LogFacts{}, nil
	}
	return audit.LogFacts{Restorable: p.ServerTime, WrittenAt: p.WrittenAt}, err
}

func (a *App) proofFacts(ctx context.Context, repo *repository.Repository, id target.ID) ([]audit.ProofFacts, error) {
	all, err := a.proofs(ctx, repo, id)
	out := []audit.ProofFacts{}
	for _, p := range all {
		out = append(out, audit.ProofFacts{ID: p.ID, At: p.EndedAt, Verdict: string(p.Verdict), Summary: p.Summary, Resolution: p.Resolution})
	}
	return out, err
}

func (a *App) keptFacts(ctx context.Context, c *backup.Catalogue, id target.ID, t config.Target, now time.Time) ([]string, error) {
	proven, err := a.lastProven(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := c.Retention(ctx, id, policy(t), proven, now)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, k := range p.Keep {
		out = append(out, k.ID)
	}
	return out, nil
}

// Records of care for the repository as a whole.
const (
	recordVerified   = "repository/verified"
	recordPassphrase = "repository/passphrase"
)

// careRecord says when somebody last did something for the repository.
type careRecord struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Full   bool      `json:"full,omitempty"`   // every byte was read
	Damage int       `json:"damage,omitempty"` // objects found damaged
}

func putCareRecord(ctx context.Context, repo *repository.Repository, name string, r careRecord) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return repo.PutSealed(ctx, name, text)
}

// readCareRecord reads one; the zero record when there is none.
func readCareRecord(ctx context.Context, repo *repository.Repository, name string) (careRecord, error) {
	var r careRecord
	text, err := repo.GetSealed(ctx, name)
	if errors.Is(err, repository.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

func (a *App) repositoryFacts(ctx context.Context, repo *repository.Repository) (audit.RepositoryFacts, error) {
	f := audit.RepositoryFacts{Location: repo.Location()}
	if dir, local := strings.CutPrefix(repo.Location(), "file://"); local {
		f.Local = true
		var err error
		if f.Device, err = deviceOf(dir); err != nil {
			return f, err
		}
	}
	offers, on, err := repo.Immutable(ctx)
	f.Offers, f.Immutable = offers, known(on, err)
	verified, err := readCareRecord(ctx, repo, recordVerified)
	if err != nil {
		return f, err
	}
	typed, err := readCareRecord(ctx, repo, recordPassphrase)
	f.Verified, f.Damage, f.Passphrase, f.By = verified.At, verified.Damage, typed.At, typed.By
	return f, err
}

// copyFacts opens a copy of the repository.
func (a *App) copyFacts(ctx context.Context, url, fingerprint string, id target.ID) (f audit.CopyFacts, err error) {
	c := a.cfg.Repository
	c.URL = url
	o := repositoryOptions(c, a.cfg.StateDir)
	o.ReadOnly = true
	r, err := repository.Open(ctx, o)
	if err != nil {
		return f, fmt.Errorf("open the copy %s: %w", url, err)
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	f.Location, f.Same = r.Location(), r.Fingerprint() == fingerprint
	list, err := (&backup.Catalogue{Repo: r}).List(ctx, id)
	if err != nil {
		return f, fmt.Errorf("list base backups in the copy %s: %w", url, err)
	}
	if len(list) > 0 {
		f.Newest = list[len(list)-1].EndedAt
	}
	return f, nil
}

// graveAlarms are those after which something cannot be restored.
var graveAlarms = [...]string{status.AlarmGap, status.AlarmSlotGone, status.AlarmLogStopped, status.AlarmDrill, status.AlarmDamage, status.AlarmBackup}

func (a *App) alarmFacts(ctx context.Context, id target.ID) (out []audit.AlarmFacts, err error) {
	s, err := a.openStore(ctx, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	all, err := s.Alarms(ctx, id)
	for _, x := range all {
		if x.Code == status.AlarmFinding {
			continue // raised for a finding, which finds itself
		}
		out = append(out, audit.AlarmFacts{Code: x.Code, Key: x.Key, Detail: x.Detail, Next: x.Next, Since: x.Raised, Grave: slices.Contains(graveAlarms[:], x.Code)})
	}
	return out, err
}

// hostFacts looks where a server's data is, when it is on this machine.
func hostFacts(s target.Known[target.ServerFacts]) target.Known[audit.Host] {
	switch f := s.Value; {
	case !s.Seen:
		return target.Unseen[audit.Host]("the server: " + s.Why)
	case !f.Connection.Seen:
		return target.Unseen[audit.Host]("the server's address: " + f.Connection.Why)
	case !f.Connection.Value.Local && !ours(f.Connection.Value.Address):
		return target.Seen(audit.Host{}) // on another machine
	case f.Server.DataDirectory == "":
		return target.Unseen[audit.Host]("the role may not see data_directory: grant pg_monitor")
	default:
		dev, err := deviceOf(f.Server.DataDirectory)
		if errors.Is(err, os.ErrNotExist) { // a tunnel, or a container of its own
			return target.Unseen[audit.Host](f.Server.DataDirectory + " is not on this machine: the way to the server leads elsewhere")
		}
		h := audit.Host{DataDirectory: f.Server.DataDirectory, DataDevice: dev, Devices: map[string]uint64{}}
		for _, dir := range audit.ArchiveDirectories(f) {
			if dev, err := deviceOf(dir); err == nil { // else nobody here may look
				h.Devices[dir] = dev
			}
		}
		return known(h, err)
	}
}

// ours reports whether an address is one of this machine's.
func ours(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	all, err := net.InterfaceAddrs()
	if ip == nil || err != nil {
		return false
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		n, is := a.(*net.IPNet)
		return is && n.IP.Equal(ip)
	})
}

// deviceOf is the device that a folder is on.
func deviceOf(dir string) (uint64, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: its device cannot be read here", dir)
	}
	return st.Dev, nil
}

// suppressions are those of a target.
func suppressions(t config.Target) []audit.Suppression {
	var out []audit.Suppression
	for _, s := range t.Suppress {
		out = append(out, audit.Suppression{Rule: s.Rule, Object: s.Object, Owner: s.Owner, Reason: s.Reason, Until: s.Until.End()})
	}
	return out
}
