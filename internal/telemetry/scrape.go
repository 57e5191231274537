package telemetry

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// This file has what is asked for when somebody scrapes, and costs nothing before.

// namesOf reads the names out of descriptions, which tell them to people only.
func namesOf(descs <-chan *prometheus.Desc) (names []string) {
	for d := range descs {
		if m := fqName.FindStringSubmatch(d.String()); m != nil {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

// How a backlog is counted: no further than most, not more often than every, for limit at the longest. Real time.
const (
	backlogMost  = 10_000
	backlogEvery = 5 * time.Second
	backlogLimit = 2 * time.Second
)

// backlogs are what records owe that is due.
type backlogs struct {
	depth, age *prometheus.Desc

	mu   sync.Mutex
	all  []*backlog
	next time.Time
}

type backlog struct {
	kind string
	look func(context.Context, int) (int, time.Duration, error)
	n    int
	age  time.Duration
	ok   bool
}

func newBacklogs() *backlogs {
	return &backlogs{
		depth: prometheus.NewDesc("tiffin_outbox_depth", "Records with work due, counted up to 10000, at most every 5 s.", []string{"kind"}, nil),
		age:   prometheus.NewDesc("tiffin_outbox_age_seconds", "For how long the work that waits longest has been due, by the business clock.", []string{"kind"}, nil),
	}
}

// Backlog has look asked how many records of a kind have work due, up to a limit, and since when: by a scrape, at most
// every 5 s.
func (m *Metrics) Backlog(kind string, look func(ctx context.Context, limit int) (n int, age time.Duration, err error)) {
	m.backlogs.mu.Lock()
	defer m.backlogs.mu.Unlock()
	m.backlogs.all = append(m.backlogs.all, &backlog{kind: kind, look: look})
}

// Describe is prometheus.Collector.
func (b *backlogs) Describe(c chan<- *prometheus.Desc) { c <- b.depth; c <- b.age }

// Collect is prometheus.Collector. A store that does not answer is left out.
func (b *backlogs) Collect(c chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.After(b.next) {
		ctx, cancel := context.WithTimeout(context.Background(), backlogLimit)
		var each sync.WaitGroup
		for _, one := range b.all {
			each.Go(func() {
				n, age, err := one.look(ctx, backlogMost)
				one.n, one.age, one.ok = n, max(0, age), err == nil
			})
		}
		each.Wait()
		cancel()
		b.next = now.Add(backlogEvery)
	}
	for _, one := range b.all {
		if one.ok {
			c <- prometheus.MustNewConstMetric(b.depth, prometheus.GaugeValue, float64(one.n), one.kind)
			c <- prometheus.MustNewConstMetric(b.age, prometheus.GaugeValue, one.age.Seconds(), one.kind)
		}
	}
}

// Instance is one instance of a service, and what a client's circuit breaker says of it: closed, half-open, open or none.
type Instance struct{ Service, URL, State string }

var breakerDesc = prometheus.NewDesc("tiffin_breaker_state", "The circuit breaker of an instance that is called: 0 closed, 1 half-open, 2 open.", []string{"service", "instance"}, nil)

// breakers are those of the instances that are called.
type breakers struct {
	mu   sync.Mutex
	list func() []Instance
}

// Instances has a scrape ask which instances are called. Those without a breaker are left out.
func (m *Metrics) Instances(list func() []Instance) {
	m.breakers.mu.Lock()
	defer m.breakers.mu.Unlock()
	m.breakers.list = list
}

// Describe is prometheus.Collector.
func (b *breakers) Describe(c chan<- *prometheus.Desc) { c <- breakerDesc }

// Collect is prometheus.Collector.
func (b *breakers) Collect(c chan<- prometheus.Metric) {
	b.mu.Lock()
	list := b.list
	b.mu.Unlock()
	if list == nil {
		return
	}
	for _, in := range list() {
		if state := slices.Index([]string{"closed", "half-open", "open"}, in.State); state >= 0 {
			c <- prometheus.MustNewConstMetric(breakerDesc, prometheus.GaugeValue, float64(state), in.Service, in.URL)
		}
	}
}

// Commits is what a database has committed, as histograms that it keeps itself.
type Commits struct {
	Writes, Commits uint64
	Spent           time.Duration
	BySize          map[float64]uint64 // cumulative: commits of at most so many writes
	ByTook          map[float64]uint64 // cumulative: commits of at most so many seconds
}

var (
	commitSize = prometheus.NewDesc("tiffin_commit_batch_size", "Writes that shared one commit of SQLite, and so one fsync.", []string{"database"}, nil)
	commitTook = prometheus.NewDesc("tiffin_commit_seconds", "How long commits of SQLite took, with the statements in them.", []string{"database"}, nil)
)

// commits are those of the databases of this process.
type commits struct {
	mu  sync.Mutex
	all map[string]func() Commits
}

// Database has a scrape ask what a database has committed.
func (m *Metrics) Database(name string, look func() Commits) {
	m.commits.mu.Lock()
	defer m.commits.mu.Unlock()
	if m.commits.all == nil {
		m.commits.all = map[string]func() Commits{}
	}
	m.commits.all[name] = look
}

// Describe is prometheus.Collector.
func (s *commits) Describe(c chan<- *prometheus.Desc) { c <- commitSize; c <- commitTook }

// Collect is prometheus.Collector.
func (s *commits) Collect(c chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, look := range s.all {
		now := look()
		c <- prometheus.MustNewConstHistogram(commitSize, now.Commits, float64(now.Writes), now.BySize, name)
		c <- prometheus.MustNewConstHistogram(commitTook, now.Commits, now.Spent.Seconds(), now.ByTook, name)
	}
}

var certificateDesc = prometheus.NewDesc("tiffin_certificate_expires_timestamp_seconds", "When the certificate that a service is served with expires, in seconds since 1970.", []string{"service"}, nil)

// certificates are those that services are served with.
type certificates struct {
	mu  sync.Mutex
	all map[string]func() time.Time
}

// Certificate has a scrape ask when a service's certificate expires; zero: there is none.
func (m *Metrics) Certificate(service string, expires func() time.Time) {
	m.certificates.mu.Lock()
	defer m.certificates.mu.Unlock()
	if m.certificates.all == nil {
		m.certificates.all = map[string]func() time.Time{}
	}
	m.certificates.all[service] = expires
}

// Describe is prometheus.Collector.
func (s *certificates) Describe(c chan<- *prometheus.Desc) { c <- certificateDesc }

// Collect is prometheus.Collector.
func (s *certificates) Collect(c chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for service, expires := range s.all {
		if at := expires(); !at.IsZero() {
			c <- prometheus.MustNewConstMetric(certificateDesc, prometheus.GaugeValue, float64(at.Unix()), service)
		}
	}
}

// door is how much is turned away, and how much should be.
type door struct {
	mu       sync.Mutex
	shed     func() (lists, orders int64)
	pressure func() float64
}

var (
	shedDesc     = prometheus.NewDesc("tiffin_shed_total", "Requests turned away because there was too much to do.", []string{"turn"}, nil)
	pressureDesc = prometheus.NewDesc("tiffin_pressure", "The share of new work that should be turned away now, as the process feels and hears it.", nil, nil)
)

// Door has a scrape ask the gateway how many requests it has turned away; nil: there is none here.
func (m *Metrics) Door(shed func() (lists, orders int64)) {
	m.door.mu.Lock()
	defer m.door.mu.Unlock()
	m.door.shed = shed
}

// Pressure has a scrape ask how much new work should be turned away.
func (m *Metrics) Pressure(now func() float64) {
	m.door.mu.Lock()
	defer m.door.mu.Unlock()
	m.door.pressure = now
}

// Describe is prometheus.Collector.
func (d *door) Describe(c chan<- *prometheus.Desc) { c <- shedDesc; c <- pressureDesc }

// Collect is prometheus.Collector.
func (d *door) Collect(c chan<- prometheus.Metric) {
	d.mu.Lock()
	shed, pressure := d.shed, d.pressure
	d.mu.Unlock()
	if shed != nil {
		lists, orders := shed()
		c <- prometheus.MustNewConstMetric(shedDesc, prometheus.CounterValue, float64(lists), "lists")
		c <- prometheus.MustNewConstMetric(shedDesc, prometheus.CounterValue, float64(orders), "orders")
	}
	if pressure != nil {
		c <- prometheus.MustNewConstMetric(pressureDesc, prometheus.GaugeValue, pressure())
	}
}
