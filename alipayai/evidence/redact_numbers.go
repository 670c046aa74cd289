package evidence

import (
	"unicode"
	"unicode/utf8"
)

const (
	shortestNumber = 11 // a mobile number
	longestNumber  = 19 // a card number
	// maxGap is how many characters may stand between two digits of a number.
	maxGap = 4
)

// digit is one of a row of digits with separators between them.
type digit struct {
	value byte // 10 for the X that may end a resident id
	at    int  // in the text
	first bool // a separator, or nothing, is before it
	last  bool // a separator, or nothing, comes after it
	odd   bool // the separator before it is more than spaces and dashes
}

// findNumbers finds cards, resident ids and mobile numbers. A number begins and
// ends where its digits are set apart from others: 30 digits in a row hold none.
func findNumbers(text []byte, add found) {
	row := make([]digit, 0, 2*longestNumber)
	gap, odd := 0, false
	flush := func() {
		findInRow(text, row, add)
		row, gap, odd = row[:0], 0, false
	}
	var size int
	for i := 0; i < len(text); i += size {
		c := text[i]
		size = 1
		switch {
		case '0' <= c && c <= '9' || (c == 'X' || c == 'x') && len(row) >= 17:
			value := c - '0'
			if c == 'X' || c == 'x' {
				value = 10
			}
			if n := len(row); n > 0 {
				row[n-1].last = gap > 0
			}
			row = append(row, digit{value: value, at: i, first: len(row) == 0 || gap > 0, last: true, odd: odd})
			if gap, odd = 0, false; value == 10 {
				// It may end an id, or only follow a number that ends before it.
				if n := len(row); !row[n-1].first {
					row[n-2].last = true
				}
				flush()
			}
		case len(row) == 0:
		default:
			var r rune
			r, size = utf8.DecodeRune(text[i:])
			if unicode.IsLetter(r) || unicode.IsNumber(r) || gap == maxGap {
				flush()
				continue
			}
			gap++
			odd = odd || !isPlainSeparator(r)
		}
	}
	flush()
}

// isPlainSeparator: what stands between the digits of one number rather than
// between two numbers.
func isPlainSeparator(r rune) bool {
	return r == ' ' || r == '-' || '\t' <= r && r <= '\r' || r == '+'
}

// findInRow tries each part of the row that begins and ends between groups.
func findInRow(text []byte, row []digit, add found) {
	for i := range row {
		if !row[i].first {
			continue
		}
		for n := shortestNumber; n <= min(longestNumber, len(row)-i); n++ {
			part := row[i : i+n]
			if !part[n-1].last {
				continue
			}
			if label := numberLabel(part); label != "" && isOneNumber(text, row, i, n, label) {
				start := part[0].at
				if label == mobileLabel && start > 0 && text[start-1] == '+' {
					start--
				}
				add(start, part[n-1].at+1, label)
			}
		}
	}
}

// numberLabel says what the digits are; nothing for a number like any other.
func numberLabel(d []digit) string {
	switch {
	case len(d) == 18 && isResidentID(d):
		return idLabel
	case d[len(d)-1].value == 10:
		return ""
	case isMobile(d):
		return mobileLabel
	case len(d) >= 13 && passesLuhn(d):
		return cardLabel
	}
	return ""
}

// isMobile: 1[3-9] and nine more digits, after 86 or 0086 or nothing.
func isMobile(d []digit) bool {
	switch len(d) {
	case 13:
		if d[0].value != 8 || d[1].value != 6 {
			return false
		}
	case 15:
		if d[0].value != 0 || d[1].value != 0 || d[2].value != 8 || d[3].value != 6 {
			return false
		}
	case 11:
	default:
		return false
	}
	number := d[len(d)-11:]
	return number[0].value == 1 && number[1].value >= 3
}

// passesLuhn checks the last digit, by ISO/IEC 7812-1, annex B.
func passesLuhn(d []digit) bool {
	sum := 0
	for i := range d {
		n := int(d[len(d)-1-i].value)
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// residentWeights are those of GB 11643-1999, ISO 7064 MOD 11-2.
var residentWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

func isResidentID(d []digit) bool {
	sum := 0
	for i, weight := range residentWeights {
		sum += weight * int(d[i].value)
	}
	return (sum+int(d[17].value))%11 == 1
}
