package config

import (
	"fmt"
	"strings"
)

// OneOf says what was expected instead of a name nobody knows: the nearest known name where one is near, else all of them.
func OneOf(got string, known []string) string {
	if near := nearest(got, known); near != "" {
		return fmt.Sprintf("%q", near)
	}
	switch len(known) {
	case 0:
		return "one that is configured"
	case 1:
		return fmt.Sprintf("%q", known[0])
	}
	const most = 12
	if len(known) > most {
		return "one of " + strings.Join(known[:most], ", ") + " …"
	}
	return "one of " + strings.Join(known, ", ")
}

// nearest returns the known name that a slip of the keyboard most likely meant, or nothing.
func nearest(got string, known []string) string {
	best, bestDistance := "", max(1, (len(got)+1)/3)+1
	for _, name := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(name)); d < bestDistance && d < len(name) {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and substitutions between two names (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
