package console

import (
	"cmp"
	"fmt"
	"strings"

	"sallyport/program/board"
)

// boardPage is the board's page with its lines drawn.
type boardPage struct{ board.Page }

// sparkLine is a figure over its months, from 0, with gaps where nothing was measured.
type sparkLine struct {
	Width, Height int
	Text          string   // the same for who does not see it
	Runs          []string // points of each run of months
	Points        [][2]float64
}

// Line draws a figure of the page.
func (p *boardPage) Line(f board.Figure) sparkLine {
	const width, height = 150, 30
	s := sparkLine{Width: width, Height: height, Text: f.Title + ": " + f.Told()}
	top := 0.0
	for _, m := range f.Past {
		if m.Value != nil {
			top = max(top, *m.Value)
		}
	}
	top = cmp.Or(top, 1)
	var run []string
	end := func() {
		if len(run) > 1 {
			s.Runs = append(s.Runs, strings.Join(run, " "))
		}
		run = nil
	}
	for i, m := range f.Past {
		if m.Value == nil {
			end()
			continue
		}
		x, y := tenth(4+(width-8)*float64(i)/float64(max(len(f.Past)-1, 1))), tenth(height-4-(height-8)**m.Value/top)
		s.Points = append(s.Points, [2]float64{x, y})
		run = append(run, fmt.Sprint(x, ",", y))
	}
	end()
	return s
}
