package site

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// How many may sign up: from one place, and all in all.
const (
	limitEvery   = 10 * time.Minute
	limitOne     = 5
	limitAll     = 200
	limitTracked = 10000
)

// limiter counts within spans of time. It is safe for concurrent use.
type limiter struct {
	mu    *sync.Mutex
	began time.Time
	all   int
	one   map[netip.Prefix]int
}

func newLimiter() limiter { return limiter{mu: &sync.Mutex{}, one: map[netip.Prefix]int{}} }

// take counts one more from a place; false, and for how long, when it is too
// many.
func (l *limiter) take(from netip.Prefix, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.began) >= limitEvery || now.Before(l.began) {
		l.began, l.all = now, 0
		clear(l.one)
	}
	if l.one[from] >= limitOne || l.all >= limitAll || len(l.one) >= limitTracked {
		return l.began.Add(limitEvery).Sub(now), false
	}
	l.one[from]++
	l.all++
	return 0, true
}

// caller is where a request comes from: an IPv4 address, or the /64 of an IPv6
// one, all of which belongs to one subscriber of a provider. What a proxy on
// this machine says of it is believed.
func caller(r *http.Request) netip.Prefix {
	var from netip.Addr
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = a.Addr().Unmap()
	}
	if all := r.Header.Values("X-Forwarded-For"); from.IsLoopback() && len(all) > 0 {
		last := all[len(all)-1]
		last = last[strings.LastIndexByte(last, ',')+1:]
		if a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(last), "[]")); err == nil {
			from = a.Unmap()
		}
	}
	bits := 32
	if from.Is6() {
		bits = 64
	}
	p, _ := from.WithZone("").Prefix(bits)
	return p
}

// certificates are those of two files, read again when they change, so that one
// that is renewed needs no restart.
func certificates(certFile, keyFile string) (*tls.Config, error) {
	k := &keyPair{cert: certFile, key: keyFile}
	if _, err := k.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: k.get, NextProtos: []string{"h2", "http/1.1"}}, nil
}

type keyPair struct {
	cert, key string

	mu     sync.Mutex
	made   *tls.Certificate
	looked time.Time
	from   [2]time.Time
}

const keysEvery = 10 * time.Second

// get keeps to the pair before when the files cannot be used: one may be written
// before the other.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.made != nil && time.Since(k.looked) < keysEvery {
		return k.made, nil
	}
	k.looked = time.Now()
	var from [2]time.Time
	for i, name := range []string{k.cert, k.key} {
		if info, err := os.Stat(name); err == nil {
			from[i] = info.ModTime()
		}
	}
	if k.made != nil && from == k.from {
		return k.made, nil
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		if k.made != nil {
			return k.made, nil
		}
		return nil, fmt.Errorf("read the certificate of the status page: %w", err)
	}
	k.made, k.from = &pair, from
	return k.made, nil
}
