// Package rabbitmq is the broker on RabbitMQ, from 3.10 on: a [broker.Publisher], [broker.Subscriber] and
// [broker.Inspector] over AMQP 0-9-1.
//
// # What there is on the server
//
//	 Publish, Exchange ""                    Publish, Exchange "tiffin.events" (topic)
//	      │ routing key = queue                   │ Topics of the queue
//	      ▼                                       ▼
//	┌─────────────────────────────────────────────────────┐   handler: nil    ack
//	│ OrderService                                        │──► handler: Reject ─────────┐
//	│ quorum, or classic (Options.Classic)                │──► handler: error, panic ─┐ │
//	└─────────────────────────────────────────────────────┘                           │ │
//	      ▲ after the wait         │ x-delivery-limit                                 │ │
//	      │                        ▼                                                  │ │
//	┌─────┴──────────────────┐  tiffin.dead (fanout)                                  │ │
//	│ OrderService.retry.1s  │     │                                                  │ │
//	│ OrderService.retry.5s  │◄────┼──────────────────────────────────────────────────┘ │
//	│ OrderService.retry.30s │     ▼                                                    │
//	│ quorum, x-message-ttl  │  tiffin.dead (quorum) ◄──────────────────────────────────┘
//	└────────────────────────┘     │ Letters, Requeue
//
//	tiffin.tail.ID (exclusive, transient): one for each Tail
//
// Everything but the tails is durable, and declared by whoever subscribes. Classic concerns the service queues
// alone, which the original system declares without arguments; those behind them are ours, and quorum always,
// because only quorum queues hand on dead letters at least once. A classic queue has no delivery limit: there a
// message that crashes its consumer comes again for ever.
//
// One connection publishes and another consumes, so that a server that holds up publishers (memory, disk) still
// gets acknowledgements.
//
// # What the guarantees rest on
//
// Publish's nil: publisher confirms, which the server sends when a majority of a quorum queue, or the disk of a
// classic one, has the message; and `mandatory`, because a message that no queue gets is confirmed, too. A return
// comes before the confirm of the same message and finds it by the correlation id, which the contract leaves free.
//
// A handler's nil: manual acknowledgement afterwards. An error or a panic: the message is published to the queue in
// which it waits, confirmed, and only then acknowledged; it waits longer from failure to failure, up to the longest,
// and is tried for ever. *broker.Reject: the same, to the dead letters, with reason, queue, time and an id. A crash
// in between leaves the message twice, and receivers recognise it. What cannot be put aside for some seconds is
// given back, which counts towards the delivery limit (RabbitMQ before 4.3).
//
// The delivery limit: only a consumer that vanishes with the message in hand counts, time and again. Such letters
// are made by the server, and are told by x-death. Their ids are drawn from their content; letters that do not
// differ in anything take each other's.
//
// A lost connection, channel or queue: publications under way fail, and their outbox repeats them; subscriptions
// declare everything again and go on, and what was in hand comes again.
//
// # Round trips
//
// Publish: the caller waits for one, the confirm; the channel for none, whatever the number of callers. Consume:
// none, for the server sends ahead up to Prefetch, and an acknowledgement is not answered. A failure or a rejection:
// one more, the confirm. With a 300-byte message, a consumer, and a quorum queue on a machine of 2 cores that others
// kept busy (a load of 3 to 8): 1,080 messages a second with one publisher, 6,900 with 32, 8,700 with
// 256; 37 µs of our processor time for each.
//
// # What it never does
//
// It never acknowledges before the handler's verdict is on the server, never waits for one confirm before it sends
// the next message, never declares an x-delayed-message exchange (a plugin, without which the server closes the
// connection), never changes or deletes a queue that is there, never asks for a queue's messages in order, and never
// shows the URL's password. It trusts nobody's headers: what is not a string stays with the message unseen.
package rabbitmq
