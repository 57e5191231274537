package payment

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// doubt is why a callback cannot be true, or nothing. What is only late, or comes again, can be.
func (x *step) doubt(c wire.PaymentCallback) string {
	moved := c.Status == wire.PaymentPaid || c.Status == wire.Reimbursed
	asked := x.Phase != Billing && x.Phase != Unbillable
	switch {
	case c.Status != wire.Pending && !asked:
		return "the card company was not asked yet, or never"
	case c.Status == wire.Reimbursed && x.Refund != RefundOwed && x.Refund != Refunded:
		return "no refund was asked for"
	case c.Status == wire.PaymentFailed && x.Phase == Paid:
		return "it was paid before"
	case moved && c.Amount != nil && *c.Amount != x.Charge:
		return fmt.Sprintf("the amount is %s, and %s was asked for", *c.Amount, x.Charge)
	case moved && c.Currency != "" && c.Currency != wire.Euro:
		return fmt.Sprintf("the currency is %.10s, and %s was asked for", c.Currency, wire.Euro)
	case x.anotherTransaction(c.TransactionID):
		return "the transaction is not this order's"
	}
	return ""
}

// check has the card company say how it is, whatever was heard before: its answer decides.
func (x *step) check() error {
	switch {
	case x.waiting():
		x.ask()
	case x.Phase == Paid, x.Phase == Failed:
		x.question()
	default:
		return durable.ErrIgnored // it was not asked for anything
	}
	return nil
}
