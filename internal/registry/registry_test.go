package registry_test

import (
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/registry"
)

// TestCheckURLs: what is wrong is said, and nothing that may be a password.
func TestCheckURLs(t *testing.T) {
	for raw, says := range map[string]string{
		"http://a:8000": "", "https://a/base": "", "http://[::1]:1": "",
		"http://u:hunter2@a:8000":         "http://a:8000 has a user in it",
		"http://u:hunter2%zz@a:8000":      "not a base URL",
		"http://u:hunter2/x@a:8000":       "not a base URL",
		"hunter2":                         "not a base URL",
		"hunter2://a":                     "not a base URL",
		"u:hunter2@a:8000":                "not a base URL",
		"http://a?password=hunter2":       "http://a is not a base URL: it has a query",
		"http://a#hunter2":                "http://a is not a base URL",
		"http://a:8000\n/hunter2":         "not a base URL",
		"redis://:hunter2@127.0.0.1:6379": "not a base URL",
	} {
		err := registry.CheckURLs("order", "http://fine", raw)
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "order")) {
			t.Errorf("%s: %v", raw, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}
