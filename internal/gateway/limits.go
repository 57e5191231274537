package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/limit"
)

// Limits hold requests to rules, by who makes them. An operator's program is held to its key's rule, everybody else to
// that of the address, and customers to their own too. Our services, and whoever is in this process, are not limited;
// nor is a cancel.
type Limits struct {
	Limiter *limit.Limiter
	Rules   limit.Rules
	Proxies Proxies
}

// Routes with rules of their own.
const (
	placing    = "POST /v1/orders"
	cancelling = "POST /v1/orders/{id}/cancel"
	signing    = "/v1/auth/" // and what is below it
)

// Middleware is for Options.Limit.
func (l *Limits) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := auth.From(r.Context())
		if r.Pattern == cancelling {
			seen := &status{ResponseWriter: w}
			next.ServeHTTP(seen, r)
			if caller.Is(auth.Customer) && seen.code < http.StatusMultipleChoices {
				l.Limiter.Note(context.WithoutCancel(r.Context()), l.Rules.Cancels, caller.Customer)
			}
			return
		}
		if asks := l.asks(r, caller); len(asks) > 0 {
			decisions := l.Limiter.Decide(r.Context(), asks...)
			tell(w.Header(), decisions)
			if d, ok := refused(decisions); !ok {
				httpapi.WriteError(w, r, &httpapi.Problem{
					Status: http.StatusTooManyRequests, Detail: why(d), RetryAfter: d.Wait,
				})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// asks are the rules that a request is held to.
func (l *Limits) asks(r *http.Request, caller auth.Caller) (asks []limit.Ask) {
	if caller.Is(auth.Service) {
		return nil
	}
	callback := strings.HasSuffix(r.Pattern, "/callback") && strings.HasPrefix(r.Pattern, "POST /v1/")
	if strings.HasPrefix(caller.Subject, "key:") && !callback {
		return []limit.Ask{{Rule: l.Rules.Key, Key: caller.Subject, N: 1}}
	}
	if addr, ok := l.Proxies.Client(r); ok {
		rule := l.Rules.Address
		switch {
		case callback:
			rule = l.Rules.Callback
		case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, signing):
			rule = l.Rules.SignIn
		}
		asks = append(asks, limit.Ask{Rule: rule, Key: network(addr), N: 1})
	}
	if caller.Is(auth.Customer) && caller.Customer != "" && !callback {
		asks = append(asks, limit.Ask{Rule: l.Rules.Customer, Key: caller.Customer, N: 1})
		if r.Pattern == placing {
			asks = append(asks, limit.Ask{Rule: l.Rules.Orders, Key: caller.Customer, N: 1},
				limit.Ask{Rule: l.Rules.Cancels, Key: caller.Customer})
		}
	}
	return asks
}

// refused is the rule that makes the request wait longest; ok where none does.
func refused(decisions []limit.Decision) (longest limit.Decision, ok bool) {
	ok = true
	for _, d := range decisions {
		if !d.OK {
			ok = false
			if d.Wait > longest.Wait {
				longest = d
			}
		}
	}
	return longest, ok
}

// tell says how much is left, as draft-ietf-httpapi-ratelimit-headers-10 has it: every policy, and the one that is
// nearest to its end.
func tell(h http.Header, decisions []limit.Decision) {
	var policies []string
	var nearest *limit.Decision
	for i, d := range decisions {
		if d.Rule.Void() {
			continue
		}
		policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", d.Rule.Name, d.Rule.Most, seconds(d.Rule.Window)))
		if nearest == nil || d.Left*nearest.Rule.Most < nearest.Left*d.Rule.Most {
			nearest = &decisions[i]
		}
	}
	if nearest == nil {
		return
	}
	h.Set("RateLimit-Policy", strings.Join(policies, ", "))
	h.Set("RateLimit", strconv.Quote(nearest.Rule.Name)+";r="+strconv.FormatInt(nearest.Left, 10)+
		";t="+strconv.FormatInt(seconds(max(nearest.Reset, nearest.Wait)), 10))
}

// seconds is a duration in whole seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// why tells a person what the limit is.
func why(d limit.Decision) string {
	per := map[time.Duration]string{time.Minute: "a minute"}[d.Rule.Window]
	if per == "" {
		per = "in " + strconv.FormatInt(int64(d.Rule.Window/time.Minute), 10) + " minutes"
	}
	what := map[string]string{
		"address": "requests of one address", "sign-in": "attempts of one address to sign in", "callback": "callbacks of one address",
		"customer": "requests of one customer", "orders": "new orders of one customer", "key": "requests of one key",
	}[d.Rule.Name]
	text := fmt.Sprintf("more than %d %s %s", d.Rule.Most, what, per)
	if d.Rule.Name == "cancels" {
		text = fmt.Sprintf("%d orders were cancelled %s, and new ones must wait", d.Rule.Most, per)
	}
	return fmt.Sprintf("%s; try again in %d s", text, seconds(d.Wait))
}

// status is a response writer that remembers the status.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
