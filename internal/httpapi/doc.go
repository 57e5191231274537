// Package httpapi makes servers and clients that behave the same way everywhere.
//
// A server is an [API]: routes are registered with their types ([Register]), and validation, the OpenAPI 3.1
// document at /openapi.json, the documentation page at /docs and health follow from them. What it promises:
//
//   - Every answer that is not a success is application/problem+json with a string detail, an unknown route, a
//     wrong method and a panic included.
//   - Whatever is wrong with a request, malformed JSON included, is 422, and the detail names the first offending
//     field and the reason. No answer repeats a value that was sent: it might be a card number.
//   - An error nobody foresaw is logged once, with the request's id, and shown as "internal error".
//   - Bodies are exactly the types': no $schema field, no Link to a schema.
//   - Every request has an id (X-Request-Id), which clients pass on.
//   - A server that stops answers what it has taken on; only event streams are ended.
//
// Fields the type does not have are refused. A body from a foreign company or from the original system may carry
// more than we know; its type says so, and then what is unknown is ignored:
//
//	type Callback struct {
//		_      struct{} `additionalProperties:"true"`
//		Status string   `json:"status"`
//	}
//
// A [Client] carries commands and reads to other services: resolved, balanced, with a timeout and a circuit breaker
// for each instance, and a pure [Classify] that says what an answer means to an outbox. [Local] is a transport
// without sockets for services that live in one process; the code on both sides of it is the same.
//
// The package never retries a command (the outbox does), never follows a redirect, and reads real time only: limits
// of the business are the clock's.
package httpapi
