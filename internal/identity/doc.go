// Package identity knows who may be somebody here: accounts of people, the sessions they are signed in by, and the
// keys of programs. It never holds a password, a token or a key, only digests of them.
//
// It has four pure cores. Each is a durable.Machine; their records are of one kind each:
//
//	AccountMachine   a person                                  id: the account's        key: the e-mail address
//	LoginMachine     whose account an e-mail address signs in  id: drawn from the address key: none
//	SessionMachine   a family of refresh tokens                id: the session's        key: none
//	KeyMachine       an API key                                id: the key's            key: none
//
// # The order of things
//
// Signing up. The e-mail address is claimed first, by a login that names the account to be: whoever claims it second
// is given the same account. Then the account begins, and owes the customer service the command to register a
// customer of the account's own id. Its answer makes the account a customer (.done), or says that the address belongs
// to a customer record already (.refused), or nothing at all ([JoinLimit], .gaveUp); the account is there in each case
// and may ask again. A crash between the two writes leaves a login that names nobody, and the next one who signs up
// with the address becomes that account.
//
// Asking again. A command that nobody answered may have been carried out. So when a second one is refused, the account
// asks whether the customer of its id is there: then it is its own, and the account is a customer.
//
// Signing in elsewhere (OpenID Connect). The account's id is drawn from issuer and subject, so that it
// is found again whatever becomes of the address. An address that another account has is refused: accounts are never
// linked by what a foreign company says of an address. The account has no role until it joins as a customer.
//
// Sessions. A refresh token is good once. Showing the one before within [Grace] of its replacement, as who did not get
// the answer will, gives a fresh one; showing any older one says that somebody else has a copy, and ends the whole
// family (RFC 9700, section 4.14.2). So does an account that changed: a session names the account's epoch, and a
// change of rights or of the password begins the next one. Access tokens already given live to their end.
package identity
