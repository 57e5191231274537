// Package sim is the proof room: whole worlds of orders, services, partner companies and a broker in one goroutine
// each, in virtual time, with faults drawn from a seed. It drives the code that ships: the pure cores of order,
// payment, delivery and kitchen through [durable.Cell] over the model store. Only what is outside the services'
// walls is a model of its own: the network, the broker, the customers and the partner companies, which keep their
// books in plain Go.
//
// It promises:
//
//   - The same [Config] gives the same steps and the same trace hash, on any machine and with any number of workers.
//   - Every violation comes with the seed of its world and a command that replays exactly that world.
//   - An invariant is checked at the moment it can break: at every commit, send, answer, claim and entry of the
//     companies' books; and over everything when the world has come to rest.
//   - A run that is big enough and did not see every fault fire, every edge of the order's graph taken and every
//     effect retried is a failure too.
//
// It never reads the wall clock, never starts a goroutine inside a world, and never depends on map order.
//
// Every world draws its own share of the faults and how often they strike; a quarter of the worlds have one instance
// of each service over an exclusive store, as `tiffin up` has, the others two over a shared one.
//
// What it does not show: real stores, brokers and processes (levels 2 and 3); the executor [durable.Runner], whose
// place the instances here take, with its graceful stop and its unparking; and menus.
package sim
