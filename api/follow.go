package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"sallyport"
)

// NowLine is what goes on at one moment, and how serve is.
type NowLine struct {
	Now    Today  `json:"now"`
	Status Status `json:"status"`
}

// The bounds of following: a client asks anew once it is over.
const (
	followEvery   = 2 * time.Second
	followAtLeast = 100 * time.Millisecond
	followFor     = 9 * time.Minute // within clientTimeout
)

// followNow writes what goes on each time the record has grown. It is one log-in and one look on record; at each line it is asked again whether he may.
func (s *Server) followNow(r *http.Request, me sallyport.Staff) (func(io.Writer) error, error) {
	every := followEvery
	if text := r.URL.Query().Get("every"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < followAtLeast || d > followFor {
			return nil, &Problem{http.StatusBadRequest, "bad_request", "That is no time between two looks.", "Give ?every=2s, from 100ms to 9m."}
		}
		every = d
	}
	if err := s.asked(me, "now", "", "looks at what goes on"); err != nil {
		return nil, err
	}
	return func(w io.Writer) error { return s.follow(r, me, every, w) }, nil
}

// follow writes a line each time the record has grown, or history has told of more of it, as long as he may look.
func (s *Server) follow(r *http.Request, me sallyport.Staff, every time.Duration, w io.Writer) error {
	ctx, cancel := context.WithTimeout(r.Context(), followFor)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last, told := uint64(0), uint64(0); ; {
		if !s.allows(r, callerOf(r), investigators) || s.stillFree(me)() != nil {
			return errors.New("he may not look any more")
		}
		figures, err := s.todaysFigures(ctx)
		if err != nil {
			return err
		}
		if at := s.c.Access.Last() + s.c.Orders.stream.Last(); at != last || figures.Entry != told {
			last, told = at, figures.Entry
			if err := s.writeNow(r, me, w); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Server) writeNow(r *http.Request, me sallyport.Staff, w io.Writer) error {
	line, err := s.nowLine(r, me)
	if err == nil {
		err = json.NewEncoder(w).Encode(line)
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	return err
}

func (s *Server) nowLine(r *http.Request, me sallyport.Staff) (line NowLine, err error) {
	if line.Now, err = s.nowFor(r.Context(), me); err != nil {
		return line, err
	}
	answer, err := s.status(r, me)
	if err != nil {
		return line, err
	}
	line.Status, _ = answer.(Status) // that is what it answers
	return line, nil
}

// FollowNow hands over what goes on as it comes, until show fails, ctx ends or serve ends the answer.
func (c *Client) FollowNow(ctx context.Context, every time.Duration, show func(NowLine) error) error {
	response, err := c.ask(ctx, http.MethodGet, "/v1/now/follow?every="+url.QueryEscape(every.String()), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow what goes on: %w", err)
		}
		var line NowLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("read what goes on: %w", err)
		}
		if err := show(line); err != nil {
			return err
		}
	}
}
