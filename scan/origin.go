package scan

import (
	"bytes"
	"slices"

	"sallyport"
	"sallyport/token"
)

// describe says what is known of a token; false: it is only a date that may be none. cut says that not all of it is there.
func (s *Scanner) describe(tok []byte, scheme sallyport.Scheme, cut bool) (Finding, bool) {
	if scheme == "" {
		if scheme = sallyport.Text; tok[4] >= 'A' && tok[4] <= 'Z' {
			scheme = sallyport.Name
		}
	}
	f := Finding{Kind: Token, What: string(scheme), Epoch: epochOf(tok, scheme)}
	provable := scheme == sallyport.Email || scheme == sallyport.Name || scheme == sallyport.Text || scheme == sallyport.Date
	var byForm []string
	for _, codec := range s.codecs {
		if codec.Spec().Scheme != scheme || scheme == sallyport.Number && !reserves(codec.Spec(), tok) {
			continue
		}
		column := codec.Spec().Column.String()
		byForm = append(byForm, column)
		if !s.o.Opens || !provable || cut || codec.Overflowed(tok) {
			continue
		}
		if _, err := codec.Reveal(nil, tok); err == nil {
			f.Columns = append(f.Columns, column)
			f.Epoch = codec.Epoch(tok)
		}
	}
	tried := s.o.Opens && provable && !cut && !slices.ContainsFunc(s.codecs, func(c *token.Codec) bool { return c.Spec().Scheme == scheme && c.Overflowed(tok) })
	switch {
	case len(f.Columns) > 0:
		f.Opened = true
	case scheme == sallyport.Date && !s.o.Dates: // any date of some thousand years looks like one
		return Finding{}, false
	case tried:
		f.Foreign = true
	default:
		f.Columns = byForm
	}
	slices.Sort(f.Columns)
	return f, true
}

// reserves tells whether a number token's prefix is one of a column's, in whatever epoch.
func reserves(spec token.Spec, tok []byte) bool {
	prefix := tok[:len(tok)-len(bytes.TrimLeft(tok, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))]
	for _, prefixes := range []map[string]string{spec.Prefixes, spec.NextPrefixes} {
		for _, reserved := range prefixes {
			if string(prefix) == reserved {
				return true
			}
		}
	}
	return false
}

// epochOf reads the generation of keys off a token's form (docs/tokens): the first one that has that form.
func epochOf(tok []byte, scheme sallyport.Scheme) int {
	switch scheme {
	case sallyport.Name:
		return int(tok[4]-'A') + 1
	case sallyport.Text:
		return int(tok[4]-'a') + 1
	case sallyport.Phone:
		if bytes.HasPrefix(tok, []byte("+89")) {
			return 1
		}
		return 2
	case sallyport.Email:
		epoch := 0
		for label := range bytes.SplitSeq(tok[bytes.IndexByte(tok, '@')+1:], []byte(".")) { // a long token spills into labels in front
			if n := epochLabel(label); n > 0 {
				epoch = n
			}
		}
		return epoch
	case sallyport.Date:
		if string(tok[:4]) < "6100" {
			return 1
		}
		return 2
	case sallyport.Number, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
	}
	return 0
}

// epochLabel reads k1, k2 …; 0: it is another label.
func epochLabel(label []byte) int {
	if len(label) < 2 || len(label) > 4 || label[0] != 'k' {
		return 0
	}
	n := 0
	for _, c := range label[1:] {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}
