package main

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

type verifyCmd struct {
	data
	JSON bool `help:"Print JSON for a script." name:"json"`
}

func (c *verifyCmd) Run(e *env) error {
	report, err := app.Verify(e.ctx, app.Config{Engines: c.Engines, Data: c.Data, Log: e.log})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := console.JSON(e.out, report); err != nil {
			return err
		}
	} else if err := showReport(e, report); err != nil {
		return err
	}
	if len(report.Violations) > 0 {
		return errSilent
	}
	return nil
}

func showReport(e *env, r verify.Report) error {
	euro := func(cents int64) string { return wire.Money{Amount: cents, Currency: wire.Euro}.String() }
	books := "by payment's own records: no card company of ours"
	if r.Ledger {
		books = "by the card company's ledger"
	}
	verdict := e.paint.Good("every invariant holds")
	if n := len(r.Violations); n > 0 {
		verdict = e.paint.Bad(fmt.Sprintf("%d violations", n))
	}
	balance := r.Charged - r.Refunded - r.Delivered - r.OpenMoney
	if err := console.Pairs(e.out, e.paint, [][2]string{
		{"orders", fmt.Sprintf("%d (%d settled, %d open, %d deleted)", r.Orders, r.Settled, r.Open, r.Deleted)},
		{"charges", fmt.Sprintf("%d, %s (%s)", r.Charges, euro(r.Charged), books)},
		{"refunds", fmt.Sprintf("%d, %s", r.Refunds, euro(r.Refunded))},
		{"delivered", euro(r.Delivered)},
		{"in open orders", euro(r.OpenMoney)},
		{"balance", euro(balance)},
		{"verdict", verdict},
	}); err != nil {
		return err
	}
	for _, v := range r.Violations {
		if _, err := fmt.Fprintln(e.out, v); err != nil {
			return err
		}
	}
	return nil
}
