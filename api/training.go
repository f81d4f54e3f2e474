package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"sallyport"
	"sallyport/program/training"
)

func (s *Server) learnt() (*training.Book, error) {
	if s.c.Program == nil || s.c.Program.Training == nil {
		return nil, &Problem{http.StatusConflict, "no_program", "This serve keeps no programme.", ""}
	}
	return s.c.Program.Training, nil
}

// trainingList is how the caller stands, and for who oversees everybody, unless he asks for mine. Everybody reads what is about himself, and his lessons nobody else does.
func (s *Server) trainingList(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.learnt()
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "training", "", "listed training"); err != nil {
		return nil, err
	}
	list := book.People(s.c.Now())
	if r.URL.Query().Get("mine") != "" || !s.allows(r, callerOf(r), overseers) {
		list = slices.DeleteFunc(list, func(x training.Status) bool { return x.Staff != me })
	}
	for i := range list {
		if list[i].Staff != me {
			list[i] = list[i].Told()
		}
	}
	return paged(r, "people", list, func(x *training.Status) string { return string(x.Staff) })
}

type trainingRequest struct {
	Rows []sallyport.TrainingFact `json:"rows"`
}

// importTraining puts rows of a file on record.
func (s *Server) importTraining(r *http.Request, me sallyport.Staff) (any, error) {
	if _, err := s.learnt(); err != nil {
		return nil, err
	}
	var q trainingRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	step, err := TrainingRows(training.FromFile, "", q.Rows)
	if err != nil {
		return nil, err
	}
	e := s.event(sallyport.TrainingKind, me, &sallyport.Order{Action: training.Imported, By: me, Training: step})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return map[string]int{"rows": len(q.Rows)}, nil
}

// TrainingRows is the step by which rows of a source come on record, or the Problem that they have. id is that of their message; empty: there is none.
func TrainingRows(source, id string, rows []sallyport.TrainingFact) (*sallyport.TrainingStep, error) {
	if len(rows) == 0 || len(rows) > training.MostRows {
		return nil, &Problem{http.StatusBadRequest, "bad_training", fmt.Sprintf("Expected 1 to %d rows at once.", training.MostRows), "See docs/programme.md#training."}
	}
	for i := range rows {
		if err := training.Check(&rows[i]); err != nil {
			return nil, &Problem{http.StatusUnprocessableEntity, "bad_training", fmt.Sprintf("Row %d cannot be used: %v.", i+1, err), "See docs/programme.md#training."}
		}
	}
	return &sallyport.TrainingStep{Do: training.Imported, Source: source, ID: id, Rows: rows}, nil
}

type lessonRequest struct {
	Lesson string `json:"lesson"`
	Answer string `json:"answer"` // a, b, c …
}

// readLesson takes the answer to the question of a lesson that the caller was given. The right one ends it.
func (s *Server) readLesson(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.learnt()
	if err != nil {
		return nil, err
	}
	var q lessonRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	lesson, ok := training.Find(q.Lesson)
	open := func() error {
		for _, p := range book.People(s.c.Now()) {
			if p.Staff == me && slices.ContainsFunc(p.Lessons, func(t training.Taught) bool { return t.Lesson == q.Lesson && t.Read.IsZero() }) {
				return nil
			}
		}
		return &Problem{http.StatusNotFound, "no_such_lesson", "There is no such lesson that you are to read.", "sallyport program training shows yours."}
	}
	if err := open(); err != nil {
		return nil, err
	}
	if !ok { // given by another version of the program
		return nil, &Problem{http.StatusNotFound, "no_such_lesson", "This version has no such lesson.", "Ask whoever runs the programme."}
	}
	if !lesson.Right(q.Answer) {
		return map[string]bool{"right": false}, nil
	}
	e := s.event(sallyport.TrainingKind, me, &sallyport.Order{Action: training.Read, By: me, About: me, Training: &sallyport.TrainingStep{Do: training.Read, Staff: me, Lesson: q.Lesson}})
	if err := s.c.Orders.Give(open, e); err != nil {
		return nil, err
	}
	return map[string]bool{"right": true}, nil
}

// Training lists how people stand whom one may see; mine: oneself alone.
func (c *Client) Training(ctx context.Context, mine bool) ([]training.Status, error) {
	path := "/v1/program/training"
	if mine {
		path += "?mine=1"
	}
	return pages[training.Status](ctx, c, path, "people")
}

// ImportTraining puts rows on record.
func (c *Client) ImportTraining(ctx context.Context, rows []sallyport.TrainingFact) error {
	return c.call(ctx, http.MethodPost, "/v1/program/training/import", trainingRequest{rows}, nil)
}

// ReadLesson answers the question of a lesson; right: it has been read.
func (c *Client) ReadLesson(ctx context.Context, lesson, answer string) (right bool, err error) {
	var said struct {
		Right bool `json:"right"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/program/training/lesson", lessonRequest{lesson, answer}, &said)
	return said.Right, err
}
