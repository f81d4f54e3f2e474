package sallyport

import "time"

// Finding is one line of what detection found, as 'sallyport analyze --json' prints it and Order.Finding holds it. The lines of one that grows keep their ID.
type Finding struct {
	Time            time.Time          `json:"time"`
	ID              string             `json:"id"`
	Kind            string             `json:"kind"`
	Staff           []Staff            `json:"staff"`
	Type            string             `json:"type"`
	Probabilities   map[string]float64 `json:"probabilities"`
	Log10Odds       float64            `json:"log10_odds"`
	Evidence        []Evidence         `json:"evidence"`
	SubjectsExposed int64              `json:"subjects_exposed"`
	Since           time.Time          `json:"since"`
	SinceLow        time.Time          `json:"since_low"`
	SinceHigh       time.Time          `json:"since_high"`
	Attack          []string           `json:"attack"`
	Action          string             `json:"action"`
}

// Evidence is one part of the odds. The parts add up to them.
type Evidence struct {
	Source string  `json:"source"`
	Text   string  `json:"text"`
	Log10  float64 `json:"log10"`
}

// The types of findings.
const (
	Malicious   = "malicious"
	Negligent   = "negligent"
	Compromised = "compromised"
	Benign      = "benign"
)
