// Package cardcompany is the simulated card company: it charges a card once per caller, refunds a charge once, calls
// back when it has decided, and keeps a ledger of the money that moved.
//
// A charge is identified by its caller id, the order. The same request again, with whatever Idempotency-Key or none,
// is answered with the state of the first and moves nothing; another amount for the same caller is refused. So there
// is one charge per caller id, ever, and one refund per charge, of at most its amount.
//
// What the company will decide is settled with the request, drawn from the token and the id, and becomes known 5 to
// 20 seconds later. So the request and its answer cost two writes: the charge, and that its callback was heard.
//
// Tokens of cards that are there to be tried out; every other token is a good card, tok_ok among them:
//
//	tok_declined   the answer is no
//	tok_silent     decides and never calls back; who asks is told
//	tok_mute       never decides
//	tok_late       says yes after 20 minutes: by then nobody wants the money
//	tok_duplicate  calls back three times, under three keys
//	tok_timeout    charges, and the connection dies without an answer; the second request is answered
//	tok_flaky      answers 500 to the first two requests and does nothing; takes the third
//	tok_early      calls back before it has answered the request
//
// The company stores no token and nothing else of a card or its owner, and logs neither.
package cardcompany
