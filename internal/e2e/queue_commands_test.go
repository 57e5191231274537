package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestOperatorErrors: what is wrong is named, with what would be right, and no password is shown.
func TestOperatorErrors(t *testing.T) {
	t.Parallel()
	const nowhere = "http://127.0.0.1:1"
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"queue"}, 2, `"list"`},
		{[]string{"queue", "send", "OrderService"}, 2, "<body>"},
		{[]string{"queue", "send", "OrderService", "nonsense"}, 1, "body: not JSON"},
		{[]string{"queue", "list", "--url", nowhere}, 1, "nothing answers at " + nowhere},
		{[]string{"queue", "tail", "--url", nowhere}, 1, "nothing answers at " + nowhere},
		{[]string{"queue", "list", "--broker", "http://u:" + secret + "@h"}, 1, "broker: "},
		{[]string{"queue", "list", "--broker", "amqp://u:" + secret + "%zz@h"}, 1, "broker: "},
		{[]string{"--log-level", "error", "queue", "dead", "--broker", "amqp://u:" + secret + "@127.0.0.1:1/"}, 1, "127.0.0.1:1"},
		{[]string{"event", "send", ada, "burnt"}, 1, `status: "burnt" is none; expected one of created, `},
		{[]string{"event", "send", ada, "delivered", "--url", nowhere}, 1, "nothing answers at " + nowhere},
		{[]string{"cache", "show", ada}, 2, "--redis"},
		{[]string{"cache", "show", ada, "--redis", "http://:" + secret + "@h"}, 1, "redis: "},
		{[]string{"cache", "clear-urls", "--redis", "redis://:" + secret + "@127.0.0.1:1"}, 1, "redis: "},
		{[]string{"urls", "seed", "order"}, 1, `instance: "order" is not valid; expected SERVICE=URL`},
		{[]string{"urls", "seed", "waiter=http://u:" + secret + "@h"}, 1, `instance: "waiter" is not valid`},
		{[]string{"urls", "seed", "order=nonsense"}, 1, "http://host:port"},
		{[]string{"urls", "list", "--urls-db", "mysql://u:" + secret + "@h"}, 1, "urls-db: not valid; expected sqlite:FILE, "},
		{[]string{"urls", "list", "--redis", "redis://:" + secret + "@127.0.0.1:1"}, 1, "redis: "},
		{[]string{"up", "--broker", "rabbit"}, 1, "broker: not valid; expected local or amqp://"},
		{[]string{"serve", "order", "customer", "--port", "1234"}, 1, "port: 1234 is for one service"},
		{[]string{"serve", "customer", "--speed", "60"}, 1, "clock-from: missing"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(c.args, " "), secret, "secret"), func(t *testing.T) {
			args := c.args
			if args[0] == "up" {
				args = append(slices.Clone(args), "--listen", "127.0.0.1:0")
			}
			fails(t, c.code, c.says, args...)
			if r := run(t, args...); strings.Contains(r.String(), secret) {
				t.Errorf("it shows the password: %s", r)
			}
		})
	}
}

// TestOperatorHelp: every command says what it is for.
func TestOperatorHelp(t *testing.T) {
	t.Parallel()
	for command, parts := range map[string][]string{
		"queue": {"list", "send", "tail", "dead", "requeue"}, "event": {"send"}, "cache": {"show", "clear-urls"}, "urls": {"seed", "list"},
	} {
		help := ok(t, command, "--help")
		for _, part := range parts {
			if !regexp.MustCompile(`(?m)^  ` + command + ` ` + part + `\b.*\n?.*[A-Z]`).MatchString(help) {
				t.Errorf("the help of %s has no %s:\n%s", command, part, help)
			}
		}
	}
}

// TestQueueCommands: the same through a running system, and with RabbitMQ itself.
func TestQueueCommands(t *testing.T) {
	t.Parallel()
	t.Run("through the system", func(t *testing.T) {
		t.Parallel()
		p := up(t, t.TempDir())
		operate(t, p, []string{"--url", p.address()}, "404 Not Found: no such queue", "404 Not Found: no such dead letter")
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		broker := engines.Place(t, engines.RabbitMQ)
		p := up(t, t.TempDir(), "--broker", broker)
		operate(t, p, []string{"--url", p.address(), "--broker", broker}, "no queue takes this message", "no such dead letter")
	})
}

// operate does what an operator does with queues.
func operate(t *testing.T, p *process, at []string, noQueue, noLetter string) {
	to := func(args ...string) []string { return append(args, at...) }
	v := visit(t, p.address())
	place := func() wire.Order { // the card company never answers for mute
		t.Helper()
		return decoded[wire.Order](t, v.until(202, "POST", "/v1/orders", wish(mute, "")).body)
	}
	comes := func(id string, status wire.Status) {
		t.Helper()
		eventually(t, string(status), func() (any, bool) {
			o := decoded[wire.Order](t, v.want(200, id, "GET", "/v1/orders/"+id, nil).body)
			return o, o.Status == status
		})
	}
	first, second := place(), place()

	queues := decoded[[]client.Queue](t, []byte(ok(t, to("queue", "list", "--json")...)))
	if len(queues) < 2 || queues[0] != (client.Queue{Name: "OrderService", Consumers: 1}) || queues[1].Name != "OrderService.menus" {
		t.Errorf("the queues are %+v", queues)
	}
	if out := ok(t, to("queue", "list")...); !regexp.MustCompile(`^QUEUE +WAITING +CONSUMERS\nOrderService +0 +1\n`).MatchString(out) {
		t.Errorf("it shows\n%s", out)
	}

	tails := map[string]*process{"order.paymentFailed": nil, "order.created": nil, "": nil}
	for topic := range tails {
		args := to("queue", "tail", "--json")
		if topic != "" {
			args = append(args, topic)
		}
		tails[topic] = start(t, "listening", args...)
		tails[topic].awaitReady()
	}
	message := func(o wire.Order, status string) string {
		return fmt.Sprintf(`{"status":%q,"metadata":{"receiver":"OrderService","order_id":%q,"customer_id":%q}}`, status, o.ID, o.CustomerID)
	}
	if out := ok(t, to("queue", "send", "OrderService", message(first, "paymentFailed"))...); out != "" {
		t.Errorf("queue send prints %q", out)
	}
	comes(first.ID, wire.PaymentFailed)
	ok(t, to("event", "send", second.ID, "paymentFailed")...)
	comes(second.ID, wire.PaymentFailed)
	for topic, tail := range tails {
		heard := func(key, id string) bool {
			return regexp.MustCompile(`(?m)^\{"key":"` + key + `".*` + id).MatchString(tail.said())
		}
		eventually(t, "end of the tail of "+topic, func() (any, bool) {
			return tail.said(), topic == "order.created" || heard("order.paymentFailed", first.ID) && heard("order.paymentFailed", second.ID)
		})
		if err := tail.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := tail.awaitEnd(); code != 0 || topic == "order.created" && strings.Contains(tail.said(), "paymentFailed") {
			t.Errorf("the tail of %q ended with %d, saying\n%s", topic, code, tail.said())
		}
	}

	if out := ok(t, to("queue", "dead")...); out != "no dead letters\n" {
		t.Errorf("it shows\n%s", out)
	}
	if out := ok(t, to("queue", "dead", "--json")...); strings.TrimSpace(out) != "[]" {
		t.Errorf("it shows\n%s", out)
	}
	ok(t, to("queue", "send", "OrderService", message(first, "burnt"))...)
	letters := func() (all []client.Letter) {
		t.Helper()
		eventually(t, "dead letter", func() (any, bool) {
			all = decoded[[]client.Letter](t, []byte(ok(t, to("queue", "dead", "--json")...)))
			return all, len(all) == 1
		})
		return all
	}
	letter := letters()[0]
	if letter.Queue != "OrderService" || letter.Reason != "status: unknown" || letter.Body != message(first, "burnt") || letter.At.IsZero() {
		t.Errorf("it is %+v", letter)
	}
	if out := ok(t, to("queue", "dead")...); !regexp.MustCompile(`^LETTER .*\n` + letter.ID + ` .* OrderService +status: unknown\n$`).MatchString(out) {
		t.Errorf("it shows\n%s", out)
	}
	if out := ok(t, to("queue", "requeue", letter.ID)...); out != "" {
		t.Errorf("queue requeue prints %q", out)
	}
	if again := letters()[0]; again.Reason != letter.Reason { // it was rejected again
		t.Errorf("it is %+v", again)
	}

	fails(t, 1, noQueue, to("queue", "send", "nonsense", "{}")...)
	fails(t, 1, noLetter, to("queue", "requeue", ada)...)
	fails(t, 1, "the order is read for its customer: 404 Not Found: no such order", to("event", "send", ada, "delivered")...)
	p.stop()
}

// TestCacheAndURLCommands: what is in Redis is shown and taken out, and the catalogue kept.
func TestCacheAndURLCommands(t *testing.T) {
	t.Parallel()
	redis, data := engines.Place(t, engines.Redis), t.TempDir()
	p := up(t, data, "--redis", redis)
	v := visit(t, p.address())
	id := decoded[wire.Order](t, v.want(202, "", "POST", "/v1/orders", wish(mute, "")).body).ID
	show := func(args ...string) string {
		t.Helper()
		return ok(t, append([]string{"cache", "show", "--redis", redis}, args...)...)
	}
	eventually(t, "copy", func() (any, bool) {
		c := decoded[app.Copy](t, []byte(show(id, "--json")))
		return c, c.Found && c.Version > 0 && c.Left > 0 && decoded[wire.Order](t, c.Order).ID == id
	})
	if out := show(id); !regexp.MustCompile(`^version +\d+\nleft +\d+m\d+s\n\{\n`).MatchString(out) || !strings.Contains(out, id) {
		t.Errorf("it shows\n%s", out)
	}
	if out := show(ada); !strings.Contains(out, "Redis has no copy of this order") {
		t.Errorf("it shows\n%s", out)
	}
	if out := show(ada, "--json"); decoded[app.Copy](t, []byte(out)).Found {
		t.Errorf("it shows\n%s", out)
	}
	p.stop()

	urls := func(args ...string) string {
		t.Helper()
		return ok(t, append(append([]string{"urls"}, args...), "--data", data)...)
	}
	cleared := func(n int) {
		t.Helper()
		if out := ok(t, "cache", "clear-urls", "--redis", redis); out != fmt.Sprint(n, " copies of service URLs taken out\n") {
			t.Errorf("it shows %q, want %d", out, n)
		}
	}
	if out := urls("list"); out != "the catalogue is empty; write to it with `tiffin urls seed`\n" {
		t.Errorf("it shows\n%s", out)
	}
	if out := strings.TrimSpace(urls("list", "--json")); out != "[]" {
		t.Errorf("it shows %s", out)
	}
	cleared(0)
	out := urls("seed", "order=http://a:8000,http://b:8000", "payment=http://c:1", "--redis", redis)
	if !regexp.MustCompile(`^SERVICE +URL\norder +http://a:8000\norder +http://b:8000\npayment +http://c:1\n$`).MatchString(out) || urls("list") != out {
		t.Errorf("it shows\n%s", out)
	}
	listed := decoded[[]app.ServiceURL](t, []byte(urls("list", "--json")))
	if len(listed) != 2 || listed[0].Name != "order" || !slices.Equal(listed[0].URLs, []string{"http://a:8000", "http://b:8000"}) || listed[0].Version != 1 {
		t.Errorf("it lists %+v", listed)
	}
	cleared(2)
	cleared(0)
	if out := show(id, "--json"); !decoded[app.Copy](t, []byte(out)).Found {
		t.Error("the copy of the order went with the URLs")
	}
	if out := urls("seed"); !regexp.MustCompile(`(?m)^kitchen +http://127\.0\.0\.1:8004$`).MatchString(out) || strings.Contains(out, "http://a:8000") {
		t.Errorf("it shows\n%s", out)
	}
}

// TestSecretFiles: a variable that ends in _FILE names a file whose content is the setting.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	redis := engines.Place(t, engines.Redis)
	write := func(content string) string {
		path := filepath.Join(t.TempDir(), "setting")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad, nowhere := write("\n "+redis+"\t\n"), write("http://"+secret), filepath.Join(t.TempDir(), "nowhere")
	config := write(`{"redis": "http://` + secret + `"}`)
	for name, c := range map[string]struct {
		env  []string
		args []string
		code int
		says string
	}{
		"blanks do not count":       {[]string{"TIFFIN_REDIS_FILE=" + good}, nil, 0, `"found": false`},
		"its content is judged":     {[]string{"TIFFIN_REDIS_FILE=" + bad}, nil, 1, "redis: "},
		"both":                      {[]string{"TIFFIN_REDIS_FILE=" + good, "TIFFIN_REDIS=" + redis}, nil, 2, "TIFFIN_REDIS: set beside TIFFIN_REDIS_FILE; expected one of the two"},
		"no file":                   {[]string{"TIFFIN_REDIS_FILE=" + nowhere}, nil, 2, "TIFFIN_REDIS_FILE: open " + nowhere},
		"the flag wins":             {[]string{"TIFFIN_REDIS_FILE=" + bad}, []string{"--redis", redis}, 0, `"found": false`},
		"it wins over the file":     {[]string{"TIFFIN_REDIS_FILE=" + good}, []string{"--config", config}, 0, `"found": false`},
		"the variable alone":        {[]string{"TIFFIN_REDIS=" + redis}, []string{"--config", config}, 0, `"found": false`},
		"the file alone":            {nil, []string{"--config", config}, 1, "redis: "},
		"another flag's is no harm": {[]string{"TIFFIN_BROKER_FILE=" + nowhere, "TIFFIN_REDIS_FILE=" + good}, nil, 0, `"found": false`},
	} {
		t.Run(name, func(t *testing.T) {
			r := runWith(t, c.env, append([]string{"cache", "show", ada, "--json"}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.String(), c.says) || strings.Contains(r.String(), secret) || strings.Count(r.err, "\n") > 4 {
				t.Errorf("%s\nwant exit %d, saying %q", r, c.code, c.says)
			}
		})
	}
	t.Run("of the broker", func(t *testing.T) {
		r := runWith(t, []string{"TIFFIN_BROKER_FILE=" + write("amqp://u:"+secret+"@127.0.0.1:1/\n")}, "queue", "list")
		if r.code != 1 || !strings.Contains(r.err, "127.0.0.1:1") || strings.Contains(r.err, secret) {
			t.Errorf("%s", r)
		}
	})
}

// runWith is run with variables.
func runWith(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, tiffin(t), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(environment(), env...), &out, &errOut
	cmd.Dir = t.TempDir()
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("tiffin %s: %v\n%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), errOut.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}
