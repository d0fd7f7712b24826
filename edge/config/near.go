package config

import "strings"

// nearest returns the word that a person most likely meant by s, "" when none is near.
func nearest(s string, words []string) string {
	if len(s) > 64 {
		return "" // and no time spent on it
	}
	best, word := max(1, len(s)/3)+1, ""
	for _, w := range words {
		if len(s) >= 3 && (strings.HasPrefix(w, s) || strings.HasPrefix(s, w)) {
			return w
		}
		if d := distance(strings.ToLower(s), w); d < best {
			best, word = d, w
		}
	}
	return word
}

// distance is the number of bytes to insert, delete, replace or swap with a neighbour to make a into b.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last = last, row
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
