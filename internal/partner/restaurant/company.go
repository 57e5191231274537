package restaurant

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/webhook"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Kind is the name of the company's table.
const Kind = "meals"

// Options are what the company is made of. Shell's Owner, Clock and Executor, and Store have no default.
type Options struct {
	Shell     durable.Options // Name and Store are set here
	Store     durable.Store
	Terms     Terms // zero: DefaultTerms
	Behaviour partner.Behaviour
	Random    rand.Source       // of the misbehaviour; see partner.NewConduct
	Signed    *webhook.Verifier // of what Tiffin asks; nil: everybody is believed
}

// Company cooks. Safe for concurrent use.
//
// A record's id is its kitchen id and its key the order's. Where the courier came first the record has an id of its
// own, and the kitchen id's record is an alias of it.
type Company struct {
	opt     Options
	conduct *partner.Conduct
	meals   *durable.Runner[State]
	recent  recent
	desk    *partner.Desk
}

// New makes the company; Start begins its work.
func New(opt Options) *Company {
	if opt.Terms == (Terms{}) {
		opt.Terms = DefaultTerms()
	}
	c := &Company{opt: opt, conduct: partner.NewConduct(opt.Behaviour, opt.Random)}
	shell := opt.Shell
	shell.Name, shell.Store, shell.Executor = Kind, opt.Store, c.conduct.Executor(opt.Shell.Executor)
	c.meals = durable.NewRunner(Machine{Terms: opt.Terms}, shell)
	c.desk = partner.NewDesk(shell.Clock, shell.Log, c.conduct, opt.Signed)
	c.desk.Handle("POST /cooking-requests", c.cook)
	c.desk.Handle("GET /cooking-requests/{id}", c.get)
	c.desk.Handle("PUT /cooking-requests/{id}/cancel", c.cancel)
	c.desk.Neighbour("POST /handovers", c.handover)
	c.desk.Neighbour("DELETE /handovers/{id}", c.left)
	return c
}

// Handler is the company's HTTP side.
func (c *Company) Handler() http.Handler { return c.desk }

// Start takes up what earlier runs left.
func (c *Company) Start() { c.meals.Start() }

// Stop ends the work under way; see durable.Runner.
func (c *Company) Stop(ctx context.Context) error { return c.meals.Stop(ctx) }

// Behave changes the company's behaviour.
func (c *Company) Behave(b partner.Behaviour) { c.conduct.Set(b) }

func (c *Company) cook(r *http.Request) (int, any, error) {
	var in wire.CookingRequest
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	if err := errors.Join(partner.CheckID("kitchen_id", in.KitchenID), partner.CheckID("metadata.order_id", in.Metadata.OrderID)); err != nil {
		return 0, nil, err
	}
	if in.RestaurantID == Refusing {
		return 0, nil, httpapi.Errorf(http.StatusUnprocessableEntity, "the kitchen is closed")
	}
	e := durable.Event{Type: EventCook, Value: Cook{
		KitchenID: in.KitchenID, OrderID: in.Metadata.OrderID, Silent: in.RestaurantID == Silent, ReadyAt: in.ReadyAt,
	}}
	ctx := r.Context()
	id, a, err := c.meals.Create(ctx, in.KitchenID, in.Metadata.OrderID, e)
	if err == nil && a.State.Alias == "" {
		c.recent.note(in.Metadata.OrderID, id)
	}
	switch {
	case err == nil && a.State.Alias != "":
		_, a.State, err = c.find(ctx, in.KitchenID)
	case err == nil && id != in.KitchenID:
		err = c.alias(ctx, in.KitchenID, id)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, a.State.view(c.now()), nil
}

// alias makes the kitchen id find the meal that the courier began. Where a cancel of the kitchen id was quicker it
// reaches the meal now.
func (c *Company) alias(ctx context.Context, kitchenID, id string) error {
	_, _, err := c.meals.Create(ctx, kitchenID, "", durable.Event{Type: EventAlias, Value: id})
	if _, cancelled := errors.AsType[*durable.Refusal](err); !cancelled {
		return err
	}
	_, wrong := c.meals.Apply(ctx, id, cancelOf(kitchenID))
	return errors.Join(err, wrong)
}

func (c *Company) get(r *http.Request) (int, any, error) {
	_, s, err := c.find(r.Context(), r.PathValue("id"))
	if errors.Is(err, durable.ErrNotFound) || err == nil && s.OrderID == "" {
		return 0, nil, httpapi.Errorf(http.StatusNotFound, "no such cooking request")
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, s.view(c.now()), nil
}

// find is the record of a kitchen id, and the id it has.
func (c *Company) find(ctx context.Context, kitchenID string) (string, State, error) {
	a, err := c.meals.View(ctx, kitchenID)
	if err != nil || a.State.Alias == "" {
		return kitchenID, a.State, err
	}
	id := a.State.Alias
	a, err = c.meals.View(ctx, id)
	return id, a.State, err
}

func (c *Company) cancel(r *http.Request) (int, any, error) {
	kitchenID := r.PathValue("id")
	if err := partner.CheckID("id", kitchenID); err != nil {
		return 0, nil, err
	}
	id, _, err := c.find(r.Context(), kitchenID)
	if err != nil && !errors.Is(err, durable.ErrNotFound) {
		return 0, nil, err
	}
	e := cancelOf(kitchenID)
	_, a, err := c.meals.Create(r.Context(), id, "", e)
	if err == nil && a.State.Alias != "" {
		a, err = c.meals.Apply(r.Context(), a.State.Alias, e)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, a.State.view(c.now()), nil
}

func (c *Company) handover(r *http.Request) (int, any, error) {
	var in partner.Handover
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	if err := errors.Join(partner.CheckID("order_id", in.OrderID), partner.CheckID("delivery_id", in.DeliveryID)); err != nil {
		return 0, nil, err
	}
	e := durable.Event{Type: EventHandover, Value: in}
	var err error
	if id, ok := c.recent.find(in.OrderID); ok {
		_, err = c.meals.Apply(r.Context(), id, e)
	} else {
		_, _, err = c.meals.Create(r.Context(), waiting(in.OrderID), in.OrderID, e)
	}
	return http.StatusAccepted, struct{}{}, err
}

func (c *Company) left(r *http.Request) (int, any, error) {
	orderID := r.PathValue("id")
	if err := partner.CheckID("order_id", orderID); err != nil {
		return 0, nil, err
	}
	e := durable.Event{Type: EventLeft}
	if _, _, err := c.meals.Create(r.Context(), waiting(orderID), orderID, e); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, struct{}{}, nil
}

// waiting is the id of an order's record that the courier begins.
func waiting(orderID string) string { return "order:" + orderID }

func cancelOf(kitchenID string) durable.Event {
	return durable.Event{Type: EventCancel, Value: Cancel{KitchenID: kitchenID}}
}

func (c *Company) now() time.Time { return c.opt.Shell.Clock.Now() }

func (s State) view(at time.Time) wire.CookingState {
	return wire.CookingState{KitchenID: s.KitchenID, Cancelled: !s.Cancelled.IsZero(), Statuses: s.Statuses(at)}
}
