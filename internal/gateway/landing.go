package gateway

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"regexp"
	"slices"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

//go:embed landing.html
var landingHTML string

var landingPage = template.Must(template.New("landing").Parse(landingHTML))

// saneHost is what of a Host header can go into a command that somebody pastes.
var saneHost = regexp.MustCompile(`^(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,45}\])(?::[0-9]{1,5})?$`)

const landingPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// landing says what is here and how to place an order.
func (g *Gateway) landing(w http.ResponseWriter, r *http.Request) {
	type line struct {
		Service
		Up bool
	}
	data := struct {
		Version  string
		Base     string
		Demo     Demo
		Known    bool
		Services []line
		Routes   []Route
	}{Version: g.opt.Version, Demo: g.opt.Demo, Routes: slices.Concat(public, answered)}
	if data.Known = data.Demo.Public(); !data.Known {
		data.Demo = Demo{ID: "CUSTOMER_ID", Email: "YOU@EXAMPLE.ORG", Password: "PASSWORD"}
	}
	host, scheme := r.Host, "http"
	if !saneHost.MatchString(host) {
		host = "localhost:8080"
	}
	if r.TLS != nil {
		scheme = "https"
	}
	data.Base = scheme + "://" + host
	up := map[string]bool{}
	for _, res := range g.Health().Resources {
		up[res.Name] = res.Status
	}
	for _, s := range Services {
		data.Services = append(data.Services, line{s, up[s.Title]})
	}
	var page bytes.Buffer
	if err := landingPage.Execute(&page, data); err != nil {
		httpapi.WriteError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", landingPolicy)
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(page.Bytes())
}
