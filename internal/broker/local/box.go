package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// Box keeps dead letters in a store, a record for each, until a person has put them into their queue again; and
// after that, as a record that it was so. Safe for concurrent use.
type Box struct {
	store durable.Store
	newID func() string
	now   func() time.Time
}

// NewBox keeps letters in the store under ids of newID, which rise.
func NewBox(store durable.Store, newID func() string, now func() time.Time) *Box {
	return &Box{store: store, newID: newID, now: now}
}

// Letter is a dead letter in the box.
type Letter struct {
	broker.Letter
	Requeued time.Time // zero while it waits
}

// Put keeps the letter for good, without what it may hold of a card: so it goes back into its queue, too. A message that has an ID is kept once for each queue: the same letter again
// changes nothing, and a message that was put into its queue again and rejected again waits again.
func (b *Box) Put(ctx context.Context, d broker.DeadLetter) error {
	if d.At.IsZero() {
		d.At = b.now()
	}
	d.Reason, d.Message = redact.Numbers(d.Reason), cardless(d.Message)
	r := durable.Record{ID: b.newID(), Created: d.At}
	if d.Message.ID != "" {
		r.Key = d.Queue + "\n" + d.Message.ID
	}
	err := b.store.Create(ctx, write(r, Letter{Letter: broker.Letter{DeadLetter: d}}))
	if exists, ok := errors.AsType[*durable.ExistsError](err); ok {
		err = b.change(ctx, exists.ID, func(l *Letter) bool {
			waiting := l.Requeued.IsZero()
			l.DeadLetter, l.Requeued = d, time.Time{}
			return !waiting
		})
	}
	if err != nil {
		return fmt.Errorf("keep dead letter %s of %s: %w", d.Message.ID, d.Queue, err)
	}
	return nil
}

// cardless is a message as it can be kept: without a card's number or its secrets. What cannot be told is as it came.
func cardless(m broker.Message) broker.Message {
	m.ID, m.Body = redact.Key(m.ID), redact.Body(m.Body)
	if m.Header != nil {
		header := make(map[string]string, len(m.Header))
		for name, value := range m.Header {
			header[redact.Key(name)] = redact.Numbers(value)
		}
		m.Header = header
	}
	return m
}

// Load reads one letter; [durable.ErrNotFound].
func (b *Box) Load(ctx context.Context, id string) (Letter, error) {
	r, err := b.store.Load(ctx, id)
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter: %w", err)
	}
	return read(r)
}

// List reads up to limit letters that wait, with ids below before (all where it is empty), the latest first.
func (b *Box) List(ctx context.Context, before string, limit int) ([]Letter, error) {
	const page = 100
	var letters []Letter
	for len(letters) < limit {
		records, err := b.store.List(ctx, "", before, page)
		if err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
		for _, r := range records {
			l, err := read(r)
			if err != nil {
				return nil, err
			}
			if l.Requeued.IsZero() && len(letters) < limit {
				letters = append(letters, l)
			}
			before = r.ID
		}
		if len(records) < page {
			break
		}
	}
	return letters, nil
}

// Requeued notes that the letter's message was put into its queue again; [durable.ErrNotFound]. Call it after the
// message was published: done twice, the message is recognised by its ID, left out it would be lost.
func (b *Box) Requeued(ctx context.Context, id string) error {
	err := b.change(ctx, id, func(l *Letter) bool {
		waiting := l.Requeued.IsZero()
		l.Requeued = b.now()
		return waiting
	})
	if err != nil {
		return fmt.Errorf("note that a dead letter was requeued: %w", err)
	}
	return nil
}

// rejected notes that the message of a letter that waits was rejected again; [durable.ErrNotFound].
func (b *Box) rejected(ctx context.Context, id, reason string) error {
	err := b.change(ctx, id, func(l *Letter) bool {
		l.Reason, l.At, l.Requeued = reason, b.now(), time.Time{}
		return true
	})
	if err != nil {
		return fmt.Errorf("keep a dead letter that was rejected again: %w", err)
	}
	return nil
}

// change saves what edit makes of a letter, where edit says that there is something to save.
func (b *Box) change(ctx context.Context, id string, edit func(*Letter) bool) error {
	for {
		r, err := b.store.Load(ctx, id)
		if err != nil {
			return err
		}
		l, err := read(r)
		if err != nil {
			return err
		}
		if !edit(&l) {
			return nil
		}
		r.Version++
		if err := b.store.Save(ctx, write(r, l)); !errors.Is(err, durable.ErrConflict) {
			return err
		}
	}
}

// letter is a Letter as it is stored. The body is a string in the JSON, to the byte, or base64 where it is no text.
type letter struct {
	Queue    string            `json:"queue"`
	Reason   string            `json:"reason"`
	At       time.Time         `json:"at"`
	Requeued time.Time         `json:"requeued,omitzero"`
	ID       string            `json:"message_id,omitempty"`
	Type     string            `json:"type,omitempty"`
	Exchange string            `json:"exchange,omitempty"`
	Key      string            `json:"key"`
	Time     time.Time         `json:"time,omitzero"`
	Header   map[string]string `json:"header,omitempty"`
	Text     string            `json:"body,omitempty"`
	Binary   []byte            `json:"binary,omitempty"`
}

func write(r durable.Record, l Letter) durable.Record {
	m := l.Message
	stored := letter{
		Queue: l.Queue, Reason: l.Reason, At: l.At.UTC(), Requeued: l.Requeued.UTC(),
		ID: m.ID, Type: m.Type, Exchange: m.Exchange, Key: m.Key, Time: m.Time.UTC(), Header: m.Header,
	}
	if utf8.Valid(m.Body) {
		stored.Text = string(m.Body)
	} else {
		stored.Binary = m.Body
	}
	state, err := json.Marshal(stored)
	if err != nil { // strings, and times of our own clock
		panic(fmt.Sprintf("local: dead letter: %v", err))
	}
	r.State, r.Updated = state, l.At
	if l.Requeued.After(l.At) {
		r.Updated = l.Requeued
	}
	return r
}

func read(r durable.Record) (Letter, error) {
	var s letter
	if err := json.Unmarshal(r.State, &s); err != nil {
		return Letter{}, fmt.Errorf("dead letter %s: %w", r.ID, err)
	}
	l := Letter{Requeued: s.Requeued}
	l.ID, l.Queue, l.Reason, l.At = r.ID, s.Queue, s.Reason, s.At
	l.Message = broker.Message{ID: s.ID, Type: s.Type, Exchange: s.Exchange, Key: s.Key, Time: s.Time, Header: s.Header, Body: []byte(s.Text)}
	if s.Binary != nil {
		l.Message.Body = s.Binary
	}
	return l, nil
}
