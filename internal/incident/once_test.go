package incident

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestOnceHappensOnce(t *testing.T) {
	now := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
	opened := Opened{Title: "shop does not serve", Severity: Sev1, Cause: Cause{Key: "k", Kind: FromPerson, Reason: "r", Started: now, Detected: now}}
	events, err := Decide(State{}, Open{ID: "inc-1", Opened: opened}, "ada", now)
	if err != nil {
		t.Fatal(err)
	}
	s := Fold(events)
	for _, c := range []Command{AddNote{Text: "the disk is full"}, TakeRole{Role: Commander}, AddTask{Text: "look"}} {
		first, err := Decide(s, Once{c, `a "key"`}, "ada", now)
		if err != nil || len(first) != 1 || !json.Valid(first[0].Body) {
			t.Fatalf("%T: %v %+v", c, err, first)
		}
		plain, err := Decide(s, c, "ada", now)
		if err != nil {
			t.Fatal(err)
		}
		with, without := s.Clone().With(first[0]), s.Clone().With(plain[0])
		with.Timeline, without.Timeline = nil, nil
		if !reflect.DeepEqual(with, without) {
			t.Errorf("%T: the key changes what the event does:\n%+v\n%+v", c, with, without)
		}
		if _, err := Decide(s.Clone().With(first[0]), Once{c, `a "key"`}, "ada", now); !errors.Is(err, ErrNothing) {
			t.Errorf("%T is done twice: %v", c, err)
		}
		if again, err := Decide(s.Clone().With(first[0]), Once{AddNote{Text: "another"}, "b"}, "ada", now); err != nil || len(again) != 1 {
			t.Errorf("%T: another key: %v", c, err)
		}
	}
	// A note that only speaks of a key is none.
	spoof, err := Decide(s, AddNote{Text: `,"once":"k2"`}, "ada", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decide(s.Clone().With(spoof[0]), Once{AddNote{Text: "x"}, "k2"}, "ada", now); err != nil {
		t.Error(err)
	}
}

func TestMarkedIsAnObject(t *testing.T) {
	for _, body := range []string{`{}`, `{ }`, `{"a":{"b":1}}`} {
		var b map[string]any
		if err := json.Unmarshal(marked([]byte(body), []byte(`"k"`)), &b); err != nil || b["once"] != "k" {
			t.Errorf("%s: %v %v", body, b, err)
		}
	}
}

// A state that was handed on stays as it was, whatever happens after it.
func TestCloneSharesNothing(t *testing.T) {
	now := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
	s := State{}
	do := func(s State, c Command) State {
		t.Helper()
		events, err := Decide(s, c, "ada", now)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			s = s.With(e)
		}
		return s
	}
	s = do(s, Open{ID: "inc-1", Opened: Opened{Title: "t", Severity: Sev2, Cause: Cause{Key: "k", Kind: FromOutage, Target: "shop", Reason: "r", Started: now, Detected: now}}})
	for _, c := range []Command{TakeRole{Role: Commander}, AddTask{Text: "x"}, PublishUpdate{Audience: Teams, Text: "hello", To: []Recipient{{Contact: "c"}}},
		ChooseRecovery{Chosen: RecoveryChosen{Target: "shop", Way: "w", Title: "w", Steps: []PlannedStep{{ID: "a", Title: "a", ByHand: true}, {ID: "b", Title: "b"}}}}, MeasureDataLoss{Measured{Loss: 1, Source: "x"}}} {
		s = do(s, c)
	}
	kept := s.Clone()
	before, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	after := kept.Clone()
	for _, c := range []Command{
		ConfirmRecovery{"r1", "shop"}, TellStep{RecoveryStep: RecoveryStep{Run: "r1", Step: "a", ByHand: true}, Kind: KindStepDone},
		ReleaseRole{Role: Commander}, OfferRoles{To: []string{"bob"}}, CloseTask{ID: "t1"}, RecordDelivery{Delivered: Delivered{Update: "u1", Contact: "c"}, OK: true}, AcknowledgeUpdate{"u1"},
		MeasureDataLoss{Measured{Loss: 2, Source: "y"}}, EndCause{Key: "k", At: now}, SetSeverity{To: Sev1}, AddNote{Text: "n"},
	} {
		after = do(after, c)
	}
	now2, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(now2) {
		t.Errorf("it changed:\n%s\n%s", before, now2)
	}
}

// Two people who change the same at once do not overwrite each other unseen.
func TestChangesSayWhatTheyChange(t *testing.T) {
	now := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
	s := State{}
	for _, c := range []Command{
		Open{ID: "inc-1", Opened: Opened{Title: "t", Severity: Sev2, Cause: Cause{Key: "k", Kind: FromPerson, Reason: "r", Started: now, Detected: now}}},
		SetStatus{To: Identified, From: Investigating}, SetSeverity{To: Sev1, From: Sev2},
	} {
		events, err := Decide(s, c, "ada", now)
		if err != nil {
			t.Fatalf("%T: %v", c, err)
		}
		for _, e := range events {
			s = s.With(e)
		}
	}
	for _, c := range []Command{SetStatus{To: Recovering, From: Investigating}, SetSeverity{To: Sev3, From: Sev2}} {
		if _, err := Decide(s, c, "bob", now); !errors.Is(err, ErrRefused) {
			t.Errorf("%T: %v", c, err)
		}
	}
	for _, c := range []Command{SetStatus{To: Identified, From: Investigating}, SetSeverity{To: Sev1, From: Sev2}} {
		if _, err := Decide(s, c, "bob", now); !errors.Is(err, ErrNothing) {
			t.Errorf("the same of two, %T: %v", c, err)
		}
	}
}
