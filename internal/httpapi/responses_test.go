package httpapi_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestRefusalsAreDocumentedOnce: every route names its refusals, by one description each; its own stay as they are.
func TestRefusalsAreDocumentedOnce(t *testing.T) {
	type input struct{ Body wire.Item }
	type output struct{ Body wire.Moment }
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	httpapi.Register(a, auth.For(auth.Customer), httpapi.Operation{Method: http.MethodPost, Path: "/x", Errors: []int{409}},
		func(context.Context, *input) (*output, error) { return &output{}, nil })
	httpapi.Register(a, auth.Everyone, httpapi.Operation{Method: http.MethodGet, Path: "/x"},
		func(context.Context, *struct{}) (*output, error) { return &output{}, nil })
	b, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type response struct {
		Ref         string `json:"$ref"`
		Description string
		Headers     map[string]any
	}
	var doc struct {
		Paths      map[string]map[string]struct{ Responses map[string]response }
		Components struct {
			Responses map[string]response
			Schemas   map[string]struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{
		"post": "200 401* 403* 409 413* 415* 422 429* 500 503*", "get": "200 429* 500 503*",
	} {
		all := doc.Paths["/x"][method].Responses
		var got []string
		for _, code := range slices.Sorted(maps.Keys(all)) {
			if name, shared := strings.CutPrefix(all[code].Ref, "#/components/responses/"); shared {
				if doc.Components.Responses[name].Description == "" {
					t.Errorf("%s %s leads to %s, which is not there", method, code, name)
				}
				code += "*"
			}
			got = append(got, code)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", method, got, want)
		}
	}
	if doc.Components.Responses["TooMany"].Headers["Retry-After"] == nil {
		t.Error("429 has no Retry-After")
	}
	if d := doc.Paths["/health"]["get"].Responses["500"]; d.Description != "A resource of the service's own is missing" {
		t.Errorf("health's own answer is %q", d.Description)
	}
	if got := doc.Components.Schemas["Moment"].Properties["status"].Enum; !slices.Equal(got, wire.StatusNames()) {
		t.Errorf("a status is one of %v", got)
	}
}
