package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Timeouts of a server, real time.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute  // longer than a client keeps a connection: the client closes, never the server under it
	maxHeader     = 64 << 10         // bytes
	pingAfter     = 30 * time.Second // of silence on an HTTP/2 connection: its client may be gone
	pingTimeout   = 15 * time.Second
	maxStreams    = 100 // requests at once on one HTTP/2 connection
)

// ServeOptions tune Serve; the zero value is good.
type ServeOptions struct {
	Log *slog.Logger
	// Linger is how long the server still takes requests after it has become unready, so that balancers notice.
	Linger time.Duration
	// Grace is how long requests under way may take after that; 30 s. What is not finished then is broken off.
	Grace time.Duration
	// TLS makes the server speak HTTPS, with HTTP/2; [Certificate.Config] is one. nil: plain HTTP.
	TLS *tls.Config
}

// Serve answers the listener's connections until ctx ends, and then stops without cutting a request: it turns
// unready (a handler with a Drain method is told), ends event streams, takes no more connections, and returns nil
// when everything is answered. It closes the listener. Any error means that something was cut, or that the
// listener failed.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, opt ServeOptions) error {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Grace == 0 {
		opt.Grace = 30 * time.Second
	}
	draining := make(chan struct{})
	base := context.WithValue(context.WithoutCancel(ctx), drainKey{}, (<-chan struct{})(draining))
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(opt.Log.Handler(), slog.LevelWarn),
		TLSConfig:         opt.TLS,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		// No ReadTimeout and no WriteTimeout: both would end event streams. Bodies have a deadline of their own, and so
		// has each write.
	}
	served := make(chan error, 1)
	go func() {
		if opt.TLS != nil {
			served <- server.ServeTLS(ln, "", "")
		} else {
			served <- server.Serve(ln)
		}
	}()
	select {
	case err := <-served:
		close(draining)
		_ = server.Close()
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	if d, ok := h.(interface{ Drain() }); ok {
		d.Drain()
	}
	if opt.Linger > 0 {
		t := time.NewTimer(opt.Linger)
		defer t.Stop()
		select {
		case <-t.C:
		case err := <-served:
			close(draining)
			_ = server.Close()
			return fmt.Errorf("serve %s: %w", ln.Addr(), err)
		}
	}
	close(draining)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), opt.Grace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		_ = server.Close()
		err = fmt.Errorf("serve %s: requests were cut: %w", ln.Addr(), err)
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

type drainKey struct{}

// Draining is closed when the server that answers the request begins to stop: whatever would go on for ever ends
// then. It is nil, which never happens, where no Serve is in charge.
func Draining(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(drainKey{}).(<-chan struct{})
	return c
}
