package console

import (
	"net/http"
	"strings"
	"testing"

	"sallyport"
	"sallyport/program/training"
)

// TestTrainingPage: somebody reads his lesson and answers it; who oversees sees that there is something to read and not what, and how drills went.
func TestTrainingPage(t *testing.T) {
	s := newStage(t)
	give := func(kind sallyport.EventKind, o *sallyport.Order) {
		fatal(t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: kind, Order: o}))
	}
	give(sallyport.TrainingKind, &sallyport.Order{Training: &sallyport.TrainingStep{Do: training.Imported, Rows: []sallyport.TrainingFact{{Staff: "s001", Kind: training.Course, Name: hostile, Due: s.clock().AddDate(0, 0, -3)}}}})
	give(sallyport.TrainingKind, &sallyport.Order{Training: &sallyport.TrainingStep{Do: training.Assigned, Staff: "s001", Lesson: training.TooMany, From: s.clock(), Due: s.clock().AddDate(0, 0, 14)}})
	agent, lead := s.as("s001"), s.as("s050")
	agent.get("/training").has(t, "More customers than your work takes", "overdue for 4 days", "&lt;script&gt;", `value="b"`)
	if body := agent.get("/training").body; strings.Contains(body, "support-2019") || strings.Contains(body, "Who has something to learn") {
		t.Error("an agent reads of others")
	}
	page := lead.get("/training").has(t, "support-2019", ">95<", ">s001<", "schedule")
	if strings.Contains(page.body, "More customers than") || strings.Contains(page.body, training.TooMany) {
		t.Error("others read for which mistake his lesson is")
	}
	agent.post("/training/lesson", "lesson", training.TooMany, "answer", "a").has(t, "That is not it")
	lead.post("/training/lesson", "lesson", training.TooMany, "answer", "b").is(t, http.StatusNotFound)
	a := agent.post("/training/lesson", "lesson", training.TooMany, "answer", "b").is(t, http.StatusSeeOther)
	agent.get(a.header.Get("Location")).has(t, "The lesson is done", "no lesson for you")
	if n := s.count(sallyport.TrainingKind); n != 3 {
		t.Errorf("%d entries about training", n)
	}
}
