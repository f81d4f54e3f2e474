package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sallyport"
	"sallyport/program"
	"sallyport/program/rotation"
	"sallyport/program/training"
)

// Program is what is done beside the software.
type Program struct {
	Book *program.Book
	// Report makes one, with people as call has them; its error is a *Problem or a sentence for people. nil: this serve makes none.
	Report   func(ctx context.Context, me sallyport.Staff, q *ReportQuestion, call func(sallyport.Staff) string) (json.RawMessage, error)
	Training *training.Book
	// Documents are the written policies that the configuration names, as Markdown, by the names of their files; nil: there are none.
	Documents func() (map[string]string, error)
}

func (s *Server) programRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/program/rotations", s.as(overseers, s.rotationList))
	mux.Handle("POST /v1/program/rotations", s.as(administrators, s.commitRotation))
	mux.Handle("POST /v1/program/rotations/draw", s.upTo(mostDraw, administrators, s.drawRotation))
	mux.Handle("POST /v1/program/rotations/verify", s.upTo(mostDraw, overseers, s.verifyRotation))
	mux.Handle("GET /v1/program/documents", s.as(everybody, s.documentList))
	mux.Handle("POST /v1/program/acknowledge", s.as(everybody, s.acknowledge))
	mux.Handle("GET /v1/program/reviews", s.as(everybody, s.reviewList))
	mux.Handle("POST /v1/program/reviews", s.upTo(mostDraw, administrators, s.openReview))
	mux.Handle("POST /v1/program/reviews/prolong", s.upTo(mostDraw, administrators, s.prolongReview))
	mux.Handle("POST /v1/program/reports", s.upTo(mostDraw, investigators, s.programReport))
	mux.Handle("POST /v1/program/reviews/decide", s.as(everybody, s.decideReview))
	mux.Handle("GET /v1/program/training", s.as(everybody, s.trainingList))
	mux.Handle("POST /v1/program/training/import", s.upTo(mostDraw, administrators, s.importTraining))
	mux.Handle("POST /v1/program/training/lesson", s.as(everybody, s.readLesson))
}

// mostDraw is what a draw's file takes.
const mostDraw = 4 << 20

func (s *Server) book() (*program.Book, error) {
	if s.c.Program == nil {
		return nil, &Problem{http.StatusConflict, "no_program", "This serve keeps no programme.", ""}
	}
	return s.c.Program.Book, nil
}

// RotationStatus is a rotation and how it stands.
type RotationStatus struct {
	program.Rotation
	State string `json:"state"` // committed, due, drawn, lapsed
}

func (s *Server) rotationList(q *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "rotations", "", "listed rotations"); err != nil {
		return nil, err
	}
	return paged(q, "rotations", statuses(book.Rotations(), s.c.Now()), func(x *RotationStatus) string { return x.Name })
}

// statuses are draws and how each stands.
func statuses(all []program.Rotation, now time.Time) []RotationStatus {
	list := []RotationStatus{}
	for _, r := range all {
		x := RotationStatus{r, "committed"}
		switch {
		case !r.Drawn.IsZero():
			x.State = "drawn"
		case r.Lapsed(now):
			x.State = "lapsed"
		case !now.Before(r.Due):
			x.State = "due"
		}
		list = append(list, x)
	}
	return list
}

type commitRequest struct {
	Name       string `json:"name"`
	Commitment string `json:"commitment"`
	Beacon     string `json:"beacon"`
}

// commitMargin is how long before its beacon's time something is committed to at least: clocks differ.
const commitMargin = time.Minute

// commitRotation puts a commitment on record while nobody can know the beacon. One of a name at a time: who could have several would draw the one that he
// likes.
func (s *Server) commitRotation(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q commitRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	beacon, err := rotation.ParseBeacon(q.Beacon)
	if err != nil {
		return nil, &Problem{http.StatusBadRequest, "bad_rotation", sentence(err), "See docs/programme.md."}
	}
	digest, err := hex.DecodeString(q.Commitment)
	if err != nil || len(digest) != sha256.Size || q.Name == "" || len(q.Name) > 100 || strings.ContainsAny(q.Name, "\n\r") {
		return nil, &Problem{http.StatusBadRequest, "bad_rotation", "A rotation has a name, and a commitment of 64 hexadecimal digits.", "sallyport program rotate commit makes one."}
	}
	now := s.c.Now()
	check := func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		if open, yes := book.Open(q.Name, now); yes {
			return &Problem{http.StatusConflict, "committed_already", fmt.Sprintf("The rotation %s was committed to on %s and waits for its draw.", q.Name, open.At.Format(time.RFC3339)), "Draw it. One that is not drawn within a week of its beacon lapses, and is listed as such for ever."}
		}
		if beacon.Time().Before(now.Add(commitMargin)) {
			return &Problem{http.StatusConflict, "beacon_known", "The beacon's value may be known already, or is in a minute.", "Commit to a later one."}
		}
		return nil
	}
	e := s.event(sallyport.ProgramKind, me, &sallyport.Order{Action: program.RotationCommit, By: me, Program: &sallyport.ProgramStep{
		Do: program.RotationCommit, Name: q.Name, Digest: digest, Beacon: beacon.String(), Until: beacon.Time(),
	}})
	if err := s.c.Orders.Give(check, e); err != nil {
		return nil, err
	}
	return map[string]any{"name": q.Name, "commitment": q.Commitment, "beacon": beacon.String(), "due": beacon.Time()}, nil
}

type drawRequest struct {
	File string `json:"file"`
}

// drawRotation repeats a draw and puts it on record, if it was committed to.
func (s *Server) drawRotation(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q drawRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reveal, result, err := rotation.Verify([]byte(q.File))
	if err != nil {
		return nil, &Problem{http.StatusBadRequest, "bad_rotation", sentence(err), "sallyport program rotate draw makes one."}
	}
	open, ok := book.Open(result.Name, s.c.Now())
	if !ok || open.Commitment != reveal.Commitment {
		return nil, &Problem{http.StatusConflict, "not_committed", "Nobody has committed to this draw, or it was drawn already, or has lapsed.", "sallyport program rotate ls lists what was committed to."}
	}
	sum, err := hex.DecodeString(open.Commitment)
	if err != nil {
		return nil, err
	}
	secret, err := rotation.ParseSecret(reveal.Secret)
	if err != nil {
		return nil, err
	}
	file, plan := sha256.Sum256([]byte(q.File)), sha256.Sum256([]byte(reveal.Plan))
	check := func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		if again, ok := book.Open(result.Name, s.c.Now()); !ok || again.Commitment != open.Commitment {
			return &Problem{http.StatusConflict, "not_committed", "It has just been drawn.", ""}
		}
		return nil
	}
	e := s.event(sallyport.ProgramKind, me, &sallyport.Order{Action: program.RotationDraw, By: me, Program: &sallyport.ProgramStep{
		Do: program.RotationDraw, Name: result.Name, Digest: file[:], Secret: secret[:], Plan: plan[:], Of: sum, Text: string(reveal.Result),
	}})
	if err := s.c.Orders.Give(check, e); err != nil {
		return nil, err
	}
	return map[string]any{"name": result.Name, "file": hex.EncodeToString(file[:]), "result": json.RawMessage(reveal.Result)}, nil
}

// CommitRotation puts a commitment on record.
func (c *Client) CommitRotation(ctx context.Context, name, commitment, beacon string) error {
	return c.call(ctx, http.MethodPost, "/v1/program/rotations", commitRequest{name, commitment, beacon}, nil)
}

// DrawRotation puts a draw on record.
func (c *Client) DrawRotation(ctx context.Context, file string) error {
	return c.call(ctx, http.MethodPost, "/v1/program/rotations/draw", drawRequest{file}, nil)
}

// Rotations lists what was committed to and drawn.
func (c *Client) Rotations(ctx context.Context) ([]RotationStatus, error) {
	return pages[RotationStatus](ctx, c, "/v1/program/rotations", "rotations")
}
