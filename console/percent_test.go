package console

import "testing"

func TestPercent(t *testing.T) {
	for p, want := range map[float64]string{0: "0.0 %", 1e-9: "under 0.1 %", 0.0005: "0.1 %", 0.4: "40.0 %", 0.9994: "99.9 %", 0.99999: "over 99.9 %", 1: "100.0 %"} {
		if got := percent(p); got != want {
			t.Errorf("%v is %s, want %s", p, got, want)
		}
	}
}
