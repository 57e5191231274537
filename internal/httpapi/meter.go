package httpapi

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// Meter counts a server's requests. Its methods return at once and are safe for concurrent use.
type Meter interface {
	// Begin counts a request that came, End one that was answered: by the pattern of its route (empty: by none), with a
	// status, and how long it took in real time, negative for a stream, which takes as long as somebody listens.
	Begin()
	End(pattern string, status int, took time.Duration)
}

// watched says whether anybody wants to know of requests.
func (a *API) watched() bool { return a.opt.Meter != nil || a.opt.Tracer != nil || a.opt.Access }

// over is told to all who follow the request. It was answered, or broken off.
func (x *exchange) over(began time.Time) {
	pattern, status, took := x.req.Pattern, x.status, time.Since(began)
	if status == 0 {
		status = http.StatusOK // as the server will write, where nobody did
	}
	if x.span != nil {
		x.followed(pattern, status)
	}
	if x.api.opt.Access && (status >= 500 || !quiet(x.req.URL.Path)) && x.api.opt.Log.Enabled(x.req.Context(), slog.LevelInfo) {
		x.api.opt.Log.LogAttrs(x.req.Context(), slog.LevelInfo, "request",
			slog.String("method", method(x.req.Method)), slog.String("route", route(pattern)), slog.Int("status", status),
			slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("request_id", x.id), slog.String("caller", auth.From(x.req.Context()).Subject))
	}
	if x.api.opt.Meter != nil {
		if kind := x.Header()["Content-Type"]; len(kind) > 0 && strings.HasPrefix(kind[0], StreamType) {
			took = -1
		}
		x.api.opt.Meter.End(pattern, status, took)
	}
}

// route is the path of a pattern.
func route(pattern string) string {
	_, path, ok := strings.Cut(pattern, " ")
	if !ok {
		return "none"
	}
	return path
}

// Metrics serves h at GET /metrics to those who have access.
func (a *API) Metrics(access auth.Access, h http.Handler) { a.Handle("GET /metrics", access, h) }
