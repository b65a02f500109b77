package browser

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

const password = "three words apart: kettle dune"

// The server is killed again and again while people work in an incident on its
// pages. The incident goes on; nothing that was acknowledged is lost, nothing is
// doubled though each form is sent until it is answered, and nobody is paged after
// the acknowledgement. REFLOAT_CRASH_ROUNDS says how many incidents.
func TestKilledWhilePeopleWork(t *testing.T) {
	if testing.Short() {
		t.Skip("a real server is killed many times")
	}
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("REFLOAT_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	h := newHouse(t)
	ada := h.visitor()
	ada.enter(h.setup(), "ada", password)
	kills := 0
	for round := range rounds {
		kills += h.killedRound(t, ada, round)
	}
	h.must("journal", "verify")
	t.Logf("%d incidents, %d kills", rounds, kills)
}

func (h *house) killedRound(t *testing.T, ada *visitor, round int) (kills int) {
	stop, done := make(chan struct{}), make(chan struct{})
	rnd := rand.New(rand.NewPCG(uint64(round), 7))
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(400+rnd.IntN(4000)) * time.Millisecond):
				h.kill()
				h.start()
				kills++
			}
		}
	}()
	halt := sync.OnceFunc(func() { close(stop); <-done })
	defer halt()
	h.pg.Kill(t)
	var s incident.State
	targettest.WaitFor(t, "an incident", func() bool {
		all := h.incidents()
		for _, x := range all {
			if x.Open() {
				s = x
			}
		}
		return s.ID != ""
	})
	act := func(name string, form url.Values) {
		t.Helper()
		form.Set("once", fmt.Sprintf("r%d-%s-%s", round, name, form.Get("text")))
		if status, page := ada.insist("/incidents/"+s.ID+"/acts/"+name, form); status != http.StatusOK {
			t.Fatalf("%s: %d\n%s", name, status, page)
		}
	}
	targettest.WaitFor(t, "a page", func() bool {
		all := h.post.letters("ada@example.org", "[CRITICAL] shop")
		return len(all) > 0 && all[len(all)-1].at.After(s.Started)
	})
	act("take", url.Values{"role": {"commander"}})
	var acknowledged time.Time
	targettest.WaitFor(t, "the alert to be acknowledged", func() bool {
		x := h.incident(s.ID)
		for _, a := range x.Alerts {
			if a.Code == "outage" && !a.Acknowledged.IsZero() {
				acknowledged = time.Now()
			}
		}
		return !acknowledged.IsZero()
	})
	const notes = 6
	for i := range notes {
		act("note", url.Values{"text": {fmt.Sprintf("note %d of round %d", i, round)}})
	}
	act("task", url.Values{"text": {fmt.Sprintf("a task of round %d", round)}})
	if status, page := ada.insist("/incidents/"+s.ID+"/updates", url.Values{
		"once": {fmt.Sprintf("r%d-update", round)}, "audience": {"clients"}, "subject": {fmt.Sprintf("Round %d: the shop is down", round)}, "text": {"We are looking into it."}, "after": {""},
	}); status != http.StatusOK {
		t.Fatalf("update: %d\n%s", status, page)
	}
	h.pg.Start(t)
	targettest.WaitFor(t, "service to be back", func() bool { return !h.incident(s.ID).Mitigated.IsZero() })
	act("resolve", url.Values{"summary": {"it was started again"}})
	targettest.WaitFor(t, "the update to be delivered", func() bool {
		x := h.incident(s.ID)
		return len(x.Updates) == 1 && len(x.Updates[0].Deliveries) == 1
	})
	halt()
	x := h.incident(s.ID)
	h.oneOfEach(t, x, round, notes)
	for _, to := range []string{"ada@example.org", "bob@example.org"} {
		for _, l := range h.post.letters(to, "[CRITICAL] shop") {
			if l.at.After(acknowledged.Add(100 * time.Millisecond)) {
				t.Errorf("round %d: %s is paged %s after the acknowledgement: %s", round, to, l.at.Sub(acknowledged), l.subject)
			}
		}
	}
	return kills
}

// oneOfEach holds an incident against what was done in it.
func (h *house) oneOfEach(t *testing.T, x incident.State, round, notes int) {
	t.Helper()
	if x.Status != incident.Resolved || len(x.Notes) != notes || len(x.Tasks) != 1 || len(x.Updates) != 1 || x.Roles[incident.Commander].Person != "ada" {
		t.Errorf("round %d: %s, %d notes, %d tasks, %d updates, %+v", round, x.Status, len(x.Notes), len(x.Tasks), len(x.Updates), x.Roles)
	}
	for i, n := range x.Notes {
		if want := fmt.Sprintf("note %d of round %d", i, round); n.Text != want {
			t.Errorf("note %d is %q, want %q", i, n.Text, want)
		}
	}
	count := map[string]int{}
	for _, e := range x.Timeline {
		count[e.Kind]++
	}
	for kind, want := range map[string]int{incident.KindOpened: 1, incident.KindResolved: 1, incident.KindTaken: 1, incident.KindPublished: 1, incident.KindDelivered: 1} {
		if count[kind] != want {
			t.Errorf("round %d: %d events %s, want %d", round, count[kind], kind, want)
		}
	}
	open := 0
	for _, s := range h.incidents() {
		if s.Open() {
			open++
		}
	}
	if open != 0 || len(h.incidents()) != round+1 {
		t.Errorf("round %d: %d incidents, %d open", round, len(h.incidents()), open)
	}
	if n := len(h.post.letters("clients@example.org", fmt.Sprintf("Round %d:", round))); n < 1 {
		t.Errorf("round %d: clients got %d mails of the update", round, n)
	}
}
