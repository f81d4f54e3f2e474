package entrance

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/config"
	"sallyport/internal/upstream"
)

// Certificates are what the gateway shows and trusts, kept up with the files: certificates are renewed every few weeks, and
// nobody is to be thrown out for it. A file that makes no sense changes nothing, and is logged.
type Certificates struct {
	config *config.Config
	server *upstream.Server
	enters *Entrances                 // nil: the server checks every log-in
	client atomic.Pointer[tls.Config] // nil: clients are offered no TLS

	mu   sync.Mutex           // guards seen
	seen map[string]time.Time // when each file was last changed, as of the last look
}

// certificateEvery is how often the files are looked at.
const certificateEvery = time.Second

// LoadCertificates reads them all. enters is read again with them; nil: the server checks every log-in.
func LoadCertificates(config *config.Config, server *upstream.Server, enters *Entrances) (*Certificates, error) {
	c := &Certificates{config: config, server: server, enters: enters}
	c.changed()
	client, err := config.Certificate()
	if err != nil {
		return nil, err
	}
	c.client.Store(client)
	return c, nil
}

// Current is what a client that connects now gets.
func (c *Certificates) Current() *tls.Config { return c.client.Load() }

// reload reads all files again.
func (c *Certificates) reload() error {
	client, err := c.config.Certificate()
	if err == nil {
		c.client.Store(client)
	}
	return errors.Join(err, c.server.Reload(), c.enters.reload())
}

// Watch reloads when a file changes, or when told to, until ctx ends. report hears of each attempt.
func (c *Certificates) Watch(ctx context.Context, now <-chan struct{}, report func(error)) {
	ticker := time.NewTicker(certificateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
			c.changed()
		case <-ticker.C:
			if !c.changed() {
				continue
			}
		}
		report(c.reload())
	}
}

// changed tells whether a file is another one than at the last look. One that is missing for now is not: who replaces a file
// in two steps is let finish.
func (c *Certificates) changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.config.TLS
	files := append(c.server.Files(), c.config.Path(t.Certificate), c.config.Path(t.Key), c.config.Path(t.ClientCA))
	files = append(files, c.enters.files()...)
	first, changed := c.seen == nil, false
	if first {
		c.seen = map[string]time.Time{}
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if file == "" || err != nil {
			continue
		}
		if at := info.ModTime(); !at.Equal(c.seen[file]) {
			c.seen[file], changed = at, true
		}
	}
	return changed && !first
}
