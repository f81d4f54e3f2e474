package token

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Alphabet says which character stands for which numeral of FF1. A character is itself and nothing else: A and a are two,
// and a text with one that is not of the alphabet is refused, never folded into it.
type Alphabet struct {
	runes []rune
	index map[rune]uint16
}

// NewAlphabet takes the characters in the order of their numerals, 2 to 65,536 different ones.
func NewAlphabet(characters string) (*Alphabet, error) {
	if !utf8.ValidString(characters) {
		return nil, errors.New("make an alphabet: it is not UTF-8")
	}
	a := &Alphabet{runes: []rune(characters), index: map[rune]uint16{}}
	if len(a.runes) < ff1MinRadix || len(a.runes) > ff1MaxRadix {
		return nil, fmt.Errorf("make an alphabet: it has %d characters, not %d to %d", len(a.runes), ff1MinRadix, ff1MaxRadix)
	}
	for i, c := range a.runes {
		if _, twice := a.index[c]; twice {
			return nil, fmt.Errorf("make an alphabet: the character at place %d stands in it twice", i+1)
		}
		a.index[c] = uint16(i) //nolint:gosec // at most 65,535
	}
	return a, nil
}

// Radix is how many characters there are.
func (a *Alphabet) Radix() int { return len(a.runes) }

// Numerals appends the numerals of a text; the error says at which place a character is not of the alphabet, never which.
func (a *Alphabet) Numerals(dst []uint16, text string) ([]uint16, error) {
	start := len(dst)
	for i, c := range text {
		n, ok := a.index[c]
		if !ok || c == utf8.RuneError && !utf8.ValidString(text) {
			return dst[:start], fmt.Errorf("%w: the character at byte %d is not of the alphabet", ErrDomain, i)
		}
		dst = append(dst, n)
	}
	return dst, nil
}

// AppendText appends the text of numerals, each of which MUST be below Radix.
func (a *Alphabet) AppendText(dst []byte, numerals []uint16) []byte {
	for _, n := range numerals {
		dst = utf8.AppendRune(dst, a.runes[n])
	}
	return dst
}
