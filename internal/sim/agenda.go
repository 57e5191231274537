package sim

// event is something that will happen in a world. Where it happens to an instance, it does so only in the same
// life of it, and not before it has woken up from a stall.
type event struct {
	at   int64 // nanoseconds since the world's beginning
	seq  uint64
	do   func()
	host *host
	life int
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// agenda is what is to come: a heap of four children each, earliest first, and first said first among equals.
type agenda struct {
	events []event
	seq    uint64
}

func (a *agenda) add(e event) {
	a.seq++
	e.seq = a.seq
	h := append(a.events, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
	a.events = h
}

func (a *agenda) next() (event, bool) {
	h := a.events
	if len(h) == 0 {
		return event{}, false
	}
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	a.events = h
	if len(h) == 0 {
		return first, true
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first, true
}
