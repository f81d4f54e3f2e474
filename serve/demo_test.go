package serve

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/tidy"
)

// cancelAt ends a context when a text is written.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
	mu     sync.Mutex // guards all
	all    bytes.Buffer
}

func (c *cancelAt) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Write(p)
	if bytes.Contains(c.all.Bytes(), []byte(c.text)) {
		c.cancel()
	}
	return len(p), nil
}

// TestDemoInterrupted interrupts the story in different acts; tidy looks for what is left.
func TestDemoInterrupted(t *testing.T) {
	moments := []string{"A private PostgreSQL", "Protect what is there", "before and after he says why"}
	if large() {
		moments = append(moments, "low and slow:") // nearly at its end, which takes a whole demonstration
	}
	for _, text := range moments {
		t.Run(text, func(t *testing.T) {
			tidy.Temp(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &cancelAt{text: text, cancel: cancel}
			m := &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: io.Discard, Getenv: os.Getenv}
			err := m.Run(ctx, []string{"demo", "--customers", "2000"})
			if err == nil || !strings.Contains(err.Error(), "interrupted") || exitCode(err) != ExitFailed {
				t.Errorf("interrupted, it says %v", err)
			}
			if strings.Contains(out.all.String(), "What became of it") {
				t.Error("it went on to the end")
			}
		})
	}
}
