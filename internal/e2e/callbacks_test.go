package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/quarantine"
	"github.com/tiffin-food/tiffin/internal/webhook"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// secrets are those of the companies in every town and city.
var secrets = app.Companies{
	CardSecret:       "whsec_Y2FyZCBjb21wYW55IG9mIGEgdG93bjsgMDEyMzQ1Njc4OQ==",
	TransportSecret:  "whsec_dHJhbnNwb3J0IGNvbXBhbnkgb2YgYSB0b3duOyAwMTIzNDU=",
	RestaurantSecret: "whsec_cmVzdGF1cmFudHMgb2YgYSB0b3duOyAwMTIzNDU2Nzg5YWI=",
}

// secretFlags give them to a process.
var secretFlags = []string{
	"--card-secret", secrets.CardSecret, "--transport-secret", secrets.TransportSecret, "--restaurant-secret", secrets.RestaurantSecret,
}

// secretOf is a company's.
func secretOf(t *testing.T, company string) []webhook.Secret {
	t.Helper()
	all, err := webhook.ParseSecrets(map[string]string{
		wire.CardCompany: secrets.CardSecret, wire.TransportCompany: secrets.TransportSecret, wire.Restaurant: secrets.RestaurantSecret,
	}[company])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// signature is what a company's request shows, as pairs of name and value.
func signature(t *testing.T, company, id string, at time.Time, body []byte) (pairs []string) {
	t.Helper()
	for name, values := range webhook.Headers(secretOf(t, company), id, at, body) {
		pairs = append(pairs, name, values[0])
	}
	return pairs
}

// byAKey is what the gateway shows a service for a company that showed the gateway its key.
func byAKey(company string) []string {
	c := auth.Caller{Subject: "key:0011223344556677", Roles: []auth.Role{auth.Partner}, Company: company}
	return []string{auth.KeyHeader, innerKey, auth.Header, c.Encode()}
}

// companyOf is who calls a path back.
func companyOf(path string) string {
	for at, company := range map[string]string{
		"/v1/payments/": wire.CardCompany, "/v1/deliveries/": wire.TransportCompany, "/v1/kitchen/": wire.Restaurant,
	} {
		if strings.HasPrefix(path, at) {
			return company
		}
	}
	return ""
}

// raw is a body as it is sent.
func raw(t *testing.T, body any) []byte {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// callback is a company's signed request through the gateway.
func (w *town) callback(company, path, id string, body any) answer {
	w.t.Helper()
	b := raw(w.t, body)
	return w.call(http.MethodPost, path, b, signature(w.t, company, id, w.sys.Now(), b)...)
}

// Paths of callbacks.
const (
	payPath     = "/v1/payments/callback"
	deliverPath = "/v1/deliveries/callback"
	cookPath    = "/v1/kitchen/callback"
)

// kept are the callbacks that a service keeps, by what they are about: the newest first.
func (w *town) kept(path string) []quarantine.Kept {
	w.t.Helper()
	return decoded[[]quarantine.Kept](w.t, w.want(200, http.MethodGet, path+"/quarantine", nil).body)
}

type paidFor struct {
	Phase         string
	Charged       wire.Decimal
	Refund        string
	TransactionID string `json:"transaction_id"`
	Owed          []struct{ Name, Parked string }
}

func (w *town) payment(id string) (p paidFor) {
	w.t.Helper()
	return decodedAs(w.t, w.want(200, http.MethodGet, "/v1/payments/"+id, nil).body, p)
}

// TestCallbackForged: whoever is not the company is refused, whatever is shown, and nothing comes of it.
func TestCallbackForged(t *testing.T) {
	w := found(t, nil)
	o := w.place(mute, "") // its card company never says anything
	w.pass(time.Second)
	paid := raw(t, wire.PaymentCallback{Status: wire.PaymentPaid, CallerID: o.ID, TransactionID: "t1"})
	now := w.sys.Now()
	good := signature(t, wire.CardCompany, "m1", now, paid)
	stranger, err := webhook.NewSecret([]byte("somebody else's, of some length"))
	if err != nil {
		t.Fatal(err)
	}
	var forged []string
	for name, values := range webhook.Headers([]webhook.Secret{stranger}, "m1", now, paid) {
		forged = append(forged, name, values[0])
	}
	for what, tt := range map[string]struct {
		body    []byte
		headers []string
	}{
		"nothing shown":       {paid, nil},
		"a stranger's secret": {paid, forged},
		"the transport's":     {paid, signature(t, wire.TransportCompany, "m1", now, paid)},
		"of another body":     {slices.Concat(paid[:len(paid)-1], []byte(`,"x":1}`)), good},
		"too old":             {paid, signature(t, wire.CardCompany, "m1", now.Add(-5*time.Minute-time.Second), paid)},
		"of the future":       {paid, signature(t, wire.CardCompany, "m1", now.Add(5*time.Minute+time.Second), paid)},
	} {
		if a := w.call(http.MethodPost, payPath, tt.body, tt.headers...); a.status != 401 && a.status != 403 {
			t.Errorf("%s: %s", what, a)
		}
	}
	for _, shown := range [][]string{byAKey(wire.CardCompany), {auth.KeyHeader, innerKey}, inside} { // at the service itself
		if a := w.inner(payPath, paid, shown); a.status != 401 && a.status != 403 {
			t.Errorf("%v: %s", shown, a)
		}
	}
	if a := w.inner(payPath, paid, append(slices.Clone(inside), forged...)); a.status != 401 {
		t.Errorf("forged, and a service: %s", a)
	}
	w.pass(time.Second)
	if p := w.payment(o.ID); p.Phase != "charging" || len(w.kept("/v1/payments")) != 0 {
		t.Errorf("it came to %+v, and %v is kept", p, w.kept("/v1/payments"))
	}
}

// inner is a request to the service of a path itself.
func (w *town) inner(path string, body []byte, headers []string) answer {
	service := map[string]string{
		wire.CardCompany: wire.PaymentService, wire.TransportCompany: wire.DeliveryService, wire.Restaurant: wire.KitchenService,
	}[companyOf(path)]
	req := httptest.NewRequestWithContext(w.ctx, http.MethodPost, path, strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	setAll(req.Header, headers)
	res := httptest.NewRecorder()
	w.sys.API(service).ServeHTTP(res, req)
	return answer{res.Code, res.Header(), res.Body.Bytes()}
}

// TestCallbackReplayed: the same signed request again, the same news under another id, and an old request change
// nothing.
func TestCallbackReplayed(t *testing.T) {
	w := found(t, nil)
	o := w.place(ada, "")
	w.reach(o.ID, wire.DriverAvailable)
	p, o := w.payment(o.ID), w.get(o.ID)
	amount := o.Total.Amount
	news := map[string]any{
		payPath: wire.PaymentCallback{
			Status: wire.PaymentPaid, CallerID: o.ID, TransactionID: p.TransactionID, Amount: (*wire.Decimal)(&amount), Currency: wire.Euro,
		},
		deliverPath: wire.DeliveryCallback{Status: wire.DriverAvailable, DeliveryID: *o.DeliveryID},
	}
	before := raw(t, w.get(o.ID))
	var old []func() answer
	for path, body := range news {
		b := raw(t, body)
		same := signature(t, companyOf(path), "the-same", w.sys.Now(), b)
		for i := range 10 {
			if a := w.call(http.MethodPost, path, b, same...); a.status != 201 {
				t.Errorf("%s, again: %s", path, a)
			}
			if a := w.callback(companyOf(path), path, fmt.Sprint("another-", i), body); a.status != 201 {
				t.Errorf("%s, under another id: %s", path, a)
			}
		}
		old = append(old, func() answer { return w.call(http.MethodPost, path, b, same...) })
	}
	if after := raw(t, w.get(o.ID)); string(after) != string(before) {
		t.Errorf("the order is %s, and was %s", after, before)
	}
	mustBe(t, w.settle(o.ID), "", whole...)
	for _, replay := range old {
		if a := replay(); a.status != 401 {
			t.Errorf("after the meal: %s", a)
		}
	}
	for _, path := range []string{"/v1/payments", "/v1/deliveries", "/v1/kitchen"} {
		if kept := w.kept(path); len(kept) != 0 {
			t.Errorf("%s keeps %+v", path, kept)
		}
	}
	if r := w.verify(); r.Orders != 1 {
		t.Errorf("%d orders", r.Orders)
	}
}

// TestCallbackDoubted: what is signed and cannot be true changes nothing and is kept for the operator, once, without
// what looks like a card. Of money the card company is asked, and its books decide.
func TestCallbackDoubted(t *testing.T) {
	w := found(t, nil)
	o := w.place(silent, "") // its card company never calls back by itself
	w.pass(30 * time.Second)
	wrong := wire.Decimal(1)
	lie := wire.PaymentCallback{Status: wire.PaymentPaid, CallerID: o.ID, TransactionID: "4242424242424242", Amount: &wrong}
	for i := range 3 {
		if a := w.callback(wire.CardCompany, payPath, fmt.Sprint("lie-", i), lie); a.status != 201 {
			t.Fatal(a)
		}
	}
	kept := w.kept("/v1/payments")
	if len(kept) != 1 || kept[0].Count != 3 || kept[0].Dismissed || kept[0].Company != wire.CardCompany || kept[0].WebhookID != "lie-2" ||
		!strings.Contains(kept[0].Reason, "0.01") || strings.Contains(kept[0].Body, "4242") || !strings.Contains(kept[0].Body, o.ID) {
		t.Fatalf("it keeps %+v", kept)
	}
	w.pass(time.Second)
	p := w.payment(o.ID)
	if p.Phase != "paid" || p.Charged != wire.Decimal(o.Total.Amount) {
		t.Errorf("the company's books say it is paid, and it is %+v", p)
	}
	w.want(202, http.MethodPost, "/v1/payments/quarantine/dismiss/"+kept[0].ID, nil)
	w.want(404, http.MethodPost, "/v1/payments/quarantine/dismiss/"+o.ID, nil)
	if kept := w.kept("/v1/payments"); !kept[0].Dismissed {
		t.Errorf("it is not dismissed: %+v", kept)
	}

	const nobody = "11111111-2222-4333-8444-555555555555"
	for i, tt := range []struct {
		path   string
		status int
		body   any
		why    string
	}{
		{payPath, 201, wire.PaymentCallback{Status: wire.PaymentPaid, CallerID: o.ID, TransactionID: "t2"}, "the transaction is not this order's"},
		{payPath, 201, wire.PaymentCallback{Status: wire.Reimbursed, CallerID: o.ID, TransactionID: p.TransactionID}, "no refund was asked for"},
		{payPath, 201, wire.PaymentCallback{Status: wire.PaymentFailed, CallerID: o.ID, TransactionID: p.TransactionID}, "it was paid before"},
		{payPath, 404, wire.PaymentCallback{Status: wire.PaymentPaid, CallerID: nobody, TransactionID: "t1"}, "nobody knows what it is about"},
		{deliverPath, 404, wire.DeliveryCallback{Status: wire.InTransit, DeliveryID: nobody}, "nobody knows what it is about"},
		{cookPath, 404, wire.KitchenCallback{Status: wire.CookingMeal, KitchenID: nobody}, "nobody knows what it is about"},
	} {
		if a := w.callback(companyOf(tt.path), tt.path, fmt.Sprint("doubt-", i), tt.body); a.status != tt.status {
			t.Errorf("%s: %s, want %d", tt.why, a, tt.status)
		}
		if kept := w.kept(strings.TrimSuffix(tt.path, "/callback")); len(kept) == 0 || kept[0].Reason != tt.why {
			t.Errorf("%s: it keeps %+v", tt.why, kept)
		}
	}
	mustBe(t, w.settle(o.ID), "", whole...)

	cancelled := w.place(ada, "")
	delivery := *w.reach(cancelled.ID, wire.DeliveryScheduled).DeliveryID
	w.cancel(202, cancelled.ID, nil)
	w.settle(cancelled.ID)
	before := raw(t, w.get(cancelled.ID))
	if a := w.callback(wire.TransportCompany, deliverPath, "ghost", wire.DeliveryCallback{Status: wire.InTransit, DeliveryID: delivery}); a.status != 201 {
		t.Error(a)
	}
	if kept := w.kept("/v1/deliveries"); kept[0].Reason != "the transport company has cancelled this delivery" {
		t.Errorf("it keeps %+v", kept)
	}
	if after := raw(t, w.get(cancelled.ID)); string(after) != string(before) {
		t.Errorf("the order is %s, and was %s", after, before)
	}
}

// TestCallbackKeys: where the system was told so a company's key will do, and another's will not.
func TestCallbackKeys(t *testing.T) {
	w := found(t, func(c *app.Config) { c.Callbacks = "either" })
	o := w.place(mute, "")
	w.pass(time.Second)
	paid := raw(t, wire.PaymentCallback{Status: wire.Pending, CallerID: o.ID, TransactionID: "t1"})
	for company, status := range map[string]int{wire.CardCompany: 201, wire.TransportCompany: 403, wire.Restaurant: 403} {
		if a := w.inner(payPath, paid, byAKey(company)); a.status != status {
			t.Errorf("the %s company's key: %s, want %d", company, a, status)
		}
	}
	if a := w.callback(wire.CardCompany, payPath, "m1", wire.PaymentCallback{Status: wire.Pending, CallerID: o.ID, TransactionID: "t1"}); a.status != 201 {
		t.Errorf("signed: %s", a)
	}
}
