package rabbitmq

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// maxPeek is how many dead letters are looked at, from the oldest on.
const maxPeek = 10_000

// Letters reads the dead letters as they lie in the queue: those our handlers rejected, those the server put there
// (a delivery limit reached), and what else somebody published there. Only the oldest 10,000 are looked at. While
// it reads, another process that reads sees fewer.
func (b *Broker) Letters(ctx context.Context, before string, limit int) ([]broker.Letter, error) {
	var letters []broker.Letter
	err := b.peek(ctx, func(_ *amqp.Delivery, l broker.Letter) (glance, error) {
		if before != "" && l.ID >= before {
			return onward, nil
		}
		at, _ := slices.BinarySearchFunc(letters, l, func(a, b broker.Letter) int { return cmp.Compare(b.ID, a.ID) })
		if at < limit {
			letters = slices.Insert(letters, at, l)
			letters = letters[:min(len(letters), limit)] // no more bodies in memory than asked for
		}
		return onward, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the dead letters: %w", err)
	}
	return letters, nil
}

// Requeue publishes a dead letter's message to its queue, as if it had never failed, and then takes the letter out.
func (b *Broker) Requeue(ctx context.Context, id string) error {
	found := false
	err := b.peek(ctx, func(d *amqp.Delivery, l broker.Letter) (glance, error) {
		if found = l.ID == id; !found {
			return onward, nil
		}
		if l.Queue == "" {
			return enough, errors.New("nothing says which queue it is from")
		}
		if err := b.send(newPublication(ctx, "", l.Queue, again(d, l.Message, nil))); err != nil {
			return enough, err
		}
		return taken, d.Ack(false)
	})
	if err == nil && !found {
		err = broker.ErrNoLetter
	}
	if err != nil {
		return fmt.Errorf("requeue dead letter %s: %w", id, err)
	}
	return nil
}

// glance is what follows when a dead letter was looked at.
type glance int

const (
	onward glance = iota // the next one
	enough               // no more
	taken                // no more: this one was acknowledged
)

// peek shows the dead letters to visit, the oldest first, until it has seen enough. What was not taken goes back to
// where it was, and is there again when peek returns.
func (b *Broker) peek(ctx context.Context, visit func(*amqp.Delivery, broker.Letter) (glance, error)) error {
	return b.call(ctx, func(ch *amqp.Channel) error {
		select {
		case b.desk <- struct{}{}:
			defer func() { <-b.desk }()
		case <-ctx.Done():
			return ctx.Err()
		}
		var last uint64
		held := 0
		defer func() {
			if held > 0 && ch.Nack(last, true, true) == nil { // an error says that the channel is closed: then they go back, too
				back(ctx, ch, held)
			}
		}()
		twins := map[string]int{}
		for range maxPeek {
			if err := ctx.Err(); err != nil {
				return err
			}
			d, ok, err := ch.Get(Dead, false)
			if isCode(err, amqp.NotFound) || err == nil && !ok {
				return nil
			}
			if err != nil {
				return err
			}
			last = d.DeliveryTag
			held++
			then, err := visit(&d, letter(&d, twins))
			if then == taken && err == nil {
				held--
			}
			if err != nil || then != onward {
				return err
			}
		}
		return nil
	})
}

// How long is waited until what was looked at lies in the queue again, real time: a quorum queue takes it back when its
// members have agreed.
const (
	backWithin = time.Second
	backLook   = 5 * time.Millisecond
)

// back waits until at least n dead letters can be read, for a while: whoever looks next sees them.
func back(ctx context.Context, ch *amqp.Channel, n int) {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	look := time.NewTicker(backLook)
	defer look.Stop()
	for {
		q, err := ch.QueueDeclarePassive(Dead, false, false, false, false, nil)
		if err != nil || q.Messages >= n {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// letter reads a dead letter. One that the server has put there has no id; its id is drawn from the letter itself,
// and twins counts those that do not differ.
func letter(d *amqp.Delivery, twins map[string]int) broker.Letter {
	l := broker.Letter{ID: text(d.Headers, headerLetter)}
	l.Message = decode(d)
	if l.ID != "" {
		l.Queue, l.Reason = text(d.Headers, headerQueue), text(d.Headers, headerReason)
		l.At, _ = time.Parse(time.RFC3339Nano, text(d.Headers, headerWhen))
		return l
	}
	l.Reason = "somebody put it among the dead letters without a reason"
	if last, ok := lastDeath(d); ok {
		l.Queue, l.At, l.Reason = last.queue, last.at.UTC(), inWords(last.reason)
		if _, ok := d.Headers[headerKey]; !ok {
			l.Message.Exchange, l.Message.Key = last.exchange, last.key
		}
	}
	name := fmt.Sprintf("%q %q %d %x", l.Queue, d.MessageId, l.At.Unix(), sha256.Sum256(d.Body))
	l.ID = drawn(l.At, fmt.Sprintf("%s %d", name, twins[name]))
	twins[name]++
	return l
}

// inWords are the server's reasons for a dead letter.
func inWords(reason string) string {
	switch reason {
	case "delivery_limit":
		return "it was delivered again and again without an answer, up to the delivery limit: does it crash its consumer?"
	case "rejected":
		return "a consumer rejected it without a reason"
	case "expired":
		return "nobody took it before it expired"
	case "maxlen":
		return "its queue was full"
	default:
		return "the server put it among the dead letters: " + reason
	}
}

// drawn is a UUID in the manner of version 8 (RFC 9562) that sorts by its time as ours do, the rest from a hash.
func drawn(at time.Time, name string) string {
	sum := sha256.Sum256([]byte(name))
	u := sum[:16]
	var ms [8]byte
	if !at.IsZero() {
		binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	}
	copy(u, ms[2:])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
