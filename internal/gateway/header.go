package gateway

import (
	"net/http"
	"strings"
)

// hsts tells browsers to come by HTTPS only, for a year.
const hsts = "max-age=31536000"

// header puts on every answer what a browser must know of it, unless it is said already: take the content type as it is,
// tell nobody where you come from, show no page in a frame, and keep nothing that is personal. An answer with an ETag
// may be kept by its reader, who asks each time whether it still holds.
func header(h http.Header, r *http.Request) {
	initial(h, "X-Content-Type-Options", "nosniff")
	initial(h, "Referrer-Policy", "no-referrer")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", hsts)
	}
	if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		initial(h, "Content-Security-Policy", "frame-ancestors 'none'")
	}
	switch {
	case !personal(r):
	case h.Get("ETag") != "" && !strings.HasPrefix(r.URL.Path, signing):
		initial(h, "Cache-Control", "private, no-cache")
	default:
		initial(h, "Cache-Control", "no-store")
	}
}

// initial sets a header that is not there.
func initial(h http.Header, name, value string) {
	if len(h[name]) == 0 {
		h[name] = []string{value}
	}
}

// personal says whether the answer is for the one who asked: all of the API but what everybody may read.
func personal(r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		return false
	}
	route, known := RouteOf(r)
	return !known || !route.For.Public() || r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, signing)
}
