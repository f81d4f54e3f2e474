package rotation

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Commit binds to a plan, a secret and a beacon without showing any of them but the beacon.
func Commit(plan []byte, secret [32]byte, b *Beacon) [32]byte {
	sum := sha256.Sum256(plan)
	return hash("sallyport rotation 1\n", []byte(b.String()), sum[:], secret[:])
}

func hash(parts ...any) (out [32]byte) {
	h := sha256.New()
	for _, part := range parts {
		var b []byte
		switch x := part.(type) {
		case string:
			b = []byte(x)
		case []byte:
			b = fmt.Appendf(nil, "%d:", len(x))
			b = append(b, x...)
		}
		_, _ = h.Write(b) // a hash never fails
	}
	return [32]byte(h.Sum(nil))
}

// Reveal is everything that a draw came from and what came of it: whoever has it can repeat it.
type Reveal struct {
	Plan       string          `json:"plan"` // the file, byte for byte
	Beacon     string          `json:"beacon"`
	Proof      string          `json:"proof"` // the beacon's value, as its file
	Secret     string          `json:"secret"`
	Commitment string          `json:"commitment"`
	Result     json.RawMessage `json:"result"`
}

// Make draws, and gives what everybody may see afterwards.
func Make(plan []byte, secret [32]byte, b *Beacon, proof []byte) (*Reveal, *Result, error) {
	p, err := Read(plan)
	if err != nil {
		return nil, nil, err
	}
	value, proof, err := b.Value(proof)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(plan)
	result, err := Draw(p, hash("sallyport rotation seed 1\n", []byte(b.String()), sum[:], secret[:], value[:]))
	if err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(result)
	if err != nil {
		return nil, nil, fmt.Errorf("write the result: %w", err)
	}
	c := Commit(plan, secret, b)
	return &Reveal{
		Plan: string(plan), Beacon: b.String(), Proof: string(proof), Secret: hex.EncodeToString(secret[:]), Commitment: hex.EncodeToString(c[:]), Result: text,
	}, result, nil
}

// Encode is the reveal as a file.
func (r *Reveal) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ") //nolint:gosec // the secret is what a reveal reveals: it was committed to, and is of no use any more
	if err != nil {
		return nil, fmt.Errorf("write the draw: %w", err)
	}
	return append(b, '\n'), nil
}

// Verify repeats a draw from its file and holds it to that, byte for byte. Whether the commitment was made in time only the record can tell.
func Verify(file []byte) (*Reveal, *Result, error) {
	var r Reveal
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, nil, wrong("the file is no draw: %v", err)
	}
	b, err := ParseBeacon(r.Beacon)
	if err != nil {
		return nil, nil, err
	}
	secret, err := ParseSecret(r.Secret)
	if err != nil {
		return nil, nil, err
	}
	again, result, err := Make([]byte(r.Plan), secret, b, []byte(r.Proof))
	if err != nil {
		return nil, nil, err
	}
	text, err := again.Encode()
	switch {
	case err != nil:
		return nil, nil, err
	case subtle.ConstantTimeCompare([]byte(again.Commitment), []byte(r.Commitment)) != 1:
		return nil, nil, fmt.Errorf("%w: its commitment is not to this plan, secret and beacon", ErrDiffers)
	case !bytes.Equal(text, file):
		return nil, nil, fmt.Errorf("%w: another result was written into it", ErrDiffers)
	}
	return again, result, nil
}

// ParseSecret reads 32 bytes in hexadecimal.
func ParseSecret(text string) (secret [32]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(secret) {
		return secret, wrong("a secret is 64 hexadecimal digits")
	}
	return [32]byte(b), nil
}

// ErrDiffers says that a draw cannot have come from what it says.
var ErrDiffers = fmt.Errorf("the draw is not what comes of its plan, secret and beacon")
