package sallyport

// Imported is what another system's log says, as an entry of the access stream: it stands in the same record and counts for nothing but
// detection and history. It is no Reveal, no Touch, no Fact and no Statement, so that whoever folds those (budgets, reasons, who-saw,
// replay) does not see it, and Event.Who stays empty: nothing here was done through a gateway.
type Imported struct {
	Source string `cbor:"1,keyasint"`           // what who imported it calls that system
	Format string `cbor:"2,keyasint"`           // ocsf, cef, csvlog, jsonlog
	By     Staff  `cbor:"3,keyasint"`           // who imported it
	Import string `cbor:"4,keyasint,omitempty"` // id of the order in the control stream
	Access Access `cbor:"5,keyasint"`
}

// Importing is the part of an order that says what is going to be imported.
type Importing struct {
	Source string   `cbor:"1,keyasint"`
	Format string   `cbor:"2,keyasint,omitempty"` // of all files; empty: each is recognised
	Files  []string `cbor:"3,keyasint,omitempty"` // their names, without folders; the first 100
}
