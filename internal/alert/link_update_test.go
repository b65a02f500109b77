package alert

import (
	"errors"
	"testing"
)

func TestAnUpdateLinkIsForNothingElse(t *testing.T) {
	key := []byte("0123456789abcdef")
	l := UpdateLink{Incident: "inc-3", Update: "u2", Reader: "audience.sales", Until: night.Add(LinkLasts)}
	token := l.Sign(key)
	got, err := ReadUpdateLink(token, key, night)
	if err != nil || got.Incident != l.Incident || got.Update != l.Update || got.Reader != l.Reader || !got.Until.Equal(l.Until) {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := ReadUpdateLink(token, key, l.Until); !errors.Is(err, ErrLinkExpired) {
		t.Errorf("at its end: %v", err)
	}
	if _, err := ReadUpdateLink(token, []byte("another key"), night); !errors.Is(err, ErrLinkInvalid) {
		t.Errorf("another key: %v", err)
	}
	other := UpdateLink{Incident: "inc-3", Update: "u2", Reader: "ada", Until: l.Until}.Sign(key)
	if _, err := ReadUpdateLink(other[:len(other)-43]+token[len(token)-43:], key, night); !errors.Is(err, ErrLinkInvalid) {
		t.Errorf("the signature of another reader's: %v", err)
	}
	if _, err := ReadLink(token, key, night); !errors.Is(err, ErrLinkInvalid) {
		t.Errorf("it acknowledges an alert: %v", err)
	}
	if _, err := ReadCalendarLink(token, key); !errors.Is(err, ErrLinkInvalid) {
		t.Errorf("it opens a calendar: %v", err)
	}
	for _, x := range []string{
		"", ".", token + "x", Link{Alert: "a7", Person: "ada", Until: l.Until}.Sign(key), CalendarLink{Team: "db", Person: "ada"}.Sign(key),
	} {
		if _, err := ReadUpdateLink(x, key, night); !errors.Is(err, ErrLinkInvalid) {
			t.Errorf("%q acknowledges an update: %v", x, err)
		}
	}
}

func FuzzReadUpdateLink(f *testing.F) {
	key := []byte("0123456789abcdef")
	f.Add(UpdateLink{Incident: "inc-3", Update: "u2", Reader: "ada", Until: night.Add(LinkLasts)}.Sign(key))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if l, err := ReadUpdateLink(token, key, night); err == nil && l.Sign(key) != token {
			t.Errorf("%q reads as %+v, which signs as %q", token, l, l.Sign(key))
		}
	})
}
