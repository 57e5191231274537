package mongo_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// fault is what the proxy does with a command.
type fault int

const (
	pass     fault = iota
	lose           // the connection is cut before the server has the request
	muffle         // the connection is cut when the server has replied, before the client hears
	withhold       // the reply never comes; the connection stays
)

// proxy stands between the driver and the server, and knows which command passes.
type proxy struct {
	door   net.Listener
	server string
	all    sync.WaitGroup
	held   chan struct{} // told when a reply is withheld; has room for one

	mu    sync.Mutex
	judge func(command string, body bson.Raw) fault
	ended bool
	conns map[net.Conn]bool
	seen  map[string]int
	reply func(command string) bson.D // instead of the server's, where it is not nil
}

// startProxy stands before the server of the URL; it gives the URL at which it is asked.
func startProxy(t testing.TB, url string) (*proxy, string) {
	t.Helper()
	return startProxyAt(t, url, "127.0.0.1:0")
}

func startProxyAt(t testing.TB, url, address string) (*proxy, string) {
	t.Helper()
	server, _, _ := strings.Cut(strings.TrimPrefix(url, "mongodb://"), "/")
	door, err := net.Listen("tcp", address)
	must(t, err)
	p := &proxy{door: door, server: server, conns: map[net.Conn]bool{}, seen: map[string]int{}, held: make(chan struct{}, 1)}
	p.all.Go(func() {
		for {
			client, err := door.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(p.stop)
	return p, strings.Replace(url, server, door.Addr().String(), 1)
}

// stop cuts every connection, and lets nobody in any more.
func (p *proxy) stop() {
	_ = p.door.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}

// on sets what becomes of commands from now on.
func (p *proxy) on(judge func(command string, body bson.Raw) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

// answer sets what commands are answered instead of reaching the server, where reply is not nil.
func (p *proxy) answer(reply func(command string) bson.D) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = reply
}

// count says how many commands of a name came since the last time.
func (p *proxy) count(command string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.seen[command]
	delete(p.seen, command)
	return n
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is done with
	server, err := net.Dial("tcp", p.server)
	if err != nil || !p.keep(client) || !p.keep(server) {
		return
	}
	defer server.Close() //nolint:errcheck // it is done with
	for {
		request, err := message(client)
		if err != nil {
			return
		}
		command, body := parse(request)
		p.mu.Lock()
		p.seen[command]++
		do, reply := pass, bson.D(nil)
		if p.judge != nil {
			do = p.judge(command, body)
		}
		if p.reply != nil {
			reply = p.reply(command)
		}
		p.mu.Unlock()
		if do == lose {
			return
		}
		var response []byte
		if reply != nil {
			response = opMsg(request, reply)
		} else if _, err := server.Write(request); err != nil {
			return
		} else if response, err = message(server); err != nil {
			return
		}
		switch do {
		case muffle:
			return
		case withhold:
			select {
			case p.held <- struct{}{}:
			default:
			}
			_, _ = io.Copy(io.Discard, client) // until it gives up
			return
		case pass, lose:
		}
		if _, err := client.Write(response); err != nil {
			return
		}
	}
}

func message(c net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	m := append(head, make([]byte, binary.LittleEndian.Uint32(head)-4)...)
	_, err := io.ReadFull(c, m[4:])
	return m, err
}

// parse is the command's name and body; the handshake, in the old framing, has none.
func parse(m []byte) (string, bson.Raw) {
	if len(m) < 25 || binary.LittleEndian.Uint32(m[12:]) != 2013 || m[20] != 0 {
		return "", nil
	}
	body := bson.Raw(m[21:])
	n := binary.LittleEndian.Uint32(body)
	body = body[:n]
	elements, err := body.Elements()
	if err != nil || len(elements) == 0 {
		return "", nil
	}
	return elements[0].Key(), body
}

// opMsg is a reply to the request.
func opMsg(request []byte, reply bson.D) []byte {
	body, err := bson.Marshal(reply)
	if err != nil {
		panic(err)
	}
	m := make([]byte, 21, 21+len(body))
	binary.LittleEndian.PutUint32(m, uint32(21+len(body)))
	copy(m[8:12], request[4:8])
	binary.LittleEndian.PutUint32(m[12:], 2013)
	return append(m, body...)
}
