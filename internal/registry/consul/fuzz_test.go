package consul

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/tiffin-food/tiffin/internal/registry"
)

// FuzzEntries reads whatever Consul may answer: an instance's URL is one, or is left out.
func FuzzEntries(f *testing.F) {
	for _, s := range []string{
		`[{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Port":8000,"Meta":{"scheme":"https"}}}]`, `[{"Service":{"Address":"::1","Port":1}}]`,
		`[{"Service":{"Address":"a/b?c#d@e","Port":-1}}]`, `[]`, `null`, `[{}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var entries []entry
		if json.Unmarshal(body, &entries) != nil {
			return
		}
		for _, e := range entries {
			text := e.url()
			if registry.CheckURLs("order", text) != nil {
				continue
			}
			if u, err := url.Parse(text); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
				t.Errorf("%+v is at %q", e, text)
			}
		}
	})
}
