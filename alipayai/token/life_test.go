package token

import (
	"net/http"
	"testing"
	"time"
)

// A time beyond reason is as good as none, as a number of seconds beyond reason is: what is stored for the rest of a
// token's life would overflow with it.
func TestTokenLifeIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		member string
		life   time.Duration
	}{
		"the longest, in seconds": {`"expires_in":315360000`, maxTokenLife},
		"a second more":           {`"expires_in":315360001`, defaultTokenLife},
		"the longest, as a time":  {`"accessTokenExpiryTime":"2036-02-27T12:00:00Z"`, maxTokenLife},
		"a time a second later":   {`"accessTokenExpiryTime":"2036-02-27T12:00:01Z"`, defaultTokenLife},
		"the year 9999":           {`"accessTokenExpiryTime":"9999-12-31T23:59:59-23:59"`, defaultTokenLife},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Grant{}).read(http.StatusOK, []byte(`{"access_token":"at",`+test.member+`}`), tokenSentAt, 0)
			if life := got.Expiry.Sub(got.Issued); err != nil || life != test.life {
				t.Errorf("lives for %v, want %v (%v)", life, test.life, err)
			}
		})
	}
}
