package keys

import (
	"path/filepath"
	"time"
)

// Status is what a ring tells without being unwrapped. It is not authenticated: whoever can write the file can make it say so.
type Status struct {
	File     string      `json:"file"`
	Serial   uint64      `json:"serial"`
	Provider string      `json:"provider"`
	Quorum   *Quorum     `json:"quorum,omitempty"`
	Keys     []KeyStatus `json:"keys"`
}

// KeyStatus is one data key of a ring.
type KeyStatus struct {
	Tenant    string    `json:"tenant"`
	Group     string    `json:"group"` // empty: for digests in the record
	Epoch     int       `json:"epoch"`
	Made      time.Time `json:"made"`
	Destroyed time.Time `json:"destroyed,omitzero"`
	Own       bool      `json:"own,omitempty"` // single tokens have keys of their own
}

// Look reads the status of the ring in a data folder. It is ErrNone where there is none.
func Look(dir string) (Status, error) {
	path := filepath.Join(dir, RingName)
	have, err := exists(path)
	if err != nil {
		return Status{}, err
	}
	if !have {
		return Status{}, ErrNone
	}
	r, _, err := readRing(path)
	if err != nil {
		return Status{}, err
	}
	s := Status{File: path, Serial: r.Serial, Provider: r.Provider, Quorum: r.Quorum}
	for _, row := range r.Keys {
		s.Keys = append(s.Keys, KeyStatus{row.Tenant, row.Group, row.Epoch, row.Made, row.Destroyed, row.Tree && row.Key != nil})
	}
	return s, nil
}
