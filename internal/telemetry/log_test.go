package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// logged is a line that log writes, as JSON.
func logged(t *testing.T, log func(*slog.Logger)) (line map[string]any, text string) {
	t.Helper()
	var out bytes.Buffer
	log(slog.New(Handler(slog.NewJSONHandler(&out, nil))))
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return line, out.String()
}

func TestLogNamesTraceAndOrder(t *testing.T) {
	sc := parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	ctx := WithOrder(trace.ContextWithSpanContext(t.Context(), sc), "0190")
	line, _ := logged(t, func(l *slog.Logger) { l.With("a", 1).WarnContext(ctx, "late") })
	if line["trace_id"] != sc.TraceID().String() || line["span_id"] != sc.SpanID().String() || line["order_id"] != "0190" || line["a"] != 1.0 {
		t.Errorf("the line is %v", line)
	}
	if line, _ = logged(t, func(l *slog.Logger) { l.Warn("late") }); len(line) != 3 {
		t.Errorf("a line of nothing is %v", line)
	}
}

type person struct {
	Name, Password string
	Cards          []string
}

// TestLogHidesSecrets: wherever they are.
func TestLogHidesSecrets(t *testing.T) {
	const secret = "Kanarienvogel"
	for name, log := range map[string]func(*slog.Logger){
		"a value":      func(l *slog.Logger) { l.Info("x", "password", secret) },
		"another case": func(l *slog.Logger) { l.Info("x", "DB-Password", secret) },
		"camels": func(l *slog.Logger) {
			l.Info("x", "cardNumber", secret, "apiKey", secret, "API_KEY", secret, "X-API-Key", secret)
		},
		"kept":       func(l *slog.Logger) { l.With("refresh_token", secret).Info("x") },
		"a group":    func(l *slog.Logger) { l.Info("x", slog.Group("request", "authorization", secret)) },
		"in a group": func(l *slog.Logger) { l.WithGroup("request").Info("x", "Set-Cookie", secret) },
		"a struct": func(l *slog.Logger) {
			l.Info("x", "who", person{Name: "Ada", Password: secret, Cards: []string{secret}})
		},
		"a map": func(l *slog.Logger) {
			l.Info("x", "all", map[string]any{"in": []any{map[string]string{"cvv": secret}}})
		},
		"a valuer": func(l *slog.Logger) { l.Info("x", "client_secret", lazy(secret)) },
		"a number": func(l *slog.Logger) { l.Info("x", "cvc", 123, "y", lazy("4111 1111 1111 1111")) },
	} {
		if _, text := logged(t, log); strings.Contains(text, secret) || strings.Contains(text, "123,") || !strings.Contains(text, hidden) {
			t.Errorf("%s: %s", name, text)
		}
	}
	for name, log := range map[string]func(*slog.Logger){
		"message": func(l *slog.Logger) { l.Info("paid with 4242424242424242") },
		"error":   func(l *slog.Logger) { l.Info("x", "err", errors.New("card 4242-4242-4242-4242 declined")) },
		"bytes":   func(l *slog.Logger) { l.Info("x", "body", []byte(`{"n":"4242424242424242"}`)) },
		"struct":  func(l *slog.Logger) { l.Info("x", "who", person{Name: "4242 4242 4242 4242"}) },
		"amex":    func(l *slog.Logger) { l.Info("x", "n", "378282246310005") },
	} {
		if _, text := logged(t, log); strings.Contains(text, "4242") || strings.Contains(text, "378282") || !strings.Contains(text, hidden) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

type lazy string

// LogValue is slog.LogValuer.
func (l lazy) LogValue() slog.Value { return slog.StringValue(string(l)) }

// TestLogLeavesTheRest: what is none of it is written as it would be without us.
func TestLogLeavesTheRest(t *testing.T) {
	for _, attr := range []slog.Attr{
		slog.String("err", "4242424242424243 has a wrong check digit"), slog.String("id", "0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"),
		slog.String("when", "2026-03-01T12:00:00.123456789Z"), slog.Int("discarded", 4), slog.Duration("took", time.Second),
		slog.Any("err", errors.New("plain")), slog.Any("list", []int{1, 2}), slog.Any("nil", nil), slog.Bool("scheduled", true),
		slog.String("ids", "12345678901234567890123"), slog.String("company", "x"), slog.Any("t", time.Unix(0, 0).UTC()),
	} {
		_, got := logged(t, func(l *slog.Logger) { l.LogAttrs(context.Background(), slog.LevelInfo, "m", attr) })
		var plain bytes.Buffer
		slog.New(slog.NewJSONHandler(&plain, nil)).LogAttrs(context.Background(), slog.LevelInfo, "m", attr)
		if _, got, _ = strings.Cut(got, `"msg"`); !strings.HasSuffix(plain.String(), got) {
			t.Errorf("%s became %s", plain.String(), got)
		}
	}
}
