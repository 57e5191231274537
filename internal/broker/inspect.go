package broker

import (
	"context"
	"errors"
)

// Inspector is what an operator's tools need of a broker, beside publishing. Safe for concurrent use.
type Inspector interface {
	// Queues says how the named queues stand, in the given order; one that does not exist is left out.
	Queues(ctx context.Context, names ...string) ([]QueueState, error)
	// Letters reads up to limit dead letters with ids below before (all where it is empty), highest id first. They
	// stay where they are.
	Letters(ctx context.Context, before string, limit int) ([]Letter, error)
	// Requeue puts a dead letter's message into its queue again and takes the letter out; [ErrNoLetter]. Where the
	// message is rejected again it is a dead letter again. A crash in between leaves both: the message is recognised.
	Requeue(ctx context.Context, id string) error
	// Tail hands a copy of every message on the topic exchange whose key matches one of the topics to the handler,
	// from now on until ctx ends; nobody else misses one for it. It returns once it listens.
	Tail(ctx context.Context, topics []string, h Handler) error
}

// ErrNoLetter is the answer to the id of a dead letter that is not there.
var ErrNoLetter = errors.New("no such dead letter")

// QueueState is how a queue stands.
type QueueState struct {
	Name      string `json:"name"`
	Ready     int    `json:"ready"` // messages that wait for a consumer
	Consumers int    `json:"consumers"`
}

// Letter is a dead letter with an identity: a UUID, later ones mostly higher.
type Letter struct {
	ID string
	DeadLetter
}
