package keys

// Quorum says how many shares open a ring that nobody wraps.
type Quorum struct {
	Need int `json:"need"`
}
