package token

import (
	"encoding/json"
	"testing"
)

// FuzzJWK reads any published key: it is one that we would publish so, or it is none.
func FuzzJWK(f *testing.F) {
	x := "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" // RFC 8037, appendix A.2
	for _, k := range []JWK{
		{Kty: "OKP", Crv: "Ed25519", X: x, Kid: thumbprint(x)}, {Kty: "RSA", X: x, Kid: thumbprint(x)}, {Kty: "OKP", Crv: "Ed25519", X: x + "=", Kid: thumbprint(x + "=")},
	} {
		b, err := json.Marshal(k)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var k JWK
		if json.Unmarshal(b, &k) != nil {
			return
		}
		key, err := k.key()
		if err != nil {
			return
		}
		if p := public(key); p.X != k.X || p.Kid != k.Kid {
			t.Errorf("%s is published as %+v", b, p)
		}
	})
}
