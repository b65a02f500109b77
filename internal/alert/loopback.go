package alert

import "net/netip"

// OnThisMachine reports whether a host name or address is this machine's own: what
// goes there may go without TLS.
func OnThisMachine(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
