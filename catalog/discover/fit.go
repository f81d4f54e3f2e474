package discover

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport"
	"sallyport/token"
)

// fit says of each candidate what stands against protecting it, and what will be noticed. Its values are tokenised the way protect
// will do it, with a key that is none, so that nobody has to guess what fits.
func (p *proposer) fit() error {
	root, err := token.NewSecret(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		return fmt.Errorf("try tokens: %w", err)
	}
	ring, err := token.NewRing(root, token.Settings{})
	if err != nil {
		return fmt.Errorf("try tokens: %w", err)
	}
	reserved := &reservedPrefixes{of: map[string]string{}}
	for _, t := range p.tables {
		for _, c := range t.columns {
			if c.verdict == nil {
				continue
			}
			c.number(reserved)
			c.typed()
			if err := c.try(ring, p.home); err != nil {
				return err
			}
			p.obstruct(c)
		}
	}
	return nil
}

// obstruct notes what must be done before the column can be protected.
func (p *proposer) obstruct(c *judgedColumn) {
	v := c.verdict
	against := func(format string, args ...any) { v.Obstacles = append(v.Obstacles, fmt.Sprintf(format, args...)) }
	switch t := c.table; {
	case p.customer == nil:
		against("no table of customers was recognised: name it with --customer schema.table")
	case t.path != nil && t.path.Guess:
		against("only the name of %s says whose its rows are; confirm it under paths", t.path.Column)
	case !t.reaches:
		against("no foreign key leads from %s to %s, so nothing says whose its rows are", t, p.customer)
	case len(t.Key) == 0:
		against("%s has no primary key", t)
	}
	if !holds(v.Scheme, c.Type) {
		against("tokens of the scheme %s do not fit the type %s", v.Scheme, c.Type)
	}
	if c.Generated {
		against("it is generated from other columns")
	}
	if c.Keyed {
		against("a primary or foreign key stands on it")
	}
	if strings.ContainsAny(v.Column.String(), "\n\r") || strings.Count(v.Column.String(), ".") != 2 {
		against("the configuration cannot name it: a point or a line break stands in its name")
	}
}

// typed takes the scheme that is named after the column's type where the kind's usual one is for another.
func (c *judgedColumn) typed() {
	switch {
	case c.verdict.Kind == KindBirth && c.Type == "timestamp without time zone":
		c.verdict.Scheme = sallyport.Timestamp
	case c.verdict.Kind == KindBirth && c.Type == "timestamp with time zone":
		c.verdict.Scheme = sallyport.Timestamptz
	case c.verdict.Kind == KindBirth && isText(c.Type):
		c.verdict.Scheme = sallyport.Text
	case c.Type == "bigint":
		c.verdict.Scheme, c.verdict.Prefixes = sallyport.Int8, nil
	}
}

// holds tells whether tokens of a scheme fit a type, and protect moves values of it in: protect's own rules.
func holds(scheme sallyport.Scheme, kind string) bool {
	switch scheme {
	case sallyport.Date:
		return kind == "date"
	case sallyport.Timestamp:
		return kind == "timestamp without time zone"
	case sallyport.Timestamptz:
		return kind == "timestamp with time zone"
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text:
		return kind == "text" || kind == "character varying" || kind == "citext"
	case sallyport.Int4, sallyport.Int8, sallyport.UUID: // values that are there stay, since their tokens have no form
	}
	return false
}

// Few values that a scheme has no token for go to the vault; with more of them another scheme is chosen.
const fewRefused = 0.1

// try tokenises the sample, and chooses another scheme where this one refuses too much of it.
func (c *judgedColumn) try(ring *token.Ring, home string) error {
	v := c.verdict
	if c.tally.n == 0 || !holds(v.Scheme, c.Type) {
		return nil
	}
	if phone := &c.tally.phone; v.Scheme == sallyport.Phone && len(phone.open) > 0 {
		if at := phone.homeNumbers(home); float64(at) >= (1-fewRefused)*float64(len(phone.open)) {
			v.Region = home
			v.Evidence = append(v.Evidence, c.tally.counted(at, "are telephone numbers of "+home+", which the rest of the database is about"))
		} else {
			v.Warnings = append(v.Warnings, "numbers without a country code have no token of the scheme phone, and nothing says of which country they are: 'scheme: phone, region: COUNTRY' has them read as there")
		}
	}
	found, err := c.trial(ring)
	if err != nil {
		return err
	}
	if found.refused > 0 && (v.Scheme == sallyport.Email || v.Scheme == sallyport.Phone || v.Scheme == sallyport.Number) {
		if share := float64(found.refused) / float64(len(c.Values)); share > fewRefused {
			v.Evidence = append(v.Evidence, fmt.Sprintf("%d of %d values have no token of the scheme %s as they are written: sealed as a whole, and found by equality",
				found.refused, len(c.Values), v.Scheme))
			v.Group, v.Scheme, v.Prefixes, v.Region = string(v.Scheme), sallyport.Name, nil, ""
			if found, err = c.trial(ring); err != nil {
				return err
			}
		} else {
			v.Vault = true
		}
	}
	c.warn(found)
	return nil
}

// trial is what became of the sample.
type trial struct {
	refused, already, longest int
	deterministic             bool
}

func (c *judgedColumn) trial(ring *token.Ring) (found trial, err error) {
	v := c.verdict
	codec, err := ring.Codec(token.Spec{Column: v.Column, Scheme: v.Scheme, Group: v.Group, Prefixes: v.Prefixes, Region: v.Region})
	if err != nil {
		return found, fmt.Errorf("try tokens for %s: %w", v.Column, err)
	}
	found.deterministic = codec.Deterministic()
	for _, value := range c.Values {
		made, err := codec.Tokenise(nil, []byte(value), zeros{})
		switch {
		case errors.Is(err, token.ErrAlreadyToken):
			found.already++
		case errors.Is(err, token.ErrDomain):
			found.refused++
		case err != nil:
			return found, fmt.Errorf("try tokens for %s: %w", v.Column, errors.New("the codec failed"))
		default:
			found.longest = max(found.longest, utf8.RuneCount(made))
		}
	}
	return found, nil
}

// warn says what will be noticed.
func (c *judgedColumn) warn(found trial) {
	v := c.verdict
	warn := func(format string, args ...any) { v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...)) }
	switch {
	case found.refused > 0 && v.Vault:
		warn("%d of %d values have no token of the scheme %s as they are written: they go to the vault", found.refused, len(c.Values), v.Scheme)
	case found.refused > 0:
		warn("%d of %d values have no token of the scheme %s as they are written: protect lists their rows, and settles none", found.refused, len(c.Values), v.Scheme)
	}
	if v.Region != "" {
		warn("numbers are read as those of %s, and come back with + and the country code in front", v.Region)
	}
	if found.already > 0 {
		warn("%d of %d values are tokens already", found.already, len(c.Values))
	}
	if c.Width > 0 && found.longest > c.Width {
		warn("it holds %d characters, and tokens of the values looked at have up to %d: widen it (sallyport check --sql)", c.Width, found.longest)
	}
	if c.Unique && !found.deterministic {
		warn("it is unique, and tokens of the scheme %s always differ: the database will not see two equal values any more", v.Scheme)
	}
}

// zeros is randomness for tokens that nobody keeps.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// number chooses how a reference number is tokenised: by its digits, where nearly all begin with letters that many share; else sealed
// and found by equality.
func (c *judgedColumn) number(reserved *reservedPrefixes) {
	v := c.verdict
	if v.Kind == KindIdentity {
		v.Group = "identity"
	}
	if v.Scheme != sallyport.Number {
		return
	}
	prefixes, covered := c.commonPrefixes(), 0
	for _, prefix := range prefixes {
		covered += c.tally.prefixes[prefix]
	}
	if len(prefixes) == 0 || c.tally.share(covered) < 0.95 {
		v.Scheme, v.Group = sallyport.Name, "reference"
		v.Evidence = append(v.Evidence, "few letters in front that many share: sealed as a whole, and found by equality")
		return
	}
	v.Prefixes = map[string]string{}
	for _, prefix := range prefixes {
		v.Prefixes[prefix] = reserved.take(prefix)
	}
}

// Letters in front of a number tell nobody apart if many numbers share them: only such are written down.
const (
	sharedBy    = 12
	sharedShare = 0.04
)

func (c *judgedColumn) commonPrefixes() (prefixes []string) {
	for prefix, n := range c.tally.prefixes {
		ascii := prefix != "" && len(prefix) <= 10 && !strings.ContainsFunc(prefix, func(r rune) bool { return r >= 0x80 })
		if ascii && n >= sharedBy && c.tally.share(n) >= sharedShare {
			prefixes = append(prefixes, prefix)
		}
	}
	slices.Sort(prefixes)
	return slices.CompactFunc(prefixes, strings.EqualFold)
}

// reservedPrefixes gives each prefix of numbers another of the same length for its tokens.
type reservedPrefixes struct{ of map[string]string }

// take makes up a prefix that is neither somebody's plain one nor taken.
func (r *reservedPrefixes) take(plain string) string {
	key := strings.ToUpper(plain)
	if token, ok := r.of[key]; ok {
		return token
	}
	const letters = "ZQXJKVWYUHGF"
	for start := range letters {
		candidate := make([]byte, len(plain))
		for i := range candidate {
			candidate[i] = letters[(start+i)%len(letters)]
		}
		token := string(candidate)
		taken := r.of[token] != "" || token == key
		for _, other := range r.of {
			taken = taken || other == token
		}
		if !taken {
			r.of[key] = token
			return token
		}
	}
	return strings.Repeat("Z", len(plain))
}
