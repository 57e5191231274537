package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func TestHealth(t *testing.T) {
	ok := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errors.New("secret") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	panics := func(context.Context) error { panic("secret") }
	for _, c := range []struct {
		name   string
		checks []httpapi.Check
		status int
		body   string
	}{
		{"nothing to check", nil, 200, `{"status":true,"name":"OrderService","version":"1.2.3","cert_remaining_days":0,"resources":[]}`},
		{"all well", []httpapi.Check{{"store", false, ok}, {"PaymentService", true, ok}}, 200,
			`{"status":true,"name":"OrderService","version":"1.2.3","cert_remaining_days":0,"resources":[{"name":"store","status":true},{"name":"PaymentService","status":true}]}`},
		{"a dead peer", []httpapi.Check{{"store", false, ok}, {"PaymentService", true, bad}}, 200,
			`{"status":true,"name":"OrderService","version":"1.2.3","cert_remaining_days":0,"resources":[{"name":"store","status":true},{"name":"PaymentService","status":false}]}`},
		{"a dead store", []httpapi.Check{{"store", false, bad}, {"PaymentService", true, ok}}, 500,
			`{"status":false,"name":"OrderService","version":"1.2.3","cert_remaining_days":0,"resources":[{"name":"store","status":false},{"name":"PaymentService","status":true}]}`},
		{"a store that hangs", []httpapi.Check{{"store", false, hangs}, {"broker", false, hangs}}, 500,
			`{"status":false,"name":"OrderService","version":"1.2.3","cert_remaining_days":0,"resources":[{"name":"store","status":false},{"name":"broker","status":false}]}`},
		{"a check that panics", []httpapi.Check{{"store", false, panics}}, 500,
			`{"status":false,"name":"OrderService","version":"1.2.3","cert_remaining_days":0,"resources":[{"name":"store","status":false}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := orders(httpapi.Options{Checks: c.checks})
				began := time.Now()
				w := ask(a, "GET", "/health", "")
				if w.Code != c.status || w.Body.String() != c.body+"\n" {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestHealthIsCheckedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		a := orders(httpapi.Options{Checks: []httpapi.Check{{Name: "store", Func: func(context.Context) error { runs.Add(1); return nil }}}})
		for range 10 {
			ask(a, "GET", "/health", "")
		}
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
		time.Sleep(time.Second)
		ask(a, "GET", "/health", "")
		if runs.Load() != 2 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

func TestCertificateDays(t *testing.T) {
	a := orders(httpapi.Options{CertExpires: func() time.Time { return time.Now().Add(49 * time.Hour) }})
	var h httpapi.Health
	if err := json.Unmarshal(ask(a, "GET", "/health", "").Body.Bytes(), &h); err != nil || h.CertRemainingDays != 2 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestReadiness(t *testing.T) {
	a := orders(httpapi.Options{})
	is := func(path string, code int) {
		t.Helper()
		if w := ask(a, "GET", path, ""); w.Code != code {
			t.Errorf("%s: %s", path, fmt.Sprint(w.Code, w.Body))
		}
	}
	is("/livez", 200)
	wantProblem(t, ask(a, "GET", "/readyz", ""), 503)
	a.SetReady(true)
	is("/readyz", 200)
	a.Drain()
	is("/readyz", 503)
	is("/livez", 200)
}
