// Package gateway is the public door: it answers the outside and forwards what is allowed to the services.
//
// What may come in is the table in routes.go and nothing else; the commands services give each other are not in it.
// A request passes, in this order:
//
//  1. [Options.Origins]: which pages of other sites may read the answer, a refusal included
//  2. too much to do: lists are turned away, then new orders, and nothing else (shed.go)
//  3. the compression of the answer, zstd or gzip: none of event streams, and none below /v1/auth/
//  4. its id, the limit of its body, recovery from panics, who makes it (httpapi, [Options.Authenticate])
//  5. the protection from pages of other sites that would change something
//  6. the route: unknown 404, wrong method 405, not for this caller 401 or 403
//  7. [Options.Limit], around all that does work; [RouteOf] tells it which route. [Limits] is one
//  8. the forwarder, which tells the service who the caller is and passes no credential on
//
// Every answer has the headers of header.go. Beside what it forwards the gateway answers a first screen's questions in
// one ([Dashboard]), and lists the instances that it knows.
//
// Answers of the services pass through as they are, event streams without delay. A service that cannot be reached is
// 503, one that takes too long 504, one that breaks off 502, all as problems. A client's credentials, and whatever it
// says of itself in headers that are ours, go no further than here: the transport shows the services the gateway's
// own key, and the service asks again what the caller may.
//
// The gateway holds no state and decides nothing about orders.
package gateway
