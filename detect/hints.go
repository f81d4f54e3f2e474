package detect

// hints say of most customers at once that no ticket and no contact of theirs is known. Programs look at very many customers, nearly all of whom are
// of that kind, and to ask two large maps for each was a tenth of all work. A hint that is not set is certain; one that is set says nothing.
type hints struct {
	words []uint64
	set   int // bits
}

const (
	fewestWords = 1 << 8
	fullest     = 4 // bits of a word, on average
)

// place is the word and the bit of a customer.
func (h *hints) place(customer uint64) (*uint64, uint64) {
	spread := customer * 0x9e3779b97f4a7c15
	return &h.words[spread>>6&uint64(len(h.words)-1)], 1 << (spread >> 58)
}

func (h *hints) may(customer uint64) bool {
	if len(h.words) == 0 {
		return false
	}
	word, bit := h.place(customer)
	return *word&bit != 0
}

func (h *hints) add(customer uint64) {
	if word, bit := h.place(customer); *word&bit == 0 {
		*word |= bit
		h.set++
	}
}

// hint notes that something is known of a customer.
func (f *facts) hint(customer uint64) {
	if f.hints.set >= fullest*len(f.hints.words) {
		f.rehint()
	}
	f.hints.add(customer)
}

// rehint sets them anew, with room for as many again.
func (f *facts) rehint() {
	size := fewestWords
	for size*fullest < 2*(len(f.byCustomer)+len(f.contacts)) {
		size *= 2
	}
	f.hints = hints{words: make([]uint64, size)}
	for c := range f.byCustomer {
		f.hints.add(c)
	}
	for c := range f.contacts {
		f.hints.add(c)
	}
}
