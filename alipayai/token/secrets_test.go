package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Nothing that holds a secret shows it when it is printed, by itself or inside something else.
func TestSecretsAreNotPrinted(t *testing.T) {
	const access, refresh, secret = "access-token-value", "refresh-token-value", "client-secret-value"
	token := Token{Access: access, Refresh: refresh, Issued: tokenSentAt, Expiry: tokenSentAt.Add(time.Hour)}
	cell := new(Cell)
	cell.live.Store(&token)
	cell.pair, cell.refused = token, access
	cell.setPending(token, func() {})
	grant := &Grant{URL: "http://127.0.0.1/token", ClientID: "app", Secret: secret, Transport: http.DefaultTransport, Now: time.Now}
	source := &Source{Cell: cell, Fetcher: grant, RefreshToken: refresh, Now: time.Now}

	for name, value := range map[string]any{
		"token": token, "pointer to token": &token, "token in a list": []Token{token}, "token in a struct": struct{ T Token }{token},
		"cell": cell, "grant": *grant, "pointer to grant": grant, "fetcher in a struct": struct{ F Fetcher }{grant},
		"source": *source, "pointer to source": source,
		"the source in a list": []*Source{source}, "key hash": struct{ E error }{errors.New(source.String())},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(verb, value)
			for _, never := range []string{access, refresh, secret} {
				if strings.Contains(text, never) {
					t.Errorf("%s with %s shows %s: %s", name, verb, never, text)
				}
			}
		}
	}
	if text := fmt.Sprint(token); !strings.Contains(text, "2026-03-01T13:00:00Z") {
		t.Errorf("a token prints as %q, want its expiry", text)
	}
	if text := fmt.Sprint(grant); !strings.Contains(text, "app") || !strings.Contains(text, "http://127.0.0.1/token") {
		t.Errorf("a grant prints as %q, want who and where", text)
	}
}

// The error of a fetch contains nothing that was sent to the token endpoint or came from it.
func TestFetchErrorsTellNoSecret(t *testing.T) {
	const secret, refresh, answered = "client-secret-value", "refresh-token-value", "access-token-value"
	for name, answer := range map[string]http.HandlerFunc{
		"refused":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"broken token": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"access_token":"%s\n"}`, answered) },
		"cut":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"access_token":"%s`, answered) },
		"echo in the description": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`, r.FormValue("refresh_token")+r.Header.Get("Authorization"))
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?token="+answered, http.StatusFound)
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			grant := &Grant{URL: server.URL, ClientID: "app", Secret: secret, Transport: newTransportOfToken(t), Now: time.Now}
			token, err := grant.Fetch(t.Context(), refresh)
			if err == nil || token != (Token{}) {
				t.Fatalf("got %v, %v", token, err)
			}
			for _, never := range []string{secret, refresh, answered, "Basic"} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("the error shows %s: %v", never, err)
				}
			}
		})
	}
}

func TestGrantAuthenticatesAsRFC6749Says(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r
		fmt.Fprint(w, `{"access_token":"at","expires_in":60}`)
	}))
	defer server.Close()
	grant := &Grant{URL: server.URL, ClientID: "app:1", Secret: "a secret/ü", Scope: "chat embed", Transport: newTransportOfToken(t), Now: time.Now}
	if _, err := grant.Fetch(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	// Section 2.3.1: form-encoded before they are joined.
	if user, password, ok := got.BasicAuth(); !ok || user != "app%3A1" || password != "a+secret%2F%C3%BC" {
		t.Errorf("client %q", user)
	}
	if got.PostForm.Encode() != "grant_type=client_credentials&scope=chat+embed" || got.ContentLength < 1 {
		t.Errorf("form %q of length %d", got.PostForm.Encode(), got.ContentLength)
	}
	if _, err := grant.Fetch(t.Context(), "rt+1"); err != nil {
		t.Fatal(err)
	}
	if got.PostForm.Encode() != "grant_type=refresh_token&refresh_token=rt%2B1&scope=chat+embed" {
		t.Errorf("form %q", got.PostForm.Encode())
	}
}

// A token answer without end is cut off, and an answer in every form that the simulator knows is read.
func TestGrantReadsTheSimulatorsForms(t *testing.T) {
	for name, form := range map[string]sandbox.ExpiresForm{
		"number": sandbox.ExpiresNumber, "string": sandbox.ExpiresString, "omitted": sandbox.ExpiresOmitted,
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t, sandbox.Config{ExpiresIn: form})
			before := time.Now()
			token, err := sim.grant().Fetch(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if life := token.Expiry.Sub(before); life < 30*time.Minute || life > 31*time.Minute {
				t.Errorf("lives for %v", life)
			}
		})
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(`{"a":`)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	grant := &Grant{URL: endless.URL, ClientID: "app", Secret: "s", Transport: newTransportOfToken(t), Now: time.Now}
	if _, err := grant.Fetch(ctx, ""); !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}
