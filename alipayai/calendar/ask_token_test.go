package calendar

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// grants gives tokens until it fails.
type grants struct{ err error }

// Fetch implements token.Fetcher.
func (g grants) Fetch(context.Context, string) (token.Token, error) {
	now := time.Now()
	return token.Token{Access: "granted", Issued: now, Expiry: now.Add(time.Hour)}, g.err
}

// A check notes whether there was a token, and by how much the upstream's clock is ahead; without a token nothing is asked.
func TestCheckNotesTokenAndClock(t *testing.T) {
	const ahead = 90 * time.Second
	for name, test := range map[string]struct {
		tokens *token.Source
		token  bool
		asked  int
	}{
		"granted":      {&token.Source{Cell: new(token.Cell), Fetcher: grants{}, Now: time.Now}, true, 1},
		"not granted":  {&token.Source{Cell: new(token.Cell), Fetcher: grants{errors.New("unknown client")}, Now: time.Now}, false, 0},
		"none to have": {nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Header.Get("Authorization"))
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
				_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
			}))
			t.Cleanup(server.Close)
			p := openAIAt(t, server.URL, http.DefaultTransport, func(p *upstream.Provider) { p.Tokens = test.tokens })
			c := Ask(t.Context(), p, nil, time.Now)
			if c.Token != test.token || len(asked) != test.asked || c.Taken != (test.asked > 0) || (c.Code == "") != c.Taken {
				t.Fatalf("%+v, asked %q", c, asked)
			}
			if test.token && asked[0] != "Bearer granted" {
				t.Errorf("asked with %q", asked[0])
			}
			if c.Taken && (c.Skew < ahead-2*time.Second || c.Skew > ahead+2*time.Second) {
				t.Errorf("the clock is ahead by %v, want %v", c.Skew, ahead)
			}
			read, err := ParseRecord(Record{Keys: map[string]Entry{"id": {}}}.checked("id", c).Marshal())
			if last := read.Keys["id"].Last; err != nil || last.Token != c.Token || last.Skew != c.Skew || last.Code != c.Code {
				t.Errorf("kept is %+v, %v; want %+v", last, err, c)
			}
		})
	}
}
