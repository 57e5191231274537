package gateway

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Connections bounds how many connections one address has open at once, of IPv6 one network of 64 bits. This machine's
// own addresses and those of trusted proxies are not counted: they speak for many. What is too many is closed before a
// byte of it is read, so that nobody has all the files that a process may open.
type Connections struct {
	Most    int // 0: any number
	Proxies Proxies
	Log     *slog.Logger
	Now     func() time.Time // real time
}

// sayEvery is how far apart the lines about closed connections are.
const sayEvery = time.Minute

// Listen is a listener whose connections are counted.
func (c Connections) Listen(ln net.Listener) net.Listener {
	if c.Most == 0 {
		return ln
	}
	return &counted{Listener: ln, opt: c, open: map[string]int{}}
}

type counted struct {
	net.Listener
	opt Connections

	mu     sync.Mutex
	open   map[string]int
	closed int // since it was last said
	said   time.Time
}

// Accept waits for a connection that is not one too many.
func (l *counted) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, ok := l.from(conn)
		if !ok {
			return conn, nil
		}
		if l.enter(from) {
			return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = conn.Close() // nothing was said yet that could be lost
	}
}

// from is who has the connection, false where that is not counted.
func (l *counted) from(conn net.Conn) (string, bool) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return "", false
	}
	addr := at.Addr().Unmap().WithZone("")
	if addr.IsLoopback() || l.opt.Proxies.trust(addr) {
		return "", false
	}
	return network(addr), true
}

func (l *counted) enter(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] < l.opt.Most {
		l.open[from]++
		return true
	}
	l.closed++
	if now := l.opt.Now(); now.Sub(l.said) >= sayEvery {
		l.opt.Log.Warn("connections were closed: their address has too many", "closed", l.closed, "most", l.opt.Most)
		l.closed, l.said = 0, now
	}
	return false
}

func (l *counted) leave(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

// Close is net.Conn's, and makes room for another.
func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
