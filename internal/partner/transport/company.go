package transport

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Kind and RosterKind are the names of the company's tables.
const (
	Kind       = "trips"
	RosterKind = "rosters"
)

// NoDriverLane in an address's street keeps every courier away: the request is accepted, and waits.
const NoDriverLane = "No-Driver-Lane"

// Options are what the company is made of. Shell's Owner, Clock and Executor, and the stores have no default.
type Options struct {
	Shell     durable.Options // Name and Store are set here
	Store     durable.Store   // of the deliveries
	Rosters   durable.Store
	Roster    *Roster       // until one is put; nil: DemoRoster
	Search    time.Duration // how long the company looks at a request before it commits a courier; while it does, the customer can cancel
	Instant   *Instant      // a courier is always there; no fleet, no roster
	Behaviour partner.Behaviour
	Random    rand.Source // of the misbehaviour; see partner.NewConduct
}

// Instant is a company that has couriers without end, for load tests.
type Instant struct {
	Driver  time.Duration // from the request until one is committed
	Counter time.Duration // from then until it is at the restaurant's counter
	Trip    time.Duration // from the handover to the door; it leaves after half of that
}

// Company takes meals to their eaters. Safe for concurrent use.
type Company struct {
	opt        Options
	log        *slog.Logger
	conduct    *partner.Conduct
	deliveries *durable.Runner[State]
	rosters    *durable.Runner[Roster]
	dispatch   *dispatcher
	desk       *partner.Desk
}

// New makes the company; Start begins its work.
func New(opt Options) *Company {
	c := &Company{opt: opt, log: opt.Shell.Log, conduct: partner.NewConduct(opt.Behaviour, opt.Random)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.opt.Roster == nil {
		r := DemoRoster()
		c.opt.Roster = &r
	}
	shell := opt.Shell
	shell.Name, shell.Store, shell.Executor = Kind, opt.Store, executor{c, c.conduct.Executor(opt.Shell.Executor)}
	c.deliveries = durable.NewRunner(Machine{}, shell)
	shell.Name, shell.Store = RosterKind, opt.Rosters
	c.rosters = durable.NewRunner(RosterMachine{}, shell)
	c.dispatch = &dispatcher{
		clock: shell.Clock, log: c.log, store: opt.Store, search: opt.Search,
		deliveries: c.deliveries, roster: c.Roster,
	}
	c.dispatch.life, c.dispatch.end = context.WithCancel(context.Background())
	c.desk = partner.NewDesk(shell.Clock, shell.Log, c.conduct)
	c.desk.Handle("POST /delivery-requests", c.request)
	c.desk.Handle("GET /delivery-requests/{id}", c.get)
	c.desk.Handle("PUT /delivery-requests/{id}/cancel", c.cancel)
	c.desk.Handle("PUT /delivery-requests/{id}/release", c.release)
	c.desk.Handle("POST /pickups", c.pickup)
	c.desk.Manage("GET /fleet", c.getFleet)
	c.desk.Manage("PUT /fleet", c.putFleet)
	return c
}

// Handler is the company's HTTP side.
func (c *Company) Handler() http.Handler { return c.desk }

// Start works out where the couriers are and takes up what earlier runs left.
func (c *Company) Start() {
	c.rosters.Start()
	if c.opt.Instant == nil {
		c.dispatch.kick()
	}
	c.deliveries.Start()
}

// Stop ends the work under way; see durable.Runner.
func (c *Company) Stop(ctx context.Context) error {
	c.dispatch.stop()
	err := errors.Join(c.deliveries.Stop(ctx), c.rosters.Stop(ctx))
	c.dispatch.end()
	c.dispatch.work.Wait()
	return err
}

// Behave changes the company's behaviour.
func (c *Company) Behave(b partner.Behaviour) { c.conduct.Set(b) }

// rosterID is the roster's one record.
const rosterID = "fleet"

// Roster is the present one.
func (c *Company) Roster(ctx context.Context) (Roster, error) {
	a, err := c.rosters.View(ctx, rosterID)
	if errors.Is(err, durable.ErrNotFound) {
		return *c.opt.Roster, nil
	}
	return a.State, err
}

// SetRoster replaces the roster, durably. Couriers who are under way and not in it finish what they promised. A
// *durable.Refusal says what is wrong with it.
func (c *Company) SetRoster(ctx context.Context, r Roster) error {
	_, _, err := c.rosters.Create(ctx, rosterID, "", durable.Event{Type: EventRoster, Value: r})
	if err == nil && c.opt.Instant == nil {
		c.dispatch.forget()
	}
	return err
}

func (c *Company) getFleet(r *http.Request) (int, any, error) {
	roster, err := c.Roster(r.Context())
	return http.StatusOK, roster, err
}

func (c *Company) putFleet(r *http.Request) (int, any, error) {
	var in Roster
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, in, c.SetRoster(r.Context(), in)
}

func (c *Company) request(r *http.Request) (int, any, error) {
	var in wire.TransportRequest
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	if err := errors.Join(partner.CheckID("delivery_id", in.DeliveryID), partner.CheckID("metadata.order_id", in.Metadata.OrderID)); err != nil {
		return 0, nil, err
	}
	now := c.now()
	_, a, err := c.deliveries.Create(r.Context(), in.DeliveryID, "", durable.Event{Type: EventRequest, Value: c.ask(in, now)})
	if err != nil {
		return 0, nil, err
	}
	if c.opt.Instant == nil && a.State.Waiting() && !a.State.Nobody {
		c.dispatch.ask(a.State.record(now).Request)
	}
	return http.StatusAccepted, c.view(a.State), nil
}

// ask fills in what a request may leave out: where the demo restaurant is, and where an address is.
func (c *Company) ask(in wire.TransportRequest, now time.Time) Ask {
	a := Ask{
		DeliveryID: in.DeliveryID, OrderID: in.Metadata.OrderID, Restaurant: in.RestaurantID, Pickup: DemoPosition,
		Prep: partner.DefaultPrep, Nobody: strings.Contains(in.Address.Street, NoDriverLane),
	}
	if in.Pickup != nil {
		a.Pickup = *in.Pickup
	}
	switch {
	case in.Dropoff != nil:
		a.Dropoff = *in.Dropoff
	case in.Address.Position != nil:
		a.Dropoff = *in.Address.Position
	default:
		a.Dropoff = around(a.Pickup, in.Address.Street+"\n"+in.Address.Zipcode+"\n"+in.Address.City)
	}
	if in.ReadyAt != nil {
		a.Prep = max(0, in.ReadyAt.Sub(now))
	}
	if q := c.opt.Instant; q != nil {
		at := now.Add(q.Driver)
		a.Promise = &Promise{
			Courier: express, At: at, Arrive: at.Add(q.Counter), Counter: at.Add(q.Counter), Firm: true,
			LeaveAfter: q.Trip / 2, DeliverAfter: q.Trip - q.Trip/2,
		}
	}
	return a
}

func (c *Company) get(r *http.Request) (int, any, error) {
	a, err := c.deliveries.View(r.Context(), r.PathValue("id"))
	if err != nil {
		return 0, nil, unknown(err)
	}
	return http.StatusOK, c.view(a.State), nil
}

func (c *Company) cancel(r *http.Request) (int, any, error) { return c.withdraw(r, EventCancel) }

func (c *Company) release(r *http.Request) (int, any, error) { return c.withdraw(r, EventRelease) }

func (c *Company) withdraw(r *http.Request, kind string) (int, any, error) {
	id := r.PathValue("id")
	a, err := c.deliveries.Apply(r.Context(), id, durable.Event{Type: kind})
	if err != nil {
		return 0, nil, unknown(err)
	}
	if c.opt.Instant == nil {
		c.dispatch.withdraw(id, a.State.Ended)
	}
	return http.StatusOK, c.view(a.State), nil
}

// pickup takes the restaurant's word that the courier has the meal.
func (c *Company) pickup(r *http.Request) (int, any, error) {
	var in partner.Pickup
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	a, err := c.deliveries.Apply(r.Context(), in.DeliveryID, durable.Event{Type: EventPickup, Value: in})
	if err != nil {
		return 0, nil, unknown(err)
	}
	if c.opt.Instant == nil {
		c.dispatch.pickedUp(in.DeliveryID, a.State.PickedUp)
	}
	return http.StatusAccepted, struct{}{}, nil
}

func unknown(err error) error {
	if errors.Is(err, durable.ErrNotFound) {
		return httpapi.Errorf(http.StatusNotFound, "no such delivery request")
	}
	return err
}

func (c *Company) now() time.Time { return c.opt.Shell.Clock.Now() }

func (c *Company) view(s State) wire.TransportState {
	v := wire.TransportState{
		DeliveryID: s.DeliveryID, Cancelled: !s.Ended.IsZero(), Statuses: s.Statuses(c.now()), Courier: s.driver(),
	}
	if !s.Arrive.IsZero() {
		v.Arrival = &s.Arrive
		if !s.Firm && c.opt.Instant == nil {
			if p, ok := c.dispatch.plan(s.DeliveryID); ok {
				v.Arrival = &p.Arrive
			}
		}
	}
	return v
}

// executor carries the company's effects out, and lets the dispatcher know when a courier is at the door.
type executor struct {
	company *Company
	durable.Executor
}

func (x executor) Execute(ctx context.Context, o durable.Owed, key string) durable.Outcome {
	if o.Name == reportDelivered && o.Attempt == 0 && x.company.opt.Instant == nil {
		id, _, _ := strings.Cut(o.ID, "/") // a delivery's id has no slash
		x.company.dispatch.delivered(id, o.Due)
	}
	return x.Executor.Execute(ctx, o, key)
}
