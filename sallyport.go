// Package sallyport is the vocabulary that all other packages share: who (Staff), about whom (Subject), why (Purpose), what
// (Column), how it was decided (Verdict) and what happened (Event).
//
// It does no I/O and reads no clock. It refuses to hold behaviour: whoever needs a decision asks the package that owns it.
package sallyport

import (
	"errors"
	"fmt"
	"strings"
)

// Staff is the id of a person or a service with access, as in the directory ("s017"). A log-in that the directory does
// not know is the staff "login:NAME": it has a record and budgets like everybody, and no rights.
type Staff string

// UnknownLogin is the staff id of a log-in that no person of the directory owns.
func UnknownLogin(login string) Staff { return Staff("login:" + login) }

// Subject is the id of a customer: the text form of the customer table's key. Empty where only a value is known.
type Subject string

// WholeNumber is a customer's key as a number, if it is written as one in the only way: two spellings must not be two customers. Nearly all
// keys are.
func WholeNumber[T ~string | ~[]byte](key T) (n uint64, ok bool) {
	if len(key) == 0 || len(key) > 19 || key[0] == '0' && len(key) > 1 {
		return 0, false // 19 digits always fit
	}
	for i := range len(key) {
		digit := key[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + uint64(digit)
	}
	return n, true
}

// Class is the sensitivity of a protected column.
type Class string

// The classes that there are.
const (
	Identity  Class = "identity"
	Contact   Class = "contact"
	Content   Class = "content"
	Reference Class = "reference"
)

// Scheme is the way in which a column is tokenised.
type Scheme string

// The schemes, each with a page in docs/tokens.
const (
	Email  Scheme = "email"  // AES-SIV in the local part
	Phone  Scheme = "phone"  // FF1 over 13 digits under an unassigned country code
	Number Scheme = "number" // FF1 over the digits of a reference number, separators kept
	Name   Scheme = "name"   // AES-GCM with a blind index in front
	Text   Scheme = "text"   // AES-GCM
	Date   Scheme = "date"   // FF1 into the years 2200–9999

	// Named after the column's type. Those without a form of their own are revealed only where the column is traced.
	Timestamp   Scheme = "timestamp"   // FF1 into the years 2200–9999
	Timestamptz Scheme = "timestamptz" // likewise, in UTC
	Int4        Scheme = "int4"        // FF1 over all 32-bit integers; no form
	Int8        Scheme = "int8"        // FF1 over all 64-bit integers; no form
	UUID        Scheme = "uuid"        // FF1 over 122 bits, version and variant kept; no form
)

// Column names one column of one table or view. It is comparable and serves as a map key.
type Column struct {
	Schema string `cbor:"1,keyasint"`
	Table  string `cbor:"2,keyasint"`
	Name   string `cbor:"3,keyasint"`
}

// String is schema.table.column, unquoted, for people.
func (c Column) String() string { return c.Schema + "." + c.Table + "." + c.Name }

// Purpose is a reason as somebody claimed it: what it covers is found out elsewhere.
type Purpose struct {
	Kind string `cbor:"1,keyasint"` // ticket, call, job, grant, work
	Ref  string `cbor:"2,keyasint"` // as written after the colon, except that a ticket's number is stored as its token
}

// String is kind:ref, as a person writes it.
func (p Purpose) String() string { return p.Kind + ":" + p.Ref }

// ErrPurpose says that a text is not a list of purposes.
var ErrPurpose = errors.New("not a purpose")

// maxPurposes bounds how many reasons one setting may list.
const maxPurposes = 50

// ParsePurposes reads "ticket:CS-4821-7730,work:mine". An empty text is no purpose.
func ParsePurposes(s string) ([]Purpose, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	parts := strings.Split(s, ",")
	if len(parts) > maxPurposes {
		return nil, fmt.Errorf("%w: %d purposes, at most %d may be given at once", ErrPurpose, len(parts), maxPurposes)
	}
	list := make([]Purpose, 0, len(parts))
	for _, part := range parts {
		kind, ref, ok := strings.Cut(strings.TrimSpace(part), ":")
		kind, ref = strings.TrimSpace(kind), strings.TrimSpace(ref)
		if !ok || kind == "" || ref == "" || strings.ContainsAny(ref, "\x00\n\r") {
			return nil, fmt.Errorf("%w: write KIND:REFERENCE, for example ticket:4711", ErrPurpose)
		}
		list = append(list, Purpose{Kind: kind, Ref: ref})
	}
	return list, nil
}

// Reason is what is known of a purpose. Facts that somebody made himself are not his: what counts is the word of others.
type Reason struct {
	Kind           string
	Covers         bool
	Open           bool
	State          string // as the source writes it
	Mine           bool   // assigned to who asks
	Team           string // of whom it is assigned to; empty: unknown
	Minutes        int64  // since it was opened
	OpenedBySelf   bool
	AssignedBySelf bool
	Contacted      bool  // the customer got in touch
	Looks          int64 // at this customer in 24 hours
	Lookers        int64 // people who did
	OwnLooks       int64 // those of who asks

	// Who did what, where somebody is on record for it: a person of the directory, or a program by the name that its system has for it.
	Assignee          Staff
	OpenedBy          Staff
	OpenedByProgram   string
	AssignedBy        Staff
	AssignedByProgram string
}

// Verdict is what happens to one value. The zero value denies.
type Verdict uint8

// The verdicts, in rising order of openness.
const (
	Deny   Verdict = iota // the statement is refused
	Token                 // the token leaves as it is
	Mask                  // a mask leaves
	Wait                  // the statement waits for a person
	Reveal                // the plaintext leaves
)

// String is the verdict's name in the record and in OCSF output.
func (v Verdict) String() string {
	switch v {
	case Deny:
		return "deny"
	case Token:
		return "token"
	case Mask:
		return "mask"
	case Wait:
		return "wait"
	case Reveal:
		return "reveal"
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Digest is a keyed digest of one canonical value: equal values of one scheme have equal digests, and nobody without the
// key learns the value. All zero means none.
type Digest [16]byte
