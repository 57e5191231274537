package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/redact"
)

type orderKey struct{}

// WithOrder is ctx about an order, for the lines that are logged under it.
func WithOrder(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, orderKey{}, id)
}

// Handler is a log that names what a line is about, where it is logged under a context that knows: trace_id, span_id and
// order_id. And it is the last line of defence for secrets: what is called a password, secret, token, cookie, key of
// an API or the like, or holds a number that could be a card's, is not written.
func Handler(to slog.Handler) slog.Handler { return handler{to} }

type handler struct{ slog.Handler }

// Handle is slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, redact.Numbers(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(safe(a))
		return true
	})
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		out.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	if id, ok := ctx.Value(orderKey{}).(string); ok {
		out.AddAttrs(slog.String("order_id", id))
	}
	return h.Handler.Handle(ctx, out)
}

// WithAttrs is slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = slices.Clone(attrs)
	for i := range attrs {
		attrs[i] = safe(attrs[i])
	}
	return handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup is slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// hidden is written instead of a secret.
const hidden = redact.Blank

// secretive are what the names of secrets have in them, in lower case and without separators; secretWords are words
// of their own in such names.
var (
	secretive   = []string{"password", "passwd", "secret", "token", "authorization", "cookie", "apikey", "credential"}
	secretWords = []string{"card", "cards", "iban", "pan"}
)

// secret says whether a name is a secret's.
func secret(name string) bool {
	words := words(name)
	if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretWords, w) }) {
		return true
	}
	joined := strings.Join(words, "")
	return redact.Field(joined) || slices.ContainsFunc(secretive, func(s string) bool { return strings.Contains(joined, s) })
}

// words are those of a name, in lower case: of cardNumber, card_number or card-number, card and number.
func words(name string) (all []string) {
	begin := 0
	for i := 0; i <= len(name); i++ {
		switch {
		case i == len(name) || strings.IndexByte("_-. :/", name[i]) >= 0:
			if i > begin {
				all = append(all, strings.ToLower(name[begin:i]))
			}
			begin = i + 1
		case i > begin && 'A' <= name[i] && name[i] <= 'Z' && 'a' <= name[i-1] && name[i-1] <= 'z':
			all = append(all, strings.ToLower(name[begin:i]))
			begin = i
		}
	}
	return all
}

// safe is an attribute as it may be written.
func safe(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() == slog.KindGroup {
		group := slices.Clone(a.Value.Group())
		for i := range group {
			group[i] = safe(group[i])
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	}
	if secret(a.Key) {
		return slog.String(a.Key, hidden)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(redact.Numbers(a.Value.String()))
	case slog.KindAny:
		a.Value = anything(a.Value)
	default: // numbers and times
	}
	return a
}

// anything is a value of any type as it may be written: itself, where there is nothing to hide in it.
func anything(v slog.Value) slog.Value {
	switch x := v.Any().(type) {
	case nil:
		return v
	case error:
		return same(v, x.Error())
	case fmt.Stringer:
		return same(v, x.String())
	case []byte:
		return same(v, string(x))
	default:
		b, err := json.Marshal(x)
		if err != nil {
			return same(v, fmt.Sprint(x))
		}
		var tree any
		if json.Unmarshal(b, &tree) != nil || !prune(&tree) && redact.Numbers(string(b)) == string(b) {
			return v
		}
		return slog.AnyValue(tree)
	}
}

// same is v where its text holds nothing to hide, else what is left of that.
func same(v slog.Value, s string) slog.Value {
	if t := redact.Numbers(s); t != s {
		return slog.StringValue(t)
	}
	return v
}

// prune hides the secrets in a JSON value and says whether there were any.
func prune(v *any) (found bool) {
	switch x := (*v).(type) {
	case map[string]any:
		for k, in := range x {
			if secret(k) {
				x[k], found = hidden, true
				continue
			}
			if prune(&in) {
				x[k], found = in, true
			}
		}
	case []any:
		for i := range x {
			found = prune(&x[i]) || found
		}
	case string:
		if t := redact.Numbers(x); t != x {
			*v, found = t, true
		}
	}
	return found
}
