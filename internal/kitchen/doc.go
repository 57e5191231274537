// Package kitchen is the restaurants' side: a ticket per order, as the restaurant tells it (step.go), and the
// restaurants with their menus (menu.go), which it owns and publishes.
//
// Step is pure.
package kitchen
