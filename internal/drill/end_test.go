package drill

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

var now = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

func at(tl target.Timeline, lsn target.LSN) target.Position {
	return target.Position{Timeline: tl, LSN: lsn}
}

// noLog is a repository whose log cannot be read.
type noLog struct{}

func (noLog) Fetch(context.Context, string) ([]byte, error) { return nil, backup.ErrLogBroken }
func (noLog) Position(context.Context) (backup.LogPosition, error) {
	return backup.LogPosition{}, nil
}

// later is a production that has been promoted since it was first asked.
type later struct {
	Production
	timeline target.Timeline
	err      error
}

func (l later) Inspect(context.Context) (target.Server, error) {
	return target.Server{Timeline: l.timeline}, l.err
}

// healthy is a drill that reached all that production had, at 1:0/1000.
func healthy() *run {
	acknowledged := at(1, 0x1000)
	return &run{
		o: Options{
			Target: "shop", To: restore.Target{Kind: restore.ToLatest}, Log: noLog{}, Slot: "refloat_shop", Acknowledged: &acknowledged,
			Objectives: proof.Objectives{DataLoss: time.Minute, Resolution: time.Hour},
		},
		p:    proof.Proof{Reached: at(1, 0x1000), StartedAt: now, Resolution: time.Minute},
		pos:  backup.LogPosition{Position: at(1, 0x1000), SegmentSize: 16 << 20, ServerTime: now.Add(-time.Second), WrittenAt: now.Add(-time.Second)},
		plan: restore.Plan{Backup: backup.Backup{SegmentSize: 16 << 20}},
		prod: production{
			server: target.Server{Timeline: 1, Position: 0x1000}, at: now,
			slot: target.Slot{Exists: true, Active: true, RestartLSN: 0x1000},
		},
	}
}

func TestEndOfRecovery(t *testing.T) {
	gone := errors.New("connection refused")
	for name, x := range map[string]struct {
		change func(r *run)
		want   proof.Outcome
		says   string
	}{
		"all of it":                      {func(*run) {}, proof.Passed, "vouches"},
		"more than was asked":            {func(r *run) { r.p.Reached.LSN = 0x2000 }, proof.Passed, "vouches"},
		"short of what was acknowledged": {func(r *run) { a := at(1, 0x3000); r.o.Acknowledged = &a }, proof.CheckFailed, "8192 bytes before 1:0/3000, which our own record"},
		"short of the slot":              {func(r *run) { r.prod.slot.RestartLSN = 0x3000 }, proof.CheckFailed, "replication slot"},
		"short of the repository's own":  {func(r *run) { r.pos.Position.LSN = 0x3000 }, proof.CheckFailed, "repository's own record"},
		"nobody to vouch": {func(r *run) {
			r.o.Acknowledged, r.prod.slotErr, r.prod.serverErr = nil, gone, gone
		}, proof.CouldNotRun, "connection refused"},
		"no slot, production ahead": {func(r *run) {
			r.o.Acknowledged, r.prod.slot.Exists, r.prod.server.Position = nil, false, 0x9000
		}, proof.CouldNotRun, "no replication slot"},
		"no slot, production vouches":         {func(r *run) { r.o.Acknowledged, r.prod.slot.Exists = nil, false }, proof.Passed, "production itself"},
		"production gone, our record vouches": {func(r *run) { r.prod.slotErr, r.prod.serverErr = gone, gone }, proof.Passed, "our own record"},
		"log off on purpose": {func(r *run) {
			r.o.NoLog, r.o.Acknowledged, r.prod.slot.Exists, r.pos, r.prod.server.Position = true, nil, false, backup.LogPosition{}, 0x9000
		}, proof.Passed, "no log is kept"},
		"another timeline than production's": {func(r *run) {
			r.p.Reached.Timeline, r.o.Production = 2, later{timeline: 1}
		}, proof.CheckFailed, "not production"},
		"production promoted meanwhile": {func(r *run) {
			r.p.Reached, r.pos.Position, r.o.Production = at(2, 0x2000), at(2, 0x2000), later{timeline: 2}
		}, proof.Passed, "vouches"},
		"production cannot be asked again": {func(r *run) {
			r.p.Reached.Timeline, r.o.Production = 2, later{err: gone}
		}, proof.CouldNotRun, "asked again"},
		"production is on a newer timeline": {func(r *run) { r.prod.server.Timeline = 2 }, proof.CouldNotRun, "timeline 2"},
		"to a time, on purpose":             {func(r *run) { r.o.To.Kind, r.p.Reached.LSN = restore.ToTime, 0x10 }, proof.Passed, "asked for"},
		"to a time at the end, cut short": {func(r *run) {
			end := at(1, 0x3000)
			r.o.To.Kind, r.plan.End, r.plan.Until = restore.ToTime, &end, end.LSN
		}, proof.CheckFailed, "which was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			r := healthy()
			x.change(r)
			c := r.endOfRecovery(t.Context())
			if c.Outcome != x.want || !strings.Contains(c.Detail+strings.Join(c.Evidence, " "), x.says) {
				t.Errorf("%s: %s", c.Outcome, c.Detail)
			}
		})
	}
}

func TestDataLoss(t *testing.T) {
	beat := func(ago time.Duration) []target.Beat { return []target.Beat{{Seq: 1, At: now.Add(-ago)}} }
	for name, x := range map[string]struct {
		change func(r *run)
		beats  []target.Beat
		want   proof.Outcome
		loss   time.Duration // -1 for not measured
	}{
		"none":                       {func(*run) {}, beat(time.Second), proof.Passed, 0},
		"production went on a while": {func(r *run) { r.prod.server.Position = 0x2000 }, nil, proof.Passed, time.Second},
		"production went on for long": {func(r *run) {
			r.prod.server.Position, r.pos.ServerTime, r.pos.WrittenAt = 0x2000, now.Add(-time.Hour), now.Add(-time.Hour)
		}, nil, proof.CheckFailed, time.Hour},
		"the heartbeat stopped with the stream": {func(r *run) {
			r.prod.server.Position, r.pos.ServerTime, r.pos.WrittenAt = 0x2000, now.Add(-time.Hour), now.Add(-time.Hour)
		}, beat(2 * time.Hour), proof.CheckFailed, time.Hour},
		"production's clock was set back": {func(r *run) { r.prod.server.Position, r.pos.ServerTime = 0x2000, now.Add(time.Hour) }, nil, proof.CouldNotRun, -1},
		"set back by less than the loss": {func(r *run) {
			r.prod.server.Position, r.pos.ServerTime, r.pos.WrittenAt = 0x2000, now.Add(-10*time.Second), now.Add(-time.Hour)
		}, nil, proof.CheckFailed, time.Hour},
		"production gone, no witness": {func(r *run) { r.prod.serverErr = errors.New("gone") }, beat(time.Second), proof.CouldNotRun, -1},
		"production gone, last beat is there": {func(r *run) {
			r.prod.serverErr, r.o.LastBeat = errors.New("gone"), &beat(time.Second)[0]
		}, beat(3 * time.Second), proof.Passed, 2 * time.Second},
		"nothing promised": {func(r *run) { r.o.Objectives.DataLoss = 0 }, nil, proof.NotAsked, 0},
		"on purpose":       {func(r *run) { r.o.To.Kind = restore.ToTime }, nil, proof.NotAsked, -1},
		"nothing to go by": {func(r *run) {
			r.prod.server.Position, r.pos = 0x2000, backup.LogPosition{}
		}, nil, proof.CouldNotRun, -1},
	} {
		t.Run(name, func(t *testing.T) {
			r := healthy()
			x.change(r)
			c := r.dataLoss(x.beats, nil)
			got := time.Duration(-1)
			if r.p.DataLoss != nil {
				got = *r.p.DataLoss
			}
			if c.Outcome != x.want || got != x.loss {
				t.Errorf("%s, %s: %s", c.Outcome, got, c.Detail)
			}
		})
	}
}

func TestResolution(t *testing.T) {
	r := healthy()
	if c := r.resolution(); c.Outcome != proof.Passed {
		t.Error(c)
	}
	r.p.Resolution = 2 * time.Hour
	if c := r.resolution(); c.Outcome != proof.CheckFailed {
		t.Error(c)
	}
	r.o.Objectives.Resolution = 0
	if c := r.resolution(); c.Outcome != proof.NotAsked {
		t.Error(c)
	}
}

func TestProductionChecks(t *testing.T) {
	r := healthy()
	r.plan.Backup.SystemID, r.prod.server.SystemID = 7, 7
	r.prod.server.Settings = map[string]string{"fsync": "on", "full_page_writes": "on"}
	table := target.Relation{Name: "public.cache", Kind: "table", Unlogged: true, Bytes: 8192}
	for name, x := range map[string]struct {
		change func(r *run)
		check  func(r *run) proof.Check
		want   proof.Outcome
	}{
		"same cluster":    {func(*run) {}, (*run).sameCluster, proof.Passed},
		"another cluster": {func(r *run) { r.prod.server.SystemID = 8 }, (*run).sameCluster, proof.CheckFailed},
		"cluster unknown": {func(r *run) { r.prod.serverErr = errors.New("gone") }, (*run).sameCluster, proof.CouldNotRun},
		"settings":        {func(*run) {}, (*run).safeSettings, proof.Passed},
		"fsync off":       {func(r *run) { r.prod.server.Settings = map[string]string{"fsync": "off", "full_page_writes": "on"} }, (*run).safeSettings, proof.CheckFailed},
		"setting unseen":  {func(r *run) { r.prod.server.Settings = map[string]string{"fsync": "on"} }, (*run).safeSettings, proof.CouldNotRun},
		"unlogged": {func(r *run) {
			r.prod.schema.Databases = []target.DatabaseSchema{{Name: "shop", Relations: []target.Relation{table}}}
		}, (*run).unlogged, proof.CheckFailed},
		"unlogged, schema gone": {func(r *run) { r.prod.schemaErr = errors.New("gone") }, (*run).unlogged, proof.CouldNotRun},
		"unlogged on a standby": {func(r *run) {
			empty := table
			empty.Bytes = 0
			r.prod.server.InRecovery = true
			r.prod.schema.Databases = []target.DatabaseSchema{{Name: "shop", Relations: []target.Relation{empty}}}
		}, (*run).unlogged, proof.CheckFailed},
		"unlogged and accepted": {func(r *run) {
			r.o.AcceptUnlogged = []string{"shop.public.c*"}
			r.prod.schema.Databases = []target.DatabaseSchema{{Name: "shop", Relations: []target.Relation{table}}}
		}, (*run).unlogged, proof.Passed},
		"damaged when taken": {func(r *run) { r.plan.Backup.Findings = []target.PageFinding{{File: "base/1/2"}} }, (*run).backupFindings, proof.CheckFailed},
	} {
		t.Run(name, func(t *testing.T) {
			changed := *r
			x.change(&changed)
			if c := x.check(&changed); c.Outcome != x.want {
				t.Errorf("%s: %s", c.Outcome, c.Detail)
			}
		})
	}
}

func TestHeartbeatCheck(t *testing.T) {
	var chain []target.Beat
	var last target.Beat
	for i := range 5 {
		last = target.NextBeat("shop", last, now.Add(time.Duration(i)*time.Second))
		chain = append(chain, last)
	}
	for name, x := range map[string]struct {
		change func(r *run)
		beats  []target.Beat
		err    error
		want   proof.Outcome
	}{
		"whole":                {func(*run) {}, chain, nil, proof.Passed},
		"turned off":           {func(r *run) { r.o.Heartbeat = false }, nil, nil, proof.NotAsked},
		"unreadable":           {func(*run) {}, nil, errors.New("no table"), proof.CouldNotRun},
		"never written":        {func(*run) {}, nil, nil, proof.CouldNotRun},
		"production has some":  {func(r *run) { r.prod.beat = &chain[0] }, nil, nil, proof.CheckFailed},
		"our record knows one": {func(r *run) { r.o.LastBeat = &chain[0] }, nil, nil, proof.CheckFailed},
		"one is missing":       {func(*run) {}, append(chain[:2:2], chain[3:]...), nil, proof.CheckFailed},
		"of another target":    {func(r *run) { r.o.Target = "books" }, chain, nil, proof.CheckFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r := healthy()
			r.o.Heartbeat = true
			x.change(r)
			if c := r.heartbeat(x.beats, x.err); c.Outcome != x.want {
				t.Errorf("%s: %s", c.Outcome, c.Detail)
			}
		})
	}
}

func TestServerLog(t *testing.T) {
	for line, want := range map[string]proof.Outcome{
		"LOG:  redo done at 0/5000028":                                                        proof.Passed,
		"FATAL:  the database system is starting up":                                          proof.Passed,
		"LOG:  incorrect resource manager data checksum in record at 0/5000028":               proof.Passed,
		"WARNING:  page verification failed\nERROR:  invalid page in block 3 of relation x":   proof.CheckFailed,
		"PANIC:  could not locate a valid checkpoint record":                                  proof.CheckFailed,
		"ERROR:  incorrect resource manager data checksum in record at 0/5000028 of base/1/2": proof.CheckFailed,
	} {
		r := healthy()
		r.log = strings.Split(line, "\n")
		if c := r.serverLog(); c.Outcome != want {
			t.Errorf("%s: %s", line, c.Outcome)
		}
	}
}

// A check that breaks, or says nothing, is one that could not run.
func TestAskNeverLosesACheck(t *testing.T) {
	r := healthy()
	r.o.Now = func() time.Time { return now }
	r.o.Logger = slog.New(slog.DiscardHandler)
	r.ask("breaks", "x", func() proof.Check { panic("oh") })
	r.ask("silent", "x", func() proof.Check { return proof.Check{} })
	for _, c := range r.p.Checks {
		if c.Outcome != proof.CouldNotRun {
			t.Errorf("%+v", c)
		}
	}
	if proof.Judge(r.p.Checks) == proof.Proven {
		t.Error("proven without a check that ran")
	}
}
