package detect

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/sim"
)

// TestStateIsTakenUp: a detector that was kept in the middle, at the worst of moments, and taken up again finds to the letter what one finds that was
// never stopped.
func TestStateIsTakenUp(t *testing.T) {
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 40, 8
	o := Options{Known: Sources{true, true, true, true, true, true, true, true}}
	list, c, _ := decoded(p, 5)
	staff := c.Staff()
	lines := func(stops ...int) string {
		d := detector(t, c, o)
		var text strings.Builder
		for i := range list {
			for _, at := range stops {
				if i == at {
					state, err := d.State()
					fatal(t, err)
					again, err := Restore(d.options, staff, state)
					fatal(t, err)
					t.Logf("at %d of %d: %d bytes, %d a person and day", i, len(list), len(state), int64(len(state))/max(1, d.counts.PersonDays))
					d = again
				}
			}
			for _, f := range d.Observe(&list[i]) {
				line, err := json.Marshal(f)
				fatal(t, err)
				text.Write(append(line, '\n'))
			}
		}
		health, err := json.Marshal([]any{d.Health(), d.Counts().PersonDays, d.Counts().Unexplained})
		fatal(t, err)
		return text.String() + string(health)
	}
	whole := lines()
	if strings.Count(whole, "\n") < 3 {
		t.Fatalf("too little is found to compare:\n%s", whole)
	}
	if got := lines(1, len(list)/2, len(list)*3/4, len(list)-2); got != whole {
		t.Errorf("taken up again it finds\n%s\nnot\n%s", got, whole)
	}
}

// TestStateRefusesWhatIsNone: bytes that were cut or changed are an error or another state, never a panic.
func TestStateRefusesWhatIsNone(t *testing.T) {
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 12, 2
	list, c, _ := decoded(p, 6)
	d := detector(t, c, Options{})
	for i := range list {
		d.Observe(&list[i])
	}
	state, err := d.State()
	fatal(t, err)
	staff := c.Staff()
	for _, bad := range [][]byte{nil, state[:31], state[:len(state)/2], state[:len(state)-1], append(slices.Clip(state), 0), append([]byte{state[0] ^ 1}, state[1:]...)} {
		if _, err := Restore(d.options, staff, bad); !errors.Is(err, ErrState) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	if _, err := Restore(d.options, []sallyport.Employee{}, state); !errors.Is(err, ErrState) {
		t.Errorf("without the staff: %v", err)
	}
	for i := range 40 {
		bad := append([]byte{}, state...)
		bad[32+i*(len(bad)-33)/40] ^= byte(1 + i)
		_, _ = Restore(d.options, staff, bad)
	}
}
