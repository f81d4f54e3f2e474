package export

import (
	"cmp"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport"
)

// diffOf compares accesses by their ids: a fold that hears of no ends of sessions hands them out later, and so in another order.
func diffOf(want, got []sallyport.Access) string {
	byID := func(a, b sallyport.Access) int { return cmp.Compare(a.UID, b.UID) }
	slices.SortFunc(want, byID)
	slices.SortFunc(got, byID)
	return gocmp.Diff(want, got, cmpopts.EquateEmpty())
}
