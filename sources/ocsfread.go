package sources

import (
	"io"

	"sallyport"
)

// OCSF reads objects of class 6005, one a line, for who keeps them in a record; other classes are counted and passed over. Texts of statements
// leave their shape, the gateway's own, and nothing else. What use is given is valid until it returns.
func OCSF(r io.Reader, use func(*sallyport.Access) error, bad Bad) (other int, err error) {
	d := newOCSF()
	d.outline = true
	var a sallyport.Access
	err = eachLine(r, func(text []byte, n int) error {
		what, ok := d.access(text, &a)
		switch {
		case ok:
			return use(&a)
		case d.other():
			other++
			return nil
		}
		return bad(n, what)
	})
	return other, err
}

// known is a name, unless it is the word that stands for none where OCSF requires one.
func known(name string) string {
	if name == "unknown" {
		return ""
	}
	return name
}
