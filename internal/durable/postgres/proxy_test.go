package postgres_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// mood is how a proxy treats what comes.
type mood int32

const (
	honest       mood = iota
	losesAnswers      // requests arrive, the connection is cut instead of the answer
	losesRequest      // the connection is cut instead of the request
	silent            // requests arrive, answers stay away
)

// proxy stands between a store and its server.
type proxy struct {
	url    string
	mood   atomic.Int32
	struck chan struct{} // has something when a mood has shown
	listen net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func between(t testing.TB, database string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listen: l, struck: make(chan struct{}, 1), conns: map[net.Conn]bool{}}
	var server string
	p.url = with(database, func(u *url.URL) { server, u.Host = u.Host, l.Addr().String() })
	p.url = parameter(p.url, "sslmode", "disable")
	p.wg.Go(func() { p.accept(server) })
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) is(m mood) {
	select {
	case <-p.struck:
	default:
	}
	p.mood.Store(int32(m))
}

// cut ends every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) accept(server string) {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[upstream] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(upstream, client, losesRequest) })
		p.wg.Go(func() { p.pass(client, upstream, losesAnswers) })
	}
}

// pass copies in one direction until an end is closed or the mood in which it cuts shows.
func (p *proxy) pass(to, from net.Conn, cuts mood) {
	defer to.Close()   //nolint:errcheck // it is a test
	defer from.Close() //nolint:errcheck // it is a test
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		now := mood(p.mood.Load())
		if n > 0 && (now == cuts || now == silent && cuts == losesAnswers) {
			select {
			case p.struck <- struct{}{}:
			default:
			}
			if now == cuts {
				return
			}
			n = 0
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				if tcp, ok := to.(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
			}
			return
		}
	}
}
