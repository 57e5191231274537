package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Services are the names of all services, in the order in which they start.
var Services = []string{wire.IdentityService, wire.CustomerService, wire.KitchenService, wire.OrderService, wire.PaymentService, wire.DeliveryService}

// Ports are the services' own ports where they are served apart.
var Ports = map[string]int{
	wire.OrderService: 8000, wire.PaymentService: 8001, wire.CustomerService: 8002, wire.DeliveryService: 8003,
	wire.KitchenService: 8004, wire.IdentityService: 8005,
}

// Config is what a system is made of.
type Config struct {
	Engines
	Identity
	Companies
	Door
	Telemetry
	Version  string
	Data     string        // the folder of whatever is kept in SQLite
	Host     string        // where services are that neither run here nor were said to be anywhere; empty: nowhere
	Speed    float64       // of the clock; 1 is real time
	From     time.Time     // when a clock that does not run at 1 showed the real time: processes that share it show the same
	Outbox   int           // records with work overdue from which on the order service takes no more orders; 100,000
	Virtual  time.Time     // not zero: a virtual clock that begins here, or where the data ends if that is later
	APIKey   string        // what services show each other as X-API-Key; empty: one of this run's own
	Partners bool          // the simulated companies run in this process
	Search   time.Duration // how long the transport company looks before it commits a courier, by the clock
	Open     bool          // whoever reaches the gateway is believed to be an operator; for a loopback address
	Demo     bool          // demo restaurants and customers, on the first start
	Limits   order.Limits  // zero: order.DefaultLimits
	Lease    time.Duration // how long an instance may be silent before others take its work over, real time; 30 s
	Drain    time.Duration // how long Stop waits for work under way, real time; 10 s
	Log      *slog.Logger
	Spans    sdktrace.SpanExporter // takes the spans instead of a collector, for tests; nil: none does
	Behave   Misbehaviour

	// Waiting is told what a start waits for, again and again. nil: what is missing is an error at once.
	Waiting func(what string, err error)

	cert      *httpapi.Certificate // of the door; nil: none
	strangers bool                 // the simulated companies alone are in this process
}

// Misbehaviour makes the simulated companies worse than they are: shares between 0 and 1, and real time.
type Misbehaviour struct {
	Fail      float64       `help:"Share of partner calls answered 500." default:"0"`
	Abort     float64       `help:"Share of partner calls that are carried out and then lose the connection." default:"0"`
	Duplicate float64       `help:"Share of partner callbacks sent twice." default:"0"`
	Slow      time.Duration `help:"How long partners take to answer, real time." default:"0s"`
	Quick     bool          `help:"Partners do everything in milliseconds: a load test measures Tiffin, not them."`
}

// Check says which setting is wrong, and what would be valid.
func (c Config) Check() error {
	var errs []error
	wrong := func(setting, valid string, value any) {
		errs = append(errs, fmt.Errorf("%s: %v is not valid; expected %s", setting, value, valid))
	}
	if c.Data == "" {
		wrong("data", "a folder", "nothing")
	}
	if !(c.Speed > 0 && c.Speed <= 100_000) {
		wrong("speed", "a number above 0 and up to 100000", c.Speed)
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"partner-fail", c.Behave.Fail}, {"partner-abort", c.Behave.Abort}, {"partner-duplicate", c.Behave.Duplicate}} {
		if !(share.value >= 0 && share.value < 1) {
			wrong(share.name, "a share from 0 to below 1", share.value)
		}
	}
	if c.Behave.Slow < 0 || c.Behave.Slow > time.Minute {
		wrong("partner-slow", "a duration from 0s to 1m", c.Behave.Slow)
	}
	if c.Lease < 0 || c.Lease > time.Hour || c.Lease > 0 && c.Lease < time.Second {
		wrong("lease", "a duration from 1s to 1h", c.Lease)
	}
	for _, limit := range []struct {
		name  string
		value time.Duration
	}{{"payment-limit", c.Limits.Payment}, {"driver-limit", c.Limits.Driver}, {"kitchen-limit", c.Limits.Kitchen}, {"gap-limit", c.Limits.Gap},
		{"silence-limit", c.Limits.Silence}} {
		if limit.value < time.Second || limit.value > 7*24*time.Hour {
			wrong(limit.name, "a duration from 1s to 168h", limit.value)
		}
	}
	return errors.Join(append(errs, c.checkEngines(), c.checkIdentity(), c.checkCompanies(), c.checkDoor(), c.Telemetry.Check())...)
}

// CheckServices says which name is no service.
func CheckServices(names []string) error {
	for _, n := range names {
		if !slices.Contains(Services, n) {
			return fmt.Errorf("service %q: unknown; expected some of %s", n, strings.Join(Services, ", "))
		}
	}
	return nil
}

// CheckApart says what is missing where services run in several processes.
func (c Config) CheckApart(names []string) error {
	if c.Speed != 1 && c.From.IsZero() {
		return errors.New("clock-from: missing; processes whose clocks run at another speed need the same moment to count from, such as 2026-01-31T12:00:00Z")
	}
	if !c.local() || slices.Contains(names, wire.OrderService) {
		return nil
	}
	for _, n := range names {
		if n != wire.CustomerService && n != wire.IdentityService {
			return fmt.Errorf("broker: local is not enough for the %s service without the order service in the same process; expected amqp://user:password@host:port/vhost", n)
		}
	}
	return nil
}

// CheckListen says what is wrong with an address to listen on.
func CheckListen(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("listen: %q is not valid; expected HOST:PORT such as 127.0.0.1:8080", addr)
	}
	return nil
}
