package policies

import (
	"fmt"
	"strconv"
	"strings"
)

// unknown is the message for a name that is none of known, with the nearest
// known name when there is one that a typing mistake explains.
func unknown(kind, name string, known []string) string {
	return fmt.Sprintf("unknown %s %s%s", kind, quote(name), suggestion(name, known))
}

// suggestion ends a message about a name that is none of known: the nearest one
// as a question, or nothing.
func suggestion(name string, known []string) string {
	if guess := nearest(name, known); guess != "" {
		return fmt.Sprintf(", did you mean %q?", guess)
	}
	return ""
}

// maxQuoted bounds how much of a document's text a message repeats, in bytes.
const maxQuoted = 80

// quote quotes a text from a document for a message, clipped.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
	}
	return strconv.Quote(s)
}

// nearest returns the known name with the fewest edits from name, if they are
// at most a third of its length; the first of equals.
func nearest(name string, known []string) string {
	if len(name) > maxQuoted {
		return ""
	}
	best, fewest := "", len(name)/3+1
	lower := strings.ToLower(name)
	for _, k := range known {
		if d := distance(lower, strings.ToLower(k), fewest); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes, or limit if it is
// not smaller.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
			least = min(least, row[j+1])
		}
		if least >= limit {
			return limit
		}
	}
	return min(row[len(b)], limit)
}
