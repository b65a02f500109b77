package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Origin is where a request came from, and how.
type Origin struct {
	Address string // of whoever asks; of the proxy where none is trusted to say
	Outside bool   // not from this machine
	Secure  bool   // what is sent back cannot be read on the way
}

// origins tells where requests come from.
type origins struct {
	tls     bool           // the listener speaks TLS itself
	proxies []netip.Prefix // that are believed
	public  *url.URL       // nil for none
}

func newOrigins(tls bool, proxies []netip.Prefix, public string) origins {
	o := origins{tls: tls, proxies: proxies}
	if u, err := url.Parse(public); err == nil && u.Host != "" {
		o.public = u
	}
	return o
}

func (o origins) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(o.proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// of is where a request came from. What a proxy says of the one before it counts
// only if the proxy is trusted: anybody can write a header.
func (o origins) of(r *http.Request) Origin {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return Origin{Address: "unknown", Outside: true, Secure: r.TLS != nil}
	}
	addr := peer.Addr().Unmap()
	out := Origin{Secure: r.TLS != nil, Outside: !addr.IsLoopback() || proxied(r) || !loopback(hostOf(r))}
	if o.trusted(addr) {
		switch r.Header.Get("X-Forwarded-Proto") {
		case "https":
			out.Secure = true
		case "":
			out.Secure = out.Secure || o.publicHTTPS(r)
		default:
			out.Secure = false
		}
		addr = o.before(r, addr)
	}
	out.Address = addr.WithZone("").String()
	return out
}

func (o origins) publicHTTPS(r *http.Request) bool {
	return o.public != nil && o.public.Scheme == "https" && strings.EqualFold(hostOf(r), o.public.Hostname())
}

// before is the last address in the chain of proxies that no trusted one has.
func (o origins) before(r *http.Request, peer netip.Addr) netip.Addr {
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, s := range slices.Backward(chain) {
		a, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			if ap, perr := netip.ParseAddrPort(strings.TrimSpace(s)); perr == nil {
				a, err = ap.Addr(), nil
			}
		}
		if err != nil {
			return peer
		}
		if peer = a.Unmap(); !o.trusted(peer) {
			return peer
		}
	}
	return peer
}

func hostOf(r *http.Request) string {
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		return h
	}
	return r.Host
}

// bucket is what attempts from an address are counted for: of IPv6 the network,
// since whoever has one has all its addresses.
func bucket(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

type originKey struct{}

// OriginOf is where a request came from; the zero Origin where no Gate said so.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// Bucket is what attempts from there are counted for.
func (o Origin) Bucket() string { return bucket(o.Address) }
