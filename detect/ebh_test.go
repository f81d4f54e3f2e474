package detect

import "testing"

func TestRejections(t *testing.T) {
	for _, c := range []struct {
		log10 []float64
		want  int
	}{
		{nil, 0},
		{[]float64{0.5, 0, -3}, 0},
		{[]float64{1.5, 0, -3}, 1},                // 3/(0.1·1) = 30
		{[]float64{1.4, 1.3, -3}, 2},              // the second is above 15, so the first need not be above 30
		{[]float64{1.4, 1.1, 1.05, 1.01}, 4},      // all above 10
		{[]float64{9, 1.1, 1.05, 0.99, -1, 0}, 1}, // 60, 30, 20, 15
	} {
		var list []StandsOut
		for _, l := range c.log10 {
			list = append(list, StandsOut{Log10: l})
		}
		if got := rejections(list, 0.1); got != c.want {
			t.Errorf("%v: %d, want %d", c.log10, got, c.want)
		}
	}
}

func TestStandOut(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(6, 1)
	if list := s.d.StandOut(0.1); len(list) > 0 {
		t.Errorf("innocents stand out: %+v", list)
	}
	for range 20 {
		s.work(1, func() {
			for range 5 {
				s.look("a4", 1010, s.customer())
			}
		})
	}
	if list := s.d.StandOut(0.1); len(list) != 1 || list[0].Staff != "a4" {
		t.Errorf("%+v", list)
	}
}
