package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Who orders where. The demo data say how each of them misbehaves.
const (
	ada      = "0190a000-0000-7000-8000-00000000c001"
	grace    = "0190a000-0000-7000-8000-00000000c002"
	declined = "0190a000-0000-7000-8000-00000000c003"
	silent   = "0190a000-0000-7000-8000-00000000c004"
	mute     = "0190a000-0000-7000-8000-00000000c005"
	late     = "0190a000-0000-7000-8000-00000000c006"
	twice    = "0190a000-0000-7000-8000-00000000c007"
	timeout  = "0190a000-0000-7000-8000-00000000c008"
	flaky    = "0190a000-0000-7000-8000-00000000c009"
	noDriver = "0190a000-0000-7000-8000-00000000c00a"
	early    = "0190a000-0000-7000-8000-00000000c00b"

	curry         = "0190a000-0000-7000-8000-000000000002"
	closedKitchen = "0190a000-0000-7000-8000-0000000000f1"
	silentKitchen = "0190a000-0000-7000-8000-0000000000f2"
)

// menus are the restaurants with something each sells; empty is the demo restaurant.
var menus = map[string]string{
	"": "Lasagna", curry: "Dal Tadka", closedKitchen: "Wishful Soup", silentKitchen: "Quiet Noodles",
}

// TestKill is the promise of INVARIANTS over real processes, files and sockets: orders keep coming, the system is
// killed with SIGKILL at moments that the seed draws and started again on the same data, and in the end every 202
// was kept, every order has ended, every cent is accounted for, and nobody ever saw anything go back.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	draw := seeded(t)
	s := newSiege(within(t, 3*time.Minute), t, "--speed", "300")
	guests, stop := make(chan *guest, 1), make(chan struct{})
	go s.invite(draw.Uint64(), guests, stop)
	var all []*guest
	var living sync.WaitGroup
	gathered := make(chan struct{})
	go func() {
		defer close(gathered)
		for g := range guests {
			all = append(all, g)
			living.Go(g.live)
		}
	}()

	began, stumbles, stops := time.Now(), 0, 0
	for range kills {
		switch draw.IntN(5) {
		case 0:
			stumbles++
			s.stumble(time.Duration(draw.IntN(150)) * time.Millisecond)
		case 1:
			stops++
			s.rise()
			s.await(draw.IntN(100))
			s.fall(true)
		}
		s.rise()
		s.await(draw.IntN(500))
		s.fall(false)
	}
	s.rise()
	close(stop)
	<-gathered
	placed := time.Since(began)
	living.Wait() // until each has seen its order's end
	t.Logf("%d orders, %d kills, %d more at a start, %d clean stops; orders came for %.1f s, the last one ended after %.1f s",
		len(all), kills, stumbles, stops, placed.Seconds(), time.Since(began).Seconds())
	for _, g := range all {
		if !g.over() {
			g.tell()
		}
	}
	if t.Failed() {
		return
	}

	url, _, err := s.address()
	if err != nil {
		t.Fatal(err)
	}
	final := s.readAll(url)
	for _, g := range all {
		g.check(url, final)
	}
	if len(final) != len(all) {
		t.Errorf("the system has %d orders, and %d were accepted", len(final), len(all))
	}
	s.proc.stop()
	checkBooks(t, s.data, all, final)
}

// stumble starts the system and kills it after a moment, whether it is ready by then or not. A timer, because nothing
// that a process says before it is ready could tell when.
func (s *siege) stumble(after time.Duration) {
	p := start(s.t, upSign, append([]string{"up", "--listen", "127.0.0.1:0", "--data", s.data}, s.args...)...)
	<-time.After(after)
	p.kill()
	p.mustBeCalm()
}

// invite sends guests at a steady pace until stop is closed, or the test has failed.
func (s *siege) invite(seed uint64, guests chan<- *guest, stop <-chan struct{}) {
	defer close(guests)
	draw := rand.New(rand.NewPCG(seed, 1))
	customers := []string{
		ada, ada, ada, grace, grace, twice, timeout, flaky, early, silent, declined, mute, late, noDriver,
	}
	pace := time.NewTicker(60 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-pace.C:
		case <-stop:
			return
		case <-s.ctx.Done():
			return
		}
		g := &guest{siege: s, key: fmt.Sprintf("siege-%d-%d", seed, n)}
		customer, restaurant := customers[draw.IntN(len(customers))], ""
		switch draw.IntN(10) {
		case 0:
			restaurant = closedKitchen
		case 1:
			restaurant = silentKitchen
		case 2, 3:
			restaurant = curry
		}
		g.mute = customer == mute
		g.wish = map[string]any{
			"customer_id": customer,
			"items":       []wire.Item{{Product: menus[restaurant], Quantity: 1 + draw.IntN(3)}},
		}
		if restaurant != "" {
			g.wish["restaurant_id"] = restaurant
		}
		if draw.IntN(4) == 0 {
			g.cancelAt = 1 + draw.IntN(5)
		}
		select {
		case guests <- g:
		case <-stop:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// tell reports an order that has not ended, with what it says itself.
func (g *guest) tell() {
	g.siege.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.siege.ctx), patience)
	defer cancel()
	story, err := g.siege.http.do(ctx, http.MethodGet, g.siege.proc.address()+"/v1/orders/"+g.id+"/story", nil)
	g.siege.t.Errorf("%s %v has not ended after %v: %s, %v", g.id, g.wish, statuses(g.history), story, err)
}

// readAll is every order of the system, by the public list.
func (s *siege) readAll(url string) map[string]wire.Order {
	s.t.Helper()
	api, err := client.New(url, s.http.http.Transport)
	if err != nil {
		s.t.Fatal(err)
	}
	orders := map[string]wire.Order{}
	if err := client.Each(s.ctx, api.As(operatorKey), "/v1/orders?limit=200", func(o wire.Order) bool {
		orders[o.ID] = o
		return true
	}); err != nil {
		s.t.Fatal(err)
	}
	return orders
}

// check holds what the customer heard against what the system has in the end.
func (g *guest) check(url string, final map[string]wire.Order) {
	t := g.siege.t
	t.Helper()
	again, err := g.siege.http.do(g.siege.ctx, http.MethodPost, url+"/v1/orders", g.wish, "Idempotency-Key", g.key)
	if err != nil || again.status != http.StatusAccepted || !bytes.Equal(again.body, g.first.body) {
		t.Errorf("%s was answered %s, and the same again: %s, %v", g.id, g.first, again, err)
	}
	o, ok := final[g.id]
	if !ok {
		t.Errorf("%s was accepted and is not there", g.id)
		return
	}
	if o.Settled == g.mute {
		t.Errorf("%s is %s, settled: %t", g.id, o.Status, o.Settled)
	}
	if !slices.Equal(o.History, g.history) {
		t.Errorf("%s: heard %v, and it is %v", g.id, g.history, o.History)
	}
	byCustomer := strings.HasPrefix(o.Reason, "cancelled by the customer")
	switch told := g.verdict; told.status {
	case 0:
		if byCustomer {
			t.Errorf("%s: nobody cancelled it, and it is: %s", g.id, o.Reason)
		}
	case http.StatusAccepted:
		if o.Status != wire.OrderCancelled && o.Status != wire.Reimbursed && !bytes.Contains(told.body, []byte(`"cancel_requested":true`)) {
			t.Errorf("%s: the cancel was answered %s, and it is %s", g.id, told, o.Status)
		}
	case http.StatusConflict:
		if byCustomer {
			t.Errorf("%s: the cancel was answered %s, and it is %s: %s", g.id, told, o.Status, o.Reason)
		}
	default:
		t.Errorf("%s: the cancel was answered %s", g.id, told)
	}
}

// checkBooks verifies the stopped system's data, and adds up its money once more by what the customers saw.
func checkBooks(t *testing.T, data string, all []*guest, final map[string]wire.Order) {
	t.Helper()
	checked := run(t, "verify", "--data", data, "--json")
	if checked.code != 0 {
		t.Errorf("verify: %s", checked)
	}
	var report verify.Report
	if err := json.Unmarshal([]byte(checked.out), &report); err != nil {
		t.Fatalf("verify: %v: %s", err, checked)
	}
	var want verify.Report
	cancels := map[int]int{}
	reasons := map[string]int{}
	for _, g := range all {
		cancels[g.verdict.status]++
		o := final[g.id]
		went := statuses(o.History)
		if slices.Contains(went, wire.PaymentPaid) || slices.Contains(went, wire.Reimbursed) {
			want.Charges++
			want.Charged += o.Total.Amount
		}
		switch o.Status {
		case wire.Reimbursed:
			want.Refunds++
			want.Refunded += o.Total.Amount
		case wire.Delivered:
			want.Delivered += o.Total.Amount
		}
		if o.Reason != "" {
			reasons[o.Reason]++
		}
		if !o.Settled {
			want.Open++
		}
	}
	t.Logf("statuses %v, reasons %v, cancels by answer %v; %d charges of %d cents, %d refunds of %d, %d delivered", report.Statuses, reasons,
		cancels, report.Charges, report.Charged, report.Refunds, report.Refunded, report.Delivered)
	if len(report.Violations) > 0 || !report.Ledger || report.Orders != len(all) || report.Open != want.Open ||
		report.Charges != want.Charges || report.Charged != want.Charged || report.Refunds != want.Refunds ||
		report.Refunded != want.Refunded || report.Delivered != want.Delivered || report.OpenMoney != 0 {
		t.Errorf("verify reports %+v; the customers saw %+v", report, want)
	}
	if kept := report.Charged - report.Refunded; kept != report.Delivered {
		t.Errorf("%d cents were kept, and %d delivered", kept, report.Delivered)
	}
	for _, s := range []wire.Status{wire.Delivered, wire.PaymentFailed, wire.Reimbursed, wire.OrderCancelled} {
		if report.Statuses[string(s)] == 0 && !testing.Short() {
			t.Errorf("no order ended as %s: this run shows little", s)
		}
	}
}
