package alipayai_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// models asks for the list of models, for a tenant, acme when empty.
func (s *scripted) models(tenant string) reply {
	w := httptest.NewRecorder()
	serve(s.gateway, w, httptest.NewRequest(http.MethodGet, "/v1/models", nil), cmp.Or(tenant, "acme"))
	return reply{status: w.Code, header: w.Result().Header, body: w.Body.String()}
}

var modelList = says(200, `{"data":[{"id":"one"}]}`)

// A provider that is skipped is not asked for its models either.
func TestModelsWithTheBreakerOpen(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError}}, breakers(failover.Rule{}))
		for range 4 {
			s.call(chatBody("hello"))
		}
		s.fails(modelList)
		got := s.models("")
		wantError(t, got, http.StatusServiceUnavailable, failure.CodeBreakerOpen)
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%v", got.header)
		}
		s.wantCalls(4)
		if got := s.models("other"); got.status != http.StatusOK { // whose breaker is closed
			t.Errorf("%d %s", got.status, got.body)
		}
		s.wantCalls(5)
		// It is not what closes the breaker, nor does it keep another from trying.
		time.Sleep(time.Minute)
		for range 2 {
			if got := s.models(""); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		s.fails(sysError)
		s.call(chatBody("hello"))
		if seen := s.seen.changes(); !slices.Equal(seen, []string{"acme@first:open", "acme@first:open"}) {
			t.Errorf("changes %v", seen)
		}
	})
}

// Lists of models neither open a breaker nor make it forget.
func TestModelsDoNotCountForTheBreaker(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError}}, breakers(failover.Rule{}))
		for range 10 {
			s.models("")
		}
		s.wantCalls(10)
		for range 3 {
			s.call(chatBody("hello"))
		}
		s.fails(modelList)
		if got := s.models(""); got.status != http.StatusOK || len(s.seen.changes()) != 0 {
			t.Errorf("%d, changes %v", got.status, s.seen.changes())
		}
		s.fails(sysError)
		s.call(chatBody("hello"))
		if seen := s.seen.changes(); !slices.Equal(seen, []string{"acme@first:open"}) {
			t.Errorf("changes %v", seen)
		}
	})
}

// No provider is asked for models when there is no time for an answer.
func TestModelsWithoutTime(t *testing.T) {
	for name, test := range map[string]struct {
		turns  [][]turn
		calls  []int
		status int
	}{
		"time is up":               {[][]turn{{hangs}, {hangs}, {modelList}}, []int{1, 1, 0}, 504},
		"time is up, but some are": {[][]turn{{after(14*time.Second, modelList)}, {hangs}, {modelList}}, []int{1, 1, 0}, 200},
		"enough time":              {[][]turn{{hangs}, {modelList}, {modelList}}, []int{1, 1, 1}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, test.turns, deadline(29500*time.Millisecond))
				if got := s.models(""); got.status != test.status {
					t.Errorf("%d %s", got.status, got.body)
				}
				s.wantCalls(test.calls...)
			})
		})
	}
}

// Claude Code waits for a list of models for 3 s (https://code.claude.com/docs/en/llm-gateway-protocol): what hangs then is left out
// of it, wherever it stands. Other clients get all that there is, however long that takes.
func TestModelsForWhoWaitsShortly(t *testing.T) {
	for name, test := range map[string]struct {
		turns  [][]turn
		header string
		status int
		body   string
		within time.Duration
	}{
		"the first hangs":       {[][]turn{{hangs}, {modelList}}, "Anthropic-Version", 200, `"id":"one"`, 3 * time.Second},
		"the second hangs":      {[][]turn{{modelList}, {hangs}}, "Anthropic-Version", 200, `"id":"one"`, 3 * time.Second},
		"the last is slow":      {[][]turn{{modelList}, {says(200, `{"data":[]}`)}, {after(2*time.Second, says(200, `{"data":[{"id":"two"}]}`))}}, "Anthropic-Version", 200, `"id":"two"`, 3 * time.Second},
		"all hang":              {[][]turn{{hangs}, {hangs}}, "Anthropic-Version", 504, `"type":"timeout_error"`, 3 * time.Second},
		"another client, slow":  {[][]turn{{after(4*time.Second, modelList)}}, "Accept", 200, `"id":"one"`, 5 * time.Second},
		"another client, hangs": {[][]turn{{hangs}, {modelList}}, "Accept", 200, `"id":"one"`, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, test.turns)
				r := httptest.NewRequest(http.MethodGet, "/v1/models?limit=1000", nil)
				r.Header.Set(test.header, "2023-06-01")
				w, began := httptest.NewRecorder(), time.Now()
				serve(s.gateway, w, r, "acme")
				if took := time.Since(began); w.Code != test.status || !strings.Contains(w.Body.String(), test.body) || took > test.within {
					t.Errorf("%d %s after %v", w.Code, w.Body, took)
				}
			})
		})
	}
}
