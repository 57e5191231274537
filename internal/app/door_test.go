package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func TestDoorErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		door Door
		says string // "": it is valid
	}{
		{"nothing", Door{}, ""},
		{"all of it", Door{CORSOrigin: []string{"https://shop.example.org"}, TrustedProxies: []string{"10.0.0.0/8", "::1"}, LimitAddress: 1, LimitKey: 2}, ""},
		{"a limit", Door{LimitOrders: -1}, "limit-orders: -1 is not valid; expected a number"},
		{"an origin", Door{CORSOrigin: []string{"shop.example.org"}}, "cors-origin: \"shop.example.org\" is not valid; expected scheme://host[:port]"},
		{"any and another", Door{CORSOrigin: []string{"*", "https://x"}}, "cors-origin: * allows any origin, without credentials"},
		{"a network", Door{TrustedProxies: []string{"10.0.0.0/99"}}, "trusted-proxies: \"10.0.0.0/99\" is not valid; expected a network"},
		{"no key", Door{TLSCert: "x"}, "tls-key: missing"},
		{"no certificate", Door{TLSKey: "x"}, "tls-cert: missing"},
	} {
		err := embedded(t, func(cfg *Config) { cfg.Door = c.door }).Check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	cfg := embedded(t, func(cfg *Config) { cfg.Partners, cfg.TLSCert, cfg.TLSKey = true, "missing.pem", "missing.key" })
	if _, err := New(t.Context(), cfg, Services...); err == nil || !strings.Contains(err.Error(), "tls-cert, tls-key: certificate: ") {
		t.Errorf("files that are not there: %v", err)
	}
	cfg.APIKey = aKey
	serving := ServeConfig{Config: cfg, Units: []string{Gateway}, Listen: "127.0.0.1", Say: func(string) {}}
	if err := Serve(t.Context(), serving); err == nil || !strings.Contains(err.Error(), "tls-cert, tls-key: certificate: ") {
		t.Errorf("files that are not there, apart: %v", err)
	}
}

// TestHTTPS: everything in one process behind a certificate.
func TestHTTPS(t *testing.T) {
	borrowed := httptest.NewTLSServer(nil)
	pair := borrowed.TLS.Certificates[0]
	pool := x509.NewCertPool()
	pool.AddCert(borrowed.Certificate())
	borrowed.Close()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cfg := embedded(t, nil)
	cfg.Partners = true // or it wants secrets of the companies
	cfg.TLSCert, cfg.TLSKey = filepath.Join(cfg.Data, "tls.crt"), filepath.Join(cfg.Data, "tls.key")
	cfg.LimitAddress = 300
	for name, block := range map[string]*pem.Block{
		cfg.TLSCert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, cfg.TLSKey: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sys, err := New(t.Context(), cfg, Services...)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- sys.Serve(ctx, ln, sys.Gateway) }()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	res, err := (&http.Client{Transport: tr}).Get(fmt.Sprintf("https://%s/health", ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	var h httpapi.Health
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil || !h.Status || res.ProtoMajor != 2 || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %v %+v (%v)", res.Proto, res.Header, h, err)
	}
	if want := int(time.Until(borrowed.Certificate().NotAfter) / (24 * time.Hour)); h.CertRemainingDays < want-1 || h.CertRemainingDays == 0 {
		t.Errorf("%d days are left, want %d", h.CertRemainingDays, want)
	}
	_ = res.Body.Close()
	tr.CloseIdleConnections()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := sys.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
