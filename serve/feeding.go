package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
)

// feeding takes what other systems know: from files that grow, by signed messages (feedinghook.go), from databases (feedingsql.go). Each line is put
// on record when it comes, and detection reads it from there.
type feeding struct {
	s     *Server
	files map[string]string // by kind
	every time.Duration

	mu    sync.Mutex // guards what follows
	told  map[string]feedState
	where string // the address of messages; empty: none are taken

	taking   sync.Mutex           // held until a message is on record: what comes twice is taken once; guards what follows
	messages map[string]time.Time // when they were taken
}

type feedState struct {
	lines, bad int64
	trouble    string
}

// Bounds of feeding.
const (
	feedEvery = time.Second
	mostFed   = sallyport.MostHeard // bytes of one entry; a longer line is passed over
	// Sources of inputs, by where they stand in the configuration.
	feedSource  = "detect.feeds"
	hookSource  = "detect.hook"
	querySource = "detect.sql"
)

func newFeeding(s *Server) *feeding {
	return &feeding{s: s, files: s.O.Config.Detect.Feeds.Files(), every: feedEvery, told: map[string]feedState{}, messages: map[string]time.Time{}}
}

// run takes until ctx ends. How far a file or a database was read stands on record with what was read, and a message with its id.
func (f *feeding) run(ctx context.Context) {
	c := &f.s.O.Config.Detect
	if len(f.files) == 0 && c.Hook.Listen == "" && len(c.SQL) == 0 {
		return
	}
	files, queries := map[string]uint64{}, map[string]uint64{}
	err := f.s.ControlStream.Read(1, func(e *sallyport.Event) error {
		if o := e.Order; e.Kind == sallyport.InputKind && o != nil && o.Input != nil {
			switch o.Input.Source {
			case feedSource:
				files[o.Input.Format] = o.Position
			case querySource:
				queries[o.Input.Format] = o.Position
			case hookSource:
				f.messages[o.Details] = e.Time
			}
		}
		return ctx.Err()
	})
	if err != nil {
		f.s.log.Error("what other systems know is not read", "why", err.Error())
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	if c.Hook.Listen != "" {
		wg.Go(func() { f.hear(ctx) })
	}
	for i := range c.SQL {
		wg.Go(func() { f.ask(ctx, &c.SQL[i], queries[c.SQL[i].Kind]) })
	}
	if len(f.files) > 0 {
		f.follow(ctx, files)
	}
}

// follow reads files as they grow, until ctx ends.
func (f *feeding) follow(ctx context.Context, at map[string]uint64) {
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	for {
		for _, kind := range slices.Sorted(maps.Keys(f.files)) {
			next, err := f.read(kind, f.s.O.Config.Path(f.files[kind]), at[kind])
			at[kind] = next
			f.trouble(kind, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// trouble notes why a kind cannot be read now; nil: it can.
func (f *feeding) trouble(kind string, err error) {
	f.note(kind, func(t *feedState) {
		t.trouble = ""
		if err != nil {
			t.trouble = err.Error()
		}
	})
}

func (f *feeding) note(kind string, change func(*feedState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.told[kind]
	change(&t)
	f.told[kind] = t
}

// read takes the whole lines of a file from a place on. A file that is shorter than that was begun anew.
func (f *feeding) read(kind, name string, from uint64) (uint64, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return from, fmt.Errorf("read %s: there is no file yet", kind)
	}
	if err != nil {
		return from, fmt.Errorf("read %s: %w", kind, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return from, fmt.Errorf("read %s: %w", kind, err)
	}
	if uint64(info.Size()) < from { //nolint:gosec // a size
		from = 0
	}
	head, err := header(file)
	if err != nil {
		return from, fmt.Errorf("read %s: %w", kind, err)
	}
	if from == 0 {
		from = uint64(len(head))
	}
	for {
		part := make([]byte, mostFed-len(head))
		n, err := file.ReadAt(part, int64(from)) //nolint:gosec // a place in a file
		if err != nil && !errors.Is(err, io.EOF) {
			return from, fmt.Errorf("read %s: %w", kind, err)
		}
		whole := bytes.LastIndexByte(part[:n], '\n') + 1
		if whole == 0 {
			if n < len(part) {
				return from, nil // the rest of the line is to come
			}
			from += uint64(n) //nolint:gosec // a length
			f.note(kind, func(t *feedState) { t.bad++ })
			continue
		}
		from += uint64(whole) //nolint:gosec // a length
		if _, err := f.put(feedSource, kind, append(slices.Clip(head), part[:whole]...), sallyport.Order{Position: from}); err != nil {
			return from - uint64(whole), err //nolint:gosec // a length
		}
	}
}

// header is the first line of a CSV file; of JSON Lines nothing.
func header(file *os.File) ([]byte, error) {
	first := make([]byte, 4096)
	n, err := file.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	line, _, whole := bytes.Cut(first[:n], []byte("\n"))
	if trimmed := bytes.TrimLeft(line, " \t\ufeff"); len(trimmed) > 0 && trimmed[0] == '{' || !whole {
		return nil, nil
	}
	return append(slices.Clone(line), '\n'), nil
}

// put records lines that came, in an order that says how far that is, and says how many of them can be read.
func (f *feeding) put(from, kind string, text []byte, o sallyport.Order) (int, error) {
	list, wrong := parseFed(kind, text)
	f.note(kind, func(t *feedState) { t.lines, t.bad = t.lines+int64(len(list)), t.bad+int64(len(wrong)) })
	if kind == config.FeedHR { // before the lines, so that a stop between the two has them read again
		if err := f.s.teaching.heard(list); err != nil {
			return 0, err
		}
	}
	o.Input = &sallyport.Heard{Source: from, Format: kind, Text: string(text)}
	return len(list), f.s.orders.Give(nil, &sallyport.Event{Time: f.s.O.Clock(), Kind: sallyport.InputKind, Order: &o})
}

func (f *feeding) status() (out []api.Standby) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(f.told)) {
		t := f.told[kind]
		how := fmt.Sprintf("%s: %d lines since the start, %d that cannot be read", kind, t.lines, t.bad)
		if t.trouble != "" {
			how += "; " + t.trouble
		}
		out = append(out, api.Standby{What: "feed", How: how})
	}
	if f.where != "" {
		out = append(out, api.Standby{What: "feed", How: "signed messages are taken at " + f.where + hookPath})
	}
	return out
}
