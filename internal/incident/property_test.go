package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What a client is told is made without what responders write.
func TestAudiencesAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Z]{8}`)
		used := []string{}
		word := func() string {
			w := secret.Draw(t, "secret")
			used = append(used, w)
			return w
		}
		s := Fold(nil)
		seq := int64(0)
		do := func(c Command, who string) {
			events, err := Decide(s, c, who, after(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				seq++
				e.Seq = seq
				s = s.With(e)
			}
		}
		cause := outage("shop", 0)
		cause.Reason = word()
		do(Open{ID: "inc-1", Opened: Opened{Title: word(), Severity: Sev1, Targets: []string{"shop"}, Cause: cause}}, Server)
		for range rapid.IntRange(1, 5).Draw(t, "notes") {
			do(AddNote{word()}, word())
			do(AddTask{Text: word(), Owner: word()}, "ada")
			do(AddLink{URL: "https://x/" + word(), Title: word()}, "ada")
		}
		do(PublishUpdate{Audience: Responders, Text: word()}, "ada")
		do(SetStatus{To: rapid.SampledFrom([]Status{Identified, Recovering}).Draw(t, "status"), Why: word()}, "ada")
		draft := s.View(Clients).Named(map[string]string{"shop": "The web shop"}).Draft(after(time.Hour), after(2*time.Hour), nil)
		do(PublishUpdate{Audience: Clients, Text: draft, Names: map[string]string{"shop": "The web shop"}}, "ada")
		told, err := json.Marshal(s.LastUpdate(Clients).Published)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range used {
			if strings.Contains(string(told), w) {
				t.Fatalf("clients are told %s: %s", w, told)
			}
		}
		if !strings.Contains(draft, "The web shop: disrupted since 02:00 UTC (1 h 0 min so far).") || !strings.Contains(draft, "by 04:00 UTC") {
			t.Fatal(draft)
		}
	})
}

// anything draws a command, sensible or not.
func anything(t *rapid.T, s State) Command {
	text := rapid.StringMatching(`[a-z ]{0,20}`).Draw(t, "text")
	who := rapid.SampledFrom([]string{"ada", "ben", ""}).Draw(t, "whom")
	role := rapid.SampledFrom(append(Roles(), "boss")).Draw(t, "role")
	audience := rapid.SampledFrom(append(Audiences(), "press")).Draw(t, "audience")
	at := after(time.Duration(rapid.IntRange(-60, 600).Draw(t, "minute")) * time.Minute)
	key := rapid.SampledFrom([]string{"outage/shop/0s", "outage/shop/1h0m0s", "alert/x"}).Draw(t, "key")
	update := fmt.Sprintf("u%d", rapid.IntRange(1, 3).Draw(t, "update"))
	percent := rapid.SampledFrom([]int{50, 80}).Draw(t, "percent")
	step := rapid.SampledFrom([]string{KindStepStarted, KindStepProgress, KindStepDone, KindStepFailed, "x"}).Draw(t, "step")
	return rapid.SampledFrom([]Command{
		AddNote{text}, SetSeverity{To: rapid.SampledFrom(append(Severities(), "x")).Draw(t, "sev")}, SetStatus{To: rapid.SampledFrom(append(Statuses(), "x")).Draw(t, "status")},
		TakeRole{role, text}, HandOver{role, who}, ReleaseRole{role}, AddTask{text, who}, CloseTask{"t1", text}, AddLink{"https://x/" + text, text}, Attach{text, []byte(text)},
		MeasureDataLoss{Measured{time.Duration(percent), text}}, Resolve{text, text}, Reopen{text}, Join{outage("shop", time.Hour), Sev2}, ChangeCause{key, text}, EndCause{key, at},
		GatherAlert{GatheredAlert{ID: text, Started: at}}, ChangeAlert{AlertChanged{text, who, at}}, RecordPage{Page{ID: text, At: at}}, OfferRoles{[]string{who}},
		TellClock{ClockTold{Clock: Resolution, Percent: percent}, percent == 50}, Remind{Reminded{audience, at, who}, percent == 50},
		PublishUpdate{Audience: audience, Text: text, Next: at}, RecordDelivery{Delivered{Update: update, Contact: who}, percent == 50}, AcknowledgeUpdate{update},
		ChooseRecovery{Chosen: RecoveryChosen{Target: "shop", Way: text, Title: text, Steps: []PlannedStep{{ID: "a", Title: text, ByHand: percent == 50}, {ID: "b", Title: ""}}}},
		ConfirmRecovery{"r1", who}, ConfirmRecovery{"r1", "shop"}, TellStep{RecoveryStep{Run: "r1", Step: "a", ByHand: percent == 50, Error: text}, step, percent == 50}, TellStep{RecoveryStep{Run: "r1", Step: "b", Done: 5, Total: 9, Left: time.Minute}, step, percent == 50},
		VerifyRecovery{RecoveryVerified{Run: "r1", Verdict: text, Checks: []RecoveryCheck{{}}}}, EndRecovery{RecoveryEnded{"r1", rapid.SampledFrom([]string{RecoveryRecovered, RecoveryAbandoned, "x"}).Draw(t, "end"), text}},
	}).Draw(t, "command")
}

func TestEveryAcceptedCommandFolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, err := Decide(State{}, Open{ID: "inc-1", Opened: Opened{Title: "x", Severity: Sev2, Targets: []string{"shop"}, Cause: outage("shop", 0), Objectives: DefaultObjectives()}}, Server, after(0))
		if err != nil {
			t.Fatal(err)
		}
		events[0].Seq = 1
		s, now := Fold(events), after(time.Minute)
		for range rapid.IntRange(0, 60).Draw(t, "acts") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Minute)
			c := anything(t, s)
			fresh, err := Decide(s, c, rapid.SampledFrom([]string{"ada", "ben", Server}).Draw(t, "who"), now)
			if err != nil {
				if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNothing) {
					t.Fatalf("%#v: %v", c, err)
				}
				continue
			}
			if len(fresh) == 0 {
				t.Fatalf("%#v was accepted and left nothing", c)
			}
			for _, e := range fresh {
				e.Seq = int64(len(events) + 1)
				events = append(events, e)
				s = s.With(e)
			}
		}
		if len(s.Unread) != 0 || len(s.Timeline) != len(events) || s.Last != int64(len(events)) {
			t.Fatalf("%d events, timeline %d, unread %v", len(events), len(s.Timeline), s.Unread)
		}
		if again := Fold(events); !reflect.DeepEqual(again, s) {
			t.Fatalf("folded again it is another:\n%+v\n%+v", s, again)
		}
		for _, c := range s.Clocks(now, DefaultWarnAt()) {
			if c.State == Met && (c.Used > c.Objective || c.Name == Resolution && (s.Status != Resolved && !s.Serves() || c.Until.Before(s.Started.Add(c.Used)))) {
				t.Fatalf("told as met: %+v of %+v", c, s)
			}
		}
		if raw, err := json.Marshal(s); err != nil || !json.Valid(raw) {
			t.Fatal(err)
		}
	})
}

func TestNobodysActIsLost(t *testing.T) {
	r := newRoom(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 10 {
				if _, _, err := Act(context.Background(), r.log, r.ID, AddNote{fmt.Sprint(i, ".", n)}, fmt.Sprint("p", i), after(time.Duration(rand.IntN(60))*time.Second)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := Fold(r.log.all); len(s.Notes) != 160 {
		t.Errorf("%d of 160 notes", len(s.Notes))
	}
}

// What is in the journal, whoever wrote it, breaks nothing that reads it.
func TestNothingInTheJournalBreaksWhoReadsIt(t *testing.T) {
	var kinds []string
	for k := range folds {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	bodies := []string{
		`null`, `{}`, `[]`, `7`, `"x"`, `{"id":"u1","audience":"clients","to":null}`, `{"update":"u1","contact":"c"}`, `{"key":"k","kind":"outage","target":"shop"}`, `{"key":"k","at":"2023-10-05T02:00:00Z"}`,
		`{"role":"commander","to":"ada"}`, `{"role":"","to":["ada"]}`, `{"from":"x","to":"sev9"}`, `{"title":"","cause":{"key":"k","kind":"person"}}`, `{"from":"inc-2","causes":null,"alerts":null}`, `{"id":"t1"}`, `{"clock":"x"}`, `{"loss":-5}`,
		`{"run":"r1","target":"shop","way":"restart","title":"","steps":[{"id":"a"}]}`, `{"run":"r1","step":"a","total":-1,"done":3}`, `{"run":"r1","step":""}`, `{"run":"r1","how":"x","outcome":"recovered","verdict":"proven"}`,
	}
	rapid.Check(t, func(t *rapid.T) {
		var events []Event
		for i := range rapid.IntRange(0, 20).Draw(t, "events") {
			events = append(events, Event{Incident: "inc-1", Seq: int64(i + 1), Actor: rapid.SampledFrom([]string{"ada", Server, ""}).Draw(t, "actor"), Time: after(time.Duration(i) * time.Minute),
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Body: json.RawMessage(rapid.SampledFrom(bodies).Draw(t, "body"))})
		}
		s := Fold(events)
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		now := after(5 * time.Hour)
		s.Clocks(now, DefaultWarnAt())
		s.DueWarnings(now, DefaultWarnAt())
		s.Summary(now, DefaultCadence(), DefaultWarnAt(), nil)
		for _, a := range Audiences() {
			s.NextUpdate(a, DefaultCadence())
			s.View(a).Draft(now, now, nil)
		}
		if s.ID != "" {
			_, _ = Decide(s, anything(t, s), "ada", now) // it may refuse
		}
	})
}
