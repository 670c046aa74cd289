package failure

import (
	"regexp"
	"strings"
)

// Whose account the gateway has at a vendor is the operator's business. Vendors name it in refusals that are for the client:
// ids with a prefix of their kind, the ids of Amazon, and what follows a word for an account.
var (
	prefixedOwner = regexp.MustCompile(`\b(?:org|proj|acct|wrkspc|team|user|ak)[-_][A-Za-z0-9_-]{6,}|\barn:aws[a-z-]*:[^\s'"` + "`" + `,]+`)
	// projectPath is that of a project in the names of Google's resources, whose id may be a word.
	projectPath = regexp.MustCompile(`\bprojects/[^/\s'"` + "`" + `]+`)
	ownerWord   = regexp.MustCompile(`(?i)\b(?:organi[sz]ation|org|team|project|account|workspace|subscription)s?(?:[ _-]?(?:id|number))?['"` + "`" + `:=/\s\[(<［]{1,4}([A-Za-z0-9][A-Za-z0-9_-]{5,})`)
)

// withoutOwner gives a message without what names the gateway's account. An id has a digit in it, so that words are none.
func withoutOwner(message string) string {
	const withheld = "[account]"
	hasDigit := func(s string) bool { return strings.ContainsAny(s, "0123456789") }
	message = prefixedOwner.ReplaceAllStringFunc(message, func(id string) string {
		if !hasDigit(id) {
			return id
		}
		return withheld
	})
	message = projectPath.ReplaceAllString(message, "projects/"+withheld)
	var b strings.Builder
	at := 0
	for _, found := range ownerWord.FindAllStringSubmatchIndex(message, -1) {
		if from, to := found[2], found[3]; hasDigit(message[from:to]) {
			b.WriteString(message[at:from] + withheld)
			at = to
		}
	}
	b.WriteString(message[at:])
	return b.String()
}
