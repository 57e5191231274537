// Package app is the composition root: which services, on which adapters, in this process. It is the one package
// that knows adapters, and it decides nothing about the business.
package app
