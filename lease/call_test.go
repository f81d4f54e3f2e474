package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAsk has a controller ask its gateways: without one, with answers that take others' questions, that are too long or that never come, and of one that is gone.
func TestAsk(t *testing.T) {
	s := newStage(t)
	if _, err := s.controller.Ask(t.Context(), nil); !errors.Is(err, ErrNobody) {
		t.Errorf("without a gateway: %v", err)
	}
	ended := make(chan struct{}, 1)
	var g *Gateway
	g, end := s.gateway("gw1", func(g *Gateway) {
		g.Answer = func(ctx context.Context, body []byte) []byte {
			switch text := string(body); text {
			case "long":
				return make([]byte, mostCall+1)
			case "never":
				<-ctx.Done()
				ended <- struct{}{}
				return nil
			default:
				return []byte("so " + text)
			}
		}
	})
	<-g.Ready()
	for i := range 2 * mostCalls { // one after another, so that places become free again
		if a, err := s.controller.Ask(t.Context(), fmt.Append(nil, i)); err != nil || string(a) != fmt.Sprintf("so %d", i) {
			t.Fatalf("%q %v", a, err)
		}
	}
	if _, err := s.controller.Ask(t.Context(), []byte("long")); err == nil || !strings.Contains(err.Error(), "ask for less") {
		t.Errorf("an answer that is too long: %v", err)
	}
	if _, err := s.controller.Ask(t.Context(), make([]byte, mostCall+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a question that is too long: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.controller.Ask(short, []byte("never")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody answers: %v", err)
	}
	<-ended // who hung up is told to the gateway
	if a, err := s.controller.Ask(t.Context(), []byte("on")); err != nil || string(a) != "so on" {
		t.Errorf("afterwards: %q %v", a, err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := s.controller.Ask(t.Context(), []byte("never"))
		answered <- err
	}()
	within(t, "the question is under way", func() bool {
		s.controller.calls.mu.Lock()
		defer s.controller.calls.mu.Unlock()
		return len(s.controller.calls.waiting) == 1
	})
	end()
	if err := <-answered; !errors.Is(err, ErrHungUp) {
		t.Errorf("of a gateway that is gone: %v", err)
	}
}
