package all

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRoutesAreDocumented holds that README.md beside the doors names each path that is served, as the answer to another one lists them.
func TestRoutesAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rd := Dialects().Read(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/v1/nothing"}}, 1, time.Now)
	if rd.Failure == nil {
		t.Fatal("a path that there is not is served")
	}
	_, list, _ := strings.Cut(rd.Failure.Message, "this gateway serves ")
	list, _, _ = strings.Cut(list, ";")
	routes := strings.Split(strings.ReplaceAll(list, " and ", ", "), ", ")
	for _, route := range routes {
		if !strings.Contains(string(readme), "`"+route+"`") {
			t.Errorf("README.md does not name %s", route)
		}
	}
	if len(routes) < 8 {
		t.Errorf("only %d paths are served: %q", len(routes), rd.Failure.Message)
	}
}
