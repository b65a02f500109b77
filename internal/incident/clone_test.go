package incident

import (
	"encoding/json"
	"testing"
	"time"
)

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
	for _, c := range []Command{TakeRole{Role: Commander}, AddTask{Text: "x"}, PublishUpdate{Audience: Teams, Text: "hello", To: []Recipient{{Contact: "c"}}}, MeasureDataLoss{Measured{Loss: 1, Source: "x"}}} {
		s = do(s, c)
	}
	kept := s.Clone()
	before, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	after := kept.Clone()
	for _, c := range []Command{
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
