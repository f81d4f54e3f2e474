package serve

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/control"
	"sallyport/keys"
	"sallyport/protect"
)

// BetweenKeys objects to working with integers and uuids whose keys are being rotated, without the serve that does it: which of two keys a token
// is of, only the database knows.
func BetweenKeys(opened *keys.Keyring, state *control.State, columns []protect.Column) error {
	var names, groups []string
	for _, rotation := range opened.Rotating() {
		if recorded, ok := state.Turning(rotation.Group); ok && recorded.Turned {
			continue
		}
		for _, c := range columns {
			if c.Codec.Spec().Group == rotation.Group && !c.Codec.Recognisable() {
				names, groups = append(names, c.Column.String()), append(groups, rotation.Group)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the keys of %s are being rotated, and nothing tells of which of the two their tokens are: let serve end the rotation of %s first ('sallyport keys status')",
		strings.Join(names, ", "), strings.Join(slices.Compact(groups), ", "))
}
