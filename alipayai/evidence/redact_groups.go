package evidence

import "bytes"

// customaryGroups are the ways in which people write numbers in groups: how many
// digits each group has.
var customaryGroups = map[string]bool{
	"344": true, "2344": true, "4344": true, // mobiles, after 86 and 0086
	"4444": true, "4441": true, "44441": true, "44442": true, "44443": true, "465": true, "464": true, // cards
	"684": true, "6444": true, "64224": true, // ids: place, birthday, and the rest
}

// isOneNumber reports whether the n digits from row[i] on are one number rather
// than several beside each other. With spaces and dashes between them they are.
// With any other sign it takes groups as people write them, or at least three
// groups of equal length with the same sign between them all: so that decimals,
// lists, addresses of hosts and times stay what they are.
func isOneNumber(text []byte, row []digit, i, n int, label string) bool {
	groups := make([]byte, 0, longestNumber) // digits from '1' on
	var gap []byte                           // the first
	odd, alike, listed := false, true, false
	for j, d := range row[i : i+n] {
		if j > 0 && !d.first {
			groups[len(groups)-1]++
			continue
		}
		groups = append(groups, '1')
		if j == 0 {
			continue
		}
		next := gapBefore(text, row, i+j)
		if gap == nil {
			gap = next
		}
		odd = odd || d.odd
		alike = alike && bytes.Equal(gap, next)
		listed = listed || isListGap(next)
	}
	if !odd {
		return true
	}
	if label == cardLabel && !mayBeginCard(row[i].value, row[i+1].value) {
		return false
	}
	before, after := gapBefore(text, row, i), gapBefore(text, row, i+n)
	if listed {
		// More of the list before or after, or a decimal in it: it is a list.
		return customaryGroups[string(groups)] && !isListGap(before) && !isListGap(after) && string(gap) != "."
	}
	equal := len(groups) >= 3 && bytes.Count(groups, groups[:1]) == len(groups)
	return customaryGroups[string(groups)] ||
		equal && alike && !bytes.Equal(before, gap) && !bytes.Equal(after, gap)
}

// mayBeginCard: no network issues cards that begin with 0, 1 or 20, as years do.
func mayBeginCard(first, second byte) bool {
	return first > 2 || first == 2 && second != 0
}

// gapBefore is what separates row[i] from the digit before it; nothing at the
// ends of the row.
func gapBefore(text []byte, row []digit, i int) []byte {
	if i == 0 || i == len(row) {
		return nil
	}
	return text[row[i-1].at+1 : row[i].at]
}

func isListGap(gap []byte) bool { return bytes.ContainsAny(gap, ",;、") }
