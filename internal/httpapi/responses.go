package httpapi

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// shared are the refusals that are the same on every route: the document has each of them once.
var shared = map[int]struct{ name, description string }{
	http.StatusUnauthorized:          {"Unauthorized", "The request shows no credential, or one that is not valid"},
	http.StatusForbidden:             {"Forbidden", "The caller may not do this"},
	http.StatusRequestEntityTooLarge: {"TooLarge", "The body is longer than the service takes"},
	http.StatusUnsupportedMediaType:  {"Unsupported", "The body is not JSON, or is compressed"},
	http.StatusTooManyRequests:       {"TooMany", "The limit of the address, customer or key is reached"},
	http.StatusServiceUnavailable:    {"Unavailable", "Not now; the same request may be repeated"},
}

// retryAfterHeader documents the header of those who are to come back.
var retryAfterHeader = &huma.Param{
	Description: "Seconds after which to come back", Schema: &huma.Schema{Type: huma.TypeInteger},
}

// share points an operation's responses to what is shared. Those of its own stay as they are.
func (a *API) share(op Operation, own map[string]*huma.Response) {
	all := a.huma.OpenAPI().Components.Responses
	for status, s := range shared {
		code := strconv.Itoa(status)
		made := op.Responses[code]
		if made == nil {
			continue
		}
		if all[s.name] == nil {
			made.Description = s.description
			if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
				made.Headers = map[string]*huma.Header{"Retry-After": retryAfterHeader}
			}
			all[s.name] = made
		}
		op.Responses[code] = &huma.Response{Ref: "#/components/responses/" + s.name}
	}
	for code, response := range own {
		op.Responses[code] = response
	}
}
