package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrNotPublic says that a connection to an outside company was not made: what its name leads to is within.
var ErrNotPublic = errors.New("the address is not public; allow it with --partner-networks")

// NewOuterTransport is a transport to outside companies. Their URLs come from a registry, and their names from
// somebody else's DNS: so it connects to public addresses and those of allow only. It looks at the address that is
// dialled, after the name was resolved, each time; a name that leads elsewhere the next time is of no use. A refused
// connection is [ErrNotPublic]. An address at which clouds tell machines their credentials is refused unless it is
// allowed by itself, not as one of a network.
//
// The environment's proxies are not used: behind a proxy nobody would see what is dialled.
func NewOuterTransport(allow []netip.Prefix) *http.Transport {
	t := NewTransport()
	t.Proxy = nil
	allow = slices.Clone(allow)
	t.DialContext = (&net.Dialer{
		Timeout: 2 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !dialable(at.Addr(), allow) {
				return ErrNotPublic
			}
			return nil
		},
	}).DialContext
	return t
}

// dialable says whether an outside company may be at an address.
func dialable(a netip.Addr, allow []netip.Prefix) bool {
	a = plainAddr(a)
	if slices.Contains(metadata, a) {
		return slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.IsSingleIP() && p.Addr() == a })
	}
	if slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return true
	}
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(public, in) && !slices.ContainsFunc(special, in)
}

// plainAddr is the address that a machine in between, or our own, makes of it: an IPv4 address may be written as one
// of IPv6, mapped or for a NAT64.
func plainAddr(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

var (
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052

	// public is what has been given out; of IPv6 that is an eighth.
	public = prefixes("0.0.0.0/0", "2000::/3")

	// special are the ranges in there that lead nowhere, to ourselves or to our own network: the registries of RFC 6890.
	special = prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23",     // Teredo, benchmarks, ORCHID
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4, with any IPv4 address inside
		"3fff::/20",     // documentation
	)

	// metadata are where clouds tell a machine who it is. All but one are of private ranges anyway.
	metadata = []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), // most of them
		netip.MustParseAddr("169.254.170.2"),   // containers of AWS
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("168.63.129.16"),   // Azure's own, of a public range
		netip.MustParseAddr("192.0.0.192"),     // Oracle
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd20:ce::254"),    // Google
	}
)

// The words for networks of our own.
var (
	Loopback = prefixes("127.0.0.0/8", "::1/128")
	Private  = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
