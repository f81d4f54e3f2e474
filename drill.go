package sallyport

// DrillRun is the beginning or the end of a theft that is played to see what would become of one.
type DrillRun struct {
	Name     string  `cbor:"1,keyasint"`
	Ended    bool    `cbor:"2,keyasint,omitempty"`
	Accounts []Staff `cbor:"3,keyasint"` // of the configuration, that play the thief; they can be shown nobody who exists
}
