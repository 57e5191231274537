package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// The viewer is RapiDoc (MIT; docs/LICENSE.rapidoc.txt), as its package has it, compressed. To take a newer one,
// compress the package's dist/rapidoc-min.js under a name with its version.
//
//go:embed docs
var docsFiles embed.FS

const viewer = "rapidoc-9.3.8.js"

var docsPage = template.Must(template.ParseFS(docsFiles, "docs/page.html"))

// docsPolicy lets the page load nothing from elsewhere. The viewer writes its styles into the page.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// registerDocs adds the document and the page that shows it. All URLs in them are relative, so both work behind a
// prefix.
func (a *API) registerDocs() {
	a.Handle("GET /openapi.json", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := a.OpenAPI()
		if err != nil {
			WriteError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(b)
	}))
	var page bytes.Buffer
	if err := docsPage.Execute(&page, map[string]string{"Title": a.opt.Title, "Viewer": viewer}); err != nil {
		panic(err) // our own template with strings
	}
	a.Handle("GET /docs", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", docsPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(page.Bytes())
	}))
	a.Handle("GET /docs/page.js", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := docsFiles.ReadFile("docs/page.js")
		if err != nil {
			WriteError(w, r, err)
			return
		}
		script(w, "no-cache")
		_, _ = w.Write(b)
	}))
	a.Handle("GET /docs/"+viewer, auth.Everyone, http.HandlerFunc(serveViewer))
}

func script(w http.ResponseWriter, cache string) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", cache)
}

func serveViewer(w http.ResponseWriter, r *http.Request) {
	b, err := docsFiles.ReadFile("docs/" + viewer + ".gz")
	if err != nil {
		WriteError(w, r, err)
		return
	}
	script(w, "public, max-age=31536000, immutable") // the name has the version
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(b)
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		WriteError(w, r, err)
		return
	}
	_, _ = io.Copy(w, plain) //nolint:gosec // our own file
}
