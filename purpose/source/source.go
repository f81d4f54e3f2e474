// Package source asks the systems in which a company's tickets, calls and jobs stand: another PostgreSQL database, a mirror that is fed
// by signed messages, a CSV file, Zendesk.
//
// It refuses to say whether a thing is a reason (purpose does), to build SQL from what people write, to take a message that is not signed
// or was sent before, and to go by what is older than its time limit.
// Its invariant: what cannot be found out in time, or is not proven by the source, is an error or nothing; never an older answer.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"sallyport/purpose"
)

// Options of Open; all are required, except where nil says something.
type Options struct {
	Path   func(string) string               // of a file that the configuration names
	Secret func(path string) (string, error) // the first line of a file that only its owner may read
	Folder string                            // where mirrors are kept, each in a folder of its own
	Kinds  []string                          // for which the source is
	Hide   func(number string) string        // by what a number is kept and found, so that it does not stand on the disk; nil: by itself
	Live   func(state string) bool           // may a thing in this state be a reason? nil: always
	Now    func() time.Time
	HTTP   *http.Client // for Zendesk; nil: one of its own
	Log    func(problem string)
	// Arrived puts on record what mirrors take, a thing's state each as JSON with its number hidden, before they go by it. It MUST be durable when
	// it returns. nil: it is not recorded.
	Arrived func(states []string) error
}

// Open opens one source. It does not wait for the other system: what that does not answer is found out when it is asked.
func Open(name string, c *purpose.SourceConfig, o Options) (purpose.Source, error) {
	timeout, silent, err := c.Limits()
	if err != nil {
		return nil, fmt.Errorf("open the source %s: %w", name, err)
	}
	if o.Hide == nil {
		o.Hide = func(number string) string { return number }
	}
	if o.Live == nil {
		o.Live = func(string) bool { return true }
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	var s purpose.Source
	types := c.Types()
	if len(types) != 1 {
		return nil, fmt.Errorf("open the source %s: expected exactly one of sql, webhook, csv and zendesk", name)
	}
	switch types[0] {
	case "sql":
		s, err = openSQL(&c.SQL, timeout, o)
	case "csv":
		if c.Silent == "" {
			silent = 0
		}
		s, err = openCSV(&c.CSV, silent, o)
	case "webhook":
		s, err = openWebhook(&c.Webhook, silent, filepath.Join(o.Folder, name), o)
	case "zendesk":
		s, err = openZendesk(&c.Zendesk, timeout, silent, filepath.Join(o.Folder, name), o)
	}
	if err != nil {
		return nil, fmt.Errorf("open the source %s: %w", name, err)
	}
	return s, nil
}

// Hearer is a source that other systems send to.
type Hearer interface {
	purpose.Source
	// Hear takes one message. What it returns is what the sender reads.
	Hear(header http.Header, body []byte) (taken any, err error)
}

// Problem is why a message was not taken.
type Problem struct {
	Status   int
	Sentence string
}

// Error is its sentence.
func (p *Problem) Error() string { return p.Sentence }

func problem(status int, format string, args ...any) error {
	return &Problem{status, fmt.Sprintf(format, args...)}
}

// mostBody is how long a message may be.
const mostBody = 1 << 20

// Handler takes what other systems send to /purposes/NAME.
func Handler(hearers map[string]Hearer, log func(source, problem string)) http.Handler {
	busy := make(chan struct{}, 64) // more wait in the sender
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		default:
			w.Header().Set("Retry-After", "1")
			answer(w, http.StatusServiceUnavailable, map[string]string{"sentence": "too much at once: send it again"})
			return
		}
		name, ok := sourceName(r.URL.Path)
		hearer := hearers[name]
		switch {
		case !ok || hearer == nil:
			answer(w, http.StatusNotFound, map[string]string{"sentence": "there is no such source: send to /purposes/NAME"})
			return
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			answer(w, http.StatusMethodNotAllowed, map[string]string{"sentence": "send it by POST"})
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
		if err != nil {
			answer(w, http.StatusRequestEntityTooLarge, map[string]string{"sentence": "longer than 1 MiB: send less at once"})
			return
		}
		taken, err := hearer.Hear(r.Header, body)
		if p, ok := errors.AsType[*Problem](err); ok {
			log(name, p.Sentence)
			answer(w, p.Status, map[string]string{"sentence": p.Sentence})
			return
		}
		if err != nil {
			log(name, err.Error())
			answer(w, http.StatusInternalServerError, map[string]string{"sentence": "it could not be kept: send it again"})
			return
		}
		answer(w, http.StatusOK, taken)
	})
}

// Check says what of a source does not work, and keeps nothing. An error is what stands against opening it.
func Check(ctx context.Context, name string, c *purpose.SourceConfig, o Options) (problems []string, err error) {
	if c.Hears() { // serve holds what is kept
		for _, file := range []string{c.Webhook.SecretFile, c.Zendesk.SecretFile} {
			if file == "" {
				continue
			}
			if _, err := readSecret(&o, file); err != nil {
				problems = append(problems, err.Error())
			}
		}
		if c.Webhook.SecretFile != "" {
			return problems, nil
		}
		more, err := checkZendesk(ctx, &c.Zendesk, o)
		return append(problems, more...), err
	}
	s, err := Open(name, c, o) //nolint:contextcheck // it asks nobody yet
	if err != nil {
		return nil, err
	}
	if asked, ok := s.(interface {
		Check(ctx context.Context) []string
	}); ok {
		problems = asked.Check(ctx)
	}
	return problems, s.Close()
}
