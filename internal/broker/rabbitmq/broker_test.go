package rabbitmq_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/broker/brokertest"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
	"github.com/tiffin-food/tiffin/internal/engines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(engines.Main{M: m}) }

// host is a vhost of the test's own.
type host struct{ url string }

func open(t testing.TB) host {
	t.Helper()
	return host{engines.Place(t, engines.RabbitMQ)}
}

// vhost is its name.
func (h host) vhost(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(h.url)
	must(t, err)
	return url.PathEscape(strings.TrimPrefix(u.Path, "/"))
}

// manage calls the server's management API.
func (h host) manage(t testing.TB, method, path string, into any) {
	t.Helper()
	side := engines.Side(t, engines.RabbitMQ)
	if side == "" {
		t.Skipf("this test needs the management API: name it by %s", engines.RabbitMQ.SideVariable())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, side+path, http.NoBody)
	must(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	if into != nil {
		must(t, json.NewDecoder(resp.Body).Decode(into))
	}
}

// open gives a broker for a test, which closes it.
func (h host) open(t testing.TB, opt rabbitmq.Options) *rabbitmq.Broker {
	t.Helper()
	opt.URL, opt.Name = h.url, t.Name()
	if opt.RetryDelay == 0 {
		opt.RetryDelay = 20 * time.Millisecond
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b, err := rabbitmq.Open(opt)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, b.Close(ctx))
	})
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBroker(t *testing.T) {
	for name, classic := range map[string]bool{"quorum": false, "classic": true} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			brokertest.Exercise(t, brokertest.Features{Redelivers: true, Persistent: true}, func(t testing.TB) brokertest.Broker {
				return h.open(t, rabbitmq.Options{Classic: classic})
			})
		})
	}
}
