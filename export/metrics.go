package export

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sallyport"
)

// Metrics are counts for Prometheus. Labels have few values, all of them Sallyport's or the configuration's own words: kinds of entries,
// streams, outputs, codes of refusals. Nobody is named, and nothing of a customer.
type Metrics struct {
	registry  *prometheus.Registry
	events    *prometheus.CounterVec
	values    prometheus.Counter
	refusals  *prometheus.CounterVec
	limits    *prometheus.CounterVec
	delivered *prometheus.CounterVec
	failed    *prometheus.CounterVec
	dead      *prometheus.CounterVec
	position  *prometheus.GaugeVec

	mu    sync.Mutex // guards codes
	codes []string   // of refusals that were counted by their own name
}

// Gauges are read when somebody asks. Each may be nil.
type Gauges struct {
	Last     map[string]func() uint64 // the last entry, by stream
	Syncs    map[string]func() uint64 // how often a stream was made durable
	Failing  map[string]func() bool   // whether a stream cannot be written
	Sessions func() int
	Version  string
}

const namespace = "sallyport"

// NewMetrics makes the counters.
func NewMetrics(g Gauges) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.events = vec("record_entries_total", "Entries of the record since serve started, by stream and kind.", "stream", "kind")
	m.refusals = vec("refused_statements_total", "Refused statements since serve started, by the code of the refusal.", "code")
	m.limits = vec("budgets_reached_total", "Budgets that somebody reached since serve started, by measure and window.", "measure", "window")
	m.delivered = vec("export_delivered_total", "Messages that an output's receiver has, since serve started.", "output")
	m.failed = vec("export_failures_total", "Attempts to deliver that failed, since serve started.", "output")
	m.dead = vec("export_dead_letters_total", "Messages that an output gave up, since serve started.", "output")
	m.values = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "revealed_values_total", Help: "Values that left in plain since serve started; repeats within a batch count once."})
	m.position = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "export_position", Help: "The last entry that an output's receiver has."}, []string{"output", "stream"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": g.Version}})
	info.Set(1)
	m.registry.MustRegister(m.values, m.position, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauges(&g)
	return m
}

func (m *Metrics) gauges(g *Gauges) {
	add := func(name, help, stream string, read func() float64) {
		opts := prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}
		if stream != "" {
			opts.ConstLabels = prometheus.Labels{"stream": stream}
		}
		m.registry.MustRegister(prometheus.NewGaugeFunc(opts, read))
	}
	for stream, read := range g.Last {
		add("record_last_entry", "The last durable entry of a stream.", stream, func() float64 { return float64(read()) })
	}
	for stream, read := range g.Syncs {
		add("record_syncs", "How often a stream was made durable since serve started.", stream, func() float64 { return float64(read()) })
	}
	for stream, read := range g.Failing {
		add("record_failing", "1 while a stream cannot be written: what is protected is refused.", stream, func() float64 {
			if read() {
				return 1
			}
			return 0
		})
	}
	if g.Sessions != nil {
		add("sessions", "Sessions of clients.", "", func() float64 { return float64(g.Sessions()) })
	}
}

// Handler answers GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Watch counts entries from seq on until ctx ends.
func (m *Metrics) Watch(ctx context.Context, name string, stream Stream, from uint64) error {
	return stream.Follow(ctx, from, func(e *sallyport.Event) error {
		m.count(name, e)
		return nil
	})
}

func (m *Metrics) count(stream string, e *sallyport.Event) {
	m.events.WithLabelValues(stream, string(e.Kind)).Inc()
	if e.Kind == sallyport.RevealKind && e.Reveal != nil {
		m.values.Add(float64(e.Reveal.Values.Len()))
	}
	if s := e.Statement; s != nil && s.Refused != "" {
		m.refusals.WithLabelValues(m.code(s.Refused)).Inc()
	}
	if l := e.Limit; e.Kind == sallyport.BudgetReached && l != nil {
		m.limits.WithLabelValues(l.Measure, l.Window).Inc()
	}
}

// mostCodes bounds the codes that have a name of their own: Sallyport has a few dozen.
const mostCodes = 100

func (m *Metrics) code(code string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case slices.Contains(m.codes, code):
	case len(code) != 5 || len(m.codes) >= mostCodes:
		return "other"
	default:
		m.codes = append(m.codes, code)
	}
	return code
}

// Delivered is Meter's.
func (m *Metrics) Delivered(output string, n int) {
	m.delivered.WithLabelValues(output).Add(float64(n))
}

// Failed is Meter's.
func (m *Metrics) Failed(output string) { m.failed.WithLabelValues(output).Inc() }

// Dead is Meter's.
func (m *Metrics) Dead(output string, n int) { m.dead.WithLabelValues(output).Add(float64(n)) }

// Behind is Meter's.
func (m *Metrics) Behind(output, stream string, position uint64) {
	m.position.WithLabelValues(output, stream).Set(float64(position))
}
