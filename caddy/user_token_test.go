package alipaycaddy

import (
	"net/http"
	"testing"
)

// Sites share what is kept of users, and each of their providers may name them by a field of its own: who is not the same by all of
// them has nothing in common with another.
func TestUsersByTheFieldsOfAllProviders(t *testing.T) {
	type request struct{ account, user, body string }
	one, two := &upstreams{userFields: []string{"X-User"}}, &upstreams{userFields: []string{"X-Account", "X-User"}}
	for name, c := range map[string]struct {
		of   *upstreams
		a, b request
		same bool
	}{
		"one field, one user":               {one, request{user: "a"}, request{user: "a"}, true},
		"one field, two users":              {one, request{user: "a"}, request{user: "b"}, false},
		"a field and a body":                {one, request{user: "a"}, request{body: "a"}, true},
		"a field over the body":             {one, request{user: "a", body: "b"}, request{user: "a"}, true},
		"no user and a user":                {one, request{}, request{body: "a"}, false},
		"two fields, one user":              {two, request{account: "a", user: "a"}, request{body: "a"}, true},
		"one account, two users":            {two, request{account: "o", user: "a"}, request{account: "o", user: "b"}, false},
		"one account, two users of bodies":  {two, request{account: "o", body: "a"}, request{account: "o", body: "b"}, false},
		"one name in two fields":            {two, request{account: "a"}, request{user: "a"}, false},
		"a name that spells two":            {two, request{account: "a", user: "b"}, request{body: "a\nb"}, false},
		"two accounts of one user":          {two, request{account: "o", user: "a"}, request{account: "p", user: "a"}, false},
		"a body beside both fields is none": {two, request{account: "o", user: "a", body: "x"}, request{account: "o", user: "a"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			owner := func(r request) string {
				h := make(http.Header)
				if r.account != "" {
					h.Set("X-Account", r.account)
				}
				if r.user != "" {
					h.Set("X-User", r.user)
				}
				return c.of.nameUser(h, r.body)
			}
			if a, b := owner(c.a), owner(c.b); (a == b) != c.same {
				t.Errorf("%q and %q", a, b)
			}
		})
	}
}
