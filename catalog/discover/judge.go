package discover

import (
	"fmt"
	"strings"

	"sallyport"
)

// The least share of values that speaks for a kind. Real columns have slips: numbers in the wrong field, "unknown".
const (
	nearlyAll = 0.8
	most      = 0.6
	some      = 0.3
)

// enough is how many values it takes to judge by values alone.
const enough = 12

// opinion is what one rule says about a column.
type opinion struct {
	kind       Kind
	confidence Confidence
	evidence   []string
}

// judge says what a column holds by its name and its values, nil where nothing speaks for personal data. Free text is judged later,
// when it is known which rows belong to customers.
func (p *proposer) judge(c *judgedColumn) *Candidate {
	if !isReadable(c.Type) {
		return nil
	}
	var best opinion
	for _, rule := range []func(*judgedColumn) opinion{
		p.birth, email, phone, iban, card, p.identity, reference, p.name, address, place, network, handle,
	} {
		if o := rule(c); o.confidence > best.confidence {
			best = o
		}
	}
	if best.confidence == 0 {
		return nil
	}
	return c.candidate(best)
}

// doubtOthers lowers what was found in tables that do not lead to a customer: people's data too, but nobody's whom a reason could be about.
// Those that are called after staff, suppliers, companies or things are doubted most.
func (p *proposer) doubtOthers() {
	for _, t := range p.tables {
		if t.reaches || t.path != nil {
			continue
		}
		for _, c := range t.columns {
			switch {
			case c.verdict == nil:
			case t.staff && c.verdict.Confidence > Low:
				c.verdict.Confidence = Low
				c.verdict.Evidence = append(c.verdict.Evidence, "its table seems to be about staff, companies or things and leads to no customer")
			case p.customer != nil && c.verdict.Confidence > Medium:
				c.verdict.Confidence = Medium
				c.verdict.Evidence = append(c.verdict.Evidence, "its table leads to no customer")
			}
		}
	}
}

// isReadable tells whether a type can hold what a person reads.
func isReadable(kind string) bool {
	switch kind {
	case "text", "character varying", "character", "bpchar", "citext", "date", "inet", "bigint", "numeric", "json", "jsonb", "xml", "text[]", "character varying[]":
		return true
	}
	return strings.HasPrefix(kind, "timestamp")
}

func isText(kind string) bool {
	switch kind {
	case "text", "character varying", "character", "bpchar", "citext":
		return true
	}
	return false
}

// candidate turns an opinion into a candidate, with the class and scheme that are usual for its kind.
func (c *judgedColumn) candidate(o opinion) *Candidate {
	out := &Candidate{
		Column: sallyport.Column{Schema: c.table.Schema, Table: c.table.Name, Name: c.Name},
		Kind:   o.kind, Confidence: o.confidence, Evidence: o.evidence,
	}
	switch o.kind {
	case KindEmail:
		out.Class, out.Scheme = sallyport.Contact, sallyport.Email
	case KindPhone:
		out.Class, out.Scheme = sallyport.Contact, sallyport.Phone
	case KindName:
		out.Class, out.Scheme = sallyport.Identity, sallyport.Name
	case KindBirth:
		out.Class, out.Scheme = sallyport.Identity, sallyport.Date
	case KindAddress, KindPlace, KindAddressIP:
		out.Class, out.Scheme = sallyport.Contact, sallyport.Text
	case KindIBAN, KindCard:
		out.Class, out.Scheme = sallyport.Identity, sallyport.Text
	case KindIdentity, KindHandle:
		out.Class, out.Scheme = sallyport.Identity, sallyport.Name // sealed, and found by equality
	case KindReference:
		out.Class, out.Scheme = sallyport.Reference, sallyport.Number
	case KindText:
		out.Class, out.Scheme = sallyport.Content, sallyport.Text
	}
	return out
}

// named is the evidence of a name.
func named(h hint, as string) []string {
	switch h {
	case strongHint:
		return []string{"its name says " + as}
	case weakHint:
		return []string{"its name may mean " + as}
	case noHint:
		return nil
	}
	return nil
}

// counted is the evidence of values.
func (t *tally) counted(k int, what string) string {
	return fmt.Sprintf("%d of %d values %s", k, t.n, what)
}

// weigh combines a name and a share of values in the usual way. What values alone can prove is upTo.
func weigh(h hint, t *tally, share float64, upTo Confidence) Confidence {
	switch {
	case t.n == 0 && h == strongHint:
		return Medium
	case t.n == 0:
		return 0
	case h == strongHint && share >= most:
		return High
	case h >= weakHint && share >= nearlyAll && t.n >= enough:
		return High
	case share >= nearlyAll && t.n >= enough:
		return upTo
	case h == strongHint && share >= some:
		return Medium
	case h >= weakHint && share >= most, h == strongHint && share > 0:
		return Low
	}
	return 0
}

func email(c *judgedColumn) opinion {
	if !isText(c.Type) {
		return opinion{}
	}
	h := emailWords().hint(c.words)
	return opinion{KindEmail, weigh(h, &c.tally, c.tally.share(c.tally.email), High), append(named(h, "e-mail"), c.tally.counted(c.tally.email, "are e-mail addresses"))}
}

func phone(c *judgedColumn) opinion {
	if !isText(c.Type) && c.Type != "bigint" && c.Type != "numeric" {
		return opinion{}
	}
	h, t := phoneWords().hint(c.words), &c.tally
	evidence := append(named(h, "telephone"), t.counted(t.phone.international, "are international telephone numbers"))
	if t.phone.national > 0 {
		evidence = append(evidence, t.counted(t.phone.national, "are national ones of "+t.phone.region))
	}
	valid := t.share(t.phone.valid())
	if !isText(c.Type) && h != strongHint {
		return opinion{}
	}
	if h == strongHint && valid < most && t.share(t.phone.shaped) >= nearlyAll {
		// The library knows the ranges of today; databases keep numbers for decades, and some are for examples only.
		confidence := Medium
		if valid >= some || t.share(t.phone.plus) >= most || t.share(t.phone.shaped) >= 0.95 && t.varied(0.2) {
			confidence = High
		}
		return opinion{KindPhone, confidence, append(evidence, t.counted(t.phone.shaped, "have the form of one"))}
	}
	if bare := t.share(t.phone.bare); h == noHint && bare >= 0.9 && t.varied(0.3) {
		return opinion{KindPhone, Medium, append(evidence, t.counted(t.phone.bare, "are international ones without a sign in front"))}
	}
	upTo := Medium
	if t.share(t.phone.international) >= most {
		upTo = High
	}
	return opinion{KindPhone, weigh(h, t, valid, upTo), evidence}
}

// birth judges days: those of birth begin long ago and end before today.
func (p *proposer) birth(c *judgedColumn) opinion {
	h, t := birthWords().hint(c.words), &c.tally
	if !isDay(c.Type) && (!isText(c.Type) || h != strongHint) {
		return opinion{}
	}
	evidence := append(named(h, "birth"), t.counted(t.birth, "are days on which people of today were born"))
	confidence := weigh(h, t, t.share(t.birth), 0)
	if h == noHint && t.n >= enough && t.share(t.birth) >= 0.99 && t.share(t.early) >= 0.15 && t.share(t.recent) <= 0.15 {
		confidence, evidence = Medium, append(evidence, t.counted(t.early, "lie before 1965"))
	}
	return opinion{KindBirth, confidence, evidence}
}

func iban(c *judgedColumn) opinion {
	if !isText(c.Type) {
		return opinion{}
	}
	h := ibanWords().hint(c.words)
	return opinion{KindIBAN, weigh(h, &c.tally, c.tally.share(c.tally.iban), High), append(named(h, "bank account"), c.tally.counted(c.tally.iban, "have an IBAN's check digits"))}
}

func card(c *judgedColumn) opinion {
	if !isText(c.Type) && c.Type != "bigint" && c.Type != "numeric" {
		return opinion{}
	}
	h := cardWords().hint(c.words)
	return opinion{KindCard, weigh(h, &c.tally, c.tally.share(c.tally.card), High), append(named(h, "payment card"), c.tally.counted(c.tally.card, "have a card's check digit"))}
}

// identity judges numbers of documents and insurances: one each, mostly digits.
func (p *proposer) identity(c *judgedColumn) opinion {
	h := identityWords().hint(c.words)
	if h != strongHint || !isText(c.Type) && c.Type != "bigint" && c.Type != "numeric" {
		return opinion{}
	}
	return c.perPerson(KindIdentity, h, "a document or insurance", c.tally.coded)
}

// reference judges numbers that stand for a person or for his business: those of customers, patients, tickets and cases, and not
// those of orders, invoices and things.
func reference(c *judgedColumn) opinion {
	if !isText(c.Type) || len(c.words) == 0 { // a column may be called "_"
		return opinion{}
	}
	h := referenceWords().hint(c.words)
	if has("id uuid key", c.words[len(c.words)-1]) || c.Keyed {
		return opinion{}
	}
	number, business := false, false
	for _, word := range c.words {
		rest, compound := cutNumber(word) // kundennummer, leerlingnr
		number = number || has(numberWords, word) || compound
		business = business || has(ticketWords, word) || has(personWords, word) || compound && (has(ticketWords, rest) || has(personWords, rest))
	}
	if number && (business || len(c.words) == 1 && nounOf(c.table.Name, ticketTables)) {
		h = strongHint
	}
	if h != strongHint {
		return opinion{}
	}
	return c.perPerson(KindReference, h, "a number of a ticket or a person", c.tally.number)
}

// cutNumber takes the word for a number from the end of a compound.
func cutNumber(word string) (rest string, ok bool) {
	for _, number := range []string{"nummer", "number", "nr", "no"} {
		if rest, ok := strings.CutSuffix(word, number); ok && len(rest) >= 3 {
			return rest, true
		}
	}
	return "", false
}

// perPerson judges numbers of which each person or business has one of its own.
func (c *judgedColumn) perPerson(kind Kind, h hint, as string, fitting int) opinion {
	t := &c.tally
	evidence := append(named(h, as), t.counted(fitting, "have the form of one"), t.counted(t.distinct, "differ"))
	switch {
	case t.n == 0:
		return opinion{kind, Medium, evidence}
	case t.share(fitting) >= most && t.varied(0.7):
		return opinion{kind, High, evidence}
	case t.varied(0.7):
		return opinion{kind, Medium, evidence}
	}
	return opinion{kind, Low, evidence}
}

// name judges names of people. A column called name may hold anything: then it takes first names that people have, or a column for
// first names beside it.
func (p *proposer) name(c *judgedColumn) opinion {
	if !isText(c.Type) {
		return opinion{}
	}
	h, t := nameWords().hint(c.words), &c.tally
	shaped, given, full, company := t.share(t.person), t.share(t.given), t.share(t.full), t.share(t.company)
	if h == weakHint && c.besideGivenName() {
		h = strongHint
	}
	evidence := append(named(h, "a person's name"), t.counted(t.person, "have the form of a name"), t.counted(t.given, "have a common first name in them"))
	o := opinion{KindName, 0, evidence}
	switch {
	case t.n == 0:
		o.confidence = weigh(h, t, 0, 0)
	case company > 0.2 || shaped < most || t.distinct < 5:
	case h == strongHint && t.varied(0.02):
		o.confidence = High
	case h == weakHint && given >= some && t.varied(0.1), full >= 0.45 && t.varied(0.2), h == weakHint && full >= 0.15 && t.varied(0.3) && c.besideEmail():
		o.confidence = High
	case h == weakHint && nounOf(c.table.Name, customerTables) && !c.table.staff, full >= 0.2 && t.varied(0.2):
		o.confidence = Medium
	case h >= weakHint:
		o.confidence = Low
	}
	return o
}

// besideGivenName tells whether the table has a column that can only be a part of a person's name.
func (c *judgedColumn) besideGivenName() bool {
	for i := range c.table.Table.Columns {
		other := &c.table.Table.Columns[i]
		if other.Name != c.Name && isText(other.Type) && nameWords().hint(wordsOf(other.Name)) == strongHint {
			return true
		}
	}
	return false
}

// besideEmail tells whether the table has an address of its own for nearly each row: then its rows are about somebody.
func (c *judgedColumn) besideEmail() bool {
	for _, other := range c.table.columns {
		if other.tally.n >= enough && other.tally.share(other.tally.email) >= nearlyAll && other.tally.varied(0.7) {
			return true
		}
	}
	return false
}

func address(c *judgedColumn) opinion {
	if !isText(c.Type) {
		return opinion{}
	}
	h, t := addressWords().hint(c.words), &c.tally
	share := t.share(t.street)
	o := opinion{KindAddress, weigh(h, t, share, High), append(named(h, "address"), t.counted(t.street, "have a street and a number"))}
	if lettered := t.share(t.digits+t.opaque+t.ip+t.email+t.url) < 0.1; h == strongHint && t.n > 0 && lettered && t.varied(0.2) {
		o.confidence = High // the number often stands in a column of its own
	}
	return o
}

// place judges towns and postcodes: alone they name nobody, together with others they do.
func place(c *judgedColumn) opinion {
	h := placeWords().hint(c.words)
	if h != strongHint || !isText(c.Type) || c.tally.n > 0 && c.tally.distinct < 5 {
		return opinion{}
	}
	return opinion{KindPlace, Medium, named(h, "a place or postcode")}
}

func network(c *judgedColumn) opinion {
	h, t := ipWords().hint(c.words), &c.tally
	if c.Type != "inet" && (!isText(c.Type) || t.share(t.ip) < nearlyAll) {
		return opinion{}
	}
	return opinion{KindAddressIP, Medium, append(named(h, "network address"), t.counted(t.ip, "are network addresses"))}
}

func handle(c *judgedColumn) opinion {
	h := handleWords().hint(c.words)
	if h != strongHint || !isText(c.Type) || c.tally.n > 0 && !c.tally.varied(0.3) {
		return opinion{}
	}
	return opinion{KindHandle, Medium, append(named(h, "a user name or profile"), c.tally.counted(c.tally.distinct, "differ"))}
}
