// Package engines brings tests the real servers that the adapters are for: RabbitMQ, MongoDB, PostgreSQL, Redis,
// Consul and Jaeger.
//
// A server is the one that an environment variable names (see Kind), or a private one, of what is installed on this
// machine: on free ports of 127.0.0.1, in a temporary folder of its own, and without a password. No private server
// outlives the process that started it, and no folder of a running one either, however that process ends: a shell
// that holds the other end of a pipe sees to it.
//
// URL and Place are for tests that share a server, Start for those that kill one. None of them installs anything or
// reaches into the network; what is missing is installed by the command `with`, through which `make test` runs.
//
// No product code imports this package.
package engines

import "strings"

// Kind is a kind of server. Its value is its name for people.
type Kind string

// The kinds. A test's server is named by TIFFIN_TEST_RABBITMQ_URL, TIFFIN_TEST_MONGODB_URL and so on; a server with
// a second address (see Server.Side) has a second variable for it.
const (
	RabbitMQ   Kind = "RabbitMQ"
	MongoDB    Kind = "MongoDB"
	PostgreSQL Kind = "PostgreSQL"
	Redis      Kind = "Redis"
	Consul     Kind = "Consul"
	Jaeger     Kind = "Jaeger"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{RabbitMQ, MongoDB, PostgreSQL, Redis, Consul, Jaeger} }

// Variable is the environment variable that names a server of the kind.
func (k Kind) Variable() string {
	if k == PostgreSQL {
		return "TIFFIN_TEST_POSTGRES_URL"
	}
	return "TIFFIN_TEST_" + strings.ToUpper(string(k)) + "_URL"
}

// SideVariable is the environment variable that names the second address of such a server, "" where there is none.
func (k Kind) SideVariable() string {
	switch k {
	case RabbitMQ:
		return "TIFFIN_TEST_RABBITMQ_MANAGEMENT_URL"
	case Jaeger:
		return "TIFFIN_TEST_OTLP_URL"
	case MongoDB, PostgreSQL, Redis, Consul:
	}
	return ""
}
