package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

var references = regexp.MustCompile(`(?:src|href)\s*=\s*"([^"]*)"`)

// Everything the page loads is there, is ours, and is found behind a prefix too.
func TestDocsNeedNoInternet(t *testing.T) {
	a := orders(httpapi.Options{Title: "Orders & <more>"})
	for _, prefix := range []string{"", "/order"} {
		h := http.StripPrefix(prefix, a)
		w := ask(h, "GET", prefix+"/docs", "")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		page := w.Body.String()
		if !strings.Contains(page, "Orders &amp; &lt;more&gt;") {
			t.Error("the title is missing or not escaped")
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "http") {
			t.Errorf("policy %q", policy)
		}
		base, _ := url.Parse("http://host" + prefix + "/docs")
		found := 0
		for _, m := range references.FindAllStringSubmatch(page, -1) {
			if strings.HasPrefix(m[1], "data:") {
				continue
			}
			if strings.Contains(m[1], "//") || strings.HasPrefix(m[1], "/") {
				t.Errorf("%q is not relative", m[1])
			}
			ref, err := base.Parse(m[1])
			if err != nil {
				t.Fatal(err)
			}
			if w := ask(h, "GET", ref.Path, ""); w.Code != 200 || w.Body.Len() == 0 {
				t.Errorf("%s: %d", ref.Path, w.Code)
			}
			found++
		}
		if found != 3 {
			t.Errorf("%d references in the page", found)
		}
		script := ask(h, "GET", prefix+"/docs/page.js", "").Body.String()
		if !strings.Contains(script, `"spec-url": "openapi.json"`) || strings.Contains(script, "://") || !strings.Contains(script, `"load-fonts": "false"`) {
			t.Error("page.js goes elsewhere")
		}
	}
}

func TestViewerIsServedEitherWay(t *testing.T) {
	s := httptest.NewServer(orders(httpapi.Options{}))
	defer s.Close()
	var plain [2][]byte
	for i, compressed := range []bool{false, true} {
		rt := &http.Transport{DisableCompression: !compressed} // else it asks for gzip and unpacks it
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/docs/rapidoc-9.3.8.js", nil)
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		plain[i], err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.Uncompressed != compressed {
			t.Errorf("%v: %v, unpacked %v", compressed, err, res.Uncompressed)
		}
		rt.CloseIdleConnections()
	}
	if len(plain[0]) < 500_000 || !bytes.Equal(plain[0], plain[1]) {
		t.Errorf("%d and %d bytes", len(plain[0]), len(plain[1]))
	}
}
