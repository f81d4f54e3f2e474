package query

import "slices"

// gather collects what may be any of many values. Lists of thousands of literals are common, so sources are appended and
// made unique once; either would compare each with each.
type gather struct {
	rest    value // all but the sources
	sources []origin
	row     []gather
	names   []string
	any     bool
}

func (g *gather) add(v value) {
	switch {
	case v.row != nil && (!g.any || len(g.row) == len(v.row)):
		if g.row == nil {
			g.row, g.names = make([]gather, len(v.row)), make([]string, len(v.row))
		}
		for i, f := range v.row {
			g.row[i].add(f.value)
			g.names[i] = f.name
		}
	case v.empty() && g.row != nil: // NULL among rows
	case v.row != nil || g.row != nil:
		*g = gather{rest: either(g.value(), v)}
	default:
		g.sources = append(g.sources, v.sources...)
		v.sources = nil
		g.rest = either(g.rest, v)
	}
	g.any = true
}

// value is what was collected.
func (g *gather) value() value {
	if g.row != nil {
		out := value{row: make([]field, len(g.row))}
		for i := range g.row {
			out.row[i] = field{g.names[i], g.row[i].value()}
		}
		return out
	}
	out := g.rest
	out.sources = unique(append(slices.Clip(out.sources), g.sources...))
	if out.veil == exact && len(out.sources) > 0 {
		out.veil = filled
	}
	return out
}

// unique drops repetitions, in place.
func unique(list []origin) []origin {
	if len(list) < 2 {
		return list
	}
	seen := make(map[origin]struct{}, len(list))
	out := list[:0]
	for _, o := range list {
		if _, ok := seen[o]; !ok {
			seen[o] = struct{}{}
			out = append(out, o)
		}
	}
	return out
}
