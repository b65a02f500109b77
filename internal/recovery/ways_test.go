package recovery

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

var now = time.Date(2026, 11, 27, 2, 14, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// dead is a target whose server was killed on this machine, in good care.
func dead(r Reason) Facts {
	loss := 900 * time.Millisecond
	estimate := 7 * time.Minute
	plan := restore.Plan{Backup: backup.Backup{ID: "b1"}, Bytes: 1 << 30, End: &target.Position{Timeline: 1, LSN: 0x5000000}, Estimate: &estimate}
	server := Card{
		What: "target shop", Alive: target.Known[bool]{Seen: true, Why: "no process of it lives here"}, SystemID: target.Seen[target.SystemID](7), Here: target.Seen(true),
		Directory: target.Seen("/var/lib/postgresql/15/main"), State: "in production", Role: target.Seen(RolePrimary),
	}
	meant := Meant{Target: "shop", SystemID: target.Seen[target.SystemID](7), Role: RolePrimary}
	server.Verdict = Judge(server, meant)
	return Facts{
		Now: now, Target: "shop", Reason: r, Began: ago(4 * time.Minute), Serves: target.Seen(false), Server: server,
		Latest: target.Seen(plan), Point: target.Seen(plan), Asked: "2026-11-27T02:00:00Z", Restorable: target.Seen(ago(4*time.Minute + 2*time.Second)), LastBeat: target.Seen(target.Beat{Seq: 9, At: ago(4*time.Minute + time.Second)}),
		Proof: &proof.Proof{
			ID: "shop-00000012-x", Target: "shop", Verdict: proof.Proven, EndedAt: ago(3 * time.Hour), Resolution: 6*time.Minute + 12*time.Second, DataLoss: &loss,
			Phases: []proof.Phase{{Name: "restore", Took: 5 * time.Minute, Bytes: 3 << 30}},
		},
		Objectives: proof.Objectives{ProofAge: 24 * time.Hour},
		Place:      Place{Dir: "/srv/new", Holds: target.Seen(HoldsNothing), Free: target.Seen[int64](100 << 30), Binaries: target.Seen("/usr/lib/postgresql/15/bin")},
		Service:    Service{Host: "db1", Here: true},
		Answers:    map[string]string{},
	}
}

func withStandby(f Facts) Facts {
	s := Standby{Name: "db2", DSN: "postgres://refloat@db2/postgres", Right: target.Seen(true)}
	s.Card = Card{What: "its standby", Alive: target.Seen(true), SystemID: target.Seen[target.SystemID](7), Role: target.Seen(RoleStandby), Beat: target.Seen(target.Beat{Seq: 9, At: ago(4*time.Minute + time.Second)})}
	s.Card.Verdict = Judge(s.Card, Meant{Target: "shop", SystemID: target.Seen[target.SystemID](7), Role: RoleStandby})
	f.Standby, f.Grants.PromoteSQL = &s, true
	return f
}

// alive is the same target while its server lives.
func alive(f Facts) Facts {
	f.Server.Alive, f.Serves = target.Seen(true), target.Seen(f.Reason == DataDeleted)
	return f
}

func serves(f Facts) Facts {
	f = alive(f)
	f.Serves = target.Seen(true)
	return f
}

func remote(f Facts) Facts {
	f.Server.Here, f.Server.Directory, f.Server.Alive = target.Seen(false), target.Unseen[string]("it is on another machine"), target.Unseen[bool]("nobody answers")
	f.Server.SystemID = target.Unseen[target.SystemID]("it does not answer")
	f.Server.Verdict = Judge(f.Server, Meant{SystemID: target.Seen[target.SystemID](7)})
	return f
}

func TestWhatIsRecommended(t *testing.T) {
	gone := dead(Crash)
	gone.Server.SystemID, gone.Server.Directory = target.Unseen[target.SystemID]("the directory is gone"), target.Unseen[string]("it is gone")
	uncovered := dead(DataDeleted)
	uncovered.Point = target.Unseen[restore.Plan]("the repository does not reach this point")
	noRoom := gone
	noRoom.Place.Free = target.Seen[int64](10)
	fenced := withStandby(remote(dead(Unreachable)))
	fenced.Answers = map[string]string{AskFenced: "the machine is switched off"}
	for name, c := range map[string]struct {
		facts Facts
		want  Name
	}{
		"crash":                             {dead(Crash), Restart},
		"crash with a standby":              {withStandby(dead(Crash)), Restart},
		"crash, its files are gone":         {gone, RestoreLatest},
		"the same, a standby is there":      {withStandby(gone), RestoreLatest}, // nobody says that the old one is dead
		"the same, no room":                 {noRoom, ""},
		"starting":                          {alive(dead(Starting)), Wait},
		"hang":                              {alive(dead(Hang)), Restart},
		"unreachable":                       {remote(dead(Unreachable)), RestoreLatest},
		"unreachable, a standby":            {withStandby(remote(dead(Unreachable))), RestoreLatest},
		"unreachable, fenced, a standby":    {fenced, Promote},
		"no connections":                    {alive(dead(NoConnections)), Mend},
		"disk full":                         {alive(dead(DiskFull)), Mend},
		"read-only":                         {alive(dead(ReadOnly)), Mend},
		"denied":                            {alive(dead(Denied)), Mend},
		"failing":                           {alive(dead(Failing)), Restart},
		"deleted":                           {alive(dead(DataDeleted)), RestoreTo},
		"deleted, the point is not covered": {alive(uncovered), ""},
		"unknown":                           {dead(Unknown), Restart},
		"unknown, and it serves":            {serves(dead(Unknown)), RestoreLatest},
	} {
		all := Ways(c.facts)
		got := Name("")
		for i, w := range all {
			if w.Recommended {
				got = w.Name
				if i != 0 {
					t.Errorf("%s: the recommended way is not the first", name)
				}
			}
			if w.Why == "" || len(w.Steps) == 0 || w.Time.Known == (w.Time.Why != "") || w.Loss.Known == (w.Loss.Why != "") || w.Gap.Known == (w.Gap.Why != "") {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q is recommended, want %q", name, got, c.want)
		}
	}
}

func TestFiguresSayWhoMeasuredThem(t *testing.T) {
	f := dead(Crash)
	w := Find(Ways(f), RestoreLatest)
	if w.Time.Value != f.Proof.Resolution || w.Loss.Value != *f.Proof.DataLoss || w.Time.Age != 3*time.Hour || w.Time.Stale || !strings.Contains(w.Time.From, "shop-00000012-x (proven)") || *w.Estimate != 7*time.Minute || w.Gap.Value != 2*time.Second {
		t.Errorf("%+v", w)
	}
	f.Objectives.ProofAge = time.Hour
	if w = Find(Ways(f), RestoreLatest); !w.Time.Stale || !w.Loss.Stale {
		t.Errorf("not stale: %+v", w)
	}
	f.Proof.DataLoss = nil
	if w = Find(Ways(f), RestoreLatest); w.Loss.Known || !strings.Contains(w.Loss.Why, "proof shop-00000012-x (proven) could not measure") {
		t.Errorf("%+v", w.Loss)
	}
	f.Proof = nil
	if w = Find(Ways(f), RestoreLatest); w.Time.Known || w.Loss.Known || w.Time.Why != "not measured: it was never drilled" {
		t.Errorf("%+v", w)
	}
	if w = Find(Ways(withStandby(dead(Crash))), Promote); !w.Loss.Known || w.Loss.Value != time.Second {
		t.Errorf("%+v", w.Loss)
	}
}

func TestNothingIsStartedBesideAPrimaryUnasked(t *testing.T) {
	f := alive(dead(DataDeleted))
	f.Grants.Start = []string{"pg_ctl", "-D", "{directory}", "start"}
	starts := func(f Facts) bool {
		return slices.ContainsFunc(Find(Ways(f), RestoreTo).Steps, func(s Step) bool { return s.ID == StepStart })
	}
	if starts(f) {
		t.Error("a second primary would be started")
	}
	f.Answers[AskSecondPrimary] = "to look at it on port 5433"
	if !starts(f) || !strings.Contains(Words(StartWords(f.Grants.Start, "/srv/the new")), "-D '/srv/the new' start") {
		t.Error("it was asked for")
	}
}

func TestCommandsAreExact(t *testing.T) {
	f := dead(Crash)
	f.Place.Program = "refloat --config /etc/refloat.yaml"
	f.Service = Service{Host: "db1", User: "postgres", BinDir: "/usr/lib/postgresql/15/bin", Unit: "postgresql@15-main"}
	text := func(n Name, step string) (out string) {
		for _, s := range Find(Ways(f), n).Steps {
			for _, c := range s.Commands {
				if s.ID == step {
					out += c.Text + "\n"
				}
			}
		}
		return out
	}
	for _, c := range []struct {
		got, want string
	}{
		{text(Restart, StepRestart), "sudo systemctl restart postgresql@15-main\nsudo -u postgres /usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main -w -m fast restart\n"},
		{text(RestoreLatest, StepRestore), "refloat --config /etc/refloat.yaml restore shop --into /srv/new --to latest\n"},
		{text(RestoreTo, StepRestore), "refloat --config /etc/refloat.yaml restore shop --into /srv/new --to 2026-11-27T02:00:00Z --before\n"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestWhichServerItIs(t *testing.T) {
	m := Meant{Target: "shop", SystemID: target.Seen[target.SystemID](7), Role: RolePrimary, Restorable: target.Seen(ago(time.Minute)), Reaches: target.Seen(target.Position{Timeline: 1, LSN: 100})}
	c := Card{Alive: target.Seen(true), SystemID: target.Seen[target.SystemID](7), Role: target.Seen(RolePrimary), Commit: target.Seen(ago(time.Second)), Here: target.Seen(true)}
	for name, x := range map[string]struct {
		change func(*Card, *Meant)
		is     Is
		says   string
	}{
		"the one":         {func(*Card, *Meant) {}, IsMeant, "last commit (2026-11-27 02:13:59 UTC) is NEWER than what can be restored"},
		"another cluster": {func(c *Card, _ *Meant) { c.SystemID.Value = 8 }, IsNotMeant, "it is another cluster"},
		"nobody knows":    {func(c *Card, _ *Meant) { c.SystemID = target.Unseen[target.SystemID]("no way to it") }, IsUnclear, "no way to it"},
		"no backup":       {func(_ *Card, m *Meant) { m.SystemID = target.Known[target.SystemID]{} }, IsUnclear, "nothing to compare"},
		"the wrong role":  {func(c *Card, _ *Meant) { c.Role.Value = RoleStandby }, IsUnclear, "it is a standby, and a primary is meant"},
		"newer log": {func(c *Card, _ *Meant) {
			c.Commit.Seen, c.Position = false, target.Seen(target.Position{Timeline: 1, LSN: 200})
		}, IsMeant, "may have work that the repository lacks"},
		"nothing is newer": {func(c *Card, _ *Meant) {
			c.Commit.Seen, c.Position = false, target.Seen(target.Position{Timeline: 1, LSN: 50})
		}, IsMeant, "the repository's log reaches 1:0/64"},
		"on another machine": {func(c *Card, _ *Meant) { c.Here.Value = false }, IsMeant, "on another machine"},
	} {
		card, meant := c, m
		x.change(&card, &meant)
		v := Judge(card, meant)
		if v.Is != x.is || !strings.Contains(strings.Join(v.Why, "\n"), x.says) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestLossIsAnUpperBound(t *testing.T) {
	for name, c := range map[string]struct {
		in   LossFacts
		want time.Duration
		ok   bool
	}{
		"all is there":               {LossFacts{Began: ago(0), Acked: ago(time.Second), Held: ago(time.Second), All: true}, time.Second, true},
		"some is missing":            {LossFacts{Began: ago(0), Acked: ago(time.Second), Held: ago(5 * time.Second)}, 5 * time.Second, true},
		"no outage, all is there":    {LossFacts{Acked: ago(0), Held: ago(0), All: true}, 0, true},
		"no outage, some is missing": {LossFacts{Acked: ago(0), Held: ago(3 * time.Second)}, 3 * time.Second, true},
		"nothing says":               {LossFacts{Began: ago(0), Acked: ago(time.Second)}, 0, false},
		"no witness":                 {LossFacts{Held: ago(time.Second)}, 0, false},
	} {
		got, how, ok := Loss(c.in)
		if got != c.want || ok != c.ok || ok == (how == "") {
			t.Errorf("%s: %v %q %v", name, got, how, ok)
		}
	}
}

func anyKnown[T any](t *rapid.T, name string, v T) target.Known[T] {
	if rapid.Bool().Draw(t, name) {
		return target.Seen(v)
	}
	return target.Unseen[T]("not looked at")
}

func TestRecommendedWaysHaveNoFailingPrecondition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := dead(rapid.SampledFrom(Reasons()).Draw(t, "reason"))
		f.Server.Alive, f.Server.Here = anyKnown(t, "alive", rapid.Bool().Draw(t, "lives")), anyKnown(t, "here", rapid.Bool().Draw(t, "is here"))
		f.Server.SystemID, f.Server.Directory = anyKnown(t, "id", target.SystemID(rapid.IntRange(7, 8).Draw(t, "the id"))), anyKnown(t, "dir", "/data")
		f.Server.Role = anyKnown(t, "role", rapid.SampledFrom([]string{RolePrimary, RoleStandby}).Draw(t, "the role"))
		f.Server.Verdict = Judge(f.Server, Meant{SystemID: anyKnown[target.SystemID](t, "meant", 7), Role: RolePrimary})
		f.Latest, f.Point = anyKnown(t, "latest", f.Latest.Value), anyKnown(t, "point", f.Point.Value)
		f.Restorable, f.LastBeat = anyKnown(t, "restorable", f.Restorable.Value), anyKnown(t, "beat", f.LastBeat.Value)
		if rapid.Bool().Draw(t, "no proof") {
			f.Proof = nil
		} else if rapid.Bool().Draw(t, "no loss") {
			f.Proof.DataLoss = nil
		}
		if rapid.Bool().Draw(t, "standby") {
			f = withStandby(f)
			f.Standby.Card.Beat, f.Standby.Right = anyKnown(t, "standby's beat", f.Standby.Card.Beat.Value), anyKnown(t, "right", rapid.Bool().Draw(t, "may"))
			f.Standby.Card.Alive = anyKnown(t, "standby lives", rapid.Bool().Draw(t, "it lives"))
		}
		if rapid.Bool().Draw(t, "no beginning") {
			f.Began = time.Time{}
		}
		f.Place.Holds = anyKnown(t, "holds", rapid.SampledFrom([]string{HoldsNothing, HoldsOther, HoldsServer, HoldsUnfinished}).Draw(t, "it holds"))
		f.Place.Binaries, f.Place.Free = anyKnown(t, "binaries", "/bin"), anyKnown(t, "free", rapid.Int64Range(0, 1<<40).Draw(t, "bytes"))
		for _, q := range []string{AskFenced, AskSecondPrimary, AskNotEmpty} {
			if rapid.Bool().Draw(t, q) {
				f.Answers[q] = rapid.SampledFrom([]string{"because", " "}).Draw(t, "answer")
			}
		}
		recommended := 0
		for _, w := range Ways(f) {
			if w.Recommended {
				recommended++
				if w.Failing() != nil {
					t.Fatalf("%s is recommended, and %+v fails", w.Name, w.Failing())
				}
				if w.Name == Promote && (f.Standby == nil || !f.Server.Dead() && strings.TrimSpace(f.Answers[AskFenced]) == "") {
					t.Fatal("a split brain is recommended")
				}
			}
			if w.Loss.Known && (w.Loss.From == "" || (f.Proof == nil || f.Proof.DataLoss == nil || w.Name != RestoreLatest) && (w.Name != Promote || f.Standby == nil || !f.Standby.Card.Beat.Seen)) {
				t.Fatalf("%s states a loss that nobody measured: %+v", w.Name, w.Loss)
			}
			if !w.Loss.Known && w.Loss.Value != 0 || !w.Time.Known && w.Time.Value != 0 || w.Time.Known && f.Proof == nil {
				t.Fatalf("%s: a figure that is not known: %+v", w.Name, w)
			}
			for _, p := range w.Preconditions {
				said := func(q string) bool { return strings.TrimSpace(f.Answers[q]) != "" }
				c := f.Server
				switch p.Name {
				case AskFenced:
					looked := c.Alive.Seen && c.Here.Seen && c.Here.Value && c.Directory.Seen
					if want := !c.Primary() && (said(AskFenced) || looked && !c.Alive.Value); (p.Met == Holds) != want {
						t.Fatalf("%+v of %+v", p, c)
					}
				case "destination":
					h := f.Place.Holds
					if want := h.Seen && (h.Value == HoldsNothing || h.Value == HoldsUnfinished || h.Value == HoldsOther && said(AskNotEmpty)); (p.Met == Holds) != want {
						t.Fatalf("%+v of %+v", p, h)
					}
				}
			}
			if w.Name == RestoreTo || w.Name == RestoreLatest {
				starts := slices.ContainsFunc(w.Steps, func(s Step) bool { return s.ID == StepStart })
				if starts && f.Server.Primary() && strings.TrimSpace(f.Answers[AskSecondPrimary]) == "" {
					t.Fatal("a second primary would be started unasked")
				}
			}
		}
		if recommended > 1 {
			t.Fatalf("%d ways are recommended", recommended)
		}
	})
}
