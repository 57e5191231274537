// Package customer knows who orders, where they live and how they pay. It never holds a card number or a CVV: a
// card is a token of the card company beside a masked number.
package customer
