package sallyport

import "time"

// ProgramKind is a kind of the control stream: something about the programme beside the software. Order.Program.
const ProgramKind EventKind = "program"

// ProgramStep is one thing that is done in the programme. What it means is for package program.
type ProgramStep struct {
	Do     string    `cbor:"1,keyasint"`            // rotation_commit, rotation_draw, acknowledged, review_opened, review_decided, review_lapsed, review_prolonged
	Name   string    `cbor:"2,keyasint"`            // of the rotation, document or review
	Digest []byte    `cbor:"3,keyasint,omitempty"`  // of rotation_commit the commitment; of rotation_draw and acknowledged the SHA-256 of the file
	Beacon string    `cbor:"4,keyasint,omitempty"`  // of rotation_commit: what fixes the seed
	Secret []byte    `cbor:"5,keyasint,omitempty"`  // of rotation_draw: what was committed to, with Plan
	Plan   []byte    `cbor:"6,keyasint,omitempty"`  // SHA-256 of the plan's file
	Of     []byte    `cbor:"7,keyasint,omitempty"`  // of rotation_draw: its commitment
	Until  time.Time `cbor:"8,keyasint,omitzero"`   // of review_opened: what nobody has decided by then ends
	Text   string    `cbor:"9,keyasint,omitempty"`  // for people; of review_decided why
	Staff  Staff     `cbor:"10,keyasint,omitempty"` // of reviews: whose access
	Keeps  bool      `cbor:"11,keyasint,omitempty"` // of review_decided: it stays
	Items  []string  `cbor:"12,keyasint,omitempty"` // of review_opened: what is allowed, and what was used
	Ends   bool      `cbor:"20,keyasint,omitempty"` // of review_opened: what nobody has decided by then ends by itself
}
