package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/replay"
	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// untidy is what no output for people or scripts has: colours where there is no terminal, what Go prints by accident,
// blanks at the end of a line.
var untidy = regexp.MustCompile(`\x1b|%!|<nil>|\bgoroutine \d|(?m)[ \t]+$`)

// ok runs a command that must end well, and quietly.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, args...)
	if r.code != 0 || r.err != "" {
		t.Fatalf("tiffin %s: %s", strings.Join(args, " "), r)
	}
	if bad := untidy.FindString(r.out); bad != "" {
		t.Errorf("tiffin %s prints %q:\n%s", strings.Join(args, " "), bad, r.out)
	}
	return r.out
}

// fails runs a command that must end with a status, saying what is wrong in a few lines and nothing else.
func fails(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	r := run(t, args...)
	if r.code != code || r.out != "" || !strings.HasPrefix(r.err, "tiffin: ") || !strings.Contains(r.err, says) ||
		strings.Count(r.err, "\n") > 4 || untidy.MatchString(r.err) {
		t.Errorf("tiffin %s: %s\nwant exit %d, saying %q", strings.Join(args, " "), r, code, says)
	}
}

// TestCommandErrors: what is wrong is named, with what would be right, and nothing is begun.
func TestCommandErrors(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	const nowhere = "http://127.0.0.1:1"
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"nonsense", 2, "nonsense"},
		{"order", 2, `"place"`},
		{"order get", 2, "<id>"},
		{"up --bogus", 2, "--bogus"},
		{"up --speed fast", 2, "--speed"},
		{"--log-level loud version", 2, "--log-level"},
		{"order place --watch=perhaps", 2, "--watch"},
		{"replay nowhere", 2, "nowhere"},
		{"up --speed 0", 1, "speed: 0 is not valid; expected a number above 0"},
		{"up --speed=-1", 1, "speed: -1 is not valid"},
		{"up --speed nan", 1, "speed: NaN is not valid"},
		{"up --partner-fail 2", 1, "partner-fail: 2 is not valid; expected a share from 0 to below 1"},
		{"up --partner-abort 1", 1, "partner-abort: 1 is not valid"},
		{"up --partner-duplicate=-0.1", 1, "partner-duplicate: -0.1 is not valid"},
		{"up --partner-slow 2m", 1, "partner-slow: 2m0s is not valid; expected a duration from 0s to 1m"},
		{"up --payment-limit 0", 1, "payment-limit: 0s is not valid; expected a duration from 1s to 168h"},
		{"up --driver-limit 999h", 1, "driver-limit: 999h0m0s is not valid"},
		{"up --kitchen-limit 0 --payment-limit 0 --driver-limit 0 --gap-limit 0", 1, "\ngap-limit: 0s is not valid"},
		{"up --listen nonsense", 1, `listen: "nonsense" is not valid; expected HOST:PORT`},
		{"up --listen 127.0.0.1:99999", 1, "listen"},
		{"serve --speed 0 order", 1, "speed: 0 is not valid"},
		{"serve nonsense", 1, `service "nonsense": unknown; expected some of`},
		{"serve payment", 1, "order service in the same process"},
		{"openapi nonsense", 1, `service "nonsense": unknown; expected some of`},
		{"verify", 1, "no system has run on"},
		{"health --url nonsense", 1, `url: "nonsense" is not valid; expected one such as http://`},
		{"health --url " + nowhere, 1, "nothing answers at " + nowhere},
		{"order list --url " + nowhere, 1, "nothing answers at " + nowhere},
		{"order watch " + ada + " --url " + nowhere, 1, "nothing answers at " + nowhere},
		{"order list --limit 0", 1, "limit: 0 is not valid"},
		{"order place --item Lasagna=many", 1, `item: "Lasagna=many" is not valid; expected PRODUCT or PRODUCT=QUANTITY`},
		{"import nowhere.json", 1, "nowhere.json"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			if args[0] == "up" || args[0] == "serve" {
				args = append(args, "--data", data)
			}
			if args[0] == "up" && !slices.Contains(args, "--listen") {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			fails(t, c.code, c.says, args...)
		})
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("a system that did not start left %v, %v", left, err)
	}
}

// TestCommandHelp: every command says what it is for.
func TestCommandHelp(t *testing.T) {
	help := ok(t)
	if help != ok(t, "--help") {
		t.Error("tiffin alone does not print its help")
	}
	for _, command := range []string{
		"up", "serve", "order", "import", "replay", "verify", "bench", "openapi", "health", "version",
	} {
		if !regexp.MustCompile(`(?m)^  ` + command + `\s+[A-Z]`).MatchString(help) {
			t.Errorf("the help has no %s:\n%s", command, help)
		}
		if own := ok(t, command, "--help"); !strings.HasPrefix(own, "Usage: tiffin "+command) {
			t.Errorf("the help of %s begins with %.60q", command, own)
		}
	}
}

// TestCommandsAlone: what needs no running system.
func TestCommandsAlone(t *testing.T) {
	t.Parallel()
	if out := ok(t, "version"); !regexp.MustCompile(`^tiffin \S+ go1\.\d+\S*( [0-9a-f]{40})?\n$`).MatchString(out) {
		t.Errorf("version: %q", out)
	}
	shape{"version", "revision", "go"}.holds(t, "version", []byte(ok(t, "version", "--json")))
	for _, service := range []string{"order", "payment", "customer", "delivery", "kitchen"} {
		doc := decoded[map[string]any](t, []byte(ok(t, "openapi", service)))
		if doc["openapi"] != "3.1.0" || len(doc["paths"].(map[string]any)) < 4 {
			t.Errorf("openapi %s: %v", service, doc)
		}
	}
	day, err := filepath.Abs(smallDay)
	if err != nil {
		t.Fatal(err)
	}
	r := decoded[replay.Result](t, []byte(ok(t, "replay", day, "--json")))
	if !r.OK() || r.Orders != 40 || r.Open != 0 {
		t.Errorf("replay: %+v", r)
	}
	data := t.TempDir()
	out := ok(t, "replay", day, "--data", data)
	for _, line := range []string{
		`orders +40`, `delivered +40`, `cancelled +0 \(0\.0 %\)`, `failed +0`, `open +0`, `click to door +mean \d+\.\d, p50 \d+\.\d, p90 \d+\.\d minutes`,
		`charges +40, 600\.00 EUR`, `refunds +0, 0\.00 EUR`, `delivered value +600\.00 EUR`, `balance +0 cents`, `wall time +\d+\.\d s`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			t.Errorf("the replay's table has no line %q:\n%s", line, out)
		}
	}
	if out := ok(t, "verify", "--data", data); !strings.Contains(out, "every invariant holds") {
		t.Errorf("verify over the replay's data:\n%s", out)
	}
}

// TestCommands: a running system by its command line.
func TestCommands(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := up(t, data, "--speed", "400")
	at := []string{"--url", p.address()}
	to := func(args ...string) []string { return append(args, at...) }
	place := func(t *testing.T, args ...string) wire.Order {
		t.Helper()
		return decoded[wire.Order](t, []byte(ok(t, to(append([]string{"order", "place", "--json"}, args...)...)...)))
	}

	t.Run("up says where everything is", func(t *testing.T) {
		said := p.said()
		for _, want := range []string{p.address() + "/docs", "/{order,payment,customer,delivery,kitchen,identity}/docs", data, app.DemoOperator, filepath.Join(data, app.OperatorKeyFile), "400 times", "order place --watch --url " + p.address()} {
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q:\n%s", want, said)
			}
		}
		var took time.Duration
		if m := regexp.MustCompile(`in (\d+) ms\)`).FindStringSubmatch(said); m == nil {
			t.Errorf("it does not say how long it took:\n%s", said)
		} else if took, _ = time.ParseDuration(m[1] + "ms"); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if untidy.MatchString(said) {
			t.Errorf("it says %q", said)
		}
	})
	t.Run("second up", func(t *testing.T) {
		fails(t, 1, "is in use", "up", "--listen", "127.0.0.1:0", "--data", data)
		fails(t, 1, "address already in use", "up", "--listen", strings.TrimPrefix(p.address(), "http://"), "--data", t.TempDir())
	})
	t.Run("health", func(t *testing.T) {
		out := ok(t, to("health")...)
		for _, name := range []string{"Gateway", "OrderService", "PaymentService", "CustomerService", "DeliveryService", "KitchenService", "IdentityService"} {
			if !regexp.MustCompile(name + `.*  ok`).MatchString(out) {
				t.Errorf("%s is not ok:\n%s", name, out)
			}
		}
		if h := decoded[httpapi.Health](t, []byte(ok(t, to("health", "--json")...))); !h.Status || len(h.Resources) != 6 {
			t.Errorf("%+v", h)
		}
	})

	var delivered, undriven string
	t.Run("order place --watch", func(t *testing.T) {
		out := ok(t, to("order", "place", "--watch", "--item", "Lasagna", "--item", "Double Cheeseburger=2")...)
		delivered = regexp.MustCompile(`order +([0-9a-f-]{36})\n`).FindStringSubmatch(out)[1]
		if !strings.Contains(out, "1 × Lasagna, 2 × Double Cheeseburger") || !strings.Contains(out, "34.85 EUR") {
			t.Errorf("it shows\n%s", out)
		}
		var seen []wire.Status
		for _, m := range regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d +\S+  (\w+)$`).FindAllStringSubmatch(out, -1) {
			seen = append(seen, wire.Status(m[1]))
		}
		if !slices.Equal(seen, whole) {
			t.Errorf("it shows %v:\n%s", seen, out)
		}
	})
	t.Run("order place", func(t *testing.T) {
		first, again := place(t, "--key", "from-a-script"), place(t, "--key", "from-a-script")
		if first.ID != again.ID || first.Status != wire.Created || first.Total.Amount != 1295 {
			t.Errorf("%+v, and again %+v", first, again)
		}
		fails(t, 1, "422 Unprocessable Entity: the idempotency key was used before with another body", to("order", "place", "--key", "from-a-script", "--item", "Lasagna=2")...)
		fails(t, 1, "body.items[0].product: the restaurant does not sell this", to("order", "place", "--item", "Ambrosia")...)
		fails(t, 1, "body.customer_id: no such customer", to("order", "place", "--customer", curry)...)
		undriven = place(t, "--customer", noDriver).ID
	})
	t.Run("order get", func(t *testing.T) {
		out := ok(t, to("order", "get", delivered)...)
		if !strings.Contains(out, "34.85 EUR") || strings.Count(out, "delivered") != 2 {
			t.Errorf("it shows\n%s", out)
		}
		orderHolds(t, []byte(ok(t, to("order", "get", delivered, "--json")...)), true)
		fails(t, 1, "404 Not Found: no such order", to("order", "get", ada)...)
		fails(t, 1, "422 Unprocessable Entity: path.id", to("order", "get", "nonsense")...)
	})
	t.Run("order list", func(t *testing.T) {
		orders := decoded[[]wire.Order](t, []byte(ok(t, to("order", "list", "--json")...)))
		if len(orders) != 3 || orders[0].ID != undriven || orders[2].ID != delivered {
			t.Errorf("%+v", orders)
		}
		if out := ok(t, to("order", "list", "--limit", "2")...); strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "ORDER ") || strings.Contains(out, delivered) {
			t.Errorf("it shows\n%s", out)
		}
	})
	t.Run("order watch", func(t *testing.T) {
		var seen []wire.Status
		for d := json.NewDecoder(strings.NewReader(ok(t, to("order", "watch", delivered, "--json")...))); d.More(); {
			var e client.StatusEvent
			if err := d.Decode(&e); err != nil {
				t.Fatal(err)
			}
			if seen = append(seen, e.Status); e.Settled != (e.Status == wire.Delivered) {
				t.Errorf("%+v", e)
			}
		}
		if !slices.Equal(seen, whole) {
			t.Errorf("it shows %v", seen)
		}
		if out := ok(t, to("order", "watch", undriven)...); !strings.Contains(out, "no driver within 30 minutes") || !strings.HasSuffix(out, "reimbursed  no driver within 30 minutes\n") {
			t.Errorf("it shows\n%s", out)
		}
		fails(t, 1, "404 Not Found: no such order", to("order", "watch", ada)...)
	})
	t.Run("order watch, interrupted", func(t *testing.T) {
		never := place(t, "--customer", mute).ID
		w := start(t, "  created", to("order", "watch", never)...)
		w.awaitReady()
		if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := w.awaitEnd(); code != 130 || strings.Contains(w.said(), "\n") {
			t.Errorf("it ended with %d, saying %q", code, w.said())
		}
	})
	t.Run("order trace", func(t *testing.T) {
		out := ok(t, to("order", "trace", delivered)...)
		for _, want := range []string{"customer → order ", "POST /v1/orders", "order → payment", "payment → order", "paymentPaid", "order → kitchen", "delivered"} {
			if !strings.Contains(out, want) {
				t.Errorf("it does not tell %q:\n%s", want, out)
			}
		}
		out = ok(t, to("order", "trace", delivered, "--mermaid")...)
		if !strings.HasPrefix(out, "sequenceDiagram\n") || !strings.Contains(out, "customer->>order: POST /v1/orders") {
			t.Errorf("it draws\n%s", out)
		}
		s := decoded[orderapi.Story](t, []byte(ok(t, to("order", "trace", delivered, "--json")...)))
		if s.Order.ID != delivered || len(s.Notes) < len(whole) || len(s.Owed) != 0 {
			t.Errorf("%+v", s)
		}
		fails(t, 1, "--mermaid", to("order", "trace", delivered, "--json", "--mermaid")...)
		fails(t, 1, "404 Not Found: no such order", to("order", "trace", ada)...)
	})
	t.Run("order cancel", func(t *testing.T) {
		id := place(t, "--customer", noDriver).ID // so that no driver is quicker
		o := decoded[wire.Order](t, []byte(ok(t, to("order", "cancel", id, "--reason", "on second thoughts", "--json")...)))
		if o.Status != wire.OrderCancelled || o.Reason != "cancelled by the customer: on second thoughts" {
			t.Errorf("%+v", o)
		}
		if out := ok(t, to("order", "cancel", id)...); !strings.Contains(out, "on second thoughts") {
			t.Errorf("it shows\n%s", out)
		}
		fails(t, 1, "409 Conflict: the order is finished: delivered", to("order", "cancel", delivered)...)
		fails(t, 1, "404 Not Found: no such order", to("order", "cancel", ada)...)
	})
	t.Run("import", func(t *testing.T) {
		importing(t, at)
	})
	t.Run("verify", func(t *testing.T) {
		report := decoded[verify.Report](t, []byte(ok(t, "verify", "--data", data, "--json")))
		if report.Orders != 6 || len(report.Violations) != 0 || !report.Ledger {
			t.Errorf("while it runs: %+v", report)
		}
		p.stop()
		if !strings.Contains(p.said(), "everything else goes on at the next start") {
			t.Errorf("it ended saying\n%s", p.said())
		}
		report = decoded[verify.Report](t, []byte(ok(t, "verify", "--data", data, "--json")))
		if report.Orders != 6 || len(report.Violations) != 0 || report.Statuses["delivered"] == 0 {
			t.Errorf("when it is stopped: %+v", report)
		}
		if out := ok(t, "verify", "--data", data); !strings.Contains(out, "by the card company's ledger") || !strings.Contains(out, "every invariant holds") {
			t.Errorf("it shows\n%s", out)
		}
	})
}

// importing loads data, good and bad.
func importing(t *testing.T, at []string) {
	write := func(text string) []string {
		path := filepath.Join(t.TempDir(), "data.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return append([]string{"import", path}, at...)
	}
	const (
		restaurant = `{"id":"0190c000-0000-7000-8000-000000000001","name":"Trattoria Uno","items":[{"product":"Margherita","price":{"amount":950,"currency":"EUR"},"available":true}]}`
		guest      = `{"id":"0190c000-0000-7000-8000-00000000c001","email":"uno@example.org","name":"Uno","address":{"name":"Uno","street":"1 Street","zipcode":"1","city":"City"},"payment_token":"tok_ok"}`
		good       = `{"restaurants":[` + restaurant + `],"customers":[` + guest + `]}`
	)
	if out := ok(t, write(good)...); out != "1 restaurants, 1 customers (0 were there already)\n" {
		t.Errorf("it says %q", out)
	}
	if r := decoded[dataset.Result](t, []byte(ok(t, append(write(good), "--json")...))); r.Restaurants != 1 || r.Existing != 1 || r.Customers != 0 {
		t.Errorf("%+v", r)
	}
	o := decoded[wire.Order](t, []byte(ok(t, append([]string{
		"order", "place", "--json", "--restaurant", "0190c000-0000-7000-8000-000000000001",
		"--customer", "0190c000-0000-7000-8000-00000000c001", "--item", "Margherita=2",
	}, at...)...)))
	if o.Total.Amount != 1900 {
		t.Errorf("%+v", o)
	}
	for text, says := range map[string]string{
		`{"restaurants":[],"customers":[]}`:             "neither restaurants nor customers",
		`{"restaurant":[` + restaurant + `]}`:           `unknown field "restaurant"`,
		strings.Replace(good, `"email"`, `"e-mail"`, 1): `unknown field "e-mail"`,
		good + good:                     "something follows the data",
		`{"restaurants":[` + restaurant: "unexpected EOF",
		strings.Replace(good, `"0190c000-0000-7000-8000-000000000001"`, `""`, 1): "restaurants[0].id: missing",
		strings.Replace(good, `950`, `-950`, 1):                                  "restaurants[0] Trattoria Uno: 422 Unprocessable Entity: body.items[0].price.amount",
		strings.Replace(good, `uno@`, `uno at `, 1):                              "customers[0] uno at example.org: 422 Unprocessable Entity: body.email",
		strings.Replace(good, `tok_ok`, `4242424242424242`, 1):                   "customers[0] uno@example.org: 422 Unprocessable Entity: body.payment_token",
	} {
		fails(t, 1, says, write(text)...)
	}
	cmd := exec.Command(tiffin(t), append([]string{"import", "-"}, at...)...)
	cmd.Env, cmd.Stdin = environment(), strings.NewReader(good)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("1 restaurants, ")) {
		t.Errorf("from standard input: %s, %v", out, err)
	}
}

// TestReplayThere runs a day on a system that is running, with its own couriers and at its pace.
func TestReplayThere(t *testing.T) {
	t.Parallel()
	day, err := filepath.Abs(smallDay)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	p := up(t, data, "--speed", "1500")
	r := decoded[replay.Result](t, []byte(ok(t, "replay", day, "--url", p.address(), "--speed", "1500", "--json")))
	t.Logf("%d delivered, %v cancelled, click to door %.1f minutes, %.1f s", r.Delivered, r.Cancelled, r.Mean, r.WallSeconds)
	if !r.OK() || r.Orders != 40 || r.Open != 0 || r.Delivered == 0 {
		t.Errorf("%+v", r)
	}
	p.stop()
	ok(t, "verify", "--data", data)
}
