package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestGracefulShutdown: SIGTERM under load cuts no request that was taken on, ends with 0 and leaves nothing behind
// that the next start does not take up.
func TestGracefulShutdown(t *testing.T) {
	t.Parallel()
	const (
		answered = 40 // before the signal
		held     = 8  // taken on before the signal, and sent to their end only after it
	)
	ctx := within(t, 90*time.Second)
	data := t.TempDir()
	p := up(t, data, "--speed", "1000")
	s := &shop{t: t, ctx: ctx, url: p.address(), outside: newOutside(t), some: make(chan struct{}, 1<<10)}
	s.http.Transport.(*http.Transport).ExpectContinueTimeout = patience

	// An event stream says when the server begins to stop: it would go on for ever otherwise.
	stopping := make(chan struct{})
	never := s.post(bytes.NewReader(s.wish(mute)), "never")
	if never.err != nil || never.status != http.StatusAccepted {
		t.Fatalf("%+v", never)
	}
	go func() {
		defer close(stopping)
		if err := s.follow(ctx, s.url, never.order(t).ID, 0, func(event) bool { return true }); err != nil {
			t.Error(err)
		}
	}()

	var shoppers sync.WaitGroup
	for i := range 4 {
		shoppers.Go(func() { s.shop(i) })
	}
	await := func(n int, what <-chan struct{}) {
		t.Helper()
		for range n {
			select {
			case <-what:
			case <-ctx.Done():
				t.Fatal("nothing happens any more")
			}
		}
	}
	await(answered, s.some)
	release, begun := make(chan struct{}), make(chan struct{}, held)
	slow := make(chan *post, held)
	for i := range held {
		go func() {
			for {
				p := s.post(&slowBody{text: s.wish(ada), begun: begun, release: release}, fmt.Sprintf("held-%d", i))
				if !p.turnedAway() { // which happens before a body is read
					slow <- p
					return
				}
			}
		}()
	}
	await(held, begun)

	p.terminate()
	select {
	case <-stopping:
	case <-p.ended:
		t.Fatalf("it ended over requests under way:\n%s", p.said())
	}
	select {
	case <-p.ended:
		t.Fatalf("it ended over requests under way:\n%s", p.said())
	default:
	}
	close(release)
	for range held {
		late := <-slow
		if !late.taken.Load() {
			t.Errorf("%s was never taken on: this run shows little", late.key)
		}
		s.take(late)
	}
	shoppers.Wait()
	if code := p.awaitEnd(); code != 0 {
		t.Errorf("SIGTERM: it ended with %d:\n%s", code, p.said())
	}
	p.mustBeCalm()

	checked := run(t, "verify", "--data", data, "--json")
	report := decoded[verify.Report](t, []byte(checked.out))
	if checked.code != 0 || report.Orders != len(s.posts)+1 || report.Open < 2 {
		t.Errorf("after the stop: %s; %d were accepted", checked, len(s.posts)+1)
	}
	t.Logf("%d answered, %d of them after SIGTERM, %d never taken on; %d orders open at the stop",
		len(s.posts), held, s.refused.Load(), report.Open)

	again := up(t, data, "--speed", "1000")
	s.url = again.address()
	for _, was := range s.posts {
		a, err := s.do(ctx, http.MethodPost, s.url+"/v1/orders", was.sent, "Idempotency-Key", was.key)
		if err != nil || a.status != http.StatusAccepted || !bytes.Equal(a.body, was.body) {
			t.Errorf("%s was answered %s, and after the restart %s, %v", was.key, was.answer, a, err)
		}
		settled := false
		if err := s.follow(ctx, s.url, was.order(t).ID, 0, func(e event) bool {
			settled = e.Settled
			return !settled
		}); err != nil || !settled {
			t.Errorf("%s: its order is not finished after the restart: %v", was.key, err)
		}
	}
	again.stop()
}

// shop is where orders are placed with the knowledge of whether the server took a request on: it is asked for leave
// to send the body, and gives it when it begins to read.
type shop struct {
	outside
	t       *testing.T
	ctx     context.Context
	url     string
	some    chan struct{} // one for each answer
	refused atomic.Int64

	mu    sync.Mutex
	posts []*post
}

// post is one request and what came of it.
type post struct {
	key   string
	sent  []byte
	taken atomic.Bool // the server began to read it
	answer
	err error
}

func (p *post) order(t *testing.T) wire.Order { return decoded[wire.Order](t, p.body) }

func (s *shop) wish(customer string) []byte {
	return []byte(`{"customer_id":"` + customer + `","items":[{"product":"Lasagna"}]}`)
}

// post places an order whose body is a whole wish, however slowly it is read.
func (s *shop) post(body io.Reader, key string) *post {
	var sent bytes.Buffer
	p := &post{key: key}
	ctx := httptrace.WithClientTrace(s.ctx, &httptrace.ClientTrace{Got100Continue: func() { p.taken.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/orders", io.TeeReader(body, &sent))
	if err != nil {
		p.err = err
		return p
	}
	req.ContentLength = int64(len(s.wish(ada)))
	s.show(req.Header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Expect", "100-continue")
	res, err := s.http.Do(req)
	if err != nil {
		p.err = err
		return p
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	p.status, p.header = res.StatusCode, res.Header
	p.body, p.err = io.ReadAll(res.Body)
	p.sent = sent.Bytes()
	return p
}

// shop places orders until nobody takes them any more.
func (s *shop) shop(i int) {
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		p := s.post(bytes.NewReader(s.wish(ada)), fmt.Sprintf("shopper-%d-%d", i, n))
		if p.err != nil && !p.taken.Load() {
			s.refused.Add(1)
			return
		}
		if !p.turnedAway() {
			s.take(p)
			select {
			case s.some <- struct{}{}:
			default: // nobody counts any more
			}
		}
		select {
		case <-pace.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// take notes the answer, which a request that was taken on must have.
func (s *shop) take(p *post) {
	if p.err != nil || p.status != http.StatusAccepted || !strings.HasPrefix(p.header.Get("Location"), "/v1/orders/") {
		s.t.Errorf("%s was taken on (%t), and answered %s, %v", p.key, p.taken.Load(), p.answer, p.err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts = append(s.posts, p)
}

// slowBody is a body that says when it is asked for, and is not sent before release.
type slowBody struct {
	text    []byte
	begun   chan<- struct{}
	release <-chan struct{}
	read    bool
}

func (b *slowBody) Read(into []byte) (int, error) {
	if !b.read {
		b.read = true
		b.begun <- struct{}{}
		<-b.release
	}
	n := copy(into, b.text)
	b.text = b.text[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
