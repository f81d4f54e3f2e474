package config

import (
	"fmt"
	"strings"
)

// LedgerConfig says who else sees the ledger, in which each entry of the record has a leaf (docs/ledger.md).
type LedgerConfig struct {
	// Origin is the ledger's name for witnesses, for ever: sallyport.example.com/support. Empty: sallyport/ and the record's id.
	Origin string `yaml:"origin"`

	// Witnesses cosign each checkpoint (C2SP tlog-witness). They are asked about add-checkpoint below their URL.
	Witnesses []LedgerWitness `yaml:"witnesses"`

	// Checkpoints are files elsewhere, best on another machine's disk, that always hold the newest checkpoint. serve refuses to start with a
	// ledger that is older than one of them.
	Checkpoints []string `yaml:"checkpoints"`
}

// LedgerWitness is one witness.
type LedgerWitness struct {
	URL string `yaml:"url"` // https://witness.example.org
	Key string `yaml:"key"` // its public key, as a verifier key: NAME+HASH+KEY
}

// check holds the section to what a ledger needs.
func (c *LedgerConfig) check(r *Document) {
	if strings.ContainsAny(c.Origin, "+ \t\n") {
		r.problemAt("ledger.origin", "a name with a space or +; expected one such as sallyport.example.com/support")
	}
	for i, w := range c.Witnesses {
		path := fmt.Sprintf("ledger.witnesses[%d]", i)
		if !strings.HasPrefix(w.URL, "https://") && !strings.HasPrefix(w.URL, "http://") {
			r.problemAt(path, "no url; expected https://HOST")
		}
		if strings.Count(w.Key, "+") < 2 {
			r.problemAt(path, "no key; expected the witness's verifier key, NAME+HASH+KEY")
		}
	}
}
