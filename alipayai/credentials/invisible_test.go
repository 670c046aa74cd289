package credentials_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
)

// TestInvisibleBehindEscapes has characters that do not show, in each way of writing
// them, between the characters of a secret.
func TestInvisibleBehindEscapes(t *testing.T) {
	const secret = "kJ8wQz3nVt6bXr1mLp5sYd9hGf2c"
	f := new(credentials.Filter)
	f.Add(secret)
	for name, between := range map[string]string{
		"JSON":                         `\u200b`,
		"JSON, twice":                  `\\u200b`,
		"JSON, a soft hyphen":          `\u00ad`,
		"JSON, beyond 16 bits":         `\udb40\udc01`,
		"HTML, decimal":                `&#8203;`,
		"HTML, hexadecimal":            `&#x200B;`,
		"HTML, by name":                `&nbsp;`,
		"percent-encoding":             `%E2%80%8B`,
		"percent-encoding, twice":      `%25E2%2580%258B`,
		"percent-encoding in JSON":     `\u0025E2\u002580\u00258B`,
		"quoted-printable":             `=E2=80=8B`,
		"quoted-printable, soft break": "=\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var pieces []string
			for i := 0; i < len(secret); i += 4 {
				pieces = append(pieces, secret[i:i+4])
			}
			text := "before " + strings.Join(pieces, between) + " after"
			if got := f.Text(text); got != "before "+credentials.Hidden+" after" {
				t.Errorf("%s became %s", text, got)
			}
		})
	}
}
