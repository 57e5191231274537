// Package payment is the money of one order: charged at most once, given back at most once, and exactly what was
// charged. The card company decides; where it stays silent it is asked.
//
// Step is pure. The package never sees a card number or a CVV: a customer's card is a token.
package payment
