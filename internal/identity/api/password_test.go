package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// TestHashPassword is at the real cost.
func TestHashPassword(t *testing.T) {
	cheap := today
	today = owasp
	defer func() { today = cheap }()
	phc, err := HashPassword(bytes.NewReader(make([]byte, 16)), "correct horse")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$") {
		t.Fatalf("%s %v", phc, err)
	}
	if _, err := HashPassword(bytes.NewReader(nil), "x"); err == nil {
		t.Error("a hash without salt")
	}
	h, err := parsePHC(phc)
	if err != nil || h.String() != phc || h.weaker() {
		t.Errorf("%+v %v", h, err)
	}
	m := newMill(rand.Reader, 1)
	for _, tt := range []struct {
		phc, password string
		right, weak   bool
	}{
		{phc, "correct horse", true, false}, {phc, "correct horsf", false, false}, {phc, "", false, false},
		{Weak("correct horse"), "correct horse", true, true}, {"", "", false, false}, {nobodys().String(), "", false, false}, {"no PHC", "x", false, false},
	} {
		right, weak, err := m.check(t.Context(), tt.phc, tt.password)
		if err != nil || right != tt.right || weak != tt.weak {
			t.Errorf("%.30q %q: %t %t %v", tt.phc, tt.password, right, weak, err)
		}
	}
}

// TestVector is one of the reference program's own tests (test.c: argon2id, t=2, m=2^16, p=1).
func TestVector(t *testing.T) {
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if right, _, err := newMill(rand.Reader, 1).check(t.Context(), phc, "password"); err != nil || !right {
		t.Errorf("%t %v", right, err)
	}
}

func TestPHCsThatAreNone(t *testing.T) {
	good := hashed{owasp, make([]byte, 16), make([]byte, 32)}.String()
	for _, change := range []string{
		"argon2id => argon2i", "v=19 => v=16", "m=19456 => m=1", "m=19456 => m=4294967295", "m=19456 => m=019456", "m=19456 => m=+19456", "t=2 => t=0", "t=2 => t=99",
		"p=1 => p=0", "p=1 => p=200", "p=1 => p=1,x=1", "m=19456,t=2 => t=2,m=19456", "$AAAA => $AAA=", "$v=19 => ", "AAAAAAAAAAAAAAAAAAAAAA$ => AAAA$",
		"$argon2id => argon2id", "AAAAAAAAAAAAAAAAAAAAAA$ => " + strings.Repeat("A", 600) + "$",
	} {
		from, to, _ := strings.Cut(change, " => ")
		bad := strings.Replace(good, from, to, 1)
		if _, err := parsePHC(bad); err == nil || bad == good {
			t.Errorf("%s is read", bad)
		}
	}
}

// TestMillIsBounded: as many at once as there are turns; who waits too long, or goes, is told to come back.
func TestMillIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMill(rand.Reader, 2)
		one, err := m.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		two, err := m.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := m.enter(t.Context()); !errors.Is(err, httpapi.ErrUnavailable) || time.Since(began) != hashWait {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := m.check(ctx, "", "x"); !errors.Is(err, httpapi.ErrUnavailable) {
			t.Error(err)
		}
		entered := make(chan func())
		go func() {
			leave, err := m.enter(t.Context())
			if err != nil {
				t.Error(err)
			}
			entered <- leave
		}()
		synctest.Wait()
		one()
		(<-entered)()
		two()
		if n := len(m.turns); n != 0 {
			t.Errorf("%d turns are taken", n)
		}
	})
}

func TestGuessable(t *testing.T) {
	if len(usual) < 100 {
		t.Errorf("%d passwords", len(usual))
	}
	for p := range usual {
		if len(p) < 10 {
			t.Errorf("%q is refused for its length already", p)
		}
	}
	for p, want := range map[string]bool{
		"QWERTYUIOP": true, " password123 ": true, "ada.lovelace": true, "Ada.Lovelace@Example.com": true, "example.com": true, "a tiger in the attic": false,
	} {
		if got := guessable("ada.lovelace@example.com", p) != ""; got != want {
			t.Errorf("%q: %t", p, got)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(nobodys().String())
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err == nil && (h.String() != s || h.memory > maxMemory || h.passes > maxPasses || h.threads > maxThreads) {
			t.Errorf("%q is %+v", s, h)
		}
	})
}

func FuzzParseRefresh(f *testing.F) {
	f.Add(refreshPrefix + "0190a000-0000-7000-8000-000000000001_" + strings.Repeat("a", secretSize))
	f.Fuzz(func(t *testing.T, s string) {
		session, hash, ok := parseRefresh(s)
		if ok && (len(session) != sessionIDSize || len(hash) != 64 || !strings.HasPrefix(s, refreshPrefix+session+"_")) {
			t.Errorf("%q: %q %q", s, session, hash)
		}
	})
}

func FuzzCookie(f *testing.F) {
	// Every process of the fuzzer makes the same cookie.
	s, err := newSeal([]byte(strings.Repeat("k", minCookieKey)), strings.NewReader("twelve bytes of a nonce"))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	text, err := s.close("company", errand{State: "s", Nonce: "n", Verifier: "v", Until: now.Add(1)})
	if err != nil {
		f.Fatal(err)
	}
	if e, err := s.open("company", text, now); err != nil || e.Verifier != "v" {
		f.Fatalf("%+v %v", e, err)
	}
	if _, err := s.open("company", text, now.Add(1)); err == nil {
		f.Error("it is too old")
	}
	if _, err := s.open("other", text, now); err == nil {
		f.Error("it is for another provider")
	}
	f.Add(text)
	f.Add("")
	f.Fuzz(func(t *testing.T, s2 string) {
		if e, err := s.open("company", s2, now); err == nil && s2 != text {
			t.Errorf("%q is %+v", s2, e)
		}
	})
}
