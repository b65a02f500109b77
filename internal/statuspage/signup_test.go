package statuspage

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestEmailAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"ann@example.org": "ann@example.org", " Ann@Example.ORG ": "Ann@example.org", "a+b@x.y.example": "a+b@x.y.example",
		"": "", "ann": "", "ann@localhost": "", "Ann <ann@example.org>": "", "a@b.c, d@e.f": "", "a@b.c\r\nBcc: x@y.z": "", "a@.b.c": "", "a@b..c": "", "a@b.c.": "",
		`"a b"@example.org`: "", "a@[127.0.0.1]": "", strings.Repeat("a", 65) + "@example.org": "", "a\u202eb@example.org": "", "a\u0000@example.org": "",
	} {
		got, err := ReadEmail(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}

func TestWebhookAddresses(t *testing.T) {
	for in, want := range map[string]bool{
		"https://example.org/hook": true, "https://example.org:8443/hook?x=1": true, "https://93.184.215.14/": true,
		"http://example.org/": false, "ftp://example.org/": false, "example.org": false, "https:///x": false, "https://u:p@example.org/": false, "https://example.org/#x": false,
		"https://localhost/": false, "https://a.localhost./": false, "https://metadata.google.internal/": false, "https://127.0.0.1/": false, "https://[::1]/": false, "https://10.0.0.1/": false,
		"https://169.254.169.254/latest/meta-data": false, "https://[::ffff:10.0.0.1]/": false, "https://[fd00::1]/": false, "https://0.0.0.0/": false, "https://example.org:0/": false, "https://example.org:70000/": false,
		"https:example.org": false, "javascript:alert(1)": false, "https://" + strings.Repeat("a", 1000) + ".example/": false,
	} {
		if _, err := ReadWebhook(in, false); (err == nil) != want || err != nil && !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"http://127.0.0.1:8080/x", "https://localhost/", "http://hook.internal/"} {
		if _, err := ReadWebhook(in, true); err != nil {
			t.Errorf("%q anywhere: %v", in, err)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"93.184.215.14": true, "2606:2800:21f:cb07::1": true, "8.8.8.8": true,
		"127.0.0.1": false, "127.9.9.9": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:0:1::": false, "2001:db8::1": false, "fec0::1": false,
	} {
		if got := PublicAddress(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: public %v", text, got)
		}
	}
	if PublicAddress(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestLinksAreForOnePurposeAndTime(t *testing.T) {
	key, other := []byte("0123456789abcdef0123456789abcdef"), []byte("1123456789abcdef0123456789abcdef")
	confirm := Link{For: ToConfirm, Subscriber: "s1", Until: noon.Add(time.Hour)}.Sign(key)
	leave := Link{For: ToUnsubscribe, Subscriber: "s1"}.Sign(key)
	if l, err := ReadLink(confirm, ToConfirm, key, noon); err != nil || l.Subscriber != "s1" {
		t.Error(l, err)
	}
	if _, err := ReadLink(leave, ToUnsubscribe, key, noon.Add(10000*time.Hour)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another purpose": second(ReadLink(confirm, ToUnsubscribe, key, noon)), "the other way": second(ReadLink(leave, ToConfirm, key, noon)), "another key": second(ReadLink(confirm, ToConfirm, other, noon)),
		"cut off": second(ReadLink(confirm[:len(confirm)-1], ToConfirm, key, noon)), "nothing": second(ReadLink("", ToConfirm, key, noon)), "long": second(ReadLink(strings.Repeat("a", 500)+".b", ToConfirm, key, noon)),
	} {
		if !errors.Is(err, ErrLinkInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadLink(confirm, ToConfirm, key, noon.Add(time.Hour)); !errors.Is(err, ErrLinkExpired) {
		t.Error(err)
	}
}

func second(_ Link, err error) error { return err }

func TestTryingAgain(t *testing.T) {
	d := Delivery{State: Waiting, At: noon, NotBefore: noon}
	now, n := noon, 0
	for ; d.State == Waiting && n < 1000; n++ {
		d = d.After(Attempt{At: now, Error: "no"}, false)
		if d.State == Waiting && !d.NotBefore.After(now) {
			t.Fatalf("attempt %d: next %v", n, d.NotBefore)
		}
		now = d.NotBefore
	}
	if d.State != Failed || n < 20 || n > 40 || now.Sub(noon) < keepTrying {
		t.Errorf("%s after %d attempts in %v", d.State, n, now.Sub(noon))
	}
	if d := (Delivery{State: Waiting}).After(Attempt{At: noon}, false); d.State != Sent {
		t.Error(d.State)
	}
	if d := (Delivery{State: Waiting}).After(Attempt{At: noon, Error: "no"}, true); d.State != Failed {
		t.Error(d.State)
	}
}

func FuzzReadLink(f *testing.F) {
	key := []byte("0123456789abcdef0123456789abcdef")
	good := Link{For: ToConfirm, Subscriber: "s1", Until: noon}.Sign(key)
	f.Add(good)
	f.Add("a.b")
	f.Fuzz(func(t *testing.T, token string) {
		l, err := ReadLink(token, ToConfirm, key, noon.Add(-time.Hour))
		if err == nil && token != good {
			t.Fatalf("%q was taken: %+v", token, l)
		}
	})
}

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"ann@example.org", "https://example.org/hook", "https://[::1]/", "a@b.c\nX: y", "https://127.1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ReadEmail(s); err == nil {
			if strings.ContainsAny(a, "\r\n<>\"(), ") || strings.Count(a, "@") != 1 {
				t.Fatalf("%q", a)
			}
			if again, err := ReadEmail(a); err != nil || again != a {
				t.Fatalf("%q is read as %q: %v", a, again, err)
			}
		}
		if a, err := ReadWebhook(s, false); err == nil {
			u, err := url.Parse(a)
			if err != nil || u.Scheme != "https" || u.User != nil || u.Hostname() == "" {
				t.Fatalf("%q", a)
			}
		}
	})
}
