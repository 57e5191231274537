package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// heartbeat is how often a silent stream says that it is alive, real time.
const heartbeat = 15 * time.Second

// StreamType is the content type of server-sent events.
const StreamType = "text/event-stream"

// Events is what an event stream sends. It is safe for concurrent use, and void once the stream's function has
// returned.
type Events struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	buf  bytes.Buffer
	over bool
	err  error
}

var errStreamOver = errors.New("the stream is over")

// Send writes one event and hands it to the client before it returns. id may be empty; a client that comes back
// sends the last one as Last-Event-ID. data becomes JSON. An error means that the client is gone.
func (e *Events) Send(name, id string, data any) error {
	if strings.ContainsAny(name, "\r\n") || strings.ContainsAny(id, "\r\n\x00") {
		return fmt.Errorf("event %q: a line break in a name or id", name)
	}
	body, err := json.Marshal(data) // has no line breaks
	if err != nil {
		return fmt.Errorf("event %s: %w", name, err)
	}
	return e.write(func(b *bytes.Buffer) {
		if name != "" {
			b.WriteString("event: " + name + "\n")
		}
		if id != "" {
			b.WriteString("id: " + id + "\n")
		}
		b.WriteString("data: ")
		b.Write(body)
		b.WriteString("\n\n")
	})
}

func (e *Events) write(frame func(*bytes.Buffer)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return errStreamOver
	}
	if e.err != nil {
		return e.err
	}
	e.buf.Reset()
	frame(&e.buf)
	if _, err := e.w.Write(e.buf.Bytes()); err != nil {
		e.err = fmt.Errorf("event stream: %w", err)
		return e.err
	}
	if err := http.NewResponseController(e.w).Flush(); err != nil {
		e.err = fmt.Errorf("event stream: %w", err)
	}
	return e.err
}

// Stream answers with server-sent events: the header at once, then what run sends, a comment every 15 s in
// between, until run returns. run's context ends with the request, with a client that went away, and when the
// server stops.
func Stream(w http.ResponseWriter, r *http.Request, run func(context.Context, *Events)) {
	h := w.Header()
	h.Set("Content-Type", StreamType)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // for proxies that would collect
	w.WriteHeader(http.StatusOK)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	e := &Events{w: w}
	if err := e.write(func(b *bytes.Buffer) { b.WriteString(": \n\n") }); err != nil {
		return
	}
	var beats sync.WaitGroup
	beats.Go(func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := e.write(func(b *bytes.Buffer) { b.WriteString(": \n\n") }); err != nil {
					cancel() // the client is gone
					return
				}
			case <-Draining(ctx):
				cancel()
				return
			case <-ctx.Done():
				return
			}
		}
	})
	defer beats.Wait()
	defer cancel()
	defer e.end()
	run(ctx, e)
}

func (e *Events) end() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
}

// RegisterStream adds a route that answers with server-sent events. open looks at the input and answers an error,
// or returns what runs the stream; see [Stream]. D is what the events carry, for the
// documentation.
func RegisterStream[I, D any](a *API, access auth.Access, op Operation, open func(context.Context, *I) (func(context.Context, *Events), error)) {
	type output struct{ Body func(huma.Context) }
	data := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[D](), true, op.OperationID+"Event")
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Server-sent events; the data of each is of the schema " + path.Base(data.Ref),
		// The body is a text. OpenAPI 3.1 has no word for what is in its events.
		Content: map[string]*huma.MediaType{StreamType: {Schema: &huma.Schema{
			Type: huma.TypeString, Extensions: map[string]any{"x-event-data": data},
		}}},
	}}
	Register(a, access, op, func(ctx context.Context, in *I) (*output, error) {
		run, err := open(ctx, in)
		if err != nil {
			return nil, err
		}
		return &output{func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			Stream(w, r, run)
		}}, nil
	})
}
