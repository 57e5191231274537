package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a server's certificate, kept in two files that may be replaced while it serves: new connections get
// the new one, those that are open stay. Safe for concurrent use.
type Certificate struct {
	opt CertificateOptions

	mu     sync.Mutex
	pair   *tls.Certificate // the last that was good
	files  [2]stamp         // as they were when they were last read, well or not
	looked time.Time
}

// CertificateOptions are a certificate's settings; Cert and Key have no default.
type CertificateOptions struct {
	Cert string // file of the certificate and those between it and its root, PEM
	Key  string // file of its private key, PEM
	Log  *slog.Logger
	Now  func() time.Time // real time; time.Now
}

// stamp is what a file looks like from outside.
type stamp struct {
	changed time.Time
	size    int64
}

// lookEvery is how long the files are taken for unchanged, real time.
const lookEvery = time.Second

// OpenCertificate reads the files. The error says which of them is wrong, and repeats nothing of what is in them.
func OpenCertificate(opt CertificateOptions) (*Certificate, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	c := &Certificate{opt: opt, looked: opt.Now()}
	var err error
	if c.files, err = c.look(); err != nil {
		return nil, err
	}
	if c.pair, err = c.read(); err != nil {
		return nil, err
	}
	if left := c.pair.Leaf.NotAfter.Sub(c.looked); left <= 0 {
		opt.Log.Warn("the certificate has expired", "cert", opt.Cert, "expired", c.pair.Leaf.NotAfter)
	}
	return c, nil
}

// GetCertificate is for tls.Config. It looks at the files when it was not asked for a second; a pair that cannot be read,
// or does not belong together (yet), is logged once and leaves the last good one in use.
func (c *Certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current(), nil
}

// Expires is when the certificate in use does.
func (c *Certificate) Expires() time.Time { return c.current().Leaf.NotAfter }

func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.opt.Now()
	if now.Sub(c.looked) < lookEvery {
		return c.pair
	}
	c.looked = now
	files, err := c.look()
	if err == nil && files == c.files {
		return c.pair
	}
	first := files != c.files // the same trouble is told once
	c.files = files
	pair := c.pair
	if err == nil {
		pair, err = c.read()
	}
	switch {
	case err == nil:
		c.pair = pair
		c.opt.Log.Info("a new certificate is in use", "cert", c.opt.Cert, "expires", pair.Leaf.NotAfter)
	case first:
		c.opt.Log.Warn("the new certificate cannot be used; the last one stays", "err", err)
	}
	return c.pair
}

// look says what the files look like; a file that is missing looks like nothing.
func (c *Certificate) look() (files [2]stamp, err error) {
	for i, name := range []string{c.opt.Cert, c.opt.Key} {
		info, statErr := os.Stat(name)
		if statErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", what[i], statErr))
			continue
		}
		files[i] = stamp{info.ModTime(), info.Size()}
	}
	return files, err
}

var what = [2]string{"certificate", "private key"}

func (c *Certificate) read() (*tls.Certificate, error) {
	cert, err := os.ReadFile(c.opt.Cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what[0], err)
	}
	key, err := os.ReadFile(c.opt.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what[1], err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with private key %s: %w", c.opt.Cert, c.opt.Key, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", c.opt.Cert, err)
		}
	}
	return &pair, nil
}

// Config is how a server is served with the certificate: HTTP/2 or 1.1, over TLS 1.3, or 1.2 for those who know no
// better.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		GetCertificate: c.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
}
