package httpapi

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// securitySchemes are how a request says who makes it, for the documentation.
var securitySchemes = map[string]*huma.SecurityScheme{
	"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The access token of a signed-in person, at the gateway"},
	"key":    {Type: "apiKey", In: "header", Name: APIKeyHeader, Description: "The API key of an operator's program, a partner, or a service"},
}

// security says that one of them will do.
var security = []map[string][]string{{"bearer": {}}, {"key": {}}}

// guard notes a route, and that it is for somebody.
func (a *API) guard(method, path string, access auth.Access) {
	if access.Void() {
		panic("httpapi: " + method + " " + path + " is for nobody: say whom it is for")
	}
	a.routes = append(a.routes, Route{method, path, access})
}

// admission lets those pass who have access.
func admission(access auth.Access) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := access.Allows(auth.From(ctx.Context()), ctx.Method()); err != nil {
			r, w := humago.Unwrap(ctx)
			WriteError(w, r, err)
			return
		}
		next(ctx)
	}
}
