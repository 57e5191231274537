package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// epoch is when every world begins.
var epoch = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// How a world's day goes: orders come, faults happen until the quiet, and by the end all must be at rest. The end
// leaves room for what may lawfully take long: messages that were hours late when the faults stopped, and silent
// companies that are asked at doubling intervals.
const (
	shortestRush = 10 * time.Minute
	longestRush  = time.Hour
	shortestDay  = 90 * time.Minute
	longestDay   = 4 * time.Hour
	toRest       = 12 * time.Hour
	mostSteps    = 3_000_000 // per world: more is a livelock
)

// world is one simulated city with its own services, companies and faults. It belongs to one goroutine.
type world struct {
	seed  uint64
	rng   *rand.Rand
	plan  plan
	now   int64 // nanoseconds since epoch
	quiet int64 // faults happen before
	agenda
	story  story
	cover  *Coverage
	steps  int
	minted int // ids

	exclusive  bool // one instance of each service, which has its store for itself, as in `tiffin up`
	orders     *service[order.State]
	payments   *service[payment.State]
	deliveries *service[delivery.State]
	kitchens   *service[kitchen.State]
	hosts      []*host // all instances
	queue      *queue

	card       *card
	transport  *transport
	restaurant *restaurant
	street     map[string]*meeting // by order
	customers  *customers
	sights     map[string]*sight // by order: what was shown of it
	clients    []*client

	broken *Violation
}

func newWorld(seed uint64, orders int, faults Faults, cover *Coverage, out io.Writer) *world {
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0x74696666696e)), cover: cover,
		street: map[string]*meeting{}, sights: map[string]*sight{},
	}
	w.story.out = out
	w.plan = draw(w.rng, faults)
	w.quiet = int64(w.between(shortestDay, longestDay))
	w.exclusive = w.oneIn(4)
	if w.exclusive {
		w.plan[Stall], w.plan[Skew] = 0, 0 // one process, one clock
	}
	plainCodec := w.oneIn(plainCodecs)

	features := durable.Features{Exclusive: w.exclusive}
	limits := order.DefaultLimits
	if w.oneIn(6) {
		limits = order.Limits{Payment: 3 * time.Minute, Driver: 8 * time.Minute, Kitchen: 4 * time.Minute, Gap: time.Minute, Silence: 10 * time.Minute}
	}
	w.orders = newService(w, wire.OrderService, order.Machine{Limits: limits}, features, plainCodec, w.serveOrder)
	w.payments = newService(w, wire.PaymentService, payment.Machine{Silence: payment.DefaultSilence}, features, plainCodec, w.servePayment)
	w.deliveries = newService(w, wire.DeliveryService, delivery.Machine{Silence: delivery.DefaultSilence}, features, plainCodec, w.serveDelivery)
	w.kitchens = newService(w, wire.KitchenService, kitchen.Machine{Silence: kitchen.DefaultSilence}, features, plainCodec, w.serveKitchen)
	w.orders.store.rule = w.orderCommitted
	w.payments.store.rule = w.paymentCommitted
	w.deliveries.store.rule = w.deliveryCommitted
	w.queue = &queue{w: w}
	w.card = &card{company: company{w: w, name: wire.CardCompany}, accounts: map[string]*account{}}
	w.transport = &transport{company: company{w: w, name: wire.TransportCompany}, trips: map[string]*trip{}}
	w.restaurant = &restaurant{company: company{w: w, name: wire.Restaurant}, tickets: map[string]*ticket{}}
	w.customers = newCustomers(w)

	rush := w.between(shortestRush, longestRush)
	for n := range orders {
		c := newClient(w, n)
		w.clients = append(w.clients, c)
		w.after(w.between(0, rush), c.begin)
	}
	w.troubles()
	w.after(time.Duration(w.quiet), w.calm)
	return w
}

// troubles are the faults that come by themselves, not at an act.
func (w *world) troubles() {
	day := time.Duration(w.quiet)
	if w.plan[ClockJump] > 0 && w.oneIn(w.plan[ClockJump]) {
		w.after(w.between(0, day), func() {
			w.tell("world", "the clock jumps", "", "", 0)
			w.cover.fault(ClockJump)
			w.now += int64(time.Hour)
		})
	}
	if w.plan[Poison] > 0 {
		for range w.rng.IntN(6) {
			w.after(w.between(0, day), w.queue.poison)
		}
	}
	if w.plan[Outage] > 0 {
		for _, c := range []*company{&w.card.company, &w.transport.company, &w.restaurant.company} {
			if w.oneIn(2) {
				w.after(w.between(0, day), func() {
					if w.fault(Outage) {
						c.downUntil = w.now + int64(w.between(time.Minute, 20*time.Minute))
					}
				})
			}
		}
	}
}

// calm ends the faults: clocks are right again, and whoever is down comes up by itself.
func (w *world) calm() {
	w.tell("world", "the faults stop", "", "", 0)
	for _, h := range w.hosts {
		if h.skew != 0 && h.up {
			h.crash("its clock is set")
		}
	}
}

// run lets the world go until nothing is to come, and looks at what is left.
func (w *world) run() {
	defer func() {
		if p := recover(); p != nil {
			w.fail(0, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	deadline := w.quiet + int64(toRest)
	for w.broken == nil {
		e, ok := w.agenda.next()
		if !ok {
			break
		}
		if e.at > deadline {
			w.tell("world", "time is over", "", "", int64(len(w.agenda.events)))
			break
		}
		w.now = max(w.now, e.at)
		if h := e.host; h != nil {
			if !h.up || h.life != e.life {
				continue
			}
			if h.stalled > w.now {
				e.at = h.stalled
				w.agenda.add(e)
				continue
			}
		}
		if w.steps++; w.steps > mostSteps {
			w.fail(9, "more than %d steps", mostSteps)
			break
		}
		e.do()
	}
	if w.broken == nil {
		w.final()
	}
}

func (w *world) time() time.Time { return epoch.Add(time.Duration(w.now)) }

// after has do happen d from now.
func (w *world) after(d time.Duration, do func()) {
	w.agenda.add(event{at: w.now + int64(d), do: do})
}

// oneIn is true once in n times.
func (w *world) oneIn(n uint32) bool { return w.rng.Uint32N(n) == 0 }

// between draws a duration from [from, to).
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Uint64N(uint64(to-from)))
}

// fault draws whether a fault happens at this opportunity.
func (w *world) fault(f Fault) bool {
	return w.now < w.quiet && w.habit(f)
}

// habit is fault for what does not stop with the faults: how customers and companies are.
func (w *world) habit(f Fault) bool {
	n := w.plan[f]
	if n == 0 || n > 1 && w.rng.Uint32N(n) != 0 {
		return false
	}
	w.cover.fault(f)
	return true
}

func (w *world) tell(who, what, a, b string, n int64) {
	w.story.tell(entry{w.now, who, what, a, b, n})
}

// fail notes the world's first violation of an invariant (0: of the room itself) and ends it.
func (w *world) fail(invariant int, format string, args ...any) {
	if w.broken == nil {
		w.broken = &Violation{Invariant: invariant, What: fmt.Sprintf(format, args...), At: w.time(), World: w.seed}
	}
}
