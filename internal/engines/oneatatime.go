package engines

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
)

// oneAtATime stands before a FerretDB and lets one writing command at a time through, from all connections together.
// FerretDB finds the documents of an update, and then writes them by their _id alone: of two updates at once, both
// filtered on the same version, both succeed. MongoDB's are atomic, which is what our stores build on.
//
// It knows OP_MSG framing, and of a command only its name. It is no more than tests need: one request of a connection
// at a time, no compression, no exhaust cursors, and a write whose sender wants no answer is not held back.
type oneAtATime struct {
	listen, behind string // addresses

	turn sync.Mutex // held from a write's request to its reply

	mu    sync.Mutex
	door  net.Listener
	conns map[net.Conn]bool // nil: killed
	all   sync.WaitGroup
}

func (p *oneAtATime) start(context.Context) error {
	door, err := net.Listen("tcp", p.listen) //nolint:noctx // it waits for nothing
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.door, p.conns = door, map[net.Conn]bool{}
	p.mu.Unlock()
	p.all.Go(func() {
		for {
			client, err := door.Accept()
			if err != nil {
				return // it is closed
			}
			p.all.Go(func() { p.serve(client) })
		}
	})
	return nil
}

func (p *oneAtATime) kill(context.Context) error { return p.stop() }

// stop returns when nothing of the proxy is left.
func (p *oneAtATime) stop() error {
	p.mu.Lock()
	if p.door != nil {
		_ = p.door.Close() // again, perhaps
	}
	for c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.all.Wait()
	return nil
}

// known keeps the connection, to be closed with the proxy; it is closed here where that is already past.
func (p *oneAtATime) known(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *oneAtATime) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// serve carries requests and replies until either side hangs up.
func (p *oneAtATime) serve(client net.Conn) {
	if !p.known(client) {
		return
	}
	defer p.forget(client)
	server, err := net.Dial("tcp", p.behind) //nolint:noctx // it is on this machine
	if err != nil || !p.known(server) {
		return
	}
	defer p.forget(server)
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		reply, err := p.exchange(server, request)
		if err != nil {
			return
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}

// exchange returns the reply to the request, or nothing where none is to come.
func (p *oneAtATime) exchange(server io.ReadWriter, request []byte) ([]byte, error) {
	if isSilent(request) {
		_, err := server.Write(request)
		return nil, err
	}
	if slices.Contains(writes, commandName(request)) {
		p.turn.Lock()
		defer p.turn.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return readMessage(server)
}

// writes are the commands that change something.
var writes = []string{
	"insert", "update", "delete", "findAndModify", "findandmodify", "create", "drop", "dropDatabase", "createIndexes",
	"dropIndexes", "collMod", "renameCollection",
}

// The wire protocol: a header of four little-endian int32 (length of all, request, response to, opcode), and for
// OP_MSG an int32 of flags and the sections: a byte for its kind, and then for kind 0 the command, a BSON document;
// for kind 1 an int32 for its own length, and that.
const (
	headerSize = 16
	opMsg      = 2013
	moreToCome = 1 << 1       // flag: no reply is wanted
	maxMessage = 48 * 1000000 // MongoDB's own limit
)

// readMessage reads one message, whole.
func readMessage(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n < headerSize || n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	message := make([]byte, n)
	copy(message, size[:])
	_, err := io.ReadFull(r, message[4:])
	return message, err
}

func isMsg(message []byte) bool {
	return len(message) >= headerSize+4 && binary.LittleEndian.Uint32(message[12:]) == opMsg
}

func isSilent(message []byte) bool {
	return isMsg(message) && binary.LittleEndian.Uint32(message[headerSize:])&moreToCome != 0
}

// commandName is the name of an OP_MSG's command, which is its document's first key; "" where there is none.
func commandName(message []byte) string {
	if !isMsg(message) {
		return ""
	}
	for rest := message[headerSize+4:]; len(rest) > 5; {
		length := binary.LittleEndian.Uint32(rest[1:])
		if rest[0] == 0 && len(rest) > 6 {
			name := rest[6:] // after the kind, the document's length and its first element's type
			if end := slices.Index(name, 0); end >= 0 {
				return string(name[:end])
			}
			return ""
		}
		if uint64(length)+1 > uint64(len(rest)) {
			return ""
		}
		rest = rest[1+length:]
	}
	return ""
}
