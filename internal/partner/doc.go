// Package partner holds what the simulated companies beside Tiffin have in common: a card company, restaurants and a
// transport company, each in a package below this one, each a separate HTTP server with durable records of its own.
//
// They are part of the product: the demo, the replay of recorded days and the tests run against them. So they behave
// like companies: they take their time, call back, sometimes twice, lose connections, and may be down. What they
// promise all the same is what a real one's contract does: a request that was answered 2xx is kept, the same request
// again is answered the same way and done once, and who asks is told.
//
// Everything time-like follows the clock, through durable timers; only [Behaviour.Slow] is real time. What looks like
// chance in a company's decisions is drawn from ids, so that a history repeats; what is chance in its misbehaviour
// comes from a source that is passed in.
//
// The companies share one physical world: a meal is handed over when courier and meal are both at the counter. They
// have no shared memory for that, they write to each other: see [Handover] and [Pickup].
package partner

import "time"

// DefaultPrep is how long a meal takes whose order does not say.
const DefaultPrep = 10 * time.Minute

// Handover is the body of POST {restaurant}/handovers: the transport company's courier is at the counter.
type Handover struct {
	OrderID    string    `json:"order_id"`
	DeliveryID string    `json:"delivery_id"`
	Courier    string    `json:"courier"`
	AtCounter  time.Time `json:"at_counter"`
}

// Pickup is the body of POST {transport}/pickups: the restaurant has given the meal to the courier.
type Pickup struct {
	DeliveryID string    `json:"delivery_id"`
	OrderID    string    `json:"order_id"`
	At         time.Time `json:"at"`
}

// Apart is how far apart a company reports what happens at the same moment, so that its reports come in order.
const Apart = time.Second

// Margin is how close to a foreseen moment a company does not change its mind any more: what it owes at that moment
// may be on its way already.
const Margin = time.Second

// Draw is a number drawn from an id and a purpose: the same for the same, spread evenly over 64 bits.
func Draw(id, purpose string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for _, s := range [...]string{id, purpose} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h ^= h >> 32 // FNV leaves the high bits of short strings alike
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// Between is a time from least to most, drawn from an id and a purpose.
func Between(least, most time.Duration, id, purpose string) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(Draw(id, purpose)%uint64(most-least+1))
}
