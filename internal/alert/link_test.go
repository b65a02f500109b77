package alert

import (
	"errors"
	"strings"
	"testing"
)

func TestLinksAreOurs(t *testing.T) {
	key := []byte("0123456789abcdef")
	l := Link{Alert: "a7", Person: "ada", Until: night.Add(LinkLasts)}
	token := l.Sign(key)
	got, err := ReadLink(token, key, night)
	if err != nil || got.Alert != "a7" || got.Person != "ada" || !got.Until.Equal(l.Until) {
		t.Fatal(got, err)
	}
	if _, err := ReadLink(token, key, l.Until); !errors.Is(err, ErrLinkExpired) {
		t.Error(err)
	}
	if _, err := ReadLink(token, []byte("another key"), night); !errors.Is(err, ErrLinkInvalid) {
		t.Error(err)
	}
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if _, err := ReadLink(string(changed), key, night); err == nil {
			t.Errorf("a change at %d passes", i)
		}
	}
}

// A calendar's address is no link to acknowledge, nor the other way round.
func TestCalendarLinks(t *testing.T) {
	key := []byte("0123456789abcdef")
	for _, l := range []CalendarLink{{}, {Team: "db"}, {Person: "ada"}, {Team: "db", Person: "ada"}} {
		token := l.Sign(key)
		if got, err := ReadCalendarLink(token, key); err != nil || got != l {
			t.Errorf("%+v: %+v %v", l, got, err)
		}
		if _, err := ReadCalendarLink(token, []byte("another key")); !errors.Is(err, ErrLinkInvalid) {
			t.Error(err)
		}
		if _, err := ReadLink(token, key, night); !errors.Is(err, ErrLinkInvalid) {
			t.Errorf("a calendar acknowledges: %v", err)
		}
	}
	ack := Link{Alert: "a7", Person: "ada", Until: night.Add(LinkLasts)}.Sign(key)
	if _, err := ReadCalendarLink(ack, key); !errors.Is(err, ErrLinkInvalid) {
		t.Errorf("a link to acknowledge opens a calendar: %v", err)
	}
}

func FuzzReadLink(f *testing.F) {
	key := []byte("0123456789abcdef")
	f.Add(Link{Alert: "a7", Person: "ada", Until: night.Add(LinkLasts)}.Sign(key))
	f.Add("")
	f.Add(".")
	f.Fuzz(func(t *testing.T, token string) {
		l, err := ReadLink(token, key, night)
		if err == nil && l.Sign(key) != token {
			t.Errorf("%q reads as %+v, which signs as %q", token, l, l.Sign(key))
		}
	})
}

func TestReplyTokens(t *testing.T) {
	key := []byte("0123456789abcdef")
	people := []string{"ada", "ben"}
	for _, person := range []string{"ada", "ben", ""} {
		token := ReplyToken("0123456789ab", person, key)
		if len("refloat-at-most-+"+token) > 64 {
			t.Errorf("%s is too long for an address", token)
		}
		if l, err := ReadReplyToken(strings.ToUpper(token), people, key); err != nil || l.Person != person || l.Alert != "0123456789ab" {
			t.Errorf("%s: %+v %v", person, l, err)
		}
		if _, err := ReadReplyToken(token, people, []byte("another key")); !errors.Is(err, ErrLinkInvalid) {
			t.Error(err)
		}
	}
	for _, token := range []string{"", ".", "0123456789ab", "0123456789ab.", ReplyToken("0123456789ab", "cyd", key), "0123456789ac" + ReplyToken("0123456789ab", "ada", key)[12:]} {
		if l, err := ReadReplyToken(token, people, key); !errors.Is(err, ErrLinkInvalid) {
			t.Errorf("%q: %+v %v", token, l, err)
		}
	}
}
