package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/keyring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// locked is a writer that others look at.
type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// TestSnapshot: nothing is known before the first answer, everything after it, whatever becomes of the source.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu    sync.Mutex // of all that the source is made of, and of the log
			log   bytes.Buffer
			asked []string
			keys  = []auth.Key{{ID: "a"}}
			tag   = "1"
			fails = errors.New("away")
		)
		s := keyring.New(keyring.Options{
			Log: slog.New(slog.NewTextHandler(locked{&mu, &log}, nil)),
			Source: func(ctx context.Context, etag string) ([]auth.Key, string, bool, error) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, etag)
				if _, ok := ctx.Deadline(); !ok {
					t.Error("the source may take for ever")
				}
				if fails != nil {
					return nil, "", false, fails
				}
				return keys, tag, etag != tag, nil
			},
		})
		find := func(id string, want bool, wantErr error) {
			t.Helper()
			if _, ok, err := s.Find(id); ok != want || !errors.Is(err, wantErr) {
				t.Errorf("%s: %t %v", id, ok, err)
			}
		}
		// pass lets time pass, and looks at what is there then.
		pass := func(d time.Duration) {
			mu.Unlock()
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
		}
		mu.Lock()
		defer mu.Unlock()
		s.Start(t.Context())
		pass(time.Second)
		find("a", false, httpapi.ErrUnavailable)
		fails = nil
		pass(time.Second)
		<-s.Ready()
		find("a", true, nil)
		find("b", false, nil)
		if last := asked[len(asked)-1]; last != "1" {
			t.Errorf("asked with %q", last)
		}
		keys, tag = []auth.Key{{ID: "b"}}, "2"
		pass(500 * time.Millisecond)
		find("a", false, nil)
		find("b", true, nil)
		fails = errors.New("away")
		pass(4 * time.Second)
		if log.Len() > 0 {
			t.Errorf("too early: %s", log.String())
		}
		pass(time.Minute)
		find("b", true, nil)
		if n := strings.Count(log.String(), "nobody tells them"); n != 1 {
			t.Errorf("said %d times: %s", n, log.String())
		}
		fails = nil
		pass(time.Second)
		if !strings.Contains(log.String(), "known again") {
			t.Errorf("%s", log.String())
		}
		mu.Unlock()
		s.Stop()
		mu.Lock()
		n := len(asked)
		pass(time.Minute)
		if len(asked) != n {
			t.Error("asked after Stop")
		}
		find("b", true, nil)
	})
}

// TestStop: before Start, and while the source is being asked.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := func(ctx context.Context, _ string) ([]auth.Key, string, bool, error) {
			<-ctx.Done()
			return nil, "", false, ctx.Err()
		}
		keyring.New(keyring.Options{Source: source}).Stop()
		s := keyring.New(keyring.Options{Source: source})
		s.Start(t.Context())
		synctest.Wait()
		s.Stop()
	})
}
