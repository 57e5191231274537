package webhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/webhook"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// drawn is a secret of bytes that differ.
func drawn(t testing.TB, first byte) webhook.Secret {
	t.Helper()
	b := make([]byte, 32)
	for i := range b {
		b[i] = first + byte(i*7)
	}
	s, err := webhook.NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestVector is the one of the standard's reference libraries.
func TestVector(t *testing.T) {
	s, err := webhook.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const id, want = "msg_p5jXN8AQM9LWM0D4loKWxJek", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	for range 3 { // the states are used again
		if got := webhook.Sign(s, id, at, body); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	h := http.Header{webhook.IDHeader: {id}, webhook.TimestampHeader: {"1614265330"}, webhook.SignatureHeader: {want}}
	if err := webhook.Verify([]webhook.Secret{s}, h, body, at); err != nil {
		t.Error(err)
	}
}

func TestVerify(t *testing.T) {
	first, second, other := drawn(t, 1), drawn(t, 2), drawn(t, 3)
	body := []byte(`{"status":"paymentPaid"}`)
	whole := func(h http.Header) http.Header { return h }
	set := func(name string, values ...string) func(http.Header) http.Header {
		return func(h http.Header) http.Header { h[name] = values; return h }
	}
	for _, tt := range []struct {
		what    string
		by      []webhook.Secret
		with    []webhook.Secret
		after   time.Duration
		change  func(http.Header) http.Header
		body    string
		refused error
	}{
		{"right", []webhook.Secret{first}, []webhook.Secret{first}, 0, whole, "", nil},
		{"theirs is exchanged already", []webhook.Secret{second, first}, []webhook.Secret{first}, 0, whole, "", nil},
		{"ours is exchanged already", []webhook.Secret{first}, []webhook.Secret{second, first}, 0, whole, "", nil},
		{"another's", []webhook.Secret{other}, []webhook.Secret{second, first}, 0, whole, "", webhook.ErrSignature},
		{"no secret here", []webhook.Secret{first}, nil, 0, whole, "", webhook.ErrSignature},
		{"none at all here", []webhook.Secret{first}, []webhook.Secret{{}}, 0, whole, "", webhook.ErrSignature},
		{"another body", []webhook.Secret{first}, []webhook.Secret{first}, 0, whole, `{"status":"paymentPaid"} `, webhook.ErrSignature},
		{"five minutes old", []webhook.Secret{first}, []webhook.Secret{first}, 5 * time.Minute, whole, "", nil},
		{"older", []webhook.Secret{first}, []webhook.Secret{first}, 5*time.Minute + time.Millisecond, whole, "", webhook.ErrTimestamp},
		{"from the future", []webhook.Secret{first}, []webhook.Secret{first}, -5 * time.Minute, whole, "", nil},
		{"from further", []webhook.Secret{first}, []webhook.Secret{first}, -5*time.Minute - time.Millisecond, whole, "", webhook.ErrTimestamp},
		{"another id", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.IDHeader, "msg_2"), "", webhook.ErrSignature},
		{"another time", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.TimestampHeader, fmt.Sprint(noon.Unix()+1)), "", webhook.ErrSignature},
		{"no id", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.IDHeader), "", webhook.ErrHeaders},
		{"an empty id", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.IDHeader, ""), "", webhook.ErrHeaders},
		{"an id with a full stop", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.IDHeader, "msg.1"), "", webhook.ErrHeaders},
		{"two ids", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.IDHeader, "msg_1", "msg_2"), "", webhook.ErrHeaders},
		{"a long id", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.IDHeader, strings.Repeat("x", 257)), "", webhook.ErrHeaders},
		{"no time", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.TimestampHeader, "noon"), "", webhook.ErrHeaders},
		{"the time otherwise", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.TimestampHeader, "0"+fmt.Sprint(noon.Unix())), "", webhook.ErrHeaders},
		{"no signature", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.SignatureHeader, ""), "", webhook.ErrSignature},
		{"another version's", []webhook.Secret{first}, []webhook.Secret{first}, 0, set(webhook.SignatureHeader, "v1a,"+strings.Repeat("A", 88)), "", webhook.ErrSignature},
		{"half of one", []webhook.Secret{first}, []webhook.Secret{first}, 0, func(h http.Header) http.Header {
			h[webhook.SignatureHeader][0] = h[webhook.SignatureHeader][0][:20]
			return h
		}, "", webhook.ErrSignature},
		{"among others", []webhook.Secret{first}, []webhook.Secret{first}, 0, func(h http.Header) http.Header {
			h[webhook.SignatureHeader][0] = "v1a,xyz v1,!!!! v1," + strings.Repeat("A", 43) + "= " + h[webhook.SignatureHeader][0]
			return h
		}, "", nil},
		{"after too many", []webhook.Secret{first}, []webhook.Secret{first}, 0, func(h http.Header) http.Header {
			h[webhook.SignatureHeader][0] = strings.Repeat("v1,"+strings.Repeat("A", 43)+"= ", 8) + h[webhook.SignatureHeader][0]
			return h
		}, "", webhook.ErrSignature},
	} {
		h := tt.change(webhook.Headers(tt.by, "msg_1", noon, body))
		got := body
		if tt.body != "" {
			got = []byte(tt.body)
		}
		if err := webhook.Verify(tt.with, h, got, noon.Add(tt.after)); !errors.Is(err, tt.refused) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.refused)
		}
	}
}

func TestSecrets(t *testing.T) {
	b := make([]byte, 80)
	for i := range b {
		b[i] = byte(i*11 + 5)
	}
	text := func(b []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(b) }
	for _, tt := range []struct {
		what, list string
		n          int
	}{
		{"least", text(b[:24]), 1}, {"most", text(b[:64]), 1}, {"short", text(b[:23]), 0}, {"long", text(b[:65]), 0},
		{"without padding", strings.TrimRight(text(b[:32]), "="), 1}, {"two", text(b[:24]) + ", " + text(b[20:50]), 2},
		{"hexadecimal digits", "whsec_0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778", 1},
		{"the second is none", text(b[:24]) + ",x", 0}, {"nothing", "", 0}, {"another prefix", "sk_" + text(b[:24]), 0},
		{"of an example", "whsec_<card-secret>", 0}, {"no base64", "whsec_" + strings.Repeat("*", 40), 0},
		{"one byte", text(bytes.Repeat([]byte{7}, 32)), 0}, {"a repetition", text(bytes.Repeat(b[:16], 2)), 0},
		{"a few bytes", text([]byte(strings.Repeat("abcabdcab", 4)[:30])), 0}, {"the standard's own", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0},
	} {
		all, err := webhook.ParseSecrets(tt.list)
		if len(all) != tt.n || (err == nil) != (tt.n > 0) {
			t.Errorf("%s: %d, %v", tt.what, len(all), err)
		}
		if err != nil && len(tt.list) > 8 && strings.Contains(err.Error(), tt.list[7:]) {
			t.Errorf("%s: the error repeats it: %v", tt.what, err)
		}
	}
}

// TestSecretIsNotShown, however it is printed.
func TestSecretIsNotShown(t *testing.T) {
	const text = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	s, err := webhook.ParseSecret("whsec_" + text)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(text)
	var shown bytes.Buffer
	log := slog.New(slog.NewTextHandler(&shown, nil))
	log.Info("it", "secret", s, "all", []webhook.Secret{s}, "in", struct{ S webhook.Secret }{s})
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("it", "secret", s, "in", map[string]webhook.Secret{"s": s})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+verb+verb, s, &s, []any{s, struct{ S webhook.Secret }{s}})
	}
	b, err := json.Marshal(map[string]any{"s": s, "p": &s})
	shown.Write(b)
	if err != nil {
		t.Error(err)
	}
	for _, it := range []string{text, string(raw), fmt.Sprintf("%x", raw), fmt.Sprint(raw), fmt.Sprintf("%#v", raw)} {
		if strings.Contains(shown.String(), it) {
			t.Errorf("it is shown: %s", shown.String())
		}
	}
}

func TestAuthenticator(t *testing.T) {
	card, transport := drawn(t, 1), drawn(t, 2)
	next := auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) {
		switch r.Header.Get(auth.KeyHeader) {
		case "":
			return auth.Caller{}, nil
		case "card":
			return auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Partner}, Company: "card"}, nil
		}
		return auth.Root, nil
	})
	a := webhook.Authenticator{
		Next: next, Now: func() time.Time { return noon },
		Secrets: map[string][]webhook.Secret{"card": {card}, "transport": {transport}},
	}
	strict := a
	strict.SignedOnly = true
	const body = `{"status":"paymentPaid"}`
	for _, tt := range []struct {
		what    string
		a       webhook.Authenticator
		header  http.Header
		body    string
		key     string
		subject string
		failed  bool
	}{
		{"nothing", a, nil, body, "", "", false},
		{"a service", a, nil, body, "service", auth.Root.Subject, false},
		{"a key", a, nil, body, "card", "key:1", false},
		{"a key that will not do", strict, nil, body, "card", "", true},
		{"a service, where companies sign", strict, nil, body, "service", auth.Root.Subject, false},
		{"the card company", a, webhook.Headers([]webhook.Secret{card}, "m", noon, []byte(body)), body, "", "partner:card", false},
		{"the transport company", strict, webhook.Headers([]webhook.Secret{transport}, "m", noon, []byte(body)), body, "service", "partner:transport", false},
		{"without a body", a, webhook.Headers([]webhook.Secret{card}, "m", noon, nil), "", "", "partner:card", false},
		{"forged, and a service", a, webhook.Headers([]webhook.Secret{drawn(t, 9)}, "m", noon, []byte(body)), body, "service", "", true},
		{"another body", a, webhook.Headers([]webhook.Secret{card}, "m", noon, []byte(body)), body + "x", "", "", true},
		{"old", a, webhook.Headers([]webhook.Secret{card}, "m", noon.Add(-time.Hour), []byte(body)), body, "", "", true},
		{"an empty signature", a, http.Header{webhook.SignatureHeader: {""}}, body, "service", "", true},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body))
		for name, v := range tt.header {
			r.Header[name] = v
		}
		if tt.key != "" {
			r.Header.Set(auth.KeyHeader, tt.key)
		}
		c, err := tt.a.Authenticate(r)
		if c.Subject != tt.subject || (err != nil) != tt.failed || err != nil && !errors.Is(err, auth.ErrCredential) {
			t.Errorf("%s: %+v, %v", tt.what, c, err)
		}
		if left, err := io.ReadAll(r.Body); err != nil || string(left) != tt.body {
			t.Errorf("%s: left to read: %q, %v", tt.what, left, err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), strings.NewReader("x")))
	r.Header.Set(webhook.SignatureHeader, "v1,x")
	var large *http.MaxBytesError
	if _, err := a.Authenticate(r); !errors.As(err, &large) {
		t.Errorf("more than a MiB: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	s := drawn(f, 1)
	f.Add("m", fmt.Sprint(noon.Unix()), webhook.Sign(s, "m", noon, []byte("{}")), []byte("{}"))
	f.Add("m.1", "1", "v1,", []byte{})
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{webhook.IDHeader: {id}, webhook.TimestampHeader: {timestamp}, webhook.SignatureHeader: {signature}}
		if webhook.Verify([]webhook.Secret{s}, h, body, noon) != nil {
			return
		}
		var seconds int64
		if _, err := fmt.Sscan(timestamp, &seconds); err != nil || !strings.Contains(signature, webhook.Sign(s, id, time.Unix(seconds, 0), body)) {
			t.Errorf("%q %q %q %q is believed", id, timestamp, signature, body)
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Fuzz(func(_ *testing.T, text string) {
		if s, err := webhook.ParseSecret(text); err == nil {
			webhook.Sign(s, "m", noon, nil)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s, body := drawn(b, 1), bytes.Repeat([]byte("x"), 300)
	b.ReportAllocs()
	for b.Loop() {
		webhook.Headers([]webhook.Secret{s}, "01980000-0000-7000-8000-000000000001/charge/1", noon, body)
	}
}

func BenchmarkVerify(b *testing.B) {
	s, body := []webhook.Secret{drawn(b, 1)}, bytes.Repeat([]byte("x"), 300)
	h := webhook.Headers(s, "01980000-0000-7000-8000-000000000001/charge/1", noon, body)
	b.ReportAllocs()
	for b.Loop() {
		if err := webhook.Verify(s, h, body, noon); err != nil {
			b.Fatal(err)
		}
	}
}
