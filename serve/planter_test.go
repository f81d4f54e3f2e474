package serve

import (
	"testing"

	"sallyport"
)

// TestWhatIsPlantedIsNoTouch: the service as which canaries are written is not found by its own INSERT where the canary is known before; what it looks at is a touch.
func TestWhatIsPlantedIsNoTouch(t *testing.T) {
	no := func(sallyport.Staff) bool { return false }
	digest := sallyport.Digest{1}
	canaries := map[sallyport.Subject]bool{"c": true}
	for activity, want := range map[sallyport.Activity]int{sallyport.WriteActivity: 0, sallyport.UpdateActivity: 1, sallyport.ReadActivity: 1, sallyport.RevealActivity: 1} {
		for who, plants := range map[sallyport.Staff]bool{"router": true, "other": false} {
			w := &traps{plants: "router", walks: no, standing: func(string) bool { return false }, tokens: map[sallyport.Digest]sallyport.Subject{digest: "c"}, makers: map[statementKey]sallyport.Staff{}}
			list := w.watch(nil, &sallyport.Access{Staff: who, Activity: activity}, &sallyport.Event{Touch: &sallyport.Touched{Values: []sallyport.Digest{digest}}}, canaries)
			if seen := len(list[0].Access.Subjects); len(list) != 1 || plants && seen != want || !plants && seen != 1 {
				t.Errorf("%s, activity %d: %+v", who, activity, list[0].Access)
			}
		}
	}
}
