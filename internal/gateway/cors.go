package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Origins are the pages of other sites that may use the API from a browser. The zero value allows none.
type Origins struct {
	named []string
	any   bool // without credentials
}

// anyOrigin allows every page, which then cannot make the browser add its cookies.
const anyOrigin = "*"

// ParseOrigins reads origins as browsers write them: scheme://host[:port]. "*", alone, is any origin without
// credentials.
func ParseOrigins(texts []string) (Origins, error) {
	var o Origins
	for _, text := range texts {
		if text == anyOrigin {
			o.any = true
			continue
		}
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || strings.Contains(u.Host, "*") ||
			u.Scheme+"://"+u.Host != text || strings.ToLower(text) != text {
			return Origins{}, fmt.Errorf("%.100q is not valid; expected scheme://host[:port] in lower case, such as https://shop.example.org, or *", text)
		}
		o.named = append(o.named, text)
	}
	if o.any && len(o.named) > 0 {
		return Origins{}, errors.New("* allows any origin, without credentials, and stands alone; expected it or origins by name")
	}
	return o, nil
}

// What the routes take and tell, beyond what a browser always allows.
var (
	corsMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	corsHeaders = []string{
		"Authorization", "Content-Type", httpapi.IdempotencyHeader, "If-None-Match", "Last-Event-ID", auth.KeyHeader,
		httpapi.RequestIDHeader, "Message-Id",
	}
	corsExposed = []string{
		"ETag", "Link", "Location", "Retry-After", httpapi.RequestIDHeader, "RateLimit", "RateLimit-Policy",
	}
)

// corsMaxAge is how long a browser remembers what it may do. Chromium takes no more.
const corsMaxAge = 2 * time.Hour

// share tells browsers which origins may read the answers; nil where none may.
func (o Origins) share() Middleware {
	if !o.any && len(o.named) == 0 {
		return nil
	}
	opt := cors.Options{
		AllowedOrigins: o.named, AllowCredentials: true, AllowedMethods: corsMethods, AllowedHeaders: corsHeaders,
		ExposedHeaders: corsExposed, MaxAge: int(corsMaxAge / time.Second),
	}
	if o.any {
		opt.AllowedOrigins, opt.AllowCredentials = []string{anyOrigin}, false
	}
	return cors.New(opt).Handler
}

// protect refuses what a page of another origin would have changed: a browser sends such a request without asking, with
// its cookies, or from a machine that the system trusts. Programs are not browsers and pass. Where any origin is
// allowed, what may come with cookies is still protected.
func (o Origins) protect(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	for _, origin := range o.named {
		if err := p.AddTrustedOrigin(origin); err != nil {
			panic("gateway: " + err.Error()) // ParseOrigins has looked
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.any && !strings.HasPrefix(r.URL.Path, signing) {
			next.ServeHTTP(w, r)
			return
		}
		if err := p.Check(r); err != nil {
			httpapi.WriteError(w, r, httpapi.Errorf(http.StatusForbidden, "a page of another origin may not change anything here"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// String names them, for logs.
func (o Origins) String() string {
	if o.any {
		return "any, without credentials"
	}
	return strings.Join(slices.Clone(o.named), ", ")
}
