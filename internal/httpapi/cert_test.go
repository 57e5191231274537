package httpapi_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// authority is a certificate authority of the test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert, key, x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// issue writes a pair for 127.0.0.1 that is good for so many days, over what is there.
func (a *authority) issue(t *testing.T, opt httpapi.CertificateOptions, serial int64, days int) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days).Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, opt.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, opt.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if name == "" {
		return
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pairIn(folder string) httpapi.CertificateOptions {
	return httpapi.CertificateOptions{Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}
}

// watch is a clock that the test sets.
type watch struct{ ahead atomic.Int64 }

func (w *watch) now() time.Time              { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *watch) forward(d time.Duration)     { w.ahead.Add(int64(d)) }
func serialOf(s *tls.ConnectionState) string { return s.PeerCertificates[0].SerialNumber.String() }

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// TestTLS: HTTP/2, its expiry on the health page, and a new certificate for new connections while the open ones, and a
// request under way, go on.
func TestTLS(t *testing.T) {
	ca, w, said := newAuthority(t), &watch{}, &lines{}
	opt := pairIn(t.TempDir())
	opt.Now, opt.Log = w.now, slog.New(slog.NewTextHandler(said, nil))
	ca.issue(t, opt, 7, 30)
	c, err := httpapi.OpenCertificate(opt)
	if err != nil {
		t.Fatal(err)
	}
	inside, finish := make(chan struct{}), make(chan struct{})
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1", CertExpires: c.Expires})
	a.Handle("GET /slow", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "whole")
		_ = http.NewResponseController(w).Flush()
		close(inside)
		<-finish
	}))
	url, stop, ended := start(t, a, httpapi.ServeOptions{TLS: c.Config()})
	url = "https" + strings.TrimPrefix(url, "http")
	client := func() *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	get := func(c *http.Client, path string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	read := func(res *http.Response) string {
		t.Helper()
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	days := func(body string) int {
		var h httpapi.Health
		if err := json.Unmarshal([]byte(body), &h); err != nil {
			t.Error(err)
		}
		return h.CertRemainingDays
	}
	old := client()
	res := get(old, "/health")
	if res.ProtoMajor != 2 || res.TLS.Version != tls.VersionTLS13 || serialOf(res.TLS) != "7" {
		t.Errorf("%s, TLS %x, certificate %s", res.Proto, res.TLS.Version, serialOf(res.TLS))
	}
	if d := days(read(res)); d != 30 {
		t.Errorf("%d days are left", d)
	}
	slow := get(old, "/slow")
	<-inside
	if kept := serialOf(get(client(), "/livez").TLS); kept != "7" {
		t.Errorf("certificate %s before anything changed", kept)
	}

	key := opt.Key
	opt.Key = ""
	ca.issue(t, opt, 8, 60) // the certificate alone: it does not belong to the key
	w.forward(2 * time.Second)
	for range 2 {
		if kept := serialOf(get(client(), "/livez").TLS); kept != "7" {
			t.Errorf("certificate %s with another's key", kept)
		}
		w.forward(2 * time.Second)
	}
	if n := said.count("cannot be used"); n != 1 {
		t.Errorf("told %d times", n)
	}
	opt.Key = key
	ca.issue(t, opt, 9, 90)
	w.forward(2 * time.Second)
	if now := serialOf(get(client(), "/livez").TLS); now != "9" || c.Expires().Before(time.Now().AddDate(0, 0, 89)) {
		t.Errorf("certificate %s after the change, good until %s", now, c.Expires())
	}
	if still := serialOf(get(old, "/livez").TLS); still != "7" {
		t.Error("an open connection was dropped")
	}
	close(finish)
	if body := read(slow); body != "whole" {
		t.Errorf("the request under way: %q", body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWrongCertificates(t *testing.T) {
	ca := newAuthority(t)
	good, other := pairIn(t.TempDir()), pairIn(t.TempDir())
	ca.issue(t, good, 1, 1)
	ca.issue(t, other, 2, 1)
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, nil)
	for what, opt := range map[string]httpapi.CertificateOptions{
		"certificate": {Cert: "missing.pem", Key: good.Key}, "private key": {Cert: good.Cert, Key: "missing.pem"},
		"does not match": {Cert: good.Cert, Key: other.Key}, "failed to find": {Cert: empty, Key: good.Key},
	} {
		if _, err := httpapi.OpenCertificate(opt); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPlainOnTLS: who speaks plain HTTP to it is told so, and old protocols are refused.
func TestPlainOnTLS(t *testing.T) {
	ca, opt := newAuthority(t), pairIn(t.TempDir())
	ca.issue(t, opt, 1, 1)
	c, err := httpapi.OpenCertificate(opt)
	if err != nil {
		t.Fatal(err)
	}
	url, stop, ended := start(t, httpapi.New(httpapi.Options{Name: "X", Version: "1"}), httpapi.ServeOptions{TLS: c.Config()})
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	res, err := http.Get(url + "/livez") //nolint:noctx // it is answered at once
	if err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %v, %v", res, err)
	} else {
		_ = res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dial := tls.Dialer{Config: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	if conn, err := dial.DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://")); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was taken")
	}
}
