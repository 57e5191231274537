package gateway

import (
	"mime"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// compressFrom is how long an answer is that is worth compressing, in bytes.
const compressFrom = 1 << 10

// compress answers those who take it with zstd or gzip: text and JSON, where it is long enough. Never event streams,
// which are to arrive at once, and never what carries tokens: its length would tell of them to whoever can put words
// beside them (BREACH).
func compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(compressFrom), gzhttp.ContentTypeFilter(compressible), gzhttp.SetContentType(false), gzhttp.EnableZstd(true),
	)
	if err != nil {
		panic("gateway: " + err.Error()) // our own options
	}
	compressed := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Accept-Encoding"]) == 0 || strings.HasPrefix(r.URL.Path, signing) {
			next.ServeHTTP(w, r)
			return
		}
		compressed.ServeHTTP(&weakening{w}, r)
	})
}

// compressible says whether answers of a content type are compressed.
func compressible(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind == httpapi.StreamType {
		return false
	}
	return strings.HasPrefix(kind, "text/") || kind == "application/json" || strings.HasSuffix(kind, "+json") ||
		kind == "application/javascript"
}

// weakening makes the ETag of an answer that was compressed here a weak one: it names other bytes than before. What the
// reader sends back in If-None-Match is recognised as before.
type weakening struct{ http.ResponseWriter }

func (w *weakening) WriteHeader(status int) {
	h := w.Header()
	if tag := h.Get("ETag"); tag != "" && h.Get("Content-Encoding") != "" && !strings.HasPrefix(tag, "W/") {
		h.Set("ETag", "W/"+tag)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush hands what was written to the client now.
func (w *weakening) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (w *weakening) Unwrap() http.ResponseWriter { return w.ResponseWriter }
