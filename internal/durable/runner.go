package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/crew"
)

// Executor carries effects out: commands over HTTP, messages through the broker. key is the effect's idempotency
// key, the same for every attempt. It must return; an outcome nobody knows is Retry.
type Executor interface {
	Execute(ctx context.Context, o Owed, key string) Outcome
}

// ErrStopping is the answer to an event that came while the runner shuts down. Nothing was applied.
var ErrStopping = errors.New("shutting down")

// Options are a runner's settings; Name, Owner, Store, Clock and Executor have no default.
type Options struct {
	Name     string // for logs
	Owner    string // unique among the instances that share the store, and over restarts
	Store    Store
	Clock    *clock.Clock
	Executor Executor
	Log      *slog.Logger
	Lease    time.Duration // by the clock; 30 s
	Flush    time.Duration // how long sent-marks wait for a save to ride on, by the clock; 5 s
	Poll     time.Duration // how often a shared store is asked for work that others left, by the clock; 1 s
	Hot      int           // records kept in memory; 5,000
	Sends    int           // effects carried out at once; 256
	Load     Load          // is told of the events under way; nil: nobody is
	Tracer   Tracer        // nil: nobody follows
	// Meters gives each kind of record what counts for it; nil: nobody counts.
	Meters func(kind string) Meter
}

// Load is told when an event has come, and when it is on disk and answered or was given up.
type Load interface {
	Begin()
	End()
}

// Runner executes the bookkeeping of all records of one kind: it loads, saves, sends and answers for real.
// Start it, then Apply events; Stop waits for everything it began.
type Runner[S any] struct {
	opt     Options
	machine Machine[S]
	commit  func(id string, version int64, s S) // nil: nobody is told
	change  func(was, is S)                     // nil: nobody is told
	terms   Terms
	sends   chan struct{}

	mu       sync.Mutex
	cells    map[string]*seat[S]
	cold     []string // the order in which cold cells are looked for
	stopping bool
	work     sync.WaitGroup // turns and sends under way
	crew     crew.Crew[job[S]]
	life     context.Context // of loads, saves and sends: ends when Stop gives up waiting
	end      context.CancelFunc
	poll     *clock.Alarm
	polling  bool
	pollAt   time.Time
}

// job is one errand of the runner's crew: to drive a seat, or to carry out an effect of it.
type job[S any] struct {
	seat *seat[S]
	send *Act // nil: drive
	wake bool // its alarm rang; it may be driven already
}

// NewRunner makes a runner; Start begins its work.
func NewRunner[S any](m Machine[S], opt Options) *Runner[S] {
	if opt.Lease == 0 {
		opt.Lease = 30 * time.Second
	}
	if opt.Flush == 0 {
		opt.Flush = 5 * time.Second
	}
	if opt.Poll == 0 {
		opt.Poll = time.Second
	}
	if opt.Hot == 0 {
		opt.Hot = 5_000
	}
	if opt.Sends == 0 {
		opt.Sends = 256
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner[S]{
		opt: opt, machine: m, cells: map[string]*seat[S]{}, sends: make(chan struct{}, opt.Sends),
		terms: Terms{Owner: opt.Owner, Lease: opt.Lease, FlushAfter: opt.Flush, Exclusive: FeaturesOf(opt.Store).Exclusive},
	}
	r.terms.Kind, r.terms.Tracer = opt.Name, opt.Tracer
	if opt.Meters != nil {
		r.terms.Meter = opt.Meters(opt.Name)
	}
	r.life, r.end = context.WithCancel(context.Background()) //nolint:gosec // Stop calls it
	r.crew.Work = r.do
	r.work.Add(1) // until Stop
	return r
}

// OnCommit has f told of every version of every record that this runner has committed or read, in their order within
// a record; it may be told of one again. f must return at once. Call it before Start.
func (r *Runner[S]) OnCommit(f func(id string, version int64, s S)) { r.commit = f }

// OnChange has f told of every save of this runner that came through, once: what the state was before, and is now. A
// save of which nobody knows whether it took place is not told. f must return at once. Call it before Start.
func (r *Runner[S]) OnChange(f func(was, is S)) { r.change = f }

// do runs one job, for which the clock is held and the runner's work counted.
func (r *Runner[S]) do(j job[S]) {
	defer r.work.Done()
	defer r.opt.Clock.Release()
	if j.send != nil {
		r.send(j.seat, *j.send)
		return
	}
	j.seat.mu.Lock()
	defer j.seat.mu.Unlock()
	if j.wake {
		j.seat.alarm = nil
		if j.seat.gone || j.seat.driven {
			return
		}
		j.seat.driven = true
	}
	r.execute(j.seat)
}

// hand gives a job to the crew. The caller is counted as work itself, so that Stop does not pass by meanwhile.
func (r *Runner[S]) hand(j job[S]) {
	r.opt.Clock.Hold()
	r.work.Add(1)
	r.crew.Do(j)
}

// Start begins to take up owed work: what earlier runs left, and what others leave when they die.
func (r *Runner[S]) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookAtLocked(r.opt.Clock.Now())
}

// Stop takes no more events and waits until every turn and send under way has ended and every mark is saved, or
// until ctx ends: then it breaks off what is left, which the next run takes up again.
func (r *Runner[S]) Stop(ctx context.Context) error {
	r.mu.Lock()
	r.stopping = true
	if r.poll != nil {
		r.poll.Stop()
	}
	seats := make([]*seat[S], 0, len(r.cells))
	for _, s := range r.cells {
		seats = append(seats, s)
	}
	r.mu.Unlock()
	for _, s := range seats {
		s.mu.Lock()
		s.cell.Flush()
		r.drive(s)
		s.mu.Unlock()
	}
	r.work.Done() // NewRunner's
	done := make(chan struct{})
	go func() { r.work.Wait(); close(done) }() // ends before Stop does
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("%s: work under way was broken off: %w", r.opt.Name, ctx.Err())
		r.end()
		<-done
	}
	r.end()
	for _, s := range seats {
		s.mu.Lock()
		if s.alarm != nil {
			s.alarm.Stop()
		}
		r.abandon(s)
		s.mu.Unlock()
	}
	r.crew.Dismiss()
	r.crew.Wait()
	return err
}

// Applied is a record's committed state after an event, or as it was read.
type Applied[S any] struct {
	State   S
	Version int64
}

// Apply brings an event to the record id and returns when it is applied and on disk, with the state at that time
// or later. Errors: ErrNotFound, ErrKeyReused, a *Refusal of the core, ErrStopping, a store's failure (nothing is
// applied), or ctx's (then nobody knows).
func (r *Runner[S]) Apply(ctx context.Context, id string, e Event) (Applied[S], error) {
	e = r.within(ctx, e)
	return r.bring(ctx, id, func(c *Cell[S], token uint64) { c.Deliver(token, e) })
}

// within says whose doing the event is.
func (r *Runner[S]) within(ctx context.Context, e Event) Event {
	if r.opt.Tracer != nil && e.Trace == "" {
		e.Trace = r.opt.Tracer.Trace(ctx)
	}
	return e
}

// Create brings the event that begins the record id with the second key (none where empty). Where a record with
// the id or the key exists, the event is brought to that one: the same event is answered as before, and the
// returned id says which record answered.
func (r *Runner[S]) Create(ctx context.Context, id, key string, e Event) (string, Applied[S], error) {
	e = r.within(ctx, e)
	a, err := r.bring(ctx, id, func(c *Cell[S], token uint64) { c.DeliverNew(token, key, e) })
	var exists *ExistsError
	if errors.As(err, &exists) && exists.ID != id {
		a, err = r.Apply(ctx, exists.ID, e)
		return exists.ID, a, err
	}
	return id, a, err
}

// Unpark takes up again what is parked under name in the record id.
func (r *Runner[S]) Unpark(ctx context.Context, id, name string) error {
	_, err := r.bring(ctx, id, func(c *Cell[S], token uint64) { c.Unpark(token, name) })
	return err
}

func (r *Runner[S]) bring(ctx context.Context, id string, deliver func(*Cell[S], uint64)) (Applied[S], error) {
	if r.opt.Load != nil {
		r.opt.Load.Begin()
		defer r.opt.Load.End()
	}
	s, err := r.seat(id)
	if err != nil {
		return Applied[S]{}, err
	}
	s.token++
	token := s.token
	answer := make(chan error, 1)
	if s.waiting == nil {
		s.waiting = map[uint64]chan error{}
	}
	s.waiting[token] = answer
	deliver(s.cell, token)
	r.drive(s)
	r.rise(s)
	select {
	case err := <-answer:
		if err != nil {
			return Applied[S]{}, err
		}
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.waiting, token)
		s.mu.Unlock()
		return Applied[S]{}, fmt.Errorf("%s %s: %w", r.opt.Name, id, ctx.Err())
	}
	s.mu.Lock()
	state, version, ok := s.cell.State()
	s.mu.Unlock()
	if !ok {
		return r.View(ctx, id)
	}
	return Applied[S]{state, version}, nil
}

// View reads the record's committed state: never older than what any earlier answer of this runner showed, and
// never older than the store's where others write to it too. ErrNotFound.
func (r *Runner[S]) View(ctx context.Context, id string) (Applied[S], error) {
	if a, ok := r.hot(id); ok {
		return a, nil
	}
	rec, err := r.opt.Store.Load(ctx, id)
	if a, ok := r.hot(id); ok { // meanwhile: and the store may be ahead of it by a save whose end it has not heard of
		return a, nil
	}
	if err != nil {
		return Applied[S]{}, blame(err)
	}
	state, err := r.machine.Decode(rec.State)
	return Applied[S]{state, rec.Version}, err
}

// hot is the record's committed state where it is in memory and nobody else writes to the store. Who reads must not
// be shown more, or it would be shown less the next time.
func (r *Runner[S]) hot(id string) (Applied[S], bool) {
	if !r.terms.Exclusive {
		return Applied[S]{}, false
	}
	r.mu.Lock()
	s := r.cells[id]
	r.mu.Unlock()
	if s == nil {
		return Applied[S]{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state, version, ok := s.cell.State()
	return Applied[S]{state, version}, ok
}

// Record reads the whole record as the store has it, with what it owes: for inspection.
func (r *Runner[S]) Record(ctx context.Context, id string) (Record, error) {
	rec, err := r.opt.Store.Load(ctx, id)
	return rec, blame(err)
}

// List reads up to limit records of a party (all where it is empty) with ids below before, newest id first. Whose a
// record is the store says: where the states are newer than that, they may say otherwise.
func (r *Runner[S]) List(ctx context.Context, party, before string, limit int) ([]Applied[S], []Record, error) {
	records, err := r.opt.Store.List(ctx, party, before, limit)
	if err != nil {
		return nil, nil, blame(err)
	}
	states := make([]Applied[S], len(records))
	for i, rec := range records {
		state, err := r.machine.Decode(rec.State)
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", r.opt.Name, rec.ID, err)
		}
		states[i] = Applied[S]{state, rec.Version}
		if a, ok := r.hot(rec.ID); ok {
			states[i] = a
		}
	}
	return states, records, nil
}

// drive makes sure that somebody executes the cell's acts. s.mu is held.
func (r *Runner[S]) drive(s *seat[S]) {
	if s.driven {
		return
	}
	s.driven = true
	r.hand(job[S]{seat: s})
}

// execute does the cell's acts until it has none. s.mu is held, but not while storing.
func (r *Runner[S]) execute(s *seat[S]) {
	for {
		if r.life.Err() != nil {
			s.driven = false
			r.abandon(s)
			return
		}
		act := s.cell.Next(r.opt.Clock.Now())
		r.announce(s)
		switch act.Kind {
		case ActNone:
			s.driven = false
			if !r.dismiss(s) {
				r.setAlarm(s)
			}
			return
		case ActReply:
			if ch := s.waiting[act.Reply.Token]; ch != nil {
				delete(s.waiting, act.Reply.Token)
				ch <- act.Reply.Err
			}
		case ActLoad:
			s.mu.Unlock()
			ctx := r.under(act.Trace)
			rec, err := r.opt.Store.Load(ctx, s.cell.ID())
			s.mu.Lock()
			s.cell.Loaded(rec, blame(err), r.opt.Clock.Now())
			r.complain(ctx, s, "load", err)
		case ActSave:
			var was S
			if r.change != nil {
				was, _, _ = s.cell.State()
			}
			s.mu.Unlock()
			var err error
			ctx := r.under(act.Trace)
			if act.Record.Version == 1 {
				err = r.opt.Store.Create(ctx, act.Record)
			} else {
				err = r.opt.Store.Save(ctx, act.Record)
			}
			s.mu.Lock()
			s.cell.Saved(blame(err), r.opt.Clock.Now())
			r.complain(ctx, s, "save", err)
			if err == nil && r.change != nil {
				is, _, _ := s.cell.State()
				r.change(was, is)
			}
		case ActSend:
			send := act // a copy, so that only acts that leave the loop leave the stack
			r.hand(job[S]{seat: s, send: &send})
		}
	}
}

// under is the context of a store's work for an act of the trace.
func (r *Runner[S]) under(trace string) context.Context {
	if trace == "" || r.opt.Tracer == nil {
		return r.life
	}
	return r.opt.Tracer.Under(r.life, trace)
}

// blame marks what the store cannot be asked to answer for otherwise.
func blame(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnknown) {
		return err
	}
	if _, exists := errors.AsType[*ExistsError](err); exists {
		return err
	}
	return fmt.Errorf("%w: %w", ErrStore, err)
}

func (r *Runner[S]) complain(ctx context.Context, s *seat[S], what string, err error) {
	var exists *ExistsError
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.As(err, &exists) {
		return
	}
	r.opt.Log.WarnContext(ctx, "store", "what", what, "kind", r.opt.Name, "id", s.cell.ID(), "err", err)
}

func (r *Runner[S]) send(s *seat[S], act Act) {
	var out Outcome
	select {
	case r.sends <- struct{}{}:
		out = r.attempt(s, act)
		<-r.sends
	case <-r.life.Done():
		return
	}
	s.mu.Lock()
	s.cell.Sent(act.Owed.ID, out)
	r.drive(s)
	s.mu.Unlock()
}

// attempt carries an effect out, once.
func (r *Runner[S]) attempt(s *seat[S], act Act) Outcome {
	ctx, done := r.life, func(Outcome) {}
	if r.opt.Tracer != nil {
		s.mu.Lock()
		rec := s.cell.Record()
		s.mu.Unlock()
		ctx, done = r.opt.Tracer.Send(ctx, r.opt.Name, rec, act.Owed)
	}
	out := r.opt.Executor.Execute(ctx, act.Owed, act.Key)
	done(out)
	if out.Verdict == Retry {
		r.opt.Log.DebugContext(ctx, "effect will be tried again", "kind", r.opt.Name, "effect", act.Owed.ID,
			"attempt", act.Owed.Attempt+1, "why", out.Detail)
	}
	if r.terms.Meter != nil {
		r.terms.Meter.Sent(act.Owed.Name, act.Owed.Attempt, out.Verdict)
	}
	return out
}

// abandon tells those who still wait that the runner is gone. s.mu is held.
func (r *Runner[S]) abandon(s *seat[S]) {
	for token, ch := range s.waiting {
		delete(s.waiting, token)
		ch <- ErrStopping
	}
}

// setAlarm has the cell driven again when its next moment comes. s.mu is held.
func (r *Runner[S]) setAlarm(s *seat[S]) {
	at := s.cell.Wake()
	if s.alarm != nil {
		if at.Equal(s.alarmAt) {
			return
		}
		s.alarm.Stop()
		s.alarm = nil
	}
	if at.IsZero() {
		return
	}
	s.alarmAt = at
	s.alarm = r.opt.Clock.At(at, func() { // on the clock's goroutine: hand over and return
		r.mu.Lock()
		if !r.stopping {
			r.hand(job[S]{seat: s, wake: true})
		}
		r.mu.Unlock()
	})
}
