package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// TestStreamsOverHTTP2: to a browser that takes compressed answers an event arrives at once too.
func TestStreamsOverHTTP2(t *testing.T) {
	seen := make(chan struct{})
	local := httpapi.NewLocal(nil)
	local.Handle("order", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", httpapi.StreamType)
		_, _ = io.WriteString(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-seen
		_, _ = io.WriteString(w, "data: second\n\n")
	}))
	server := httptest.NewUnstartedServer(gateway.New(gateway.Options{
		Version: "test", Transport: local, Timeout: time.Second, Authenticate: auth.Trusting,
		Origins: origins(t, "https://shop.example.org"),
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer local.CloseIdleConnections()
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/orders/1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	req.Header.Set("Accept", httpapi.StreamType)
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if res.ProtoMajor != 2 || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %v", res.Proto, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	for _, want := range []string{"data: first", "", "data: second", ""} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("%q (%v), want %q", lines.Text(), lines.Err(), want)
		}
		if want == "data: first" {
			close(seen)
		}
	}
}
