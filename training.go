package sallyport

import "time"

// TrainingKind is a kind of the control stream: what people have learnt and are to learn. Order.Training.
const TrainingKind EventKind = "training"

// TrainingStep is one thing that is said about training. What it means is for package program/training.
type TrainingStep struct {
	Do     string          `cbor:"1,keyasint"`            // imported, assigned, read
	Source string          `cbor:"2,keyasint,omitempty"`  // of imported: file, webhook or hr; with ID
	ID     string          `cbor:"3,keyasint,omitempty"`  // of the message of a webhook: what came once is not taken again
	Rows   []TrainingFact  `cbor:"4,keyasint,omitempty"`  // of imported
	Staff  Staff           `cbor:"5,keyasint,omitempty"`  // of assigned and read: who
	Lesson string          `cbor:"6,keyasint,omitempty"`  // likewise: for which mistake
	Due    time.Time       `cbor:"7,keyasint,omitzero"`   // of assigned
	Misses []TrainingCause `cbor:"8,keyasint,omitempty"`  // of assigned: what it is assigned for
	From   time.Time       `cbor:"9,keyasint,omitzero"`   // of assigned: when he is told
	Drawn  bool            `cbor:"10,keyasint,omitempty"` // of assigned: a draw decided whether he is told at once or later
}

// TrainingFact is a row of a training file: a course, or a phishing test.
type TrainingFact struct {
	Staff  Staff     `cbor:"1,keyasint" json:"staff"`
	Kind   string    `cbor:"2,keyasint" json:"kind"` // course, phishing
	Name   string    `cbor:"3,keyasint" json:"name"`
	Time   time.Time `cbor:"4,keyasint,omitzero" json:"time,omitzero"` // of a phishing test: when the mail came
	Due    time.Time `cbor:"5,keyasint,omitzero" json:"due,omitzero"`  // of a course
	Done   time.Time `cbor:"6,keyasint,omitzero" json:"done,omitzero"` // of a course
	Result string    `cbor:"7,keyasint,omitempty" json:"result,omitempty"`
}

// TrainingCause is an entry of the record for which somebody is to learn something.
type TrainingCause struct {
	Stream string    `cbor:"1,keyasint"` // access or control
	Entry  uint64    `cbor:"2,keyasint"`
	Time   time.Time `cbor:"3,keyasint"`
}
