package detect

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"sallyport"
	"sallyport/sim"
)

// TestSame writes all that two companies make of detection to the file SALLYPORT_SAME: each finding as it is printed, each day's evidence bit by bit,
// what is known of the null at the end, and a digest of what was made up. Whoever makes anything faster writes it before and after, and
// compares the files byte by byte.
func TestSame(t *testing.T) {
	name := os.Getenv("SALLYPORT_SAME")
	if name == "" {
		t.Skip("set SALLYPORT_SAME to a file to have findings and evidence written there, to be compared with those of other code")
	}
	file, err := os.Create(name)
	fatal(t, err)
	out := bufio.NewWriter(file)
	write := func(form string, values ...any) {
		_, err := fmt.Fprintf(out, form+"\n", values...)
		fatal(t, err)
	}
	for i, p := range []sim.Profile{sim.Profiles()[2], sim.Profiles()[6]} {
		c := sim.NewCompany(p, 101+uint64(i), true) //nolint:gosec // small
		d := detector(t, c, Options{Known: Sources{true, true, true, true, true, true, true, true}})
		d.watch = func(p *person) { write("%s %d %x %x", p.id, p.day, p.highest, p.streams[exposure].x) }
		made := sha256.New()
		say := json.NewEncoder(made)
		c.Run(func(in *sallyport.Input, theft bool) {
			fatal(t, say.Encode(in))
			fatal(t, say.Encode(theft))
			for _, f := range d.Observe(in) {
				line, err := json.Marshal(f)
				fatal(t, err)
				write("%s", line)
			}
		})
		write("%s: %x; %+v; %+v; %+v; %+v", p.Name, made.Sum(nil), d.Counts(), d.Health(), d.Shares(), d.StandOut(1))
	}
	fatal(t, out.Flush())
	fatal(t, file.Close())
}
