package nextbuilder

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSessionsStayApart makes calls of several callers who all give the same names, and looks who meets whom.
func TestSessionsStayApart(t *testing.T) {
	type call struct{ tenant, members, id string }
	const s = `,"metadata":{"session_id":"s"}`
	base := call{"acme", s + `,"user":"jane"`, "call-1"}
	tests := map[string]struct {
		other         call
		sameSession   bool
		sameOuterUser bool
	}{
		"the next call":             {call{"acme", s + `,"user":"jane"`, "call-2"}, true, true},
		"by the other name of user": {call{"acme", s + `,"safety_identifier":"jane"`, "call-2"}, true, true},
		"user before identifier":    {call{"acme", s + `,"user":"jane","safety_identifier":"joe"`, "call-2"}, true, true},
		"another tenant":            {call{"umbrella", s + `,"user":"jane"`, "call-1"}, false, false},
		"another user":              {call{"acme", s + `,"user":"joe"`, "call-1"}, false, false},
		"no user":                   {call{"acme", s, "call-1"}, false, false},
		"another session":           {call{"acme", `,"metadata":{"session_id":"S"},"user":"jane"`, "call-1"}, false, true},
		"no session":                {call{"acme", `,"user":"jane"`, "call-1"}, false, true},
		"session named like a call": {call{"acme", `,"metadata":{"session_id":"call-1"},"user":"jane"`, "call-1"}, false, true},
		"names that run together":   {call{"acmej", s + `,"user":"ane"`, "call-1"}, false, false},
		"the other way":             {call{"acm", s + `,"user":"ejane"`, "call-1"}, false, false},
		"users that run together":   {call{"acme", `,"metadata":{"session_id":"es"},"user":"jan"`, "call-1"}, false, false},
	}
	send := func(t *testing.T, c call) sent {
		ask := askFor(t, `{"model":"m","messages":[`+hello+`]`+c.members+`}`)
		ask.Tenant, ask.ID = c.tenant, c.id
		s, _ := encode(t, format, ask)
		return s
	}
	first := send(t, base)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			other := send(t, tt.other)
			if same := other.SessionID == first.SessionID; same != tt.sameSession {
				t.Errorf("same session: %t", same)
			}
			if same := other.OuterUserID == first.OuterUserID; same != tt.sameOuterUser {
				t.Errorf("same user: %t", same)
			}
		})
	}
	t.Run("without a session a call is alone", func(t *testing.T) {
		alone := call{"acme", "", "call-1"}
		again := alone
		if send(t, alone).SessionID != send(t, again).SessionID {
			t.Error("the attempts of one call have two sessions")
		}
		again.id = "call-2"
		if send(t, alone).SessionID == send(t, again).SessionID {
			t.Error("two calls have one session")
		}
		guess := call{"acme", `,"metadata":{"session_id":"call-1"}`, "call-3"}
		if send(t, alone).SessionID == send(t, guess).SessionID {
			t.Error("a client can name the session of a call")
		}
	})
}

func TestStrangersShareNoSession(t *testing.T) {
	for _, tenant := range []string{"anonymous", ""} {
		sessions := map[string]bool{}
		for _, id := range []string{"call-1", "call-2"} {
			ask := askFor(t, `{"model":"m","messages":[{"role":"user","content":"a"},`+hello+`],"metadata":{"session_id":"s"}}`)
			ask.Tenant, ask.ID = tenant, id
			s, unsupported := encode(t, format, ask)
			sessions[s.SessionID] = true
			if want := []string{"messages.history", "metadata.session_id"}; !slices.Equal(unsupported, want) {
				t.Errorf("tenant %q: unsupported %q, want %q", tenant, unsupported, want)
			}
		}
		if len(sessions) != 2 {
			t.Errorf("tenant %q: two calls have %d sessions", tenant, len(sessions))
		}
	}
}

func TestNamesAreNeverRaw(t *testing.T) {
	ask := askFor(t, `{"model":"m","messages":[`+hello+`],"user":"jane@example.com","safety_identifier":"id-of-jane","metadata":{"session_id":"my-session"}}`)
	ask.Tenant = "tenant-of-jane"
	encoded, err := format.EncodeRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jane", "tenant", "my-session"} {
		if strings.Contains(string(encoded.Body), name) {
			t.Errorf("%q is in %s", name, encoded.Body)
		}
	}
	s, _ := encode(t, format, ask)
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(s.OuterUserID) {
		t.Errorf("outer_user_id %q", s.OuterUserID)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(s.SessionID) {
		t.Errorf("session_id %q is no UUID of version 8", s.SessionID)
	}
}
