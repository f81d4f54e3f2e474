package rotation

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	cosigning "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

const small = `
name: desk
start: {from: 2026-12-01}
people:
- {id: t1, skills: [net], load: 2}
- {id: t2, skills: [net, db], zones: [emea], load: 2}
- {id: t3, load: 2}
- {id: t4, skills: [db], zones: [emea, us], load: 2}
- {id: t5, skills: [net], load: 2}
posts:
- {id: acme, zone: emea}
- {id: bolt, skills: [net]}
- {id: corp, not: [t3]}
- {id: duke, zone: us}
- {id: emil, skills: [net]}
previous:
- {post: acme, who: t1}
- {post: bolt, who: t2}
- {post: duke, who: t3}
`

func read(t *testing.T, text string) *Plan {
	t.Helper()
	p, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func seed(n int) (s [32]byte) {
	binary.BigEndian.PutUint64(s[:], uint64(n)) //nolint:gosec // a counter
	return s
}

// all are the assignments that a plan's rules allow, found by trying every one: an implementation of the rules that shares nothing with the draw.
func all(p *Plan) map[string]bool {
	out := map[string]bool{}
	before := map[string][]string{}
	for _, h := range p.Previous {
		before[h.Post] = append(before[h.Post], h.Who)
	}
	was := map[string]bool{}
	for _, who := range before {
		for _, a := range who {
			for _, b := range who {
				was[a+"+"+b] = a != b
			}
		}
	}
	loads := map[string]int{}
	var lines []string
	var walk func(i int)
	good := func(x *Post, who Person) bool {
		if slices.Contains(before[x.ID], who.ID) || slices.Contains(x.Not, who.ID) || x.Zone != "" && len(who.Zones) > 0 && !slices.Contains(who.Zones, x.Zone) {
			return false
		}
		for _, s := range x.Skills {
			if !slices.Contains(who.Skills, s) {
				return false
			}
		}
		return loads[who.ID] < who.Load
	}
	walk = func(i int) {
		if i == len(p.Posts) {
			if p.Even {
				least, most := 99, 0
				for _, x := range p.People {
					least, most = min(least, loads[x.ID]), max(most, loads[x.ID])
				}
				if most-least > 1 {
					return
				}
			}
			out[strings.Join(lines, " ")] = true
			return
		}
		x := &p.Posts[i]
		if x.Need == 1 {
			for _, a := range p.People {
				if good(x, a) {
					loads[a.ID]++
					lines = append(lines, x.ID+":"+a.ID)
					walk(i + 1)
					lines = lines[:len(lines)-1]
					loads[a.ID]--
				}
			}
			return
		}
		for k, a := range p.People { // two
			for _, b := range p.People[k+1:] {
				if good(x, a) && good(x, b) && (!p.Apart || !was[a.ID+"+"+b.ID]) {
					loads[a.ID]++
					loads[b.ID]++
					lines = append(lines, x.ID+":"+a.ID+"+"+b.ID)
					walk(i + 1)
					lines = lines[:len(lines)-1]
					loads[a.ID]--
					loads[b.ID]--
				}
			}
		}
	}
	walk(0)
	return out
}

func line(r *Result) string {
	var lines []string
	for _, a := range r.Posts {
		lines = append(lines, a.Post+":"+strings.Join(a.Who, "+"))
	}
	return strings.Join(lines, " ")
}

// tooUneven tells whether counts are further from equal than chance explains, by χ² in the normal approximation at 4.5 standard deviations.
func tooUneven(counts map[string]int, cells map[string]bool) (z float64, yes bool) {
	n := 0
	for _, c := range counts {
		n += c
	}
	want, x := float64(n)/float64(len(cells)), 0.0
	for cell := range cells {
		d := float64(counts[cell]) - want
		x += d * d / want
	}
	df := float64(len(cells) - 1)
	z = (math.Cbrt(x/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df)) // Wilson and Hilferty
	return z, z > 4.5
}

// TestUniform draws each of several plans many times by fixed seeds: every assignment that the rules allow comes up, none that they do not, and all
// as often as each other. A draw by the usual short cut, at random among whom is left, fails the same test.
func TestUniform(t *testing.T) {
	plans := map[string]string{
		"rules, and loads that are free": small,
		"even loads":                     strings.NewReplacer("name: desk", "name: desk\neven: true", "- {post: duke, who: t3}\n", "", ", zone: us", "").Replace(small),
		"a table with one order in the way": `
name: sparse
start: {from: 2026-12-01}
people: [{id: a}, {id: b}, {id: c}, {id: d}, {id: e}]
posts: [{id: p, not: [d, e]}, {id: q, not: [a, e]}, {id: r, not: [a, b]}, {id: s, not: [b, c]}, {id: u}]
previous: [{post: u, who: c}]
`,
		"pairs of approvers": `
name: approvers
apart: true
start: {from: 2026-12-01}
people: [{id: a, load: 2}, {id: b, load: 2}, {id: c, load: 2}, {id: d, load: 2}, {id: e}]
posts: [{id: p, need: 2}, {id: q, need: 2, not: [a]}, {id: r, need: 2, not: [c]}]
previous: [{post: p, who: a}, {post: p, who: b}]
`,
	}
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		t.Run(name, func(t *testing.T) {
			cells := all(read(t, plans[name]))
			if len(cells) < 10 {
				t.Fatalf("only %d assignments: no test", len(cells))
			}
			counts, wandered, short := map[string]int{}, map[string]int{}, map[string]int{}
			for i := range min(25*len(cells), 1000) {
				for steps, count := range map[int]map[string]int{mostSteps: counts, 0: wandered} {
					r, err := draw(read(t, plans[name]), seed(i), steps)
					if err != nil {
						t.Fatal(err)
					}
					if count[line(r)]++; !cells[line(r)] || r.Wandered != (steps == 0) {
						t.Fatalf("drawn against the rules: %s", line(r))
					}
				}
				if s := shortCut(read(t, plans[name]), newStream(seed(i))); cells[s] {
					short[s]++
				}
			}
			z, uneven := tooUneven(counts, cells)
			zWandered, unevenWandered := tooUneven(wandered, cells)
			zShort, unevenShort := tooUneven(short, cells)
			t.Logf("%d assignments: z = %.2f, wandering %.2f, by the short cut %.2f", len(cells), z, zWandered, zShort)
			if uneven || len(counts) < len(cells)*95/100 {
				t.Errorf("not uniform: z = %.2f, %d of %d came up", z, len(counts), len(cells))
			}
			if unevenWandered || len(wandered) < len(cells)*95/100 {
				t.Errorf("wandering is not uniform: z = %.2f, %d of %d came up", zWandered, len(wandered), len(cells))
			}
			if name != "even loads" && !unevenShort { // with those it happens to be even
				t.Errorf("the short cut passes, too (z = %.2f): this test tells nothing", zShort)
			}
		})
	}
}

// shortCut gives each post, one after the other, somebody who is left.
func shortCut(p *Plan, s *stream) string {
	r := &Result{}
	loads := map[string]int{}
	for i := range p.Posts {
		x := &p.Posts[i]
		var who []string
		for range x.Need {
			var left []string
			for j := range p.People {
				if y := &p.People[j]; p.may(y, x, p.Start.From) && loads[y.ID] < y.Load && !slices.Contains(who, y.ID) {
					left = append(left, y.ID)
				}
			}
			if len(left) == 0 {
				return ""
			}
			one := left[s.below(len(left))]
			loads[one]++
			who = append(who, one)
		}
		slices.Sort(who)
		r.Posts = append(r.Posts, Assignment{Post: x.ID, Who: who})
	}
	return line(r)
}

// TestBoundHolds draws tables of all sizes and densities: that no step's probabilities come to more than 1 is checked by the draw itself.
func TestBoundHolds(t *testing.T) {
	s := newStream(seed(7))
	drawn := 0
	for size := 2; size <= 40; size++ {
		for _, percent := range []int{15, 40, 70, 95} {
			x := &part{}
			for i := range size {
				x.posts = append(x.posts, &Post{ID: fmt.Sprint(i), Need: 1})
				x.people, x.load = append(x.people, &Person{ID: fmt.Sprint(i)}), append(x.load, 1)
				row := make([]bool, size)
				for j := range row {
					row[j] = s.below(100) < percent
				}
				x.may = append(x.may, row)
			}
			table := newTable(x, x.slots())
			steps := 20 * size
			for steps > 0 {
				_, ok, err := table.try(s, &steps)
				if err != nil {
					t.Fatalf("%d, %d %%: %v", size, percent, err)
				}
				if ok {
					drawn++
				}
			}
		}
	}
	if drawn < 100 {
		t.Errorf("only %d were drawn: no test", drawn)
	}
	t.Logf("%d drawn", drawn)
}

// TestRulesHold draws a firm of some size: 30 technicians, 80 customers, three zones.
func TestRulesHold(t *testing.T) {
	var b strings.Builder
	b.WriteString("name: msp\neven: true\nhandover: 5\nmin_days: 28\nstart: {from: 2026-12-01, to: 2026-12-20}\npeople:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "- {id: t%02d, zones: [z%d, z%d], load: 4, skills: [%s]}\n", i, i%3, (i+1)%3, []string{"net", "net, db"}[i%2])
	}
	b.WriteString("posts:\n")
	for i := range 80 {
		fmt.Fprintf(&b, "- {id: c%02d, zone: z%d, since: 2026-%s, skills: [%s]}\n", i, i%3, []string{"11-30", "06-01", "06-01", "06-01"}[min(i%8, 3)], []string{"net", "db"}[i%5/4])
	}
	b.WriteString("previous:\n")
	for i := range 80 {
		fmt.Fprintf(&b, "- {post: c%02d, who: t%02d}\n", i, i%30)
	}
	days, tries := map[string]bool{}, 0
	for i := range 4 {
		p := read(t, b.String())
		r, err := Draw(p, seed(i))
		if err != nil {
			t.Fatal(err)
		}
		days[r.Start], tries = true, tries+r.Tries
		loads, stayed := map[string]int{}, 0
		for k, a := range r.Posts {
			who := p.People[slices.IndexFunc(p.People, func(x Person) bool { return x.ID == a.Who[0] })]
			loads[who.ID]++
			if a.Stays != "" {
				stayed++
				continue
			}
			post := p.Posts[k]
			if post.ID != a.Post || slices.Contains(a.Before, who.ID) || !slices.Contains(who.Zones, post.Zone) || !slices.Contains(who.Skills, post.Skills[0]) {
				t.Fatalf("%s serves %s", who.ID, post.ID)
			}
		}
		if stayed != 10 {
			t.Errorf("%d posts stay; want the 10 that were handed over last month", stayed)
		}
		for who, n := range loads {
			if n > 4 {
				t.Errorf("%s serves %d", who, n)
			}
		}
	}
	if len(days) < 3 {
		t.Errorf("only %d different days in 4 draws", len(days))
	}
	t.Logf("%d tries for 4 draws", tries)
}

// TestPlans is what is refused, by which sentence.
func TestPlans(t *testing.T) {
	for _, c := range []struct{ change, to, want string }{
		{"start: {from: 2026-12-01}", "start: {from: 2026-12-09, to: 2026-12-01}", "start needs"},
		{"{id: t3, load: 2}", "{id: t2, load: 2}", "person 3"},
		{"{id: t3, load: 2}", "{id: t3, lod: 2}", "unknown field"},
		{"not: [t3]", "not: [t9]", "nobody is called t9"},
		{"{post: acme, who: t1}", "{post: azme, who: t1}", "no post azme"},
		{"{id: bolt, skills: [net]}", "{id: bolt, need: 9}", "needs 9 of 5"},
		{"from: 2026-12-01", "from: tomorrow", "no day"},
	} {
		if _, err := Read([]byte(strings.Replace(small, c.change, c.to, 1))); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.to, err, c.want)
		}
	}
	_, err := Draw(read(t, strings.Replace(small, "{id: bolt, skills: [net]}", "{id: bolt, skills: [net], not: [t1, t5]}", 1)), seed(1))
	if !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "nobody is left for bolt: 0 may") {
		t.Errorf("a post for nobody: %v", err)
	}
	leaving := strings.NewReplacer("{id: t1, skills: [net], load: 2}", "{id: t1, skills: [net], load: 2, until: 2026-12-04}", "not: [t3]", "not: [t2, t3, t4, t5]").Replace(small)
	if _, err := Draw(read(t, "handover: 5\n"+leaving), seed(1)); !errors.Is(err, ErrPlan) {
		t.Errorf("somebody who leaves during the hand-over was drawn: %v", err)
	}
}

const (
	round1000 = `{"round":1000,"randomness":"fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd","signature":"b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"}`
	other     = `{"round":657413,"signature":"b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b"}`
)

// TestDrand checks published values of quicknet, and that nothing else passes for one.
func TestDrand(t *testing.T) {
	for text, want := range map[string]string{round1000: "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd", other: "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587"} {
		var of struct{ Round uint64 }
		if err := json.Unmarshal([]byte(text), &of); err != nil {
			t.Fatal(err)
		}
		got, _, err := (&Beacon{Round: of.Round}).Value([]byte(text))
		if err != nil || fmt.Sprintf("%x", got) != want {
			t.Errorf("round %d: %x, %v; want %s", of.Round, got, err, want)
		}
	}
	for _, bad := range []string{
		strings.Replace(other, "657413", "1000", 1), strings.Replace(round1000, "b44679b9", "b44679b8", 1), strings.Replace(round1000, "1000", "1001", 1), "{}", "", `{"round":1000,"signature":""}`,
	} {
		if _, _, err := (&Beacon{Round: 1000}).Value([]byte(bad)); !errors.Is(err, ErrPlan) {
			t.Errorf("%s passes as round 1000: %v", bad, err)
		}
	}
	at := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	b := &Beacon{Round: RoundAt(at)}
	if b.Time().Before(at) || b.Time().Sub(at) >= 3*time.Second {
		t.Errorf("round %d is of %s", b.Round, b.Time())
	}
}

// TestCheckpoint has a witness cosign a checkpoint.
func TestCheckpoint(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	vkey, err := note.NewEd25519VerifierKey("witness.example.org", key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(vkey, "+")
	id, _, _ := strings.Cut(rest, "+")
	skey := fmt.Sprintf("PRIVATE+KEY+witness.example.org+%s+%s", id, base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
	signer, err := cosigning.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := cosigning.VKeyToCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	const text = "sallyport.example.org/log\n17\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	at := func(when time.Time, origin string) *Beacon {
		b, err := ParseBeacon((&Beacon{Witness: witness, Origin: origin, NotBefore: when}).String())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	now := time.Now().Truncate(time.Second)
	one, _, err := at(now.Add(-time.Minute), "sallyport.example.org/log").Value(signed)
	if err != nil {
		t.Fatal(err)
	}
	more := append(slices.Clone(signed), []byte("— other.example.org AAAAAAAAAA==\n")...)
	if two, _, err := at(now.Add(-time.Minute), "sallyport.example.org/log").Value(more); err != nil || one != two {
		t.Errorf("a line of somebody else changes the value: %v", err)
	}
	for what, b := range map[string]*Beacon{
		"of another log": at(now.Add(-time.Minute), "other"), "too early": at(now.Add(time.Hour), "sallyport.example.org/log"), "too late": at(now.Add(-time.Hour), "sallyport.example.org/log"),
	} {
		if _, _, err := b.Value(signed); !errors.Is(err, ErrPlan) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := at(now.Add(-time.Minute), "sallyport.example.org/log").Value([]byte(strings.Replace(string(signed), "\n17\n", "\n18\n", 1))); !errors.Is(err, ErrPlan) {
		t.Errorf("an altered checkpoint: %v", err)
	}
}

// TestReveal: a draw repeats itself, and nothing in its file can be changed.
func TestReveal(t *testing.T) {
	b := &Beacon{Round: 1000}
	r, result, err := Make([]byte(small), seed(3), b, []byte(round1000))
	if err != nil {
		t.Fatal(err)
	}
	file, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, again, err := Verify(file); err != nil || line(again) != line(result) {
		t.Fatalf("%v", err)
	}
	for i := 0; i < len(file); i += 5 {
		changed := slices.Clone(file)
		changed[i] ^= 1
		if _, _, err := Verify(changed); err == nil {
			t.Fatalf("byte %d was changed (%q), and it passes", i, file[max(0, i-20):i+1])
		}
	}
	// Another secret, plan or beacon is another commitment.
	c := Commit([]byte(small), seed(3), b)
	for _, other := range [][32]byte{Commit([]byte(small+"#"), seed(3), b), Commit([]byte(small), seed(4), b), Commit([]byte(small), seed(3), &Beacon{Round: 1001})} {
		if other == c {
			t.Error("two things have one commitment")
		}
	}
}
