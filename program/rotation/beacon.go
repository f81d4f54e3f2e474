package rotation

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/bls"
	cosigning "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Beacon is what fixes the seed later: a value that nobody knew when it was committed to, and that everybody can check.
type Beacon struct {
	// Round of drand's quicknet: one value, fixed beforehand, signed by a threshold of the League of Entropy.
	Round uint64
	// Witness is the key (vkey of cosignature/v1) of who cosigns checkpoints of the log Origin; the checkpoint's cosignature is of NotBefore or of
	// at most Within later. Whoever runs the log may have several to choose from: drand is better.
	Witness   string
	Origin    string
	NotBefore time.Time
}

// Within is how much later than said a checkpoint may be cosigned.
const Within = 10 * time.Minute

// Quicknet, as its operators publish it (https://docs.drand.love/developer/, chain 52db9ba7…e971).
const (
	quicknetGenesis = 1692803367
	quicknetPeriod  = 3 // seconds
	quicknetKey     = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)

// RoundAt is the first round of quicknet at or after a time.
func RoundAt(t time.Time) uint64 {
	since := t.Unix() - quicknetGenesis
	if t.Nanosecond() > 0 {
		since++
	}
	if since <= 0 {
		return 1
	}
	return uint64((since+quicknetPeriod-1)/quicknetPeriod) + 1 //nolint:gosec // it is above 0
}

// mostRound is of the year 4876: rounds are multiplied.
const mostRound = 30_000_000_000

// String is the beacon as it is committed to; ParseBeacon reads it.
func (b *Beacon) String() string {
	if b.Round > 0 {
		return fmt.Sprintf("drand quicknet %d", b.Round)
	}
	return fmt.Sprintf("checkpoint %s %s %s", b.NotBefore.UTC().Format(time.RFC3339), b.Witness, b.Origin)
}

// ParseBeacon reads what String wrote.
func ParseBeacon(text string) (*Beacon, error) {
	what, rest, _ := strings.Cut(text, " ")
	if net, round, ok := strings.Cut(rest, " "); what == "drand" && ok && net == "quicknet" {
		n, err := strconv.ParseUint(round, 10, 64)
		if err != nil || n == 0 || n > mostRound {
			return nil, wrong("%q is no round of quicknet", round)
		}
		return &Beacon{Round: n}, nil
	}
	parts := strings.SplitN(rest, " ", 3)
	if what != "checkpoint" || len(parts) != 3 || parts[2] == "" || strings.ContainsAny(text, "\n\r") || len(text) > 1000 {
		return nil, wrong("%.80q is no beacon; expected 'drand quicknet ROUND' or 'checkpoint TIME WITNESS ORIGIN'", text)
	}
	at, err := time.Parse(time.RFC3339, parts[0])
	if err != nil {
		return nil, wrong("%q is no time; expected 2026-12-01T09:00:00Z", parts[0])
	}
	if _, err := cosigning.NewVerifierForCosignatureV1(parts[1]); err != nil {
		return nil, wrong("the witness's key cannot be read: %v", err)
	}
	return &Beacon{Witness: parts[1], Origin: parts[2], NotBefore: at.UTC()}, nil
}

// Time is before when nobody can know the value.
func (b *Beacon) Time() time.Time {
	if b.Round > 0 {
		return time.Unix(quicknetGenesis+quicknetPeriod*int64(b.Round-1), 0).UTC() //nolint:gosec // at most mostRound
	}
	return b.NotBefore
}

// Value checks what somebody brings as the beacon's value, and gives the bytes that enter the seed, and of what he brought that which proves it: the
// rest could be anything.
func (b *Beacon) Value(proof []byte) (value [32]byte, proves []byte, err error) {
	if b.Round > 0 {
		return b.drand(proof)
	}
	return b.checkpoint(proof)
}

// drand is the JSON object that drand's HTTP API answers: {"round":1000,"randomness":"…","signature":"…"}.
func (b *Beacon) drand(proof []byte) (value [32]byte, proves []byte, err error) {
	var answer struct {
		Round     uint64 `json:"round"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(proof, &answer); err != nil {
		return value, nil, wrong("the beacon's file is not what drand answers: %v", err)
	}
	if answer.Round != b.Round {
		return value, nil, wrong("the beacon's file is of round %d; committed to is round %d", answer.Round, b.Round)
	}
	signature, err := hex.DecodeString(answer.Signature)
	if err != nil {
		return value, nil, wrong("the beacon's signature is not hexadecimal")
	}
	text, err := hex.DecodeString(quicknetKey)
	if err != nil {
		return value, nil, fmt.Errorf("read quicknet's key: %w", err)
	}
	var key bls.PublicKey[bls.KeyG2SigG1]
	if err := key.UnmarshalBinary(text); err != nil {
		return value, nil, fmt.Errorf("read quicknet's key: %w", err)
	}
	message := sha256.Sum256(binary.BigEndian.AppendUint64(nil, b.Round))
	if !bls.Verify(&key, message[:], signature) {
		return value, nil, wrong("the beacon's signature is not quicknet's of round %d", b.Round)
	}
	return sha256.Sum256(signature), fmt.Appendf(nil, `{"round":%d,"signature":"%x"}`, b.Round, signature), nil
}

// checkpoint is a signed note with the witness's line.
func (b *Beacon) checkpoint(proof []byte) (value [32]byte, proves []byte, err error) {
	v, err := cosigning.NewVerifierForCosignatureV1(b.Witness)
	if err != nil {
		return value, nil, wrong("the witness's key cannot be read: %v", err)
	}
	n, err := note.Open(proof, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 {
		return value, nil, wrong("the checkpoint has no cosignature of %s", v.Name())
	}
	if origin, _, _ := strings.Cut(n.Text, "\n"); origin != b.Origin {
		return value, nil, wrong("the checkpoint is of the log %.80q; committed to is %s", origin, b.Origin)
	}
	at, err := cosigning.CoSigV1Timestamp(n.Sigs[0])
	if err != nil {
		return value, nil, wrong("the cosignature has no time")
	}
	if at.Before(b.NotBefore) || at.After(b.NotBefore.Add(Within)) {
		return value, nil, wrong("the checkpoint was cosigned at %s; committed to is %s, or at most %s later", at.UTC().Format(time.RFC3339), b.NotBefore.Format(time.RFC3339), Within)
	}
	// Not of the whole file: lines of others could be added by whoever brings it.
	proves = fmt.Appendf(nil, "%s\n— %s %s\n", n.Text, n.Sigs[0].Name, n.Sigs[0].Base64)
	return sha256.Sum256(proves), proves, nil
}
