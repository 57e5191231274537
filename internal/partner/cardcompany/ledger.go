package cardcompany

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Entry is one charge in the ledger as it stands at a time. Amounts are of money that has moved by then: zero where
// the charge is pending or declined, or the refund not through.
type Entry struct {
	CallerID      string       `json:"caller_id"`
	TransactionID string       `json:"transaction_id"`
	Status        wire.Status  `json:"status"`
	Currency      string       `json:"currency"`
	Charged       wire.Decimal `json:"charged"`
	ChargedAt     time.Time    `json:"charged_at,omitzero"`
	Refunded      wire.Decimal `json:"refunded"`
	RefundedAt    time.Time    `json:"refunded_at,omitzero"`
}

func (s State) entry(at time.Time) Entry {
	e := Entry{CallerID: s.CallerID, TransactionID: s.Trans, Status: s.Status(at), Currency: s.Currency}
	if e.Status == wire.PaymentPaid || e.Status == wire.Reimbursed {
		e.Charged, e.ChargedAt = s.Amount, s.Decided
	}
	if e.Status == wire.Reimbursed {
		e.Refunded, e.RefundedAt = s.Refund, s.Refunded
	}
	return e
}

// Ledger reads the ledger from the company's store as it stands at a time, highest caller id first; for a store that
// no company is running on. Give it a time no earlier than any that the services recorded: what was decided is known
// to them from then on. It ends with the first error.
func Ledger(ctx context.Context, store durable.Store, at time.Time) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		before := ""
		for {
			entries, next, err := page(ctx, store, at, before, maxPage)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			before = next
		}
	}
}

const maxPage = 1000

// page is up to limit entries below an id, and where the next page begins, if there is one.
func page(ctx context.Context, store durable.Store, at time.Time, before string, limit int) ([]Entry, string, error) {
	records, err := store.List(ctx, "", before, limit)
	if err != nil {
		return nil, "", fmt.Errorf("ledger: %w", err)
	}
	entries := make([]Entry, 0, len(records))
	next := ""
	for _, r := range records {
		s, err := (Machine{}).Decode(r.State)
		if err != nil {
			return nil, "", fmt.Errorf("ledger: charge %s: %w", r.ID, err)
		}
		if s.Trans != "" {
			entries = append(entries, s.entry(at))
		}
		next = r.ID
	}
	if len(records) < limit {
		next = ""
	}
	return entries, next, nil
}

// LedgerPage is the answer to GET /ledger; an empty Next is the end.
type LedgerPage struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
}

func (c *Company) ledger(r *http.Request) (int, any, error) {
	limit := 100
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return 0, nil, httpapi.Errorf(http.StatusUnprocessableEntity, "limit: expected 1 to %d", maxPage)
		}
		limit = n
	}
	entries, next, err := page(r.Context(), c.opt.Store, c.now(), r.FormValue("cursor"), limit)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, LedgerPage{Entries: entries, Next: next}, nil
}
