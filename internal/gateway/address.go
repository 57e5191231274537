package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of those who speak for others: what they say in X-Forwarded-For is believed.
type Proxies []netip.Prefix

// ParseProxies reads networks such as 10.0.0.0/8, or single addresses.
func ParseProxies(texts []string) (Proxies, error) {
	var all Proxies
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, fmt.Errorf("%.50q is not valid; expected a network such as 10.0.0.0/8, or an address", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

func (p Proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(net netip.Prefix) bool { return net.Contains(a) })
}

// Client is the address a request comes from: the peer's, or where the peer is a proxy of ours the right-most of
// X-Forwarded-For that is not. What cannot be read ends the search, and the last address that could counts. False for a
// request of this process.
func (p Proxies) Client(r *http.Request) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	addr := peer.Addr().Unmap().WithZone("")
	if len(p) == 0 || !p.trust(addr) {
		return addr, true
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if addr = hop.Unmap().WithZone(""); !p.trust(addr) {
			break
		}
	}
	return addr, true
}

// network is what of an address one customer has: all of IPv4's, the first 64 bits of IPv6's.
func network(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil { // an address that was parsed has 128 bits
		return a.String()
	}
	return p.String()
}
