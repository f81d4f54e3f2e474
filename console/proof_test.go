package console

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"sallyport/api"
)

// smallLog is a ledger of seven leaves, signed by a key of its own: what the page repeats is as real as serve's.
type smallLog struct {
	leaves    [][]byte
	key, sign string
}

//nolint:gochecknoglobals // made once
var theLog = sync.OnceValue(func() *smallLog {
	l := &smallLog{}
	for i := range 7 {
		l.leaves = append(l.leaves, rfc6962.DefaultHasher.HashLeaf(fmt.Appendf(nil, "entry %d", i)))
	}
	secret, public, err := note.GenerateKey(rand.Reader, "sallyport.test")
	if err != nil {
		panic(err)
	}
	l.key, l.sign = public, secret
	return l
})

func rootOf(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return rfc6962.DefaultHasher.HashChildren(rootOf(leaves[:k]), rootOf(leaves[k:]))
}

// wayOf is RFC 9162's PATH.
func wayOf(at int, leaves [][]byte) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	if k := split(len(leaves)); at < k {
		return append(wayOf(at, leaves[:k]), rootOf(leaves[k:]))
	} else {
		return append(wayOf(at-k, leaves[k:]), rootOf(leaves[:k]))
	}
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func proven(_ context.Context, stream string, seq uint64) (api.Proven, error) {
	l := theLog()
	at := int(seq-1) % len(l.leaves) //nolint:gosec // small
	signer, err := note.NewSigner(l.sign)
	if err != nil {
		return api.Proven{}, err
	}
	text := fmt.Sprintf("sallyport.test\n%d\n%s\n", len(l.leaves), base64.StdEncoding.EncodeToString(rootOf(l.leaves)))
	checkpoint, err := note.Sign(&note.Note{Text: text}, signer)
	p := api.Proven{Event: fmt.Sprintf("%s:%d", stream, seq), Leaf: uint64(at), LeafHash: hex.EncodeToString(l.leaves[at]), Size: uint64(len(l.leaves)), Checkpoint: string(checkpoint), Key: l.key} //nolint:gosec // small
	for _, h := range wayOf(at, l.leaves) {
		p.Inclusion = append(p.Inclusion, hex.EncodeToString(h))
	}
	return p, err
}

// forged changes one thing about each proof.
func forged(change func(*api.Proven)) func(*api.Config) {
	return func(c *api.Config) {
		c.Prove = func(ctx context.Context, stream string, seq uint64) (api.Proven, error) {
			p, err := proven(ctx, stream, seq)
			change(&p)
			return p, err
		}
	}
}

// otherDigit changes one character.
func otherDigit(s string, at int) string {
	c := "0"
	if s[at] == '0' {
		c = "1"
	}
	return s[:at] + c + strings.Clone(s[at+1:])
}
