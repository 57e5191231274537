package engines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// patience is how long a server may take to be ready. What takes this long is stuck, even on a busy machine.
const patience = 2 * time.Minute

// Server is a private server: one that this process started. It is killed and started again by one goroutine at a
// time; URL, Side, Version and From may be asked by any.
type Server struct {
	kind   Kind
	folder string // everything it writes is below
	url    string
	side   string
	from   string

	mu      sync.Mutex // over the parts: started and killed as one
	parts   []part     // in the order in which they start
	version string
}

// part is one of the things a server consists of. It starts again on the same port, over the same data.
type part interface {
	start(context.Context) error // returns when it is ready
	kill(context.Context) error  // leaves data; returns when it is gone
	stop() error                 // leaves nothing
}

// Start starts a private server of what is installed here, and returns when it answers. The error is ErrMissing
// where nothing is.
//
// PostgreSQL and MongoDB have promised what they acknowledged, and so has RabbitMQ for durable queues; Redis, Consul
// and Jaeger forget everything when they are killed.
func Start(ctx context.Context, k Kind) (*Server, error) {
	src, err := choose(ctx, k, nil)
	if err != nil {
		return nil, err
	}
	return src.launch(ctx, k)
}

// Provide is Start, after installing what is missing where it may: as root on Debian by apt, what is written in Go by
// building it into a cache, else from Docker's registry. It says what takes long.
func Provide(ctx context.Context, k Kind, say func(string)) (*Server, error) {
	src, err := choose(ctx, k, say)
	if err != nil {
		return nil, err
	}
	return src.launch(ctx, k)
}

// Version is what the server at the URL calls itself. It is an error that it does not answer.
func Version(ctx context.Context, k Kind, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return probe(ctx, k, url)
}

// launch starts a server from the source, which is known to be here.
func (src source) launch(ctx context.Context, k Kind) (*Server, error) {
	folder, err := os.MkdirTemp("", "tiffin-"+string(k)+"-")
	if err != nil {
		return nil, fmt.Errorf("a folder for %s: %w", k, err)
	}
	s := &Server{kind: k, folder: folder, from: src.name}
	if err = src.lay(ctx, s); err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s from %s: %w", k, src.name, err), s.Stop())
	}
	return s, nil
}

// URL is where the server answers, also after it was killed and started again. It names no database (MongoDB), the
// database postgres (PostgreSQL), the vhost / (RabbitMQ), the database 0 (Redis), the query API (Jaeger).
func (s *Server) URL() string { return s.url }

// Side is the server's second address: RabbitMQ's management API, with user and password, and Jaeger's receiver of
// OTLP over HTTP. It is "" for the others.
func (s *Server) Side() string { return s.side }

// Version is what the server calls itself.
func (s *Server) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// From is what the server was started from: a program's name, or a Docker image.
func (s *Server) From() string { return s.from }

// Kill is kill -9. It returns when the server is gone; its data and its port stay. RabbitMQ is killed a second or two
// after its youngest quorum queue was made, not before, because it would lose it.
func (s *Server) Kill(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, p := range slices.Backward(s.parts) {
		if err := p.kill(ctx); err != nil {
			return fmt.Errorf("killing %s: %w", s.kind, err)
		}
	}
	return nil
}

// Start starts a server that was killed, on the same port and over the same data, and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, p := range s.parts {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	return await(ctx, nil, func(ctx context.Context) (err error) {
		s.version, err = probe(ctx, s.kind, s.url)
		return err
	})
}

// Stop ends the server and removes everything it wrote. Stopping it twice is no error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(s.parts) {
		errs = append(errs, p.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

// run adds a program, in a folder of its own, to what the server consists of.
func (s *Server) run(name string, p *process) error {
	p.folder = filepath.Join(s.folder, name)
	if err := os.Mkdir(p.folder, 0o700); err != nil {
		return err
	}
	if p.user != nil {
		for _, folder := range []string{s.folder, p.folder} {
			if err := os.Chown(folder, int(p.user.Uid), int(p.user.Gid)); err != nil {
				return err
			}
		}
	}
	if p.end == "" {
		p.end = atOnce
	}
	if p.ready == nil {
		p.ready = func(ctx context.Context) error {
			_, err := probe(ctx, s.kind, s.url)
			return err
		}
	}
	s.parts = append(s.parts, p)
	return nil
}

// freePorts are n ports of 127.0.0.1 that nobody listens at. They lie below those that systems give to outgoing
// connections: a server that was killed must find its port free when it comes back.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		l, err := net.Listen("tcp", local(port)) //nolint:noctx // it waits for nothing
		if err != nil || slices.Contains(ports, port) {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return nil, errors.New("no port is free")
}

func local(port string) string { return "127.0.0.1:" + port }
