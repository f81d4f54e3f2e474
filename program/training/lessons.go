package training

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed lessons/*.md
var files embed.FS

// The mistakes that have a lesson.
const (
	NotAReason    = "not-a-reason"    // what he named is none
	OwnReason     = "own-reason"      // he made it himself
	NotYourTicket = "not-your-ticket" // it is closed, or a colleague's
	TooMany       = "too-many"        // a budget was reached
	BulkCopy      = "bulk-copy"       // COPY of protected data
	Power         = "power"           // statements that change who may what
	Around        = "around"          // a session beside the gateway
	Mail          = "phishing"        // he fell for a test
	WrongPlace    = "wrong-place"     // a negligent finding
	BreakGlass    = "break-glass"     // without an emergency
)

// Lesson is one page about one mistake, with a question at its end.
type Lesson struct {
	ID       string   `json:"lesson"`
	Title    string   `json:"title"`
	Text     string   `json:"text"`
	Question string   `json:"question"`
	Choices  []string `json:"choices"`
	right    int
}

// Right tells whether an answer is: a for the first choice, b for the second.
func (l *Lesson) Right(answer string) bool {
	return len(answer) == 1 && int(strings.ToLower(answer)[0]-'a') == l.right
}

// Lessons are all of them, by id.
func Lessons() ([]Lesson, error) {
	list, err := files.ReadDir("lessons") // in the order of their names
	if err != nil {
		return nil, fmt.Errorf("list the lessons: %w", err)
	}
	out := make([]Lesson, 0, len(list))
	for _, file := range list {
		text, err := files.ReadFile("lessons/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("read a lesson: %w", err)
		}
		l, err := parse(strings.TrimSuffix(file.Name(), ".md"), string(text))
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// Find is the lesson of an id.
func Find(id string) (Lesson, bool) {
	list, err := Lessons()
	if err != nil {
		return Lesson{}, false
	}
	i := slices.IndexFunc(list, func(l Lesson) bool { return l.ID == id })
	if i < 0 {
		return Lesson{}, false
	}
	return list[i], true
}

// parse reads a lesson: its title, its text, and under ## Question one, with choices of which one is crossed.
func parse(id, text string) (Lesson, error) {
	l := Lesson{ID: id, right: -1}
	head, rest, _ := strings.Cut(text, "\n")
	l.Title = strings.TrimPrefix(head, "# ")
	body, question, ok := strings.Cut(rest, "\n## Question\n")
	l.Text = strings.TrimSpace(body)
	for line := range strings.SplitSeq(question, "\n") {
		choice, is := strings.CutPrefix(line, "- [ ] ")
		if crossed, right := strings.CutPrefix(line, "- [x] "); right {
			if l.right >= 0 {
				return l, fmt.Errorf("read the lesson %s: two answers are right; expected one", id)
			}
			choice, is, l.right = crossed, true, len(l.Choices)
		}
		switch {
		case is:
			l.Choices = append(l.Choices, choice)
		case strings.TrimSpace(line) != "":
			l.Question = strings.TrimSpace(l.Question + " " + line)
		}
	}
	if !ok || !strings.HasPrefix(head, "# ") || l.Text == "" || l.Question == "" || l.right < 0 || len(l.Choices) < 2 {
		return l, fmt.Errorf("read the lesson %s: expected # title, a text, ## Question, and choices of which one is [x]", id)
	}
	return l, nil
}
