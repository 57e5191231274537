// Package static is the registry that is written down: a fixed list of instances. It never fails and never changes
// by itself; Set replaces a list while everybody goes on.
package static

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry"
)

// Registry maps services to the base URLs of their instances. It is safe for concurrent use.
type Registry struct {
	mu       sync.RWMutex
	services map[string][]string
}

// New takes the lists; an error names the first URL that is none.
func New(services map[string][]string) (*Registry, error) {
	r := &Registry{services: map[string][]string{}}
	for name, urls := range services {
		if err := r.Set(name, urls...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Set replaces a service's list; an empty one makes the service unknown.
func (r *Registry) Set(service string, urls ...string) error {
	if err := registry.CheckURLs(service, urls...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(urls) == 0 {
		delete(r.services, service)
		return nil
	}
	r.services[service] = slices.Clone(urls)
	return nil
}

// Resolve is httpapi.Resolver.
func (r *Registry) Resolve(_ context.Context, service string) ([]string, error) {
	r.mu.RLock()
	urls := r.services[service]
	r.mu.RUnlock()
	if len(urls) == 0 {
		return nil, fmt.Errorf("%s: %w", service, httpapi.ErrNoService)
	}
	return urls, nil
}
