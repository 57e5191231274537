package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/telemetry"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// A card's number with its check digit, of no card, in the ways in which people write it, and what is on its back.
const (
	canaryCard = "4000056655665556"
	canaryCVV  = "7c9"
)

var canaries = []string{canaryCard, "4000 0566 5566 5556", "4000-0566-5566-5556"}

// sung are the canaries in a text.
func sung(text []byte) (where string, found bool) {
	for _, c := range append(slices.Clone(canaries), `"`+canaryCVV+`"`, base64ish(canaryCard)) {
		if at := bytes.Index(text, []byte(c)); at >= 0 {
			return string(text[max(0, at-120):min(len(text), at+60)]), true
		}
	}
	return "", false
}

// base64ish is how the middle of a text looks in base64, where it begins at a multiple of three bytes.
func base64ish(s string) string {
	b, _ := json.Marshal([]byte(s[:12]))
	return strings.Trim(string(b), `"`)
}

// safeBuffer is what a log is written into.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

// TestCanary sends a card's number and what is on its back wherever a careless client or company could, and looks for
// them in everything that is kept, shown, logged, traced and counted: they are nowhere.
func TestCanary(t *testing.T) {
	data, log, spans := t.TempDir(), &safeBuffer{}, tracetest.NewInMemoryExporter()
	t.Run("sing", func(t *testing.T) {
		w := found(t, func(c *app.Config) {
			c.Data, c.Spans, c.Telemetry = data, kept{spans}, app.Telemetry{TraceRatio: 1, Metrics: true}
			c.Log = slog.New(telemetry.Handler(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			c.PartnerNetworks = []string{"loopback"}
		})
		w.lawless = true // companies lie about their transactions
		for _, c := range canaries {
			w.in(t).sing(c)
		}
		w.queues()
		w.companies()
		w.pass(time.Hour)
		for path, a := range w.everythingShown() {
			if where, found := sung(a.body); found {
				t.Errorf("GET %s shows it: …%s…", path, where)
			}
		}
	})
	for name, text := range onDisk(t, data) {
		if where, found := sung(text); found {
			t.Errorf("%s has it: …%q…", name, where)
		}
	}
	if where, found := sung(log.bytes()); found {
		t.Errorf("the log has it: …%s…", where)
	}
	traced, err := json.Marshal(spans.GetSpans().Snapshots())
	if err != nil {
		t.Fatal(err)
	}
	traced = append(traced, fmt.Appendf(nil, "%+v", spans.GetSpans())...)
	if where, found := sung(traced); found {
		t.Errorf("the traces have it: …%s…", where)
	}
	if len(log.bytes()) < 1000 || len(spans.GetSpans()) < 100 {
		t.Errorf("%d bytes of log and %d spans: was nothing done?", len(log.bytes()), len(spans.GetSpans()))
	}
}

// onDisk are all files of a folder.
func onDisk(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(all[app.DataFile]) == 0 {
		t.Fatalf("%v, %d files", err, len(all))
	}
	return all
}

// sing says the number in every field that takes a text of a client.
func (w *town) sing(number string) {
	w.t.Helper()
	nobody := w.as("")
	refused := func(w *town, method, path string, body any, headers ...string) {
		w.t.Helper()
		a := w.call(method, path, body, headers...)
		if a.status != 422 {
			w.t.Errorf("%s %s: %s, want 422", method, path, a)
		}
		if where, found := sung(a.body); found {
			w.t.Errorf("%s %s: the refusal repeats it: %s", method, path, where)
		}
	}
	with := func(change func(map[string]any)) map[string]any {
		b := newcomer("canary")
		change(b)
		return b
	}
	digits := strings.NewReplacer(" ", "", "-", "").Replace(number)
	people := []map[string]any{
		with(func(b map[string]any) { b["name"] = "Ada " + number }),
		with(func(b map[string]any) { b["email"] = digits + "@example.org" }),
		with(func(b map[string]any) { b["masked_card"] = number }),
		with(func(b map[string]any) { b["payment_token"] = "tok_" + digits }),
		with(func(b map[string]any) { b["cvv"] = canaryCVV }),
	}
	for _, field := range []string{"name", "street", "zipcode", "city"} {
		people = append(people, with(func(b map[string]any) { b["address"].(map[string]any)[field] = "at " + number }))
	}
	for _, p := range people {
		refused(nobody, http.MethodPost, "/v1/auth/sign-up", p)
		delete(p, "password")
		refused(w, http.MethodPost, "/v1/customers", p)
	}
	refused(nobody, http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": number, "password": "x"})
	nobody.want(401, http.MethodPost, "/v1/auth/refresh", map[string]string{"refresh_token": number})
	refused(w, http.MethodPost, "/v1/accounts", map[string]any{"email": "new@example.org", "password": password, "name": number})
	refused(w, http.MethodPost, "/v1/accounts", map[string]any{"email": "new@example.org", "password": password, "courier": number, "roles": []string{"courier"}})
	refused(w, http.MethodPost, "/v1/keys", map[string]any{"name": number, "scopes": []string{"operator:read"}})
	refused(w, http.MethodPut, "/v1/restaurants/"+unknownID, map[string]any{"name": number, "items": []any{}})
	refused(w, http.MethodPut, "/v1/restaurants/"+unknownID, map[string]any{"name": "x", "items": []any{
		map[string]any{"product": "Soup " + number, "available": true, "price": map[string]any{"amount": 100, "currency": "EUR"}},
	}})

	refused(w, http.MethodPost, "/v1/orders", map[string]any{"customer_id": ada, "items": []any{map[string]any{"product": number}}})
	refused(w, http.MethodPost, "/v1/orders", map[string]any{"customer_id": ada, "restaurant_id": number, "items": []any{map[string]any{"product": "Lasagna"}}})
	refused(w, http.MethodPost, "/v1/orders", map[string]any{"customer_id": ada, "cvv": canaryCVV, "items": []any{map[string]any{"product": "Lasagna"}}})
	refused(w, http.MethodPost, "/v1/orders", []byte(`{"card":"`+number+`"`))
	headers := []string{"X-Request-Id", digits, "Idempotency-Key", digits, "User-Agent", number, "Referer", "https://x/" + digits, "Cookie", "card=" + digits}
	first := decoded[wire.Order](w.t, w.want(202, http.MethodPost, "/v1/orders?card="+url.QueryEscape(number), wish(ada, ""), headers...).body)
	again := decoded[wire.Order](w.t, w.want(202, http.MethodPost, "/v1/orders", wish(ada, ""), headers...).body)
	if first.ID != again.ID {
		w.t.Error("the same idempotency key is another order")
	}
	refused(w, http.MethodPost, "/v1/orders/"+first.ID+"/cancel", map[string]any{"reason": "charge " + number + " instead"})
	w.call(http.MethodGet, "/v1/orders?cursor="+digits, nil)
	w.call(http.MethodGet, "/v1/orders/"+digits, nil)
	nobody.call(http.MethodGet, "/v1/auth/oidc/"+digits+"/start?redirect="+digits, nil)
	nobody.call(http.MethodGet, "/v1/auth/oidc/none/callback?code="+digits+"&state="+digits, nil, "Cookie", "tiffin_oidc="+digits)
	nobody.call(http.MethodGet, "/"+digits, nil, "Authorization", "Bearer "+digits, "Host", digits)
}

// queues puts poison into the queues, as an operator can.
func (w *town) queues() {
	w.t.Helper()
	o := w.place(ada, "")
	status := func(more string) string {
		return `{"status":"orderCancelled","metadata":{"receiver":"OrderService","order_id":"` + o.ID + `","customer_id":"` + ada + `"}` + more + `}`
	}
	for _, queue := range []string{"OrderService", "OrderService.menus"} {
		for i, body := range []string{
			`{"card":` + canaryCard + `,"cvv":"` + canaryCVV + `"}`, `{"status":` + canaryCard + `}`, `"` + canaryCard + `"`, canaryCard,
			`{"status":"paymentPaid","metadata":{"order_id":"` + canaryCard + `","customer_id":"` + canaryCard + `"},"CVV":"` + canaryCVV + `"}`,
			status(`,"delivery_id":"` + canaryCard + `"`), status(`,"cvv":"` + canaryCVV + `","reason":"card 4000-0566-5566-5556"`),
		} {
			w.call(http.MethodPost, "/v1/queues/"+queue+"/messages", []byte(body), "Message-Id", canaryCard)
			w.call(http.MethodPost, "/v1/queues/"+queue+"/messages", []byte(body), "Message-Id", fmt.Sprint("poison-", i))
			w.call(http.MethodPost, "/v1/queues/"+queue+"/messages", []byte(body))
		}
	}
	w.want(202, http.MethodPost, "/v1/queues/OrderService.menus/messages", []byte(`{"restaurant":{"id":"`+unknownID+`","name":"`+canaryCard+
		`"},"version":9,"items":[{"product":"Soup `+canaries[1]+`","available":true,"price":{"amount":1,"currency":"EUR"}}]}`))
	w.pass(time.Second)
	letters := decoded[[]struct{ ID, Body string }](w.t, w.want(200, http.MethodGet, "/v1/dead-letters?limit=100", nil).body)
	if len(letters) < 5 {
		w.t.Fatalf("there are %d dead letters", len(letters))
	}
	for _, l := range letters[:5] {
		w.want(202, http.MethodPost, "/v1/dead-letters/"+l.ID+"/requeue", nil)
	}
	w.pass(time.Second)
}

// companies have the outside companies say it: in callbacks that they sign, and in answers.
func (w *town) companies() {
	w.t.Helper()
	extra := map[string]any{"card_number": canaryCard, "cvv": canaryCVV, "note": "card " + canaries[1], canaryCard: 1, "pan": 4000056655665556}
	with := func(body map[string]any) map[string]any {
		for k, v := range extra {
			body[k] = v
		}
		return body
	}
	o := w.place(silent, "")
	w.pass(30 * time.Second)
	w.callback(wire.CardCompany, payPath, canaryCard, with(map[string]any{"status": "paymentPaid", "caller_id": o.ID, "transaction_id": canaryCard}))
	w.callback(wire.CardCompany, payPath, "m1", with(map[string]any{"status": "paymentFailed", "caller_id": unknownID, "transaction_id": "t1"}))
	w.callback(wire.CardCompany, payPath, "m2", with(map[string]any{"status": "paymentPaid", "caller_id": o.ID, "transaction_id": "t1", "currency": "CARD" + canaryCVV}))
	w.callback(wire.CardCompany, payPath, "m3", with(map[string]any{"status": canaryCard, "caller_id": canaryCard, "transaction_id": canaryCard}))
	w.pass(time.Minute)
	o = w.reach(w.place(ada, "").ID, wire.DeliveryScheduled)
	w.callback(wire.TransportCompany, deliverPath, "m4", with(map[string]any{"status": "driverAvailable", "delivery_id": *o.DeliveryID, "courier_id": canaryCard}))
	w.callback(wire.Restaurant, cookPath, "m5", with(map[string]any{"status": "cookingMeal", "kitchen_id": unknownID}))

	var asked atomic.Int64
	// From here on the companies are in the hands of somebody who answers every question with a card.
	// A transaction is what a company calls it: that one is kept as it comes, see docs/security.md.
	for i, said := range []struct {
		status int
		body   string
	}{
		{422, `{"detail":"card ` + canaryCard + ` declined, cvv ` + canaries[1] + `"}`},
		{422, `{"detail":[{"loc":["body",` + canaryCard + `],"msg":"` + canaries[2] + `"}]}`},
		{202, `{"caller_id":"` + canaryCard + `","transaction_id":"t8","cvv":"` + canaryCVV + `","status":"paymentPaid"}`},
		{202, canaryCard}, {202, `{"status":` + canaryCard + `}`}, {500, canaryCard}, {202, `{"transaction_id":"t9","status":"` + canaryCard + `"}`},
		{202, `{"delivery_id":"` + canaryCard + `","courier":"` + canaryCard + `","statuses":["` + canaryCard + `","driverAvailable"],"cvv":"` + canaryCVV + `"}`},
	} {
		company := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("X-Card", canaryCard)
			rw.WriteHeader(said.status)
			_, _ = io.WriteString(rw, said.body)
		}))
		w.t.Cleanup(company.Close)
		who := []string{wire.CardCompany, wire.TransportCompany, wire.Restaurant}
		if i < 4 {
			who = who[:1]
		}
		for _, name := range who {
			if err := w.sys.Find(name, company.URL); err != nil {
				w.t.Fatal(err)
			}
		}
		w.place(grace, curry)
		w.pass(40 * time.Minute)
		if asked.Swap(0) == 0 {
			w.t.Errorf("nobody asked who answers %d %s", said.status, said.body)
		}
	}
}

// everythingShown is the answer to every GET route, as an operator, with every id there is.
func (w *town) everythingShown() map[string]answer {
	w.t.Helper()
	all := map[string]answer{}
	get := func(path string) answer {
		a := w.call(http.MethodGet, path, nil)
		all[path] = a
		return a
	}
	for _, r := range w.sys.API(app.Gateway).Routes() {
		if r.Method != http.MethodGet || strings.HasSuffix(r.Path, "/events") {
			continue
		}
		if !strings.Contains(r.Path, "{") || strings.HasSuffix(r.Path, "{$}") {
			get(fill(r.Path, ""))
		}
	}
	get("/metrics")
	for _, list := range []struct{ path, one string }{
		{"/v1/orders", "/v1/orders/%s"}, {"/v1/orders", "/v1/orders/%s/story"}, {"/v1/orders", "/v1/payments/%s"},
		{"/v1/customers", "/v1/customers/%s"}, {"/v1/accounts", "/v1/accounts/%s"}, {"/v1/restaurants", "/v1/restaurants/%s/menu"},
		{"/v1/deliveries", "/v1/deliveries/%s"}, {"/v1/kitchen", "/v1/kitchen/%s"},
	} {
		for _, x := range decoded[[]map[string]any](w.t, get(list.path+"?limit=100").body) {
			id, _ := x["id"].(string)
			for _, name := range []string{"delivery_id", "kitchen_id"} {
				if other, ok := x[name].(string); ok && id == "" {
					id = other
				}
			}
			get(fmt.Sprintf(list.one, id))
		}
	}
	for _, path := range []string{"/v1/dead-letters", "/v1/payments/quarantine", "/v1/deliveries/quarantine", "/v1/kitchen/quarantine", "/v1/keys"} {
		get(path + "?limit=100")
	}
	all["the client"] = answer{body: fmt.Appendf(nil, "%v", client.Each(w.ctx, w.sys.Client.As(w.sys.Token()), "/v1/orders", func(o wire.Order) bool { return o.ID != "" }))}
	return all
}
