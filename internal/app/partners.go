package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/mdrp"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/partner/cardcompany"
	"github.com/tiffin-food/tiffin/internal/partner/restaurant"
	"github.com/tiffin-food/tiffin/internal/partner/transport"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// partners are the simulated companies, on a file of their own.
type partners struct {
	db     *sqlite.DB
	last   time.Time       // how far their clock came
	client *httpapi.Client // signs what it tells the services
	fleet  *transport.Company
	door   http.Handler // of all of them, where they are served apart
}

// pace is how far apart the companies write into their books under load: they have all the time, and the processor is
// wanted for what they are there to try out. Where time is virtual it would only stand still meanwhile.
const pace = 5 * time.Millisecond

func openPartners(ctx context.Context, cfg Config) (*partners, error) {
	every := pace
	if !cfg.Virtual.IsZero() {
		every = 0
	}
	db, err := sqlite.OpenPaced(ctx, filepath.Join(cfg.Data, PartnerFile), every)
	if err != nil {
		return nil, err
	}
	last, err := db.LastTime(ctx)
	if err != nil {
		return nil, err
	}
	return &partners{db: db, last: last}, nil
}

// simulated is what every partner offers.
type simulated interface {
	part
	Handler() http.Handler
}

// open makes the companies and has them found under their names.
func (p *partners) open(ctx context.Context, s *System) error {
	if p.door != nil { // two of a company on one store have two minds
		return errors.New("the simulated companies are open already")
	}
	stores := map[string]durable.Store{}
	for _, kind := range []string{cardcompany.Kind, restaurant.Kind, transport.Kind, transport.RosterKind} {
		store, err := p.db.Store(ctx, kind)
		if err != nil {
			return err
		}
		stores[kind] = store
	}
	conduct := partner.Behaviour{
		Fail: s.cfg.Behave.Fail, Abort: s.cfg.Behave.Abort, Duplicate: s.cfg.Behave.Duplicate, Slow: s.cfg.Behave.Slow,
	}
	random := func(seed uint64) rand.Source { return rand.NewPCG(seed, uint64(s.Clock.Now().UnixNano())) }
	shell := s.shell()
	shell.Executor = executor{client: p.client, publisher: s.broker, clock: s.Clock}
	card := cardcompany.Options{
		Shell: shell, Store: stores[cardcompany.Kind], Behaviour: conduct, Random: random(1), Signed: s.verifier(wire.CardCompany),
	}
	food := restaurant.Options{
		Shell: shell, Store: stores[restaurant.Kind], Behaviour: conduct, Random: random(2), Signed: s.verifier(wire.Restaurant),
	}
	drive := transport.Options{
		Shell: shell, Store: stores[transport.Kind], Rosters: stores[transport.RosterKind], Search: s.cfg.Search,
		Behaviour: conduct, Random: random(3), Signed: s.verifier(wire.TransportCompany),
	}
	if s.cfg.Behave.Quick {
		card.Terms = cardcompany.Terms{DecideLeast: time.Millisecond, DecideMost: 2 * time.Millisecond, Late: time.Second}
		food.Terms = restaurant.Terms{BeginLeast: time.Millisecond, BeginMost: 2 * time.Millisecond, Prep: 50 * time.Millisecond, Quick: true}
		drive.Instant = &transport.Instant{Driver: time.Millisecond, Counter: 50 * time.Millisecond, Trip: 50 * time.Millisecond}
	}
	p.fleet = transport.New(drive)
	door := http.NewServeMux()
	desk := httpapi.New(httpapi.Options{Name: "Partners", Version: s.cfg.Version, Log: s.log, NoDocs: true})
	door.Handle("/", desk)
	s.apis[Partners], p.door = desk, door
	for name, c := range map[string]simulated{
		wire.CardCompany: cardcompany.New(card), wire.Restaurant: restaurant.New(food), wire.TransportCompany: p.fleet,
	} {
		s.parts = append(s.parts, c)
		door.Handle(partnerPaths[name], c.Handler())
		door.Handle(partnerPaths[name]+"/", c.Handler())
		s.outer.Handle(name, c.Handler())
		if err := s.mount(name, c.Handler()); err != nil { // for its neighbours
			return err
		}
	}
	return nil
}

// roster is the fleet of a recorded day whose midnight is base.
func roster(day mdrp.Day, base time.Time) transport.Roster {
	r := transport.Roster{
		MetresPerMinute:      day.Parameters.MetresPerMinute,
		PickupServiceMinutes: day.Parameters.PickupService.Minutes(), DropoffServiceMinutes: day.Parameters.DropoffService.Minutes(),
	}
	for _, c := range day.Couriers {
		r.Couriers = append(r.Couriers, transport.Shift{
			ID: c.ID, X: c.Start.X, Y: c.Start.Y, On: base.Add(c.On), Off: base.Add(c.Off),
		})
	}
	return r
}
