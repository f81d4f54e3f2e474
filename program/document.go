package program

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Document is a written policy: Markdown with numbered paragraphs.
type Document struct {
	Name       string
	Digest     []byte   // SHA-256 of the file: a version
	AppliesTo  []string // roles and teams that must have read it; none: everybody
	Paragraphs []Paragraph
}

// Paragraph begins with its number. By are the ids of the policies that enforce it; People says who sees to it where no policy can.
type Paragraph struct {
	Number string
	Text   string
	By     []string
	People string
}

var (
	numbered   = regexp.MustCompile(`^(?:\*\*)?(\d+(?:\.\d+)+)\.?(?:\*\*)?\s+(.+)$`)
	enforcedBy = regexp.MustCompile(`(?i)\(enforced by:?\s*([^)]+)\)`)
	seenToBy   = regexp.MustCompile(`(?i)\(seen to by:?\s*([^)]+)\)`)
	appliesTo  = regexp.MustCompile(`(?im)^applies to:\s*(.+?)\s*$`)
)

// ReadDocument reads a written policy. What has no number is for people only.
func ReadDocument(name string, text []byte) (*Document, error) {
	sum := sha256.Sum256(text)
	d := &Document{Name: name, Digest: sum[:]}
	if m := appliesTo.FindSubmatch(text); m != nil && !strings.EqualFold(string(m[1]), "everybody") {
		d.AppliesTo = split(string(m[1]))
	}
	at := map[string]bool{}
	for block := range strings.SplitSeq(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n") {
		m := numbered.FindStringSubmatch(strings.Join(strings.Fields(block), " "))
		if m == nil {
			continue
		}
		if at[m[1]] {
			return nil, fmt.Errorf("read %s: there are two paragraphs %s", name, m[1])
		}
		at[m[1]] = true
		p := Paragraph{Number: m[1], Text: m[2]}
		if by := enforcedBy.FindStringSubmatch(m[2]); by != nil {
			p.By = split(by[1])
		}
		if by := seenToBy.FindStringSubmatch(m[2]); by != nil {
			p.People = strings.TrimSpace(by[1])
		}
		d.Paragraphs = append(d.Paragraphs, p)
	}
	if len(d.Paragraphs) == 0 {
		return nil, fmt.Errorf("read %s: it has no numbered paragraph: write '2.7 Agents do not …' at the beginning of each", name)
	}
	return d, nil
}

func split(list string) (out []string) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.Trim(strings.TrimSpace(part), "`"); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// Enforcing is a policy, as far as drift is concerned.
type Enforcing struct {
	ID       string
	Document string // file.md#2.7
	Place    string
	// Against is how many accesses the record has that this policy, as it stands, forbids, and of how many people. Bites is how often it has decided.
	Against, People, Bites int
}

// Member is somebody who may have to read documents.
type Member struct {
	Staff      sallyport.Staff
	Team, Role string
	Away       bool // on leave: he reads it when he is back
}

// Concerns tells whether somebody must have read it.
func (d *Document) Concerns(m Member) bool {
	return len(d.AppliesTo) == 0 || slices.Contains(d.AppliesTo, m.Role) || slices.Contains(d.AppliesTo, m.Team)
}

// Drift is where what is written and what happens part.
type Drift struct {
	Unenforced   []Place      `json:"unenforced"`   // paragraphs that nothing enforces, and of which nobody says who sees to it
	Broken       []Place      `json:"broken"`       // paragraphs and policies that do not name each other
	Unwritten    []Place      `json:"unwritten"`    // policies without a paragraph
	Contradicted []Contrary   `json:"contradicted"` // paragraphs that the record contradicts
	Unread       []Unread     `json:"unread"`       // versions that somebody has not acknowledged
	Paragraphs   int          `json:"paragraphs"`
	Enforced     int          `json:"enforced"` // of them, by policies
	ByPeople     int          `json:"by_people"`
	Documents    []DocVersion `json:"documents"`
}

// DocVersion names one version of a document.
type DocVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"` // SHA-256
	Readers int    `json:"readers"` // who must have acknowledged it
	Have    int    `json:"have"`    // and has
}

// Place is a paragraph or a policy, and what is the matter with it.
type Place struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

// Contrary is a paragraph that the record contradicts.
type Contrary struct {
	Where    string `json:"where"`
	Policy   string `json:"policy"`
	Accesses int    `json:"accesses"`
	People   int    `json:"people"`
}

// Unread is who has not acknowledged a version.
type Unread struct {
	Document string            `json:"document"`
	Staff    []sallyport.Staff `json:"staff"`
}

// Any tells whether there is any drift.
func (d *Drift) Any() bool {
	return len(d.Unenforced)+len(d.Broken)+len(d.Unwritten)+len(d.Contradicted)+len(d.Unread) > 0
}

// FindDrift holds documents to policies, and both to the record.
func FindDrift(docs []*Document, policies []Enforcing, staff []Member, read func(name string, digest []byte, who sallyport.Staff) time.Time) *Drift {
	out := &Drift{Unenforced: []Place{}, Broken: []Place{}, Unwritten: []Place{}, Contradicted: []Contrary{}, Unread: []Unread{}, Documents: []DocVersion{}}
	byID := map[string]*Enforcing{}
	for i := range policies {
		byID[policies[i].ID] = &policies[i]
	}
	named := map[string]map[string]bool{} // paragraph → ids
	for _, d := range docs {
		for _, p := range d.Paragraphs {
			where := d.Name + "#" + p.Number
			named[where] = map[string]bool{}
			out.paragraph(where, &p, byID, named[where])
		}
		out.readers(d, staff, read)
	}
	for _, p := range policies {
		switch ids, ok := named[p.Document]; {
		case p.Document == "":
			out.Unwritten = append(out.Unwritten, Place{p.ID, "no @document: nobody wrote down why it is there (" + p.Place + ")"})
		case !ok:
			out.Unwritten = append(out.Unwritten, Place{p.ID, fmt.Sprintf("its paragraph %s is in none of these documents (%s)", p.Document, p.Place)})
		case !ids[p.ID]:
			out.Broken = append(out.Broken, Place{p.Document, fmt.Sprintf("policy %s says that it enforces this, and the paragraph does not name it", p.ID)})
		}
		if p.Against > 0 {
			out.Contradicted = append(out.Contradicted, Contrary{cmp.Or(p.Document, "no paragraph"), p.ID, p.Against, p.People})
		}
	}
	slices.SortFunc(out.Contradicted, func(a, b Contrary) int {
		return cmp.Or(b.Accesses-a.Accesses, cmp.Compare(a.Where, b.Where), cmp.Compare(a.Policy, b.Policy))
	})
	return out
}

func (out *Drift) paragraph(where string, p *Paragraph, byID map[string]*Enforcing, named map[string]bool) {
	out.Paragraphs++
	switch {
	case len(p.By) > 0:
		out.Enforced++
	case p.People != "":
		out.ByPeople++
	default:
		out.Unenforced = append(out.Unenforced, Place{where, "nothing enforces it; name policies, '(enforced by: id)', or who does, '(seen to by: …)'"})
	}
	for _, id := range p.By {
		named[id] = true
		switch q := byID[id]; {
		case q == nil:
			out.Broken = append(out.Broken, Place{where, fmt.Sprintf("there is no policy %s: nothing of this kind is enforced", id)})
		case q.Document != where:
			out.Broken = append(out.Broken, Place{where, fmt.Sprintf("policy %s says that it enforces %s", id, cmp.Or(q.Document, "nothing"))})
		}
	}
}

func (out *Drift) readers(d *Document, staff []Member, read func(string, []byte, sallyport.Staff) time.Time) {
	v := DocVersion{Name: d.Name, Version: hex.EncodeToString(d.Digest)}
	var missing []sallyport.Staff
	for _, m := range staff {
		if m.Away || !d.Concerns(m) {
			continue
		}
		v.Readers++
		if read(d.Name, d.Digest, m.Staff).IsZero() {
			missing = append(missing, m.Staff)
		} else {
			v.Have++
		}
	}
	out.Documents = append(out.Documents, v)
	if len(missing) > 0 {
		slices.Sort(missing)
		out.Unread = append(out.Unread, Unread{d.Name, missing})
	}
}

// Deeds count, by policy, how often each decided in the record: what it let through with a verdict of reveal does not count, which others permitted.
type Deeds struct{ bites map[string]int }

// NewDeeds counts nothing yet.
func NewDeeds() *Deeds { return &Deeds{map[string]int{}} }

// Access takes an entry of the access stream.
func (d *Deeds) Access(e *sallyport.Event) {
	if x := e.Decision; x != nil {
		d.count(x.Policy)
	}
	if e.Result != nil {
		for _, r := range e.Result.Rulings {
			d.count(r.Policy)
		}
	}
}

func (d *Deeds) count(ids string) {
	for id := range strings.SplitSeq(ids, ",") {
		d.bites[id]++
	}
}

// Of is how often a policy decided.
func (d *Deeds) Of(id string) int { return d.bites[id] }

// Policies are those that decided at all.
func (d *Deeds) Policies() []string { return slices.Sorted(maps.Keys(d.bites)) }
