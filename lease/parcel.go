package lease

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"sallyport"
)

// Parcel is a file that gateways have to have as the controller has it: the files that two people approved, and the ring of keys, which is
// sealed for whoever opens it elsewhere.
type Parcel struct {
	Name    string
	Path    string // where its content is; empty: in Content
	Content []byte
}

// parcel is a part of one. The last part says what the whole comes to.
type parcel struct {
	Name   string `cbor:"1,keyasint"`
	Part   []byte `cbor:"2,keyasint,omitempty"`
	Last   bool   `cbor:"3,keyasint,omitempty"`
	Digest string `cbor:"4,keyasint,omitempty"` // SHA-256, in hexadecimal digits
}

// partSize is how much of a parcel one message has, so that beats come between.
const partSize = 256 << 10

// parcels sends what the gateway does not have as it is here. holds are the digests of what it has, by name.
func (g *guest) parcels(list []Parcel, holds map[string]string) error {
	for _, p := range list {
		digest, err := g.parcel(p, holds[p.Name])
		if err != nil {
			return fmt.Errorf("hand %s to a gateway: %w", p.Name, err)
		}
		holds[p.Name] = digest
	}
	return nil
}

// parcel sends one, unless it has the digest that the gateway's has. A file is exchanged as a whole, so what was opened stays what it is.
func (g *guest) parcel(p Parcel, has string) (digest string, err error) {
	var from io.ReadSeeker = bytes.NewReader(p.Content)
	if p.Path != "" {
		f, err := os.Open(p.Path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, from); err != nil {
		return "", err
	}
	if digest = hex.EncodeToString(sum.Sum(nil)); digest == has {
		return digest, nil
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	for part := make([]byte, partSize); ; {
		n, err := io.ReadFull(from, part)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return "", err
		}
		next := &parcel{Name: p.Name, Part: part[:n], Last: last}
		if last {
			next.Digest = digest
		}
		if err := g.wire.send(&frame{Parcel: next}); err != nil || last {
			return digest, err
		}
	}
}

// orders sends what the gateway has to have, then the orders that it does not know. Before one that makes other files hold it has them.
func (g *guest) orders(ctx context.Context, h *hello) error {
	c := g.c
	holds := h.Holds
	if holds == nil {
		holds = map[string]string{}
	}
	if c.Parcels != nil {
		list, err := c.Parcels()
		if err == nil {
			err = g.parcels(list, holds)
		}
		if err != nil {
			return err
		}
	}
	if err := g.wire.send(&frame{Whole: true}); err != nil {
		return err
	}
	return c.Control.Follow(ctx, h.Control+1, func(e *sallyport.Event) error {
		if c.Before != nil {
			list, err := c.Before(e)
			if err == nil {
				err = g.parcels(list, holds)
			}
			if err != nil {
				return err
			}
		}
		return g.wire.send(&frame{Order: e})
	})
}

// mostNamed bounds the name of a parcel.
const mostNamed = 200

// unpack hands on a part of a parcel.
func (g *Gateway) unpack(p *parcel) error {
	if g.Put == nil || len(p.Name) > mostNamed {
		return errFrame
	}
	return g.Put(p.Name, p.Part, p.Last, p.Digest)
}
