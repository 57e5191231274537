package limit

import "time"

// Rules are what the public door allows. A rule that is void allows everything.
type Rules struct {
	Address  Rule // requests of an address without a key
	SignIn   Rule // of those, what signs in or up or refreshes
	Callback Rule // of those, news from the outside companies, which come from few addresses
	Customer Rule // requests of a customer
	Orders   Rule // of those, new orders
	Cancels  Rule // cancels of a customer, after which new orders wait; a cancel is never refused
	Key      Rule // requests of an operator's program
}

// SignInMail is how often an account may be tried to sign in to, whatever the address.
var SignInMail = Rule{"sign-in-mail", 5, time.Minute}

// signIns is how often an address may sign in or up or refresh in a minute.
const signIns = 10

// PerMinute are the rules with so many requests a minute; 0 is no limit. Without a limit of addresses signing in has
// none either, without one of keys news has none, and without one of orders cancels have no consequence.
func PerMinute(address, customer, orders, key int64) Rules {
	r := Rules{
		Address:  Rule{"address", address, time.Minute},
		Customer: Rule{"customer", customer, time.Minute},
		Orders:   Rule{"orders", orders, time.Minute},
		Key:      Rule{"key", key, time.Minute},
		Callback: Rule{"callback", key, time.Minute},
	}
	if address > 0 {
		r.SignIn = Rule{"sign-in", signIns, time.Minute}
	}
	if orders > 0 {
		r.Cancels = Rule{"cancels", 5, 10 * time.Minute}
	}
	return r
}
