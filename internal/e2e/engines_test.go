package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/replay"
	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// The day that is run over processes and engines, and how fast: thirteen hours in three minutes.
const (
	engineDay   = "../../../shared/data/mdrplib/0o100t100s1p100"
	engineSpeed = 250
)

// TestEngines is a recorded day on the real engines, with two processes of every service. Under way every process is
// killed and started again, and so is every engine. In the end every order is final and every invariant holds.
func TestEngines(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	draw := seeded(t)
	c := newCity(t)
	day := engineDay
	if _, err := os.Stat(day); err != nil {
		day = "../replay/testdata/smallday"
		t.Logf("the recorded day is not here (%v): the small day of our own is run", err)
	}
	day, err := filepath.Abs(day)
	if err != nil {
		t.Fatal(err)
	}
	c.begin()
	replaying := start(t, "it says nothing", "replay", day, "--url", c.gateway, "--speed", strconv.Itoa(engineSpeed), "--json")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	harassed := make(chan []string, 1)
	go func() { harassed <- c.harass(ctx, draw) }()
	select {
	case <-replaying.ended:
	case <-time.After(6 * time.Minute):
		t.Fatalf("the day does not end:\n%s", replaying.said())
	}
	cancel()
	t.Logf("killed and started again: %s", strings.Join(<-harassed, ", "))
	_, text, _ := strings.Cut(replaying.said(), "{")
	var r replay.Result
	if err := json.NewDecoder(strings.NewReader("{" + text)).Decode(&r); err != nil {
		t.Fatalf("%v:\n%s", err, replaying.said())
	}
	t.Logf("%d orders: %d delivered, cancelled %v, open %d, in %.0f s", r.Orders, r.Delivered, r.Cancelled, r.Open, r.WallSeconds)
	if replaying.cmd.ProcessState.ExitCode() != 0 || r.Open != 0 || r.Failed != 0 || r.Delivered < r.Orders*9/10 {
		t.Errorf("the day came out as %+v", r)
	}
	for _, p := range c.instances {
		p.process.stop()
	}
	checked := run(t, append([]string{"verify", "--json", "--data", c.data}, c.engines...)...)
	report := decoded[verify.Report](t, []byte(checked.out))
	if checked.code != 0 || report.Settled != r.Orders || report.Open != 0 || !report.Ledger {
		t.Errorf("verify: %v", checked)
	}
}

// city is every service in two processes, on engines of its own.
type city struct {
	t         *testing.T
	data      string
	engines   []string // the flags
	identity  []string // the flags of who serves who is who
	shown     []string // the flags of what processes show each other
	servers   map[engines.Kind]*engines.Server
	instances []*instance
	gateway   string
	from      time.Time
}

// instance is one process of the city, and how it is started again.
type instance struct {
	name    string
	args    []string
	process *process
}

func newCity(t *testing.T) *city {
	c := &city{t: t, data: t.TempDir(), servers: map[engines.Kind]*engines.Server{}, from: time.Now().UTC().Truncate(time.Second)}
	for _, k := range []engines.Kind{engines.RabbitMQ, engines.PostgreSQL, engines.MongoDB, engines.Redis, engines.Consul} {
		c.servers[k] = engines.Private(t, k)
	}
	consul := strings.TrimPrefix(c.servers[engines.Consul].URL(), "http://")
	c.shown = append(slices.Clone(secretFlags), "--partner-networks", "loopback", "--api-key", innerKey)
	c.identity = identityFlags(t)
	c.engines = []string{
		"--broker", c.servers[engines.RabbitMQ].URL(), "--postgres", c.servers[engines.PostgreSQL].URL(),
		"--mongodb", c.servers[engines.MongoDB].URL(), "--redis", c.servers[engines.Redis].URL(), "--registry", "consul://" + consul,
		// The stand-in for MongoDB lets one write through at a time and scans for what is due: it has one service.
		"--order-db", c.servers[engines.PostgreSQL].URL(), "--delivery-db", c.servers[engines.PostgreSQL].URL(),
		"--kitchen-db", c.servers[engines.PostgreSQL].URL(),
	}
	return c
}

// flagsOf are those of one service alone.
func (c *city) flagsOf(name string) []string {
	if name == "identity" {
		return c.identity
	}
	return nil
}

// begin starts all processes at once, in no order, and waits until all of them are ready.
func (c *city) begin() {
	c.t.Helper()
	for _, name := range []string{"gateway", "identity", "order", "payment", "customer", "delivery", "kitchen", "partners"} {
		twice := 2
		if name == "gateway" || name == "partners" { // the companies are not ours to scale
			twice = 1
		}
		for i := range twice {
			port := freePort(c.t)
			c.instances = append(c.instances, &instance{name: fmt.Sprintf("%s-%d", name, i+1), args: append([]string{
				"serve", name, "--port", port, "--data", c.data, "--lease", "5s", "--log-level", "warn",
				"--speed", strconv.Itoa(engineSpeed), "--clock-from", c.from.Format(time.RFC3339),
				// An engine that is away for seconds is away for an hour of this clock: nothing is to be given up for it.
				"--payment-limit", "48h", "--driver-limit", "48h", "--kitchen-limit", "48h",
			}, slices.Concat(c.engines, c.shown, c.flagsOf(name))...)})
			if name == "gateway" {
				c.gateway = "http://127.0.0.1:" + port
			}
		}
	}
	c.t.Cleanup(func() {
		if !c.t.Failed() {
			return
		}
		for _, p := range c.instances {
			lines := strings.Split(p.process.said(), "\n")
			c.t.Logf("%s said at last:\n%s", p.name, strings.Join(lines[max(0, len(lines)-20):], "\n"))
		}
	})
	for _, p := range c.instances {
		p.process = start(c.t, "ready", p.args...)
	}
	for _, p := range c.instances {
		p.process.awaitReady()
	}
	for _, name := range []string{wire.KitchenService, wire.CustomerService, wire.OrderService} {
		c.await(c.gateway + "/" + name + "/health")
	}
}

// await asks until the answer is 200.
func (c *city) await(url string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			c.t.Fatalf("%s: %v", url, ctx.Err())
		}
	}
}

// harass kills every instance and every engine once, one after the other in the order that draw says, and starts each
// again after a while, until all had their turn or ctx ends. It says which had.
func (c *city) harass(ctx context.Context, draw *rand.Rand) (had []string) {
	type victim struct {
		name string
		kill func() (again func())
	}
	var victims []victim
	for _, p := range c.instances {
		if p.name == "gateway-1" { // one gateway: without it nothing is asked
			continue
		}
		victims = append(victims, victim{p.name, func() func() {
			p.process.kill()
			return func() { p.process = start(c.t, "ready", p.args...) }
		}})
	}
	for kind, s := range c.servers {
		victims = append(victims, victim{string(kind), func() func() {
			if err := s.Kill(context.WithoutCancel(ctx)); err != nil {
				c.t.Errorf("kill %s: %v", kind, err)
			}
			return func() {
				if err := s.Start(context.WithoutCancel(ctx)); err != nil {
					c.t.Errorf("start %s again: %v", kind, err)
				}
			}
		}})
	}
	draw.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	pause := func(least, most time.Duration) bool {
		timer := time.NewTimer(least + time.Duration(draw.Int64N(int64(most-least))))
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for _, v := range victims {
		if !pause(2*time.Second, 4*time.Second) {
			return had
		}
		again := v.kill()
		had = append(had, v.name)
		pause(500*time.Millisecond, 2*time.Second)
		again()
	}
	return had
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it was only asked for its number
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
