package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// plainCodecs: one world in so many uses the machines' own codec, and checks at every save that a state comes back
// as it went. In the others a stored state is a number under which the world holds it: encoding JSON twenty times
// per order would be most of the work.
const plainCodecs = 48

// codec is a machine with its own Step and either codec.
type codec[S any] struct {
	durable.Machine[S]
	plain  bool
	states []*S
	known  map[string]*S // plain: what was encoded
}

// state is what was encoded as b, without decoding it.
func (c *codec[S]) state(b []byte) S {
	if c.plain {
		return *c.known[string(b)]
	}
	return *c.states[binary.LittleEndian.Uint32(b)]
}

// Party is the machine's own, where its records are somebody's.
func (c *codec[S]) Party(s S) string {
	if owned, ok := c.Machine.(durable.Owned[S]); ok {
		return owned.Party(s)
	}
	return ""
}

func (c *codec[S]) Append(b []byte, s S) ([]byte, error) {
	if !c.plain {
		c.states = append(c.states, &s)
		return binary.LittleEndian.AppendUint32(b, uint32(len(c.states)-1)), nil
	}
	enc, err := c.Machine.Append(nil, s)
	if err != nil {
		return nil, err
	}
	back, err := c.Machine.Decode(enc)
	if err != nil {
		return nil, fmt.Errorf("a state that was encoded cannot be decoded: %w", err)
	}
	again, err := c.Machine.Append(nil, back)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(enc, again) {
		panic(fmt.Sprintf("a state comes back otherwise than it went:\n%s\n%s", enc, again))
	}
	if c.known == nil {
		c.known = map[string]*S{}
	}
	c.known[string(enc)] = &s
	return append(b, enc...), nil
}

func (c *codec[S]) Decode(b []byte) (S, error) {
	if c.plain {
		return c.Machine.Decode(b)
	}
	return c.state(b), nil
}
