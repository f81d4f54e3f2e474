package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/export"
	"sallyport/record"
)

// outputs is what serve does for other systems: the outputs of the configuration, and metrics. A nil one does nothing.
type outputs struct {
	log      *slog.Logger
	metrics  *export.Metrics
	listener net.Listener
	watched  map[string]*record.Stream
	pumps    []*export.Pump
	closers  []io.Closer
	kept     map[string][]keptLines // what outputs keep on this machine, by their names
	sent     []string               // outputs whose receivers are elsewhere
	doors    []*oneAtATime          // by which everything leaves
	lists    []control.Erasure      // whose entries may still be on their way
}

// exportFolder holds cursors and dead letters, in the data folder.
const exportFolder = "export"

// openExports opens the outputs and listens for Prometheus.
func (s *Server) openExports(ctx context.Context) error {
	settings := s.O.Config
	x := &outputs{log: s.log, watched: map[string]*record.Stream{config.StreamAccess: s.AccessStream, config.StreamControl: s.ControlStream}}
	s.exports = x
	if address := settings.Metrics.Listen; address != "" {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen for Prometheus: %w", err)
		}
		x.listener = l
		x.metrics = export.NewMetrics(s.gauges())
	}
	for i := range settings.Export {
		if err := s.openOutput(x, &settings.Export[i]); err != nil {
			return fmt.Errorf("open export %s: %w", settings.Export[i].Name, err)
		}
	}
	return nil
}

func (s *Server) gauges() export.Gauges {
	return export.Gauges{
		Last:     map[string]func() uint64{config.StreamAccess: s.AccessStream.Last, config.StreamControl: s.ControlStream.Last},
		Syncs:    map[string]func() uint64{config.StreamAccess: s.AccessStream.Syncs, config.StreamControl: s.ControlStream.Syncs},
		Failing:  map[string]func() bool{config.StreamAccess: s.AccessStream.Failing, config.StreamControl: s.ControlStream.Failing},
		Sessions: s.sessions, Version: programVersion(),
	}
}

// sessions is how many clients are served.
func (s *Server) sessions() int {
	s.mu.Lock()
	gw := s.gateway
	s.mu.Unlock()
	if gw == nil {
		return 0
	}
	return gw.Sessions()
}

// openOutput makes a pump for each stream of one output; they share the receiver.
func (s *Server) openOutput(x *outputs, o *config.ExportOutput) error {
	sink, closer, err := ExportSink(s.O.Config, o)
	if err != nil {
		return err
	}
	if closer != nil {
		x.closers = append(x.closers, closer)
	}
	patience, err := config.GiveUp(o.Webhook.GiveUp)
	if err != nil {
		return err
	}
	streams := o.Streams
	if len(streams) == 0 {
		streams = []string{config.StreamAccess, config.StreamControl}
	}
	dead := &export.DeadFile{Path: DeadFile(s.O.Data, o.Name)}
	shared := &oneAtATime{sink: sink, dead: dead}
	x.doors = append(x.doors, shared)
	x.keeps(o.Name, sink, dead)
	for _, name := range streams {
		stream := x.watched[name]
		cursor, err := s.openCursor(x, o, name)
		if err != nil {
			return err
		}
		encoder, err := s.encoder(export.Format(cmp.Or(o.Format, string(export.OCSF))), stream, o.People == config.PeopleNamed)
		if err != nil {
			return err
		}
		p := &export.Pump{Output: o.Name, Name: name, Stream: stream, Cursor: cursor, Encode: encoder, Sink: shared, Log: s.log, Refusals: o.Webhook.Refusals, GiveUp: patience}
		if o.Webhook != (config.ExportWebhook{}) {
			p.Dead = shared
		}
		if o.Syslog != (config.ExportSyslog{}) {
			p.Linger = time.Second // each batch is a connection
		}
		if x.metrics != nil {
			p.Meter = x.metrics
			x.metrics.Behind(o.Name, name, cursor.Position())
		}
		x.pumps = append(x.pumps, p)
	}
	return nil
}

// openCursor is how far an output is in a stream; one that is new begins where the configuration says.
func (s *Server) openCursor(x *outputs, o *config.ExportOutput, name string) (*record.Cursor, error) {
	cursor, err := record.OpenCursor(filepath.Join(s.O.Data, exportFolder), o.Name+"."+name)
	if err != nil {
		return nil, err
	}
	x.closers = append(x.closers, cursor)
	if last := x.watched[name].Last(); o.Begin == "now" && cursor.Position() == 0 && last > 0 {
		return cursor, cursor.Advance(last)
	}
	return cursor, nil
}

// encoder makes messages of a stream, in which people stand by pseudonyms unless they are to be named.
func (s *Server) encoder(format export.Format, stream *record.Stream, named bool) (*export.Encoder, error) {
	services := s.O.Config.Services
	c, err := export.NewEncoder(format, stream.ID(), programVersion(), func(who sallyport.Staff) bool {
		_, ok := services[string(who)]
		return ok
	})
	if err == nil && !named {
		c.Masks = s.Names
	}
	return c, err
}

// DeadFile is where an output keeps what its receiver does not take.
func DeadFile(data, output string) string {
	return filepath.Join(data, exportFolder, output+".dead.jsonl")
}

// ExportSink makes the receiver of an output.
func ExportSink(c *config.Config, o *config.ExportOutput) (export.Sink, io.Closer, error) {
	switch {
	case o.File != config.ExportFile{}:
		f := &export.File{Path: c.Path(o.File.Path), Rotate: int64(o.File.Rotate) << 20, Keep: o.File.Keep}
		return f, f, nil
	case o.Syslog != config.ExportSyslog{}:
		trust, err := c.OutputTLS(o.Syslog.CA, o.Syslog.ServerName, o.Syslog.Certificate, o.Syslog.Key)
		if err != nil {
			return nil, nil, err
		}
		return &export.Syslog{Address: o.Syslog.Address, TLS: trust, Unconfirmed: o.Syslog.Confirm == "none"}, nil, nil
	default:
		sink, err := webhookSink(c, &o.Webhook)
		return sink, nil, err
	}
}

func webhookSink(c *config.Config, w *config.ExportWebhook) (export.Sink, error) {
	trust, err := c.OutputTLS(w.CA, "", "", "")
	if err != nil {
		return nil, err
	}
	sink := &export.Webhook{
		URL: w.URL,
		Client: &http.Client{
			Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
		},
	}
	if w.SecretFile != "" {
		secret, err := config.ReadSecretFile(c.Path(w.SecretFile))
		if err != nil {
			return nil, err
		}
		if len(secret) < 16 {
			return nil, config.Usagef("the secret of the webhook has %d bytes; expected 16 or more: openssl rand -hex 32", len(secret))
		}
		sink.Secret = []byte(secret)
	}
	if w.AuthorizationFile != "" {
		if sink.Authorization, err = config.ReadSecretFile(c.Path(w.AuthorizationFile)); err != nil {
			return nil, err
		}
	}
	return sink, nil
}

// oneAtATime lets several streams share a receiver. What was erased since it was encoded does not leave: neither to the receiver nor to its dead letters.
type oneAtATime struct {
	mu   sync.Mutex // held while the receiver works; guards gone
	sink export.Sink
	dead export.DeadLetters
	gone func(uid string) bool // nil: nothing
}

// forget has what is gone stay here from now on. Once it returns nothing of it is on its way any more.
func (o *oneAtATime) forget(gone func(uid string) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = gone
}

// Deliver is export.Sink's. A message that is gone counts as taken.
func (o *oneAtATime) Deliver(ctx context.Context, batch []export.Message) (taken int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for taken < len(batch) {
		if o.gone != nil && o.gone(batch[taken].UID) {
			taken++
			continue
		}
		end := taken + 1
		for end < len(batch) && (o.gone == nil || !o.gone(batch[end].UID)) {
			end++
		}
		n, err := o.sink.Deliver(ctx, batch[taken:end])
		if taken += n; err != nil || taken < end {
			return taken, err
		}
	}
	return taken, nil
}

// Keep is export.DeadLetters'.
func (o *oneAtATime) Keep(batch []export.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone != nil {
		batch = slices.DeleteFunc(slices.Clone(batch), func(m export.Message) bool { return o.gone(m.UID) })
	}
	if len(batch) == 0 {
		return nil
	}
	return o.dead.Keep(batch)
}

// run carries until ctx ends. What is not delivered by then is delivered after the next start.
func (x *outputs) run(ctx context.Context) {
	if x == nil {
		return
	}
	var wg sync.WaitGroup
	for _, p := range x.pumps {
		wg.Go(func() { p.Run(ctx) })
	}
	if x.metrics != nil {
		for name, stream := range x.watched {
			wg.Go(func() {
				if err := x.metrics.Watch(ctx, name, stream, stream.Last()+1); err != nil && ctx.Err() == nil {
					x.log.Error("entries are not counted any more", "stream", name, "why", err.Error())
				}
			})
		}
		wg.Go(func() { x.serveMetrics(ctx) })
	}
	wg.Wait()
}

func (x *outputs) serveMetrics(ctx context.Context) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", x.metrics.Handler())
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(x.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(x.listener); !errors.Is(err, http.ErrServerClosed) {
		x.log.Error("metrics are not served any more", "why", err.Error())
	}
}

// close gives files and names free.
func (x *outputs) close() error {
	if x == nil {
		return nil
	}
	var errs []error
	if x.listener != nil {
		if err := x.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, c := range x.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// programVersion is what version prints.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}

// traffic is what commands export and import by.
func (s *Server) traffic() *api.Traffic {
	return &api.Traffic{Export: s.exportTo, Formats: export.Formats(), Begin: s.imports.Begin, Take: s.imports.Take}
}

// exportTo writes what is on record up to now, stream after stream.
func (s *Server) exportTo(ctx context.Context, q api.ExportQuery, w io.Writer) error {
	for _, name := range q.Streams {
		stream, from := s.ControlStream, uint64(1)
		if name == config.StreamAccess {
			stream = s.AccessStream
			if !q.Since.IsZero() {
				from = s.granting.days.from(dayOf(q.Since) - 1)
			}
		}
		if err := s.exportStream(ctx, q, stream, from, w); err != nil {
			s.log.Error("an export of the record broke off", "stream", name, "why", err.Error())
			return err
		}
	}
	return nil
}

func (s *Server) exportStream(ctx context.Context, q api.ExportQuery, stream *record.Stream, from uint64, w io.Writer) error {
	encoder, err := s.encoder(export.Format(q.Format), stream, false)
	if err != nil {
		return err
	}
	encoder.Shown = q.Shown
	last := stream.Last()
	var messages []export.Message
	var buf []byte
	write := func() error {
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	}
	err = stream.Read(from, func(e *sallyport.Event) error {
		if e.Seq > last {
			return errExported
		}
		if e.Time.Before(q.Since) || !q.Until.IsZero() && !e.Time.Before(q.Until) {
			return ctx.Err()
		}
		messages = encoder.Append(messages[:0], e)
		for i := range messages {
			buf = append(append(buf, messages[i].Body...), '\n')
		}
		if len(buf) < 64<<10 {
			return nil
		}
		return cmp.Or(ctx.Err(), write())
	})
	if err != nil && !errors.Is(err, errExported) {
		return errors.Join(write(), fmt.Errorf("read the record: %w", err))
	}
	return write()
}

// errExported ends a walk where the record ended when the question was asked.
var errExported = errors.New("exported so far")
