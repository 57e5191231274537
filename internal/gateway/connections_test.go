package gateway_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/gateway"
)

// guests is a listener to which connections come from addresses of the test's choosing.
type guests chan net.Conn

func (g guests) Accept() (net.Conn, error) {
	if c, ok := <-g; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (g guests) Close() error { close(g); return nil }
func (guests) Addr() net.Addr { return &net.TCPAddr{} }

// from is a connection whose other end is said to be at an address.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr { return place(f.addr) }

type place string

func (place) Network() string  { return "tcp" }
func (p place) String() string { return string(p) }

func TestConnections(t *testing.T) {
	proxies, err := gateway.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	come := make(guests)
	ln := gateway.Connections{
		Most: 2, Proxies: proxies, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&said, nil)),
	}.Listen(come)
	taken := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			taken <- c
		}
	}()
	// visit comes from an address and says whether it was let in, and as what.
	visit := func(addr string) (in net.Conn) {
		t.Helper()
		mine, theirs := net.Pipe()
		t.Cleanup(func() { _ = mine.Close() })
		come <- from{theirs, addr}
		turnedAway := make(chan struct{})
		go func() {
			if _, err := mine.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
				close(turnedAway)
			}
		}()
		select {
		case in = <-taken:
			t.Cleanup(func() { _ = in.Close() })
			return in
		case <-turnedAway:
			return nil
		}
	}
	must := func(addr string, want bool) net.Conn {
		t.Helper()
		in := visit(addr)
		if (in != nil) != want {
			t.Fatalf("%s: let in %v, want %v", addr, in != nil, want)
		}
		return in
	}
	first := must("198.51.100.7:1", true)
	must("198.51.100.7:2", true)
	must("198.51.100.7:3", false)
	must("[::ffff:198.51.100.7]:3", false) // the same, as some systems write it
	must("198.51.100.8:1", true)
	must("[2001:db8:1:2::1]:1", true)
	must("[2001:db8:1:2::2]:1", true)
	must("[2001:db8:1:2:3::3]:1", false) // one network
	must("[2001:db8:1:3::1]:1", true)
	for _, many := range []string{"127.0.0.1:1", "[::1]:1", "10.1.2.3:1", "a socket of another kind"} {
		for range 3 {
			must(many, true)
		}
	}
	if got := strings.Count(said.String(), "\n"); got != 1 || !strings.Contains(said.String(), "closed=1 most=2") {
		t.Errorf("it said %q", said.String())
	}
	now = now.Add(time.Minute)
	must("198.51.100.7:4", false)
	if !strings.Contains(said.String(), "closed=3 most=2") {
		t.Errorf("a minute later it said %q", said.String())
	}
	if strings.Contains(said.String(), "198.51") {
		t.Errorf("it names the address: %q", said.String())
	}
	_, _ = first.Close(), first.Close() // makes room once
	must("198.51.100.7:5", true)
	must("198.51.100.7:6", false)
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("it accepts for ever")
	}
}

func TestConnectionsUnbounded(t *testing.T) {
	come := make(guests)
	if ln := (gateway.Connections{}).Listen(come); ln != net.Listener(come) {
		t.Errorf("%T", ln)
	}
}
