package console

import (
	"net/http"
	"slices"

	"sallyport/drill"
	"sallyport/program/training"
)

// trainingPage is what one has to learn and, for who oversees, how everybody stands with it and how drills went.
type trainingPage struct {
	Mine    training.Status
	Lessons []training.Lesson // to be read
	Wrong   string            // the lesson whose question was answered wrongly just now
	People  []training.Status // empty: not for who looks
	Drills  []drill.Run
	Scores  scoreChart
	Oversee bool
}

func (s *Console) trainingRoutes(mux *http.ServeMux) {
	mux.Handle("GET /training", s.as(func(v *visit) error { return v.training("") }))
	mux.Handle("POST /training/lesson", s.as(s.answer))
}

func (v *visit) training(wrong string) error {
	p := trainingPage{Wrong: wrong, Oversee: v.may("investigate")}
	mine, err := v.api.Training(v.r.Context(), true)
	if err != nil {
		return err
	}
	if len(mine) == 1 {
		p.Mine = mine[0]
	}
	for _, t := range p.Mine.Lessons {
		if l, ok := training.Find(t.Lesson); ok && t.Read.IsZero() {
			p.Lessons = append(p.Lessons, l)
		}
	}
	if !p.Oversee {
		return v.show("training", "Training", p)
	}
	if p.People, err = v.api.Training(v.r.Context(), false); err != nil {
		return err
	}
	p.People = slices.DeleteFunc(p.People, func(s training.Status) bool { return s.Overdue == 0 && s.ToRead == 0 })
	played, err := v.api.Drills(v.r.Context())
	if err != nil {
		return err
	}
	p.Drills = played.Runs
	p.Scores = scoresOf(p.Drills)
	slices.Reverse(p.Drills)
	return v.show("training", "Training", p)
}

// answer takes the answer to the question of a lesson.
func (s *Console) answer(v *visit) error {
	lesson := v.form("lesson")
	right, err := v.api.ReadLesson(v.r.Context(), lesson, v.form("answer"))
	switch {
	case err != nil:
		return err
	case right:
		return v.done("/training", "learnt")
	}
	return v.training(lesson)
}

// scoreChart are the scores of drills as columns, the last one on the right.
type scoreChart struct {
	Text          string
	Width, Height int
	Columns       []scoreColumn
}

type scoreColumn struct {
	Day, Drill string
	Score      int
	X, Y, W, H float64
}

// mostScores are those that a picture shows.
const mostScores = 24

func scoresOf(list []drill.Run) scoreChart {
	const width, height, step = 640, 110, 26
	c := scoreChart{Width: width, Height: height, Text: "Scores of drills, of 100, the newest on the right."}
	list = slices.DeleteFunc(slices.Clone(list), func(r drill.Run) bool { return r.Report == nil })
	list = list[max(0, len(list)-mostScores):]
	for i, r := range list {
		h := max(1, float64(r.Report.Score))
		c.Columns = append(c.Columns, scoreColumn{r.Began.UTC().Format("2006-01-02"), r.Drill, r.Report.Score, tenth(float64(i*step) + 2), tenth(height - h - 2), step - 6, tenth(h)})
	}
	return c
}
