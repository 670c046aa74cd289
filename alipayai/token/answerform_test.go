package token

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Tokens are read where a contract of one's own has them, with the end in any unit.
func TestAnswerForm(t *testing.T) {
	at := func(at time.Time) time.Duration { return at.Sub(tokenSentAt) }
	for name, test := range map[string]struct {
		fields  AnswerFields
		body    string
		life    time.Duration
		refresh string
		code    string // of a failure
	}{
		"below": {AnswerFields{AccessToken: "data.token", RefreshToken: "data.renew", Expires: "data.ttl"},
			`{"data":{"token":"at","renew":"rt","ttl":60}}`, time.Minute, "rt", ""},
		"milliseconds": {AnswerFields{Expires: "expires_in", Unit: ExpiryMilliseconds}, `{"access_token":"at","expires_in":1800000}`, 30 * time.Minute, "", ""},
		"an odd time":  {AnswerFields{Expires: "ttl", Unit: ExpiryMilliseconds}, `{"access_token":"at","ttl":"90500"}`, 90500 * time.Millisecond, "", ""},
		"until":        {AnswerFields{Expires: "until", Unit: ExpiryDate}, `{"access_token":"at","until":"2026-03-01T12:10:00Z"}`, 10 * time.Minute, "", ""},
		"until, in China": {AnswerFields{Expires: "until", Unit: ExpiryDate}, `{"access_token":"at","until":"2026-03-01 20:10:00"}`,
			at(time.Date(2026, 3, 1, 12, 10, 0, 0, time.UTC)), "", ""},
		"since 1970":         {AnswerFields{Expires: "until", Unit: ExpiryUnix}, `{"access_token":"at","until":1772366700}`, at(time.Unix(1772366700, 0)), "", ""},
		"since 1970, in ms":  {AnswerFields{Expires: "until", Unit: ExpiryUnixMilliseconds}, `{"access_token":"at","until":1772366700000}`, at(time.Unix(1772366700, 0)), "", ""},
		"no end":             {AnswerFields{Expires: "until", Unit: ExpiryDate}, `{"access_token":"at","until":"soon"}`, 30 * time.Minute, "", ""},
		"an end beyond time": {AnswerFields{Expires: "until", Unit: ExpiryUnix}, `{"access_token":"at","until":1e300}`, 30 * time.Minute, "", ""},
		"an end without one": {AnswerFields{Expires: "until", Unit: ExpiryUnix}, `{"access_token":"at"}`, 30 * time.Minute, "", ""},
		"a success":          {AnswerFields{Success: "code", SuccessValues: []string{"1"}}, `{"code":1,"access_token":"at"}`, 30 * time.Minute, "", ""},
		"known names where none are": {AnswerFields{Success: "head.code", SuccessValues: []string{"1"}}, `{"access_token":"at","refresh_token":"rt","expires_in":60}`,
			time.Minute, "rt", ""},
		"a failure with a token": {AnswerFields{Success: "code", SuccessValues: []string{"1"}}, `{"code":2,"access_token":"at"}`, 0, "", "2"},
		"a failure's code": {AnswerFields{Success: "ok", SuccessValues: []string{"true"}, Code: []string{"why.sub", "why.code"}},
			`{"ok":false,"why":{"code":"A","sub":"B"}}`, 0, "", "B"},
		"a code alone":  {AnswerFields{Code: []string{"errno"}}, `{"errno":17}`, 0, "", "17"},
		"another place": {AnswerFields{AccessToken: "data.token"}, `{"access_token":"no","errno":17}`, 0, "", "?"},
	} {
		t.Run(name, func(t *testing.T) {
			form, err := NewAnswerForm(test.fields)
			if err != nil {
				t.Fatal(err)
			}
			got, err := (&Grant{Answer: form}).read(http.StatusOK, []byte(test.body), tokenSentAt, 0)
			switch {
			case test.code == "?":
				if !errors.Is(err, errTokenAnswer) {
					t.Errorf("error %v", err)
				}
			case test.code != "":
				if failed, ok := errors.AsType[*endpointError](err); !ok || failed.code != test.code {
					t.Errorf("error %v, want code %s", err, test.code)
				}
			case err != nil:
				t.Error(err)
			case got.Access != "at" || got.Refresh != test.refresh || got.Expiry.Sub(got.Issued) != test.life:
				t.Errorf("access %q, refresh %q, life %v; want %v", got.Access, got.Refresh, got.Expiry.Sub(got.Issued), test.life)
			}
		})
	}
}

func TestNewAnswerFormRefuses(t *testing.T) {
	for want, fields := range map[string]AnswerFields{
		"use s, ms, date, unix or unix_ms":   {Expires: "a", Unit: "minutes"},
		"expires has a unit, and no path":    {Unit: ExpiryDate},
		"success needs a path":               {SuccessValues: []string{"1"}},
		"success needs a path and the value": {Success: "code"},
		`access_token "a." has an empty`:     {AccessToken: "a."},
		`code "" has an empty name`:          {Code: []string{""}},
	} {
		if _, err := NewAnswerForm(fields); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A request has the endpoint's own names, also where two of them change places, and the further fields.
func TestRequestFields(t *testing.T) {
	read := map[Auth]func(body []byte) map[string]string{
		AuthForm: func(body []byte) map[string]string {
			form, err := url.ParseQuery(string(body))
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for name := range form {
				got[name] = form.Get(name)
			}
			return got
		},
		AuthJSON: func(body []byte) map[string]string {
			var got map[string]string
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			return got
		},
	}
	for auth, parse := range read {
		t.Run(string(auth), func(t *testing.T) {
			g := &Grant{
				URL: "https://auth.example.com", ClientID: "app", Secret: "secret", Auth: auth, Scope: "ai",
				Fields: map[string]string{"client_id": "client_secret", "client_secret": "client_id", "refresh_token": "renew"}, Params: map[string]string{"audience": "a b"},
			}
			req, err := g.request(t.Context(), redeeming("rt"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"grant_type": "refresh_token", "renew": "rt", "client_secret": "app", "client_id": "secret", "scope": "ai", "audience": "a b"}
			got := parse(body)
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
			if len(got) != len(want) || len(g.Params) != 1 {
				t.Errorf("sent %v, params %v", got, g.Params)
			}
		})
	}
}
