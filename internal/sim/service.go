package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// What the shell is told: durable.Runner's defaults.
const (
	lease = 30 * time.Second
	flush = 5 * time.Second
)

// service is one service: its store and the instances that share it.
type service[S any] struct {
	w         *world
	name      string
	machine   *codec[S]
	store     *store[S]
	instances []*instance[S]
	serve     func(*instance[S], *call)
	awaited   map[string][]*wait[S] // by record
}

// instance executes the acts of its cells, as durable.Runner does for real.
type instance[S any] struct {
	host
	service *service[S]
	seats   map[string]*seat[S]
	pollAt  int64 // when the store is asked next; 0: never
}

// seat is a cell with who waits for it.
type seat[S any] struct {
	cell    *durable.Cell[S]
	busy    bool // a load or save is under way
	saving  durable.Record
	driven  bool
	token   uint64
	waiting []waiter
	alarmAt time.Time
}

type waiter struct {
	token   uint64
	event   durable.Event
	version int64 // the store's when the event came
	then    func(error)
}

// wait is somebody who waits for a state.
type wait[S any] struct {
	until func(S) bool
	wake  func()
	over  bool
}

func newService[S any](w *world, name string, m durable.Machine[S], f durable.Features, plain bool, serve func(*instance[S], *call)) *service[S] {
	machine := &codec[S]{Machine: m, plain: plain}
	s := &service[S]{w: w, name: name, machine: machine, serve: serve, awaited: map[string][]*wait[S]{}}
	s.store = newStore(s, f)
	n := 2
	if f.Exclusive {
		n = 1
	}
	for k := range n {
		i := &instance[S]{service: s, seats: map[string]*seat[S]{}}
		i.host = host{w: w, service: name, name: fmt.Sprintf("%s/%d", name, k), forget: i.vanish, rise: i.poll}
		s.instances = append(s.instances, i)
		w.hosts = append(w.hosts, &i.host)
		i.start()
	}
	return s
}

// pick chooses an instance as a load balancer does that does not know who is well.
func (s *service[S]) pick() *instance[S] {
	return s.instances[s.w.rng.IntN(len(s.instances))]
}

// committed has the instances look for the record when it is due.
func (s *service[S]) committed(sh *shadow[S]) {
	s.wake(sh.rec.ID, sh.state)
	for _, i := range s.instances {
		i.expect(sh)
	}
}

// wake tells who waits for the record that it has come to a state.
func (s *service[S]) wake(id string, state S) {
	for _, x := range s.awaited[id] {
		if !x.over && x.until(state) {
			x.wake()
		}
	}
}

func (i *instance[S]) vanish() {
	clear(i.seats)
	i.pollAt = 0
}

func (i *instance[S]) seat(id string) *seat[S] {
	s := i.seats[id]
	if s == nil {
		terms := durable.Terms{Owner: i.owner, Lease: lease, FlushAfter: flush, Exclusive: i.w.exclusive}
		s = &seat[S]{cell: durable.NewCell[S](i.service.machine, terms, id)}
		i.seats[id] = s
	}
	return s
}

// drive does the cell's acts until it has none or one is under way.
func (i *instance[S]) drive(s *seat[S]) {
	if s.driven {
		return
	}
	s.driven = true
	defer func() { s.driven = false }()
	life := i.life
	for i.w.broken == nil && i.up && i.life == life && i.stalled <= i.w.now && !s.busy {
		now := i.now()
		act := s.cell.Next(now)
		switch act.Kind {
		case durable.ActNone:
			i.rest(s, now)
			return
		case durable.ActReply:
			i.reply(s, act.Reply)
		case durable.ActLoad:
			i.load(s)
		case durable.ActSave:
			i.save(s, act.Record)
		case durable.ActSend:
			i.send(s, act)
		}
	}
	if i.stalled > i.w.now && !s.busy {
		i.after(0, func() { i.drive(s) })
	}
}

// rest has the cell driven again when its next moment comes, or forgets it where it is at rest.
func (i *instance[S]) rest(s *seat[S], now time.Time) {
	at := s.cell.Wake()
	if !at.IsZero() && !at.After(now) {
		i.w.fail(9, "%s %s: the cell has nothing to do and wants to be woken %v ago", i.name, s.cell.ID(), now.Sub(at))
		return
	}
	if s.cell.Idle() && len(s.waiting) == 0 {
		if _, _, known := s.cell.State(); !known || i.w.fault(Evict) {
			i.release(s)
			return
		}
	}
	if at.Equal(s.alarmAt) {
		return
	}
	s.alarmAt = at
	if at.IsZero() {
		return
	}
	i.at(at, func() {
		if s.alarmAt.Equal(at) && i.seats[s.cell.ID()] == s {
			s.alarmAt = time.Time{}
			i.drive(s)
		}
	})
}

// release forgets the cell, and takes the record up again when something it owes is due.
func (i *instance[S]) release(s *seat[S]) {
	id := s.cell.ID()
	delete(i.seats, id)
	if due := s.cell.Record().Due; !due.IsZero() {
		i.tell("forgets", id, "", 0)
		i.at(due, func() {
			s := i.seat(id)
			s.cell.Recall()
			i.drive(s)
		})
	}
}

// reply tells who brought an event what became of it. Nothing is acknowledged that the store does not have.
func (i *instance[S]) reply(s *seat[S], r durable.Reply) {
	at := -1
	for k := range s.waiting {
		if s.waiting[k].token == r.Token {
			at = k
			break
		}
	}
	if at < 0 {
		i.w.fail(7, "%s %s: an answer to nobody", i.name, s.cell.ID())
		return
	}
	x := s.waiting[at]
	s.waiting = append(s.waiting[:at], s.waiting[at+1:]...)
	if i.fate("crash before an answer") {
		return
	}
	i.service.store.acknowledged(i.name, s.cell.ID(), x, r.Err)
	x.then(r.Err)
	if i.up {
		i.fate("crash after an answer")
	}
}

// bring delivers an event to the record id, or to the one that has the key, and calls then with what durable.Runner
// would answer: the id of the record, its state at that time or later, and the error.
func (i *instance[S]) bring(c command, then func(id string, v view[S], err error)) {
	s := i.seat(c.id)
	s.token++
	s.waiting = append(s.waiting, waiter{s.token, c.event, i.service.store.view(c.id).version, func(err error) {
		var exists *durable.ExistsError
		switch {
		case errors.As(err, &exists) && exists.ID != c.id:
			i.bring(command{id: exists.ID, event: c.event}, then)
		case err != nil:
			then(c.id, view[S]{}, err)
		case i.w.oneIn(4): // the one who waits is slow
			i.after(i.w.latency(), func() { then(c.id, i.current(s), nil) })
		default:
			then(c.id, i.current(s), nil)
		}
	}})
	if c.begin {
		s.cell.DeliverNew(s.token, c.key, c.event)
	} else {
		s.cell.Deliver(s.token, c.event)
	}
	i.drive(s)
}

// view is a record's state as a reader sees it.
type view[S any] struct {
	state   S
	version int64
	ok      bool
}

// current is what durable.Runner shows after an event: what the cell knows, else what the store has.
func (i *instance[S]) current(s *seat[S]) view[S] {
	if state, version, ok := s.cell.State(); ok {
		return view[S]{state, version, true}
	}
	return i.service.store.view(s.cell.ID())
}

// read is what durable.Runner's View answers.
func (i *instance[S]) read(id string) view[S] {
	if s := i.seats[id]; s != nil && i.w.exclusive {
		return i.current(s)
	}
	return i.service.store.view(id)
}

// await calls then once the record's state satisfies until, or after limit.
func (i *instance[S]) await(id string, until func(S) bool, limit time.Duration, then func(view[S])) {
	if v := i.read(id); !v.ok || until(v.state) {
		then(v)
		return
	}
	x := &wait[S]{until: until}
	end := func() {
		if !x.over {
			x.over = true
			waits := i.service.awaited[id]
			for k := range waits {
				if waits[k] == x {
					i.service.awaited[id] = append(waits[:k:k], waits[k+1:]...)
					break
				}
			}
			then(i.read(id))
		}
	}
	x.wake = func() {
		i.after(i.w.between(0, 100*time.Millisecond), func() {
			if v := i.read(id); !v.ok || until(v.state) {
				end()
			}
		})
	}
	i.service.awaited[id] = append(i.service.awaited[id], x)
	i.after(limit, end)
}

// send carries an effect out.
func (i *instance[S]) send(s *seat[S], act durable.Act) {
	if i.fate("crash before a send") {
		return
	}
	if !i.service.store.sends(i.name, s.cell.ID(), act) {
		return
	}
	id := act.Owed.ID
	i.w.execute(&i.host, act.Owed, act.Key, func(out durable.Outcome) {
		i.service.store.sent(s.cell.ID(), id, out)
		i.tell("result of", id, out.Detail, int64(out.Status))
		if i.fate("crash before a result is noted") {
			return
		}
		s.cell.Sent(id, out)
		i.drive(s)
	})
	i.fate("crash after a send")
}
