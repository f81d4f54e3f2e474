package protect

import (
	"encoding/base64"
	"strings"
	"testing"
)

// FuzzParseSalt: whatever a server sends in its first SCRAM message, only our salt is a mark, and nothing panics.
func FuzzParseSalt(f *testing.F) {
	ours := saltPrefix + strings.Repeat("x", recordIDBytes)
	for _, salt := range []string{ours, ours + "y", saltPrefix, "", strings.Repeat("m", 16)} {
		f.Add("r=nonce,s=" + base64.StdEncoding.EncodeToString([]byte(salt)) + ",i=4096")
	}
	f.Add("s=!,i=1")
	f.Add("e=other-error")
	f.Fuzz(func(t *testing.T, message string) {
		id, marked, err := parseSalt(message)
		if marked != (len(id) == 2*recordIDBytes) || (marked && err != nil) {
			t.Errorf("%q, %v, %v", id, marked, err)
		}
	})
}
