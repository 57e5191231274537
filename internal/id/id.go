// Package id makes the ids of Tiffin: UUIDs of version 7 (RFC 9562), in the order they were made within a process.
package id

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"sync"
	"time"
)

// Source makes ids. Safe for concurrent use.
type Source struct {
	now    func() time.Time
	random io.Reader

	mu   sync.Mutex
	last uint64 // milliseconds and counter of the last id
}

// NewSource draws the time from now and the rest from random, which must not fail (crypto/rand, or a seeded one).
func NewSource(now func() time.Time, random io.Reader) *Source {
	return &Source{now: now, random: random}
}

// New is the next id: greater than all before.
func (s *Source) New() string {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[8:]); err != nil {
		panic("id: the source of randomness failed: " + err.Error())
	}
	s.mu.Lock()
	tick := uint64(s.now().UnixMilli()) << 12
	if tick <= s.last {
		tick = s.last + 1
	}
	s.last = tick
	s.mu.Unlock()
	binary.BigEndian.PutUint64(b[:], tick>>12<<16|0x7000|tick&0xfff)
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
