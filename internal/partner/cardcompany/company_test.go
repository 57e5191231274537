package cardcompany_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/partner/cardcompany"
	"github.com/tiffin-food/tiffin/internal/partner/partnertest"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const caller = "0190a000-0000-7000-8000-00000000aaaa"

type fixture struct {
	*partnertest.World
	t       *testing.T
	payment *partnertest.Service
	store   *partnertest.Store
	company *cardcompany.Company
	stop    func()
}

func open(t *testing.T) *fixture {
	f := &fixture{World: partnertest.New(t), t: t, store: partnertest.NewStore()}
	f.payment = f.Service(wire.PaymentService)
	f.start("one")
	return f
}

func (f *fixture) start(owner string) {
	f.company = cardcompany.New(cardcompany.Options{Shell: f.Shell(owner), Store: f.store})
	f.stop = f.Open(wire.CardCompany, f.company)
}

func billing(token string) wire.BillingRequest {
	return wire.BillingRequest{CallerID: caller, Amount: 1295, Currency: "EUR", BillingInfo: wire.BillingInfo{Token: token}}
}

func (f *fixture) bill(token string, want int) (s wire.BillingState) {
	f.t.Helper()
	f.Do(wire.CardCompany, "POST /billings", billing(token), &s, want)
	return s
}

func (f *fixture) refund(trans string, amount wire.Decimal, want int) (s wire.BillingState) {
	f.t.Helper()
	f.Do(wire.CardCompany, "POST /billings/reimburse", wire.RefundRequest{CallerID: caller, TransactionID: trans, Amount: amount, Currency: "EUR"}, &s, want)
	return s
}

func (f *fixture) status() wire.Status {
	f.t.Helper()
	var s wire.BillingState
	f.Do(wire.CardCompany, "GET /billings/"+caller, nil, &s, 200)
	return s.Status
}

func (f *fixture) expectTold(what string, statuses ...string) {
	f.t.Helper()
	got := f.payment.Statuses()
	for i, s := range got {
		got[i], _, _ = strings.Cut(s, "@")
	}
	if !slices.Equal(got, statuses) {
		f.t.Fatalf("%s: the payment service was told %q, want %q", what, got, statuses)
	}
}

func (f *fixture) expectLedger(charged, refunded wire.Decimal) {
	f.t.Helper()
	var entries []cardcompany.Entry
	for e, err := range cardcompany.Ledger(f.t.Context(), f.store, f.Clock.Now()) {
		if err != nil {
			f.t.Fatal(err)
		}
		entries = append(entries, e)
	}
	var page cardcompany.LedgerPage
	f.Do(wire.CardCompany, "GET /ledger", nil, &page, 200)
	if !slices.Equal(entries, page.Entries) || page.Next != "" {
		f.t.Fatalf("GET /ledger says %+v, the store %+v", page, entries)
	}
	if len(entries) != 1 || entries[0].Charged != charged || entries[0].Refunded != refunded {
		f.t.Fatalf("ledger %+v, want %d charged and %d refunded", entries, charged, refunded)
	}
}

func TestALifeWithARefund(t *testing.T) {
	f := open(t)
	first := f.bill(cardcompany.TokenOK, 202)
	if first.Status != wire.Pending || first.TransactionID == "" || first.CallerID != caller || first.Amount != 1295 {
		t.Fatalf("answered %+v", first)
	}
	if again := f.bill(cardcompany.TokenOK, 202); again != first {
		t.Fatalf("the same request again: %+v, want %+v", again, first)
	}
	f.refund(first.TransactionID, 1295, 409)
	f.expectLedger(0, 0)
	f.Advance(4 * time.Second)
	f.expectTold("before a decision")
	f.Advance(17 * time.Second)
	f.expectTold("after it", "paymentPaid")
	if s := f.status(); s != wire.PaymentPaid {
		t.Fatalf("status %s", s)
	}
	f.expectLedger(1295, 0)
	if n := f.store.Writes.Load(); n != 2 {
		t.Errorf("a charge cost %d writes, want 2", n)
	}

	f.refund("txn-of-somebody", 1295, 422)
	f.refund(first.TransactionID, 1296, 422)
	f.refund(first.TransactionID, 0, 422)
	f.refund(first.TransactionID, 1295, 202)
	f.refund(first.TransactionID, 1295, 202)
	f.refund(first.TransactionID, 1000, 422)
	f.expectLedger(1295, 0)
	f.Advance(21 * time.Second)
	f.expectTold("after the refund", "paymentPaid", "reimbursed")
	f.expectLedger(1295, 1295)
	if s := f.bill(cardcompany.TokenOK, 202); s.Status != wire.Reimbursed {
		t.Fatalf("the charge again: %+v", s)
	}
	f.Advance(time.Hour)
	f.expectTold("at last", "paymentPaid", "reimbursed")
}

func TestTokens(t *testing.T) {
	paid := []string{"paymentPaid"}
	for _, c := range []struct {
		token   string
		answers []int // to the first requests
		told    []string
		charged wire.Decimal
		status  wire.Status
	}{
		{cardcompany.TokenOK, []int{202}, paid, 1295, wire.PaymentPaid},
		{"tok_visa", []int{202}, paid, 1295, wire.PaymentPaid},
		{"", []int{202}, paid, 1295, wire.PaymentPaid},
		{cardcompany.TokenDeclined, []int{202}, []string{"paymentFailed"}, 0, wire.PaymentFailed},
		{cardcompany.TokenSilent, []int{202}, nil, 1295, wire.PaymentPaid},
		{cardcompany.TokenMute, []int{202}, nil, 0, wire.Pending},
		{cardcompany.TokenLate, []int{202}, nil, 0, wire.Pending},
		{cardcompany.TokenDuplicate, []int{202}, []string{"paymentPaid", "paymentPaid", "paymentPaid"}, 1295, wire.PaymentPaid},
		{cardcompany.TokenTimeout, []int{0, 202, 202}, paid, 1295, wire.PaymentPaid},
		{cardcompany.TokenFlaky, []int{500, 500, 202, 202}, paid, 1295, wire.PaymentPaid},
		{cardcompany.TokenEarly, []int{202}, paid, 1295, wire.PaymentPaid},
	} {
		t.Run(c.token, func(t *testing.T) {
			f := open(t)
			for _, status := range c.answers {
				if status == 202 {
					f.bill(c.token, status)
				} else {
					f.Do(wire.CardCompany, "POST /billings", billing(c.token), nil, status)
				}
			}
			if c.token == cardcompany.TokenEarly {
				f.expectTold("before the answer", paid...)
			}
			f.Advance(time.Minute)
			f.expectTold("in time", c.told...)
			if s := f.status(); s != c.status {
				t.Errorf("status %s, want %s", s, c.status)
			}
			f.expectLedger(c.charged, 0)
			if c.token == cardcompany.TokenLate {
				f.Advance(20 * time.Minute)
				f.expectTold("late", paid...)
				f.expectLedger(1295, 0)
			}
		})
	}
}

func TestDuplicateCallbacksHaveKeysOfTheirOwn(t *testing.T) {
	f := open(t)
	f.bill(cardcompany.TokenDuplicate, 202)
	f.Advance(time.Minute)
	keys := map[string]bool{}
	for _, told := range f.payment.Told() {
		keys[told.Key] = true
	}
	if len(keys) != 3 {
		t.Fatalf("keys %v", keys)
	}
}

func TestCallbackIsRepeatedUntilItIsHeard(t *testing.T) {
	f := open(t)
	calls := 0
	f.payment.Answer = func(partnertest.Told) int {
		if calls++; calls < 5 {
			return http.StatusServiceUnavailable
		}
		return http.StatusCreated
	}
	f.bill(cardcompany.TokenOK, 202)
	f.Advance(2 * time.Minute)
	f.expectTold("at last", "paymentPaid")
	if calls != 5 {
		t.Fatalf("called %d times", calls)
	}
}

func TestCallbackThatIsRefusedIsDropped(t *testing.T) {
	f := open(t)
	calls := 0
	f.payment.Answer = func(partnertest.Told) int { calls++; return http.StatusNotFound }
	f.bill(cardcompany.TokenOK, 202)
	f.Advance(10 * time.Minute)
	if calls != 1 {
		t.Fatalf("called %d times", calls)
	}
}

func TestRestartInTheMiddle(t *testing.T) {
	f := open(t)
	s := f.bill(cardcompany.TokenOK, 202)
	f.stop()
	f.start("two")
	if again := f.bill(cardcompany.TokenOK, 202); again != s {
		t.Fatalf("after the restart %+v, want %+v", again, s)
	}
	f.Advance(21 * time.Second)
	f.expectTold("after the restart", "paymentPaid")
	f.refund(s.TransactionID, 1295, 202)
	f.stop()
	f.Advance(10 * time.Minute)
	f.start("three")
	f.Advance(time.Second)
	f.expectTold("after the second", "paymentPaid", "reimbursed")
	f.expectLedger(1295, 1295)
}

func TestRefusals(t *testing.T) {
	f := open(t)
	f.Do(wire.CardCompany, "GET /billings/"+caller, nil, nil, 404)
	f.refund("txn", 1, 404)
	f.Do(wire.CardCompany, "POST /billings", []byte(`{"caller_id":`), nil, 422)
	f.Do(wire.CardCompany, "POST /billings", []byte(`{"caller_id":7}`), nil, 422)
	f.Do(wire.CardCompany, "POST /billings", []byte(`{"amount":1,"currency":"EUR"}`), nil, 422)
	f.Do(wire.CardCompany, "POST /billings", []byte(`{"caller_id":"a","amount":0}`), nil, 422)
	f.Do(wire.CardCompany, "POST /billings", []byte(`{"caller_id":"a/b","amount":1}`), nil, 422)
	f.Do(wire.CardCompany, "POST /billings", []byte(strings.Repeat(" ", 1<<20+1)), nil, 413)
	f.Do(wire.CardCompany, "GET /nothing", nil, nil, 404)
	f.Do(wire.CardCompany, "POST /billings", []byte(`{"caller_id":"`+caller+`","amount":12.95,"unknown":{"a":[1]}}`), nil, 202)
	other := billing(cardcompany.TokenOK)
	other.Amount = 1
	f.Do(wire.CardCompany, "POST /billings", other, nil, 422)
	f.store.Broken.Store(true)
	f.Do(wire.CardCompany, "POST /billings", wire.BillingRequest{CallerID: "b", Amount: 1}, nil, 503)
}

func TestLedgerPages(t *testing.T) {
	f := open(t)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		r := billing(cardcompany.TokenOK)
		r.CallerID = id
		f.Do(wire.CardCompany, "POST /billings", r, nil, 202)
	}
	var ids []string
	for path := "GET /ledger?limit=2"; ; {
		var page cardcompany.LedgerPage
		f.Do(wire.CardCompany, path, nil, &page, 200)
		for _, e := range page.Entries {
			ids = append(ids, e.CallerID)
		}
		if page.Next == "" {
			break
		}
		path = "GET /ledger?limit=2&cursor=" + page.Next
	}
	if !slices.Equal(ids, []string{"e", "d", "c", "b", "a"}) {
		t.Fatalf("ledger %v", ids)
	}
	f.Do(wire.CardCompany, "GET /ledger?limit=0", nil, nil, 422)
}

func TestMisbehaviour(t *testing.T) {
	f := open(t)
	f.company.Behave(partner.Behaviour{Down: true})
	f.Do(wire.CardCompany, "POST /billings", billing(""), nil, 0)
	f.company.Behave(partner.Behaviour{Fail: 1})
	f.Do(wire.CardCompany, "POST /billings", billing(""), nil, 500)
	if f.store.Writes.Load() != 0 {
		t.Fatal("a request that failed was carried out")
	}
	f.company.Behave(partner.Behaviour{Abort: 1})
	f.Do(wire.CardCompany, "POST /billings", billing(""), nil, 0)
	if f.store.Writes.Load() != 1 {
		t.Fatal("a request whose connection died was not carried out")
	}
	f.company.Behave(partner.Behaviour{Down: true})
	f.Advance(time.Minute)
	f.expectTold("while the company is down")
	f.company.Behave(partner.Behaviour{Duplicate: 1, Slow: time.Millisecond})
	f.Advance(time.Minute)
	f.expectTold("when it is back", "paymentPaid", "paymentPaid")
	f.bill("", 202)
	f.expectLedger(1295, 0)
}
