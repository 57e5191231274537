package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestDialable(t *testing.T) {
	allowed := slices.Concat(Private, Loopback, prefixes("203.0.113.7/32", "169.254.0.0/16", "100.100.100.200/32"))
	for _, tt := range []struct {
		addr                string
		always, whenAllowed bool
	}{
		{"8.8.8.8", true, true}, {"104.16.1.1", true, true}, {"2606:4700::1111", true, true}, {"2a00:1450:4001::5", true, true},
		{"::ffff:8.8.8.8", true, true}, {"64:ff9b::808:808", true, true}, {"172.32.0.1", true, true}, {"100.128.0.1", true, true},

		{"127.0.0.1", false, true}, {"127.9.9.9", false, true}, {"::1", false, true}, {"::ffff:127.0.0.1", false, true},
		{"64:ff9b::7f00:1", false, true}, {"10.1.2.3", false, true}, {"172.16.0.1", false, true}, {"172.31.255.255", false, true},
		{"192.168.1.1", false, true}, {"::ffff:10.0.0.1", false, true}, {"fc00::1", false, true}, {"fdff::1", false, true},
		{"203.0.113.7", false, true}, {"169.254.1.1", false, true}, {"100.100.100.200", false, true},

		{"203.0.113.8", false, false}, {"0.0.0.0", false, false}, {"0.1.2.3", false, false}, {"::", false, false},
		{"169.254.169.254", false, false}, {"::ffff:169.254.169.254", false, false}, {"64:ff9b::a9fe:a9fe", false, false},
		{"fd00:ec2::254", false, false}, {"168.63.129.16", false, false}, {"100.64.0.1", false, false}, {"100.127.255.255", false, false},
		{"224.0.0.1", false, false}, {"239.255.255.255", false, false}, {"255.255.255.255", false, false}, {"240.0.0.1", false, false},
		{"198.18.0.1", false, false}, {"192.0.0.8", false, false}, {"fe80::1", false, false}, {"fe80::1%eth0", false, false},
		{"fec0::1", false, false}, {"ff02::1", false, false}, {"2001:db8::1", false, false}, {"2002:7f00:1::", false, false},
		{"2001:0:7f00:1::", false, false}, {"64:ff9b:1::7f00:1", false, false}, {"100::1", false, false}, {"::127.0.0.1", false, false},
		{"3fff::1", false, false}, {"5f00::1", false, false},
	} {
		a := netip.MustParseAddr(tt.addr)
		if got := dialable(a, nil); got != tt.always {
			t.Errorf("%s: %v", tt.addr, got)
		}
		if got := dialable(a, allowed); got != tt.whenAllowed {
			t.Errorf("%s, where it is allowed: %v", tt.addr, got)
		}
	}
}

// TestOuterTransport: the address is looked at when it is dialled, whatever the name, and no proxy comes between.
func TestOuterTransport(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	call := func(base string, allow []netip.Prefix) (Result, error) {
		transport := NewOuterTransport(allow)
		defer transport.CloseIdleConnections()
		c := NewClient(ClientOptions{
			Resolver: where(base), Transport: NewLocal(nil), Outside: map[string]Outside{"card": {Transport: transport}},
		})
		return c.Do(context.Background(), Call{To: "card", Op: "GET /billings/1"})
	}
	for _, base := range []string{server.URL, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port} {
		_, err := call(base, Private)
		if !errors.Is(err, ErrNotPublic) || !strings.HasPrefix(err.Error(), "card: ") || !strings.HasSuffix(err.Error(), "allow it with --partner-networks") {
			t.Errorf("%s: %v", base, err)
		}
	}
	if reached != 0 {
		t.Errorf("%d requests came through", reached)
	}
	if r, err := call(server.URL, Loopback); err != nil || r.Status != http.StatusFound || reached != 1 {
		t.Errorf("allowed: %d, %v, %d requests", r.Status, err, reached)
	}
}

// where is a resolver of one place.
type where string

func (w where) Resolve(context.Context, string) ([]string, error) { return []string{string(w)}, nil }

// TestOutsideIsSigned: an outside company is shown a signature over what it is sent, and none of our keys; every
// attempt is signed anew under the same id.
func TestOutsideIsSigned(t *testing.T) {
	type sight struct{ id, body, signature, key string }
	var seen []sight
	local := NewLocal(nil)
	defer local.CloseIdleConnections()
	for _, name := range []string{"card", "order"} {
		local.Handle(name, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			seen = append(seen, sight{r.Header.Get("Webhook-Id"), r.Header.Get("X-Request-Id"), r.Header.Get("Webhook-Signature"), r.Header.Get(APIKeyHeader)})
		}))
	}
	n := 0
	c := NewClient(ClientOptions{
		Resolver: named{}, Transport: local, Keys: map[string]string{"order": "ours"},
		Outside: map[string]Outside{"card": {Sign: func(id string, body []byte) http.Header {
			n++
			return http.Header{"Webhook-Id": {id}, "Webhook-Signature": {strings.Repeat("x", n) + string(body)}}
		}}},
	})
	post := Call{To: "card", Op: "POST /billings", Body: []byte(`{}`), IdempotencyKey: "o/charge/1"}
	for _, call := range []Call{post, post, {To: "card", Op: "GET /billings/1"}, {To: "order", Op: "GET /"}} {
		if _, err := c.Do(context.Background(), call); err != nil {
			t.Fatal(err)
		}
	}
	if seen[0].id != "o/charge/1" || seen[1].id != "o/charge/1" || seen[0].signature != "x{}" || seen[1].signature != "xx{}" {
		t.Errorf("the two attempts: %+v", seen[:2])
	}
	if seen[2].id == "" || seen[2].signature != "xxx" {
		t.Errorf("the question: %+v", seen[2])
	}
	if seen[0].key != "" || seen[3].key != "ours" || seen[3].signature != "" {
		t.Errorf("the key: %+v", seen)
	}
}

type named struct{}

func (named) Resolve(_ context.Context, name string) ([]string, error) {
	return []string{"http://" + name}, nil
}
