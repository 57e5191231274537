// Package delivery is one order's way to the customer, as the transport company tells it. Whether a cancel or a
// driver came first is the company's decision, and this package the one place where that decision enters: exactly
// one of the two is ever reported.
//
// Step is pure.
package delivery
