// Package restaurant is the simulated restaurants: one company that cooks for all of them.
//
// A cooking request is identified by its kitchen id, and there is one for an order. It begins a few seconds after it
// was asked for, is done at its ready_at (without one, after partner.DefaultPrep), and is handed over as soon as meal
// and courier are both at the counter. All of that is foreseen and owed from the moment it is known, so that a meal
// costs three writes: the request, the courier's coming, and that its callbacks were heard.
//
// The courier is the transport company's, which says when it is at the counter (POST /handovers) and is told when it
// was given the meal (POST {transport}/pickups). The record is the order's: whichever comes first, the courier or the
// cooking request, begins it. A courier who was called back leaves (DELETE /handovers/{order_id}).
//
// A request that is cancelled stops; one that is cancelled before it came is refused when it comes. Once the meal is
// handed over, or within partner.Margin of that, it is too late.
//
// Two restaurants are there to be tried out: [Refusing] and [Silent].
package restaurant

// Refusing is the restaurant that answers 422 to every cooking request.
const Refusing = "0190a000-0000-7000-8000-0000000000f1"

// Silent is the restaurant that accepts every cooking request and never calls back; who asks learns nothing.
const Silent = "0190a000-0000-7000-8000-0000000000f2"
