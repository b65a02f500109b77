package monitor

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/target"
)

var start = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

type script struct {
	t *testing.T
	m *Machine
}

func (s script) see(ms int, fresh bool, sees target.Sees) []Event {
	return s.m.See(target.Look{At: at(ms), Took: time.Millisecond, Fresh: fresh, Sees: sees})
}

func (s script) want(events []Event, kinds ...EventKind) {
	s.t.Helper()
	if len(events) != len(kinds) {
		s.t.Fatalf("events %v, want %v", events, kinds)
	}
	for i, k := range kinds {
		if events[i].Kind != k {
			s.t.Fatalf("events %v, want %v", events, kinds)
		}
	}
}

func watched(t *testing.T) script {
	return script{t, NewMachine("shop", DefaultRules())}
}

func TestCrashIsConfirmedAtOnceAndEndsOnce(t *testing.T) {
	s := watched(t)
	s.want(s.see(0, true, target.Serving))
	s.want(s.see(500, false, target.Serving))
	s.want(s.see(1000, false, target.Broken), Suspected)
	s.want(s.see(1002, true, target.Refused))
	e := s.see(1052, true, target.Refused)
	s.want(e, Confirmed)
	if o := e[0].Outage; !o.FirstBad.Equal(at(1000)) || !o.Confirmed.Equal(at(1053)) || o.Reason != "refuses connections since 02:00:01 UTC" {
		t.Fatalf("outage %+v", o)
	}
	s.want(s.see(1500, true, target.Refused))
	s.want(s.see(2000, true, target.Starting), Changed)
	s.want(s.see(2500, true, target.Serving), Returned)
	s.want(s.see(3500, true, target.Serving))
	s.want(s.see(4500, true, target.Serving))
	e = s.see(5500, true, target.Serving)
	s.want(e, Recovered)
	if !e[0].Outage.Recovered.Equal(at(2501)) {
		t.Fatalf("recovered at %s", e[0].Outage.Recovered)
	}
	// Sixty seconds on it is a new outage.
	s.want(s.see(65500, false, target.Broken), Suspected)
	s.want(s.see(65501, true, target.Refused))
	e = s.see(65560, true, target.Refused)
	s.want(e, Confirmed)
	if e[0].Outage.Flapping || !e[0].Outage.FirstBad.Equal(at(65500)) {
		t.Fatalf("outage %+v", e[0].Outage)
	}
}

func TestOneBadLookIsNothing(t *testing.T) {
	for _, sees := range []target.Sees{target.Refused, target.Silent, target.Broken, target.Full, target.Failing, target.Denied, target.ReadOnly, target.DiskFull, target.WriteHangs} {
		for _, fresh := range []bool{true, false} {
			s := watched(t)
			s.see(0, true, target.Serving)
			s.want(s.see(1000, fresh, sees), Suspected)
			s.want(s.see(1100, true, target.Serving), Cleared)
			if s.m.State() != Up {
				t.Fatalf("%s: %s", sees, s.m.State())
			}
		}
	}
}

func TestAnOpenSessionSaysNothingOfNewOnes(t *testing.T) {
	s := watched(t)
	s.see(0, true, target.Serving)
	s.see(1000, true, target.Full)
	s.want(s.see(1010, false, target.Serving))
	s.want(s.see(1150, true, target.Full))
	s.want(s.see(1300, true, target.Full), Confirmed)
	s.want(s.see(1400, false, target.Serving)) // still down for everybody else
	if s.m.State() != Down {
		t.Fatal(s.m.State())
	}
}

func TestALateAnswerEndsASilence(t *testing.T) {
	s := watched(t)
	s.see(0, true, target.Serving)
	s.want(s.see(1000, false, target.Silent), Suspected)
	s.want(s.see(1300, true, target.Silent))
	s.want(s.see(1350, true, target.Silent))
	s.want(s.see(1390, false, target.Serving), Cleared)
}

func TestReadsDoNotEndATroubleOfWrites(t *testing.T) {
	s := watched(t)
	write := func(ms int, sees target.Sees) []Event {
		return s.m.See(target.Look{At: at(ms), Write: true, Sees: sees})
	}
	s.see(0, true, target.Serving)
	s.want(write(10000, target.WriteHangs), Suspected)
	s.want(s.see(10010, true, target.Serving))
	s.want(write(11000, target.WriteHangs), Confirmed)
	s.want(s.see(11010, true, target.Serving))
	s.want(write(20000, target.Serving), Returned)
	s.want(write(21000, target.Serving))
	s.want(write(23100, target.Serving), Recovered)
}

func TestAStandbyMayBeReadOnly(t *testing.T) {
	rules := DefaultRules()
	rules.Standby = true
	m := NewMachine("replica", rules)
	if e := m.See(target.Look{At: start, Fresh: true, Sees: target.ReadOnly, Standby: true}); len(e) != 0 || m.State() != Up {
		t.Fatal(e, m.State())
	}
}

func TestFlappingStaysOpen(t *testing.T) {
	s := watched(t)
	s.see(0, true, target.Serving)
	var last []Event
	ms := 1000
	for range 4 {
		s.see(ms, true, target.Refused)
		last = s.see(ms+100, true, target.Refused)
		s.want(last, Confirmed)
		for i := range 4 {
			last = s.see(ms+10000+i*1500, true, target.Serving)
		}
		ms += 60000
	}
	if s.m.State() != Recovering || !s.m.outage.Flapping {
		t.Fatalf("%s %+v", s.m.State(), s.m.outage)
	}
	if len(last) != 0 {
		t.Fatalf("the flapping outage ended: %v", last)
	}
	s.want(s.see(ms+130000, true, target.Serving), Recovered)
}

func TestResumedOutageIsNotConfirmedAgain(t *testing.T) {
	s := watched(t)
	s.m.Resume(Outage{Target: "shop", Sees: target.Refused, FirstBad: at(0), Confirmed: at(60)})
	s.want(s.see(1000, true, target.Refused))
	s.want(s.see(2000, true, target.Serving), Returned)
}

// Seventy-two hours of noise on a server that serves: lost looks, slow ones,
// sessions that end, single refusals, bursts that fill the server for a moment.
// Nothing is confirmed. The driver's part (fresh looks at once while suspect) is
// played as the driver does it.
func TestNoiseIsNoOutage(t *testing.T) {
	hours := 72
	if testing.Short() {
		hours = 6
	}
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		loss := rapid.Float64Range(0, 0.03).Draw(rt, "loss") // that a look finds no answer in its time
		m := NewMachine("shop", DefaultRules())
		now, end := start, start.Add(time.Duration(hours)*time.Hour/10) // ten runs or more are checked
		kinds := []target.Sees{target.Silent, target.Broken, target.Unreachable, target.Blind, target.Refused, target.Full}
		for now.Before(end) {
			l := target.Look{At: now, Took: time.Duration(rng.IntN(250)) * time.Millisecond, Sees: target.Serving}
			if m.Verifying() {
				l.Fresh = true
			}
			if rng.Float64() < loss {
				l.Sees = kinds[rng.IntN(len(kinds))]
				if l.Fresh && !quiet(l.Sees) {
					l.Sees = target.Silent // a server that serves refuses nobody twice
				}
				if quiet(l.Sees) {
					l.Took = 600 * time.Millisecond
				}
			}
			for _, e := range m.See(l) {
				// Three silent looks in a row at 3 % are 1 in 37,000 suspicions each;
				// the driver keeps an open session asking meanwhile, which answers.
				if e.Kind == Confirmed && e.Outage.Sees != target.Silent && e.Outage.Sees != target.Unreachable {
					rt.Fatalf("an outage out of noise: %+v", e.Outage)
				}
				if e.Kind == Confirmed {
					rt.Fatalf("an outage out of silence at %v of %v looks lost: %+v", loss, now.Sub(start), e.Outage)
				}
			}
			if m.Verifying() {
				if rng.Float64() >= loss { // the open session answers in between, mostly
					m.See(target.Look{At: now, Took: 300 * time.Millisecond, Sees: target.Serving})
				}
				now = now.Add(50 * time.Millisecond)
			} else {
				now = now.Add(500 * time.Millisecond)
			}
		}
	})
}

// Whatever is seen, the machine keeps its word: states follow each other as
// documented, an outage is confirmed before it recovers, and its times are in
// order.
func TestStatesAreLawful(t *testing.T) {
	all := []target.Sees{target.Serving, target.Serving, target.Broken, target.Refused, target.Unreachable, target.Silent, target.Starting, target.Stopping, target.Full, target.Denied, target.ReadOnly, target.DiskFull, target.WriteHangs, target.Failing, target.Blind}
	rapid.Check(t, func(rt *rapid.T) {
		m := NewMachine("shop", DefaultRules())
		now, open := start, false
		for range rapid.IntRange(1, 200).Draw(rt, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond)
			l := target.Look{At: now, Took: time.Duration(rapid.IntRange(0, 900).Draw(rt, "took")) * time.Millisecond, Sees: rapid.SampledFrom(all).Draw(rt, "sees"), Fresh: rapid.Bool().Draw(rt, "fresh"), Write: rapid.Bool().Draw(rt, "write")}
			for _, e := range m.See(l) {
				switch e.Kind {
				case Confirmed:
					if open || e.Outage.Confirmed.Before(e.Outage.FirstBad) || e.Outage.Reason == "" {
						rt.Fatalf("confirmed: %+v", e)
					}
					open = true
				case Recovered:
					if !open || e.Outage.Recovered.Before(e.Outage.FirstBad) {
						rt.Fatalf("recovered: %+v", e)
					}
					open = false
				case Changed, Returned, Relapsed:
					if !open {
						rt.Fatalf("%s without an outage", e.Kind)
					}
				case Suspected, Cleared:
					if open {
						rt.Fatalf("%s in an outage", e.Kind)
					}
				}
			}
			if _, is := m.Outage(); is != open {
				rt.Fatalf("open %v, machine says %v", open, is)
			}
		}
	})
}

// A server whose catalogues are locked lives: it is waited for, and an outage
// only when that lasts. One that gives no sign of life is one at once, whatever
// it gave before.
func TestALivingServerIsWaitedFor(t *testing.T) {
	s := watched(t)
	look := func(ms int, sees target.Sees) []Event {
		return s.m.See(target.Look{At: at(ms), Took: 900 * time.Millisecond, Fresh: true, Sees: sees})
	}
	s.see(0, true, target.Serving)
	s.want(s.see(1000, false, target.Silent), Suspected)
	for ms := 1300; ms < 44000; ms += 300 {
		s.want(look(ms, target.Stalled))
	}
	s.want(look(46000, target.Stalled), Confirmed)

	s = watched(t)
	s.see(0, true, target.Serving)
	s.want(look(1000, target.Stalled), Suspected)
	s.want(look(1100, target.Silent))
	s.want(look(1200, target.Stalled)) // it answered after all
	s.want(look(2100, target.Silent))
	s.want(look(2200, target.Silent))
	s.want(look(2300, target.Silent), Confirmed)
}

// When the whole server hangs, the heartbeat's write times out as well. That is
// not a server that answers reads.
func TestAWriteThatHangsWithEverythingTellsNothing(t *testing.T) {
	s := watched(t)
	write := func(ms int, sees target.Sees) []Event {
		return s.m.See(target.Look{At: at(ms), Took: 5 * time.Second, Write: true, Sees: sees})
	}
	s.see(0, true, target.Serving)
	s.see(1000, false, target.Silent)
	for i := range 3 {
		s.m.See(target.Look{At: at(1300 + 50*i), Took: 900 * time.Millisecond, Fresh: true, Sees: target.Silent})
	}
	if s.m.State() != Down {
		t.Fatal(s.m.State())
	}
	s.want(write(1000, target.WriteHangs))
	s.want(write(7000, target.WriteHangs))
	if o, _ := s.m.Outage(); o.Sees != target.Silent {
		t.Fatalf("%+v", o)
	}
	// And reads end it: nothing waits for a write.
	s.want(s.see(20000, true, target.Serving), Returned)
	s.want(s.see(21500, true, target.Serving))
	s.want(s.see(23500, true, target.Serving), Recovered)
}

// An outage that only writes felt is ended by a write alone, also after a restart
// of ours; a suspicion that no write confirms or ends does not last.
func TestOnlyAWriteEndsATroubleOfWrites(t *testing.T) {
	rules := DefaultRules()
	rules.Writes = true
	m := NewMachine("shop", rules)
	m.Resume(Outage{Target: "shop", Sees: target.WriteHangs, FirstBad: at(0), Confirmed: at(60)})
	s := script{t, m}
	s.want(s.see(1000, true, target.Serving))
	s.want(s.m.See(target.Look{At: at(2000), Write: true, Sees: target.Serving}), Returned)

	s = watched(t)
	s.see(0, true, target.Serving)
	s.want(s.m.See(target.Look{At: at(1000), Write: true, Sees: target.WriteHangs}), Suspected)
	if s.m.Verifying() {
		t.Error("fresh reads are asked for, which do not feel it")
	}
	s.want(s.see(20000, true, target.Serving))
	s.want(s.see(40000, true, target.Serving), Cleared)
}
