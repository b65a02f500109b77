package slash

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func sign(key, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// The example of Slack's documentation.
func TestVerifyKnowsTheExample(t *testing.T) {
	const (
		key   = "8f742231b10e8888abcd99yyyzzz85a5"
		stamp = "1531420618"
		body  = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
		want  = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
	)
	now := time.Unix(1531420618, 0)
	if err := Verify([]byte(key), stamp, want, []byte(body), now); err != nil {
		t.Error(err)
	}
	for name, x := range map[string]struct {
		key, stamp, signature, body string
		at                          time.Time
		want                        error
	}{
		"another body":    {key, stamp, want, body + "x", now, ErrSignature},
		"another key":     {key + "x", stamp, want, body, now, ErrSignature},
		"another time":    {key, "1531420619", want, body, now, ErrSignature},
		"no version":      {key, stamp, want[3:], body, now, ErrSignature},
		"cut":             {key, stamp, want[:40], body, now, ErrSignature},
		"none":            {key, stamp, "", body, now, ErrSignature},
		"old":             {key, stamp, want, body, now.Add(window + time.Second), ErrStale},
		"from the future": {key, stamp, want, body, now.Add(-window - time.Second), ErrStale},
		"no key":          {"", stamp, sign("", stamp, body), body, now, ErrSignature},
		"no time":         {key, "soon", sign(key, "soon", body), body, now, ErrStale},
	} {
		if err := Verify([]byte(x.key), x.stamp, x.signature, []byte(x.body), x.at); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
	}
	for _, off := range []time.Duration{window, -window, 0} {
		if err := Verify([]byte(key), stamp, want, []byte(body), now.Add(off)); err != nil {
			t.Errorf("off by %s: %v", off, err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Command{
		"": {Verb: "help"}, " help me": {Verb: "help"}, "status": {Verb: "status"}, "STATUS shop": {Verb: "status", ID: "shop"}, "incidents": {Verb: "incident"},
		"incident 3": {Verb: "incident", ID: "inc-3"}, "incident inc-3": {Verb: "incident", ID: "inc-3"}, "ack a1": {Verb: "ack", ID: "a1"},
		"note 3 the volume  is gone": {Verb: "note", ID: "inc-3", Text: "the volume  is gone"}, "role 3 Commander": {Verb: "role", ID: "inc-3", Word: "commander"},
		"update 3 clients": {Verb: "update", ID: "inc-3", Word: "clients"}, "oncall": {Verb: "oncall"},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"drop shop", "ack", "ack a b", "note 3", "note", "role 3 king", "role 3", "update 3 everybody", "update 3", "incident 1 2"} {
		if got, err := Parse(text); !errors.Is(err, errUsage) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

func TestEscape(t *testing.T) {
	for text, never := range map[string]string{
		"<!channel> look": "<!", "<https://evil.example.org|refloat>": "<http", "<@U123>": "<@", "@channel": "@channel", "@here": "@here", "a\x1b[2Jb": "\x1b", "\u202eabc": "\u202e", "\U000e0041": "\U000e0041",
	} {
		if got := Escape(text); strings.Contains(got, never) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := Escape("a & b < c"); got != "a &amp; b &lt; c" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"status", "note 3 x", "role 3 commander", "update 3 clients", "ack \x00", "note 3 <!channel>", strings.Repeat("x ", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			if !errors.Is(err, errUsage) {
				t.Fatal(err)
			}
			return
		}
		if c.Verb == "note" && (c.ID == "" || c.Text == "") || c.Verb == "ack" && c.ID == "" || strings.ContainsAny(c.ID, " \n") {
			t.Fatalf("%q: %+v", text, c)
		}
		out := Escape(text)
		if strings.ContainsAny(out, "<>") || !utf8.ValidString(out) || strings.Contains(out, "@channel") || len([]rune(out)) > 6*maxReply+1 {
			t.Fatalf("%q becomes %q", text, out)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("1531420618", "v0=00", []byte("text=x"))
	f.Fuzz(func(t *testing.T, stamp, signature string, body []byte) {
		if Verify([]byte("a key that nobody knows"), stamp, signature, body, time.Unix(1531420618, 0)) == nil && signature != sign("a key that nobody knows", stamp, string(body)) {
			t.Fatal("let in")
		}
	})
}
