package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/identity"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// DemoPassword is that of every demo account.
const DemoPassword = "tiffin-demo"

// demoHash is how it is kept: one hash for all of them, so that starting takes no time.
const demoHash = "$argon2id$v=19$m=19456,t=2,p=1$6g1hS/TbCbZgiC5HUO9Jeg$7DzaviCB8uPrm8fZ27cM69mH/pgJ9bCEKnJhCFdkseE"

// Demo accounts beside those of the demo customers.
const (
	DemoOperator = "operator@example.com"
	DemoCook     = "cook@example.com"
	DemoCourier  = "courier@example.com"
)

// demoAccounts are the people of the demo: whoever runs it, a cook, a courier, and the demo customers, each the account
// of the same id.
func demoAccounts() []identity.Account {
	demo := dataset.Demo()
	var restaurants []string
	for _, r := range demo.Restaurants {
		restaurants = append(restaurants, r.ID)
	}
	all := []identity.Account{
		{ID: "0190a000-0000-7000-8000-00000000a001", Email: DemoOperator, Name: "Olga Operator", Roles: []auth.Role{auth.Operator}},
		{
			ID: "0190a000-0000-7000-8000-00000000a002", Email: DemoCook, Name: "Carlo Cook",
			Roles: []auth.Role{auth.Kitchen}, Restaurants: restaurants,
		},
		{
			ID: "0190a000-0000-7000-8000-00000000a003", Email: DemoCourier, Name: "Cora Courier",
			Roles: []auth.Role{auth.Courier}, Courier: "courier-01",
		},
	}
	for _, c := range demo.Customers {
		all = append(all, identity.Account{ID: c.ID, Email: c.Email, Name: c.Name, Roles: []auth.Role{auth.Customer}, Customer: c.ID})
	}
	for i := range all {
		all[i].Password = demoHash
	}
	return all
}

// refuseDemo says that a database has the demo's accounts, whose password everybody knows. They are let in by
// tiffin up alone.
func (s *System) refuseDemo(ctx context.Context) error {
	store, err := s.store(ctx, wire.IdentityService, Accounts)
	if err != nil {
		return err
	}
	for _, a := range demoAccounts() {
		rec, err := store.Load(ctx, a.ID)
		if errors.Is(err, durable.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for the demo's accounts: %w", err)
		}
		now, err := identity.AccountMachine{}.Decode(rec.State)
		if err != nil {
			return fmt.Errorf("looking for the demo's accounts: %w", err)
		}
		if now.Password == demoHash && !now.Disabled {
			return fmt.Errorf("identity-db: it has the demo's account %s, whose password is public; expected a database that "+
				"tiffin up was not run on, or its demo accounts disabled or with other passwords", now.Email)
		}
	}
	return nil
}
