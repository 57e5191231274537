package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// Check looks at something a service needs. A peer is reported and counts for nothing: that a neighbour is down
// does not make a service ill.
type Check struct {
	Name string
	Peer bool
	Func func(context.Context) error // nil error: it is there; it should return when the context ends
}

const (
	checkTimeout = time.Second // real time
	checkTrusted = time.Second // how long a result is given again
)

// Health is the body of GET /health.
type Health struct {
	Status            bool       `json:"status" doc:"Whether the service can do its work"`
	Name              string     `json:"name" example:"OrderService"`
	Version           string     `json:"version"`
	CertRemainingDays int        `json:"cert_remaining_days" doc:"Days until the certificate expires; 0 where there is none"`
	Resources         []Resource `json:"resources" doc:"What the service uses, and its peers"`
}

// Resource is one line of Health.
type Resource struct {
	Name   string `json:"name"`
	Status bool   `json:"status"`
}

type health struct {
	name    string
	version string
	checks  []Check
	expires func() time.Time

	mu   sync.Mutex // held while checking: whoever comes meanwhile gets the same result
	last Health
	at   time.Time
}

// look runs the checks, all at once and each for at most a second. A check that does not return is not waited for.
func (h *health) look() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && time.Since(h.at) < checkTrusted {
		return h.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	results := make([]chan bool, len(h.checks))
	for i, c := range h.checks {
		results[i] = make(chan bool, 1)
		go func() {
			ok := false
			defer func() { _ = recover(); results[i] <- ok }() // a check that panics has failed
			ok = c.Func(ctx) == nil
		}()
	}
	now := Health{Status: true, Name: h.name, Version: h.version, Resources: make([]Resource, len(h.checks))}
	for i, c := range h.checks {
		ok := false
		select {
		case ok = <-results[i]:
		case <-ctx.Done():
			select {
			case ok = <-results[i]:
			default:
			}
		}
		now.Resources[i] = Resource{c.Name, ok}
		if !ok && !c.Peer {
			now.Status = false
		}
	}
	if h.expires != nil {
		now.CertRemainingDays = int(time.Until(h.expires()) / (24 * time.Hour))
	}
	h.last, h.at = now, time.Now()
	return now
}

type healthOutput struct {
	Status int
	Body   Health
}

// Health is what GET /health answers: checked now, or within the last second.
func (a *API) Health() Health { return a.health.look() }

func (a *API) registerHealth() {
	health := huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeFor[Health]())
	Register(a, auth.Everyone, Operation{
		Method: http.MethodGet, Path: "/health", OperationID: "health", Tags: []string{"operations"},
		Summary:     "Whether the service can do its work",
		Description: "Peers are reported, but a dead peer does not make the service unhealthy.",
		Responses: map[string]*huma.Response{"500": {
			Description: "A resource of the service's own is missing",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: health}},
		}},
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		h := a.Health()
		if h.Status {
			return &healthOutput{http.StatusOK, h}, nil
		}
		return &healthOutput{http.StatusInternalServerError, h}, nil
	})
	a.Handle("GET /livez", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fine(w) }))
	a.Handle("GET /readyz", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.ready.Load() {
			WriteError(w, r, unavailable("starting or stopping"))
			return
		}
		fine(w)
	}))
}

func fine(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}
