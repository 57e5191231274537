package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func local(t *testing.T, h http.HandlerFunc) *httpapi.Local {
	l := httpapi.NewLocal(nil)
	l.Handle("order", h)
	t.Cleanup(l.CloseIdleConnections)
	return l
}

func roundTrip(ctx context.Context, l http.RoundTripper, method, url, body string) (*http.Response, error) {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return nil, err
	}
	return l.RoundTrip(req)
}

func TestLocalCarriesRequestAndAnswer(t *testing.T) {
	l := local(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.URL.String() != "/v1/orders?limit=2" || r.RequestURI != "/v1/orders?limit=2" || r.Host != "order" ||
			r.URL.Host != "" || r.ContentLength != 2 {
			t.Errorf("%v %+v", err, r)
		}
		w.Header().Set("X-A", "1")
		w.WriteHeader(http.StatusAccepted)
		w.Header().Set("X-B", "late")
		w.WriteHeader(500)
		_, _ = w.Write(bytes.ToUpper(b))
	})
	res, err := roundTrip(t.Context(), l, "POST", "http://order/v1/orders?limit=2", "ab")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "AB" || res.StatusCode != 202 || res.Status != "202 Accepted" || res.ContentLength != 2 ||
		res.Header.Get("X-A") != "1" || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v %q %+v", err, b, res)
	}
	_ = res.Body.Close()
	if _, err := res.Body.Read(make([]byte, 1)); err == nil {
		t.Error("a closed body was read")
	}
}

func TestLocalBodilessAnswers(t *testing.T) {
	l := local(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
		case "/204":
			w.WriteHeader(204)
			if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("Write: %v", err)
			}
		default:
			_, _ = w.Write([]byte("x"))
		}
	})
	for path, status := range map[string]int{"/none": 200, "/204": 204, "/head": 200} {
		method := "GET"
		if path == "/head" {
			method = "HEAD"
		}
		res, err := roundTrip(t.Context(), l, method, "http://order"+path, "")
		if err != nil || res.StatusCode != status {
			t.Fatalf("%s: %v %v", path, res, err)
		}
		if b, err := io.ReadAll(res.Body); err != nil || len(b) != 0 {
			t.Errorf("%s: %q %v", path, b, err)
		}
		_ = res.Body.Close()
	}
}

func TestLocalUnknownHost(t *testing.T) {
	l := local(t, func(http.ResponseWriter, *http.Request) {})
	_, err := roundTrip(t.Context(), l, "GET", "http://nobody/", "x")
	var dial *net.OpError
	if !errors.As(err, &dial) || dial.Op != "dial" {
		t.Errorf("%v", err)
	}
	l = httpapi.NewLocal(l) // the fallback has it
	if res, err := roundTrip(t.Context(), l, "GET", "http://order/", ""); err != nil {
		t.Error(err)
	} else {
		_ = res.Body.Close()
	}
	l.Handle("order", http.NotFoundHandler())
	if res, err := roundTrip(t.Context(), l, "GET", "http://order/", ""); err != nil || res.StatusCode != 404 {
		t.Error(res, err)
	}
	l.Handle("order", nil)
	if res, err := roundTrip(t.Context(), l, "GET", "http://order/", ""); err != nil || res.StatusCode != 200 {
		t.Error(res, err)
	}
	l.CloseIdleConnections()
}

func TestLocalPanic(t *testing.T) {
	l := local(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			_, _ = w.Write([]byte("begun"))
			w.(http.Flusher).Flush()
		}
		panic("oops")
	})
	if res, err := roundTrip(t.Context(), l, "GET", "http://order/", ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v %v", res, err)
	}
	res, err := roundTrip(t.Context(), l, "GET", "http://order/late", "")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(b) != "begun" {
		t.Errorf("%q %v", b, err)
	}
	_ = res.Body.Close()
}

func TestLocalCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 1)
		l := local(t, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			told <- r.Context().Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := roundTrip(ctx, l, "GET", "http://order/", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := <-told; err == nil {
			t.Error("the handler was not told")
		}
		if _, err := roundTrip(ctx, l, "GET", "http://order/", "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestLocalCallerGivesUpOnAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan struct{})
		l := local(t, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			if _, err := w.Write([]byte("x")); err == nil {
				t.Error("written to nobody")
			}
			close(told)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		res, err := roundTrip(ctx, l, "GET", "http://order/", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := res.Body.Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-told
		_ = res.Body.Close()
	})
}

type valueKey struct{}

func TestLocalValuesStopAtTheWall(t *testing.T) {
	l := local(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Context().Value(valueKey{}) != nil {
			t.Error("a value came through")
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if ctx.Value(valueKey{}) != nil {
			t.Error("a value came through a child")
		}
	})
	res, err := roundTrip(context.WithValue(t.Context(), valueKey{}, 1), l, "GET", "http://order/", "")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// Whatever the sizes and the pace, what is read is what was written, and the writer is never far ahead.
func TestLocalLargeAnswers(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 64 << 10, 64<<10 + 1, 3 << 20} {
		for _, chunk := range []int{1 << 10, 100_000} {
			want := bytes.Repeat([]byte("tiffin "), size/7+1)[:size]
			l := local(t, func(w http.ResponseWriter, _ *http.Request) {
				for rest := want; len(rest) > 0; {
					n := min(chunk, len(rest))
					if _, err := w.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			})
			res, err := roundTrip(t.Context(), l, "GET", "http://order/", "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d in pieces of %d: %d, %v", size, chunk, len(got), err)
			}
			_ = res.Body.Close()
		}
	}
}

func TestLocalWriterWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := 0
		l := local(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				n, err := w.Write(make([]byte, 10_000))
				if written += n; err != nil {
					return
				}
			}
			t.Error("10 MB were kept for nobody")
		})
		res, err := roundTrip(t.Context(), l, "GET", "http://order/", "")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if written > 200_000 {
			t.Errorf("%d bytes ahead", written)
		}
		_ = res.Body.Close()
		synctest.Wait()
	})
}

func TestLocalManyAtOnce(t *testing.T) {
	l := local(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(b)
	})
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 200 {
				path, want := "/", fmt.Sprint(i, j)
				if j%3 == 0 {
					path = "/stream"
				}
				res, err := roundTrip(t.Context(), l, "POST", "http://order"+path, want)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || string(got) != want {
					t.Errorf("%q, want %q: %v", got, want, err)
				}
				if j == 100 {
					l.CloseIdleConnections()
				}
			}
		})
	}
	group.Wait()
}
