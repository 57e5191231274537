// Package house keeps the house in order: tests over the tree itself, which hold the code to the rules of
// docs/architecture.md and CONTRIBUTING.md. There is nothing here to import.
//
// What the tests read is source and `go list`; they build nothing and change nothing.
package house

//go:generate go run ./diagram ../../docs/status.md
//go:generate go run ./cli ../../cmd/tiffin ../../docs/cli.md
