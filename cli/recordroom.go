package cli

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"

	"sallyport/config"
	"sallyport/keys"
	"sallyport/record/room"
	"sallyport/serve"
)

// recordFindings are what stands against the record of a data folder, whether a serve runs in it or not.
func recordFindings(c *config.Config, data string) (found []serve.Finding) {
	if c.Keys.Provider == keys.QuorumProvider && c.Record.Provider == "" {
		found = append(found, serve.Finding{
			Where: "record.provider", Note: true,
			What: "a quorum opens the keys, so the record is encrypted only where serve is given --key-file; expected who opens its key",
		})
	}
	if data == "" {
		return found
	}
	if _, err := keys.LookRecord(data); errors.Is(err, keys.ErrNone) && c.Protects() {
		found = append(found, serve.Finding{Where: data, Note: true, What: "the record is not encrypted yet: serve makes its key with --key-file, or as record.provider says"})
	}
	u := room.Use{Most: c.Record.MaxBytes, Floor: cmp.Or(c.Record.MinFree, room.UsualMinFree)}
	for _, stream := range []string{"access", "control"} {
		segments, _ := filepath.Glob(filepath.Join(data, stream, "*.log")) // the pattern is a right one
		for _, name := range segments {
			if info, err := os.Stat(name); err == nil { // else it was replaced meanwhile
				u.Used += info.Size()
			}
		}
	}
	var err error
	if u.Free, err = room.FreeBytes(data); err != nil {
		return append(found, serve.Finding{Where: data, What: err.Error()})
	}
	if u.At(room.Fine) != room.Fine {
		found = append(found, serve.Finding{Where: data, What: "the room for the record runs out: " + u.String() + "; make room, or raise record.max_bytes"})
	}
	return found
}
