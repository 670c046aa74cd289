package signer

import (
	"errors"
	"strings"
	"testing"
)

// The merchant for whom the app acts is the configuration's or the caller's choice. Parameters come from whoever
// composed the request, who may say the same and nothing else.
func TestOpenAPIV2AppAuthToken(t *testing.T) {
	for name, c := range map[string]struct {
		configured, message string
		query, body         string
		want                string // the token that is signed
		err                 error
	}{
		"none":                       {},
		"configured":                 {configured: "ours", want: "ours"},
		"message":                    {message: "ours", want: "ours"},
		"message before configured":  {configured: "other", message: "ours", want: "ours"},
		"repeated in the query":      {configured: "ours", query: "&app_auth_token=ours", want: "ours"},
		"repeated in the body":       {message: "ours", body: "app_auth_token=our%73", want: "ours"},
		"message with a separator":   {message: "a&b", err: ErrMalformed},
		"another in the query":       {configured: "ours", query: "&app_auth_token=theirs", err: ErrWrongIdentity},
		"another in the body":        {configured: "ours", body: "app_auth_token=theirs", err: ErrWrongIdentity},
		"another, name escaped":      {configured: "ours", query: "&app%5Fauth_token=theirs", err: ErrWrongIdentity},
		"another than the message's": {message: "ours", query: "&app_auth_token=theirs", err: ErrWrongIdentity},
		"the one it overrides":       {configured: "ours", message: "other", query: "&app_auth_token=ours", err: ErrWrongIdentity},
		"where none is configured":   {query: "&app_auth_token=theirs", err: ErrWrongIdentity},
		"in the body, none either":   {body: "app_auth_token=theirs", err: ErrWrongIdentity},
		"right and another":          {configured: "ours", query: "&app_auth_token=ours", body: "app_auth_token=theirs", err: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			config := openAPIConfig(t)
			config.AppAuthToken = c.configured
			s := must(NewOpenAPIV2(config))(t)
			m := Message{Method: "POST", Target: "/gateway.do?method=a.b" + c.query, Body: []byte(c.body), Time: testTime, AppAuthToken: c.message}
			signed, err := s.Sign(m)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "theirs") || strings.Contains(err.Error(), "ours") {
					t.Errorf("%v shows a token", err)
				}
				return
			}
			_, params, err := readV2(Message{Method: "POST", Target: signed.Target, Body: signed.Body})
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := lookup(params, "app_auth_token"); got != c.want {
				t.Errorf("signed for %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever else says whose a request is has to be the app's own, in the platform's one spelling.
func TestOpenAPIV2Identity(t *testing.T) {
	config := openAPIConfig(t)
	config.AppAuthToken = "ours"
	s := must(NewOpenAPIV2(config))(t)
	for own, value := range map[string]string{
		"app_id": config.AppID, "target_app_id": config.AppID, "app_auth_token": "ours", "sign_type": "RSA2",
	} {
		for name, c := range map[string]struct {
			param, value string
			ok           bool
		}{
			"its own":            {own, value, true},
			"another":            {own, "theirs", false},
			"in capitals":        {strings.ToUpper(own), "theirs", false},
			"in capitals, same":  {strings.ToUpper(own), value, false},
			"with dashes":        {strings.ReplaceAll(own, "_", "-"), "theirs", false},
			"with dots, escaped": {strings.ReplaceAll(own, "_", "%2E"), "theirs", false},
		} {
			for _, m := range []Message{
				{Method: "GET", Target: "/gateway.do?method=a.b&" + c.param + "=" + c.value, Time: testTime},
				{Method: "POST", Target: "/gateway.do?method=a.b", Body: []byte(c.param + "=" + c.value), Time: testTime},
			} {
				signed, err := s.Sign(m)
				if c.ok != (err == nil) || !c.ok && !errors.Is(err, ErrWrongIdentity) {
					t.Errorf("%s %s in %s: %v", own, name, m.Method, err)
				}
				if !c.ok {
					continue
				}
				_, params, err := readV2(Message{Method: m.Method, Target: signed.Target, Body: signed.Body})
				if got, _ := lookup(params, own); err != nil || got != value {
					t.Errorf("%s %s in %s: sent %q, %v", own, name, m.Method, got, err)
				}
			}
		}
	}
	// A user's token says for whom the merchant acts, and is signed with all else.
	signed, err := s.Sign(Message{Method: "POST", Target: "/gateway.do?method=a.b", Body: []byte("auth_token=user"), Time: testTime})
	if err != nil || !strings.Contains(string(signed.Body), "auth_token=user") {
		t.Errorf("%q, %v", signed.Body, err)
	}
}
