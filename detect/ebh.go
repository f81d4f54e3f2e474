package detect

import (
	"cmp"
	"math"
	"slices"

	"sallyport"
)

// StandsOut is somebody who differs from the null so much that, of all who are listed with him, on average no more than the asked share do so
// by chance.
type StandsOut struct {
	Staff sallyport.Staff `json:"staff"`
	Log10 float64         `json:"log10"` // of the e-value
}

// StandOut is the e-BH procedure (Wang and Ramdas) across people: with R never set back, R_t/t is an e-value, t being his days since the
// first. R itself is none. It holds whatever people depend on each other. It raises no alarm; it says whom to look at besides.
func (d *Detector) StandOut(share float64) []StandsOut {
	var list []StandsOut
	for _, p := range d.order {
		if p.service || p.days == 0 {
			continue
		}
		r := p.ever
		days := p.days
		if p.open {
			r.close(d.today(p, exposure), p.streams[exposure].x)
		}
		list = append(list, StandsOut{p.id, (logSum(r[:]) - 3*math.Ln2 - math.Log(float64(days))) / math.Ln10})
	}
	slices.SortFunc(list, func(a, b StandsOut) int { return cmp.Or(cmp.Compare(b.Log10, a.Log10), cmp.Compare(a.Staff, b.Staff)) })
	return list[:rejections(list, share)]
}

// rejections is the largest k for which the k largest e-values are each at least n/(share·k).
func rejections(list []StandsOut, share float64) int {
	for k := len(list); k > 0; k-- {
		if list[k-1].Log10 >= math.Log10(float64(len(list))/share/float64(k)) {
			return k
		}
	}
	return 0
}
