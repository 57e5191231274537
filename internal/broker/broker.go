// Package broker is the port for messages between services: queues, and a topic exchange for whoever listens.
//
// The contract is at-least-once. Publish returns nil only when the broker has the message for good and at least
// one queue has it (or, on the topic exchange, nobody asked for it). A handler's nil acknowledges; an error that
// wraps *Reject puts the message among the dead letters with the reason; any other error brings the message back
// later. Order is not promised, and neither is uniqueness: receivers recognise a message by its ID.
package broker

import (
	"context"
	"errors"
	"time"
)

// Events is the topic exchange of domain events.
const Events = "tiffin.events"

// Message is what crosses. Body is JSON.
type Message struct {
	ID       string // stable over redeliveries and repeated publishing; may be empty from the original's services
	Type     string
	Exchange string // empty: the default exchange, where Key names the queue
	Key      string // the routing key
	Time     time.Time
	Header   map[string]string // trace context
	Body     []byte
}

// ErrUnroutable is Publish's answer when no queue would get the message.
var ErrUnroutable = errors.New("no queue takes this message")

// Publisher puts messages into the broker. Safe for concurrent use.
type Publisher interface {
	Publish(context.Context, Message) error
}

// Handler takes one message; see the package comment for what its error means. It may be called concurrently.
type Handler func(context.Context, Message) error

// Queue names a queue and what it is bound to besides its own name on the default exchange.
type Queue struct {
	Name   string
	Topics []string // routing keys on the topic exchange, with * for a word and # for any rest
}

// Subscriber hands a queue's messages to a handler until the context ends; it returns once the queue exists and
// is being consumed.
type Subscriber interface {
	Subscribe(context.Context, Queue, Handler) error
}

// Reject is a handler's verdict that a message can never be applied.
type Reject struct{ Reason string }

func (r *Reject) Error() string { return "rejected: " + r.Reason }

// DeadLetter is a message that was rejected, with the reason.
type DeadLetter struct {
	Message Message
	Queue   string
	Reason  string
	At      time.Time
}
