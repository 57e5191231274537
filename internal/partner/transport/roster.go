package transport

import (
	"fmt"
	"math"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Roster is who works when, and how fast: the body of PUT /fleet.
type Roster struct {
	MetresPerMinute       float64 `json:"metres_per_minute"`
	PickupServiceMinutes  float64 `json:"pickup_service_minutes"`
	DropoffServiceMinutes float64 `json:"dropoff_service_minutes"`
	HorizonMinutes        float64 `json:"horizon_minutes,omitempty"` // how far ahead a courier is promised; 35
	Couriers              []Shift `json:"couriers"`
}

// Shift is one courier's. Without On it has always begun, without Off it never ends.
type Shift struct {
	ID  string    `json:"id"`
	X   float64   `json:"x"`
	Y   float64   `json:"y"`
	On  time.Time `json:"on,omitzero"`
	Off time.Time `json:"off,omitzero"`
}

// DemoPosition is where the demo restaurant is, whose orders name no place.
var DemoPosition = wire.Position{}

const (
	demoCouriers = 40
	demoRadius   = 3000 // metres
)

// DemoRoster is 40 couriers around the demo restaurant who never rest.
func DemoRoster() Roster {
	t := GrubhubTerms()
	r := Roster{
		MetresPerMinute: t.MetresPerMinute, PickupServiceMinutes: t.PickupService.Minutes(),
		DropoffServiceMinutes: t.DropoffService.Minutes(), HorizonMinutes: t.Horizon.Minutes(),
	}
	for i := range demoCouriers {
		id := fmt.Sprintf("courier-%02d", i+1)
		at := around(DemoPosition, id)
		r.Couriers = append(r.Couriers, Shift{ID: id, X: at.X, Y: at.Y})
	}
	return r
}

// around is a place within demoRadius of a centre, drawn from a text and in whole metres.
func around(centre wire.Position, text string) wire.Position {
	const steps = 1 << 20
	angle := 2 * math.Pi * float64(partner.Draw(text, "angle")%steps) / steps
	radius := demoRadius * math.Sqrt(float64(partner.Draw(text, "radius")%steps)/steps)
	return wire.Position{X: math.Round(centre.X + radius*math.Cos(angle)), Y: math.Round(centre.Y + radius*math.Sin(angle))}
}

// terms are the roster's physics.
func (r Roster) terms() Terms {
	t := Terms{
		MetresPerMinute: r.MetresPerMinute, PickupService: minutes(r.PickupServiceMinutes),
		DropoffService: minutes(r.DropoffServiceMinutes), Horizon: minutes(r.HorizonMinutes),
	}
	if r.HorizonMinutes == 0 {
		t.Horizon = GrubhubTerms().Horizon
	}
	return t
}

// minutes stays within what a time.Duration holds; a number that is none counts as less than nothing.
func minutes(m float64) time.Duration {
	if !(m >= 0) {
		return -1
	}
	return time.Duration(min(m, 7*24*60) * float64(time.Minute))
}

// fleet makes the roster's fleet; an error says what is wrong with the roster.
func (r Roster) fleet() (*Fleet, error) {
	couriers := make([]Courier, len(r.Couriers))
	for i, s := range r.Couriers {
		couriers[i] = Courier{ID: s.ID, Start: wire.Position{X: s.X, Y: s.Y}, On: s.On, Off: s.Off}
	}
	return NewFleet(r.terms(), couriers)
}

// RosterMachine is the pure core of the roster's one record.
type RosterMachine struct{ durable.JSON[Roster] }

// EventRoster replaces the roster; its body is one.
const EventRoster = "roster"

// Step applies an event to the roster.
func (RosterMachine) Step(s Roster, e durable.Event) (Roster, []durable.Effect, error) {
	if e.Type != EventRoster {
		return s, nil, fmt.Errorf("a roster does not know the event %s", e.Type)
	}
	var r Roster
	if err := e.Into(&r); err != nil {
		return s, nil, err
	}
	if _, err := r.fleet(); err != nil {
		return s, nil, durable.Refuse(durable.Invalid, "%s", err)
	}
	return r, nil, nil
}
