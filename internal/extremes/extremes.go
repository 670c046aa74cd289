// Package extremes holds what tests put where a number or a time belongs.
package extremes

import "strings"

// Numbers is what hostile upstreams put where a number or a time belongs, as it stands in
// the answer. What is no JSON is sent all the same.
var Numbers = map[string]string{
	"-1": "-1", "-0": "-0", "0": "0", "1": "1", "MaxInt32": "2147483647", "MaxInt32+1": "2147483648", "2^40": "1099511627776",
	"2^40+1": "1099511627777", "MaxInt64": "9223372036854775807", "2^63": "9223372036854775808", "MinInt64": "-9223372036854775808",
	"2^64": "18446744073709551616", "1e308": "1e308", "1e400": "1e400", "-1e400": "-1e400", "0.5": "0.5", "1.0": "1.0", "1e3": "1e3",
	"a word": `"soon"`, "a number in a string": `"1"`, "1e3 in a string": `"1e3"`, "a large one in a string": `"99999999999999999999"`,
	"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity", "10,000 digits": strings.Repeat("9", 10_000),
	"10,000 decimals": "0." + strings.Repeat("3", 10_000), "null": "null", "true": "true", "object": "{}", "array": "[]", "empty": "",
	"a negative duration": `"-1h"`, "the year 0": `"0000-01-01T00:00:00Z"`, "the year 1601": `"1601-01-01T00:00:00Z"`,
	"the year 9999": `"9999-12-31T23:59:59-23:59"`, "the year 9999 by HTTP": `"Fri, 31 Dec 9999 23:59:59 GMT"`,
	"the year 0 by HTTP": `"Sat, 01 Jan 0000 00:00:00 GMT"`, "the year 1601 by HTTP": `"Mon, 01 Jan 1601 00:00:00 GMT"`,
	"an offset": `"2026-03-01T12:00:00+23:59"`, "10,000 decimals of a second": `"2026-03-01T12:00:00.` + strings.Repeat("1", 10_000) + `Z"`,
}

// InHeader is an extreme as a header has it: without the quotes of a JSON string.
func InHeader(value string) string { return strings.Trim(value, `"`) }
