package detect

import (
	"testing"
	"time"

	"sallyport"
)

// A tenth and more of what quality looks at without a reason are tickets that others closed lately: that is proposed, for them alone, and
// reads back. What a known thief looked at is not.
func TestMine(t *testing.T) {
	s := newStory(t, Options{})
	var staff []sallyport.Employee
	for i := range 6 {
		staff = append(staff, sallyport.Employee{ID: sallyport.Staff("q" + string(rune('0'+i))), Role: "quality", Team: "q"})
	}
	s.d.Hire(staff)
	m, err := NewMiner(s.d, []Theft{{"a4", s.day, s.day.AddDate(1, 0, 0)}})
	fatal(t, err)
	var closed []sallyport.Subject
	for range 15 {
		s.work(2, func() {
			for range 4 {
				c := s.customer()
				id := s.ticket(c, 900, "", "a1")
				s.tell(sallyport.Input{Time: s.at(910), TicketEvent: &sallyport.TicketEvent{Ticket: id, Time: s.at(910), Type: "closed"}})
				closed = append(closed, c)
			}
			for _, e := range staff {
				s.look(e.ID, 1100, closed[s.r.IntN(len(closed))])
				s.look("a4", 1100, s.customer())
			}
		})
	}
	list := m.Proposals()
	if len(list) == 0 || list[0].Template.ID != "any_lately_quality" || list[0].Thefts != 0 || list[0].Template.Weight < 0.5 {
		t.Fatalf("%+v", list)
	}
	for _, p := range list {
		if len(p.Template.Roles) != 1 || p.Template.Roles[0] != "quality" {
			t.Errorf("proposed for %v", p.Template.Roles)
		}
	}
	back, err := ParseTemplates([]byte(YAML(list)))
	fatal(t, err)
	if !back[0].Off || back[0].Within != 30*24*time.Hour || back[0].ID != list[0].Template.ID {
		t.Errorf("%+v", back[0])
	}
}
