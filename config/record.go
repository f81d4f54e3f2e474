package config

import (
	"sallyport/keys"
	"sallyport/record"
)

// Record says who opens the key that encrypts the record on disk, and how much room the record may take.
type Record struct {
	// Provider opens the key that encrypts the record, as keys.provider does the others. Empty: the same one; where that is quorum, the file of
	// --key-file, and without one what is protected is not served: the record says who may bring the shares, and is read before they do.
	Provider string `yaml:"provider"`

	// MaxBytes is how much what gateways record may take on disk. Alarms come at 80 and 90 %; a sixteenth below nothing protected is reached any
	// more, and the rest is for what must not be lost. 0: as much as there is.
	MaxBytes int64 `yaml:"max_bytes"`

	// MinFree is how many bytes of the data folder's disk stay free: below that nothing protected is reached either. 0: 256 MiB.
	MinFree int64 `yaml:"min_free"`
}

const leastMaxBytes = 256 << 20

// checkRecord holds the section record to sense.
func (c *Config) checkRecord(r *Document) {
	switch err := keys.CheckProvider(c.Record.Provider); {
	case c.Record.Provider == keys.QuorumProvider:
		r.problemAt("record.provider", "a quorum cannot open the record: it says who may bring the shares; expected age, vault://…, or a cloud's key service")
	case err != nil:
		r.problemAt("record.provider", "%s", innermost(err))
	}
	if n := c.Record.MaxBytes; n != 0 && n < leastMaxBytes {
		r.problemAt("record.max_bytes", "%d; expected at least %d (256 MiB), or 0 for as much as there is", n, leastMaxBytes)
	}
	if c.Record.MinFree < 0 {
		r.problemAt("record.min_free", "a number below 0; expected bytes, or 0 for 256 MiB")
	}
}

// Encrypts refuses to go by what is protected in front of a record that whoever copies it could read.
func (c *Config) Encrypts(key *record.Key, data string) error {
	if key != nil || !c.Protects() || c.Keys.Provider != keys.QuorumProvider { // without a key file nothing is shown anyway, or serve only observes
		return nil
	}
	return Usagef("the record in %s would not be encrypted: shares of a quorum cannot open its key, since it says who may bring them; "+
		"expected --key-file FILE (made where there is none), or record.provider in the configuration", data)
}
