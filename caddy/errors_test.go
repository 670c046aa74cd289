package alipaycaddy

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestRequestBodyAtEveryDoor has Caddy's own limit before each door, for bodies of an announced length, which Caddy refuses
// itself, and for those without one, which the door reads until they are too large.
func TestRequestBodyAtEveryDoor(t *testing.T) {
	const (
		byCaddy = 599 // what the site's own handle_errors answers
		limited = `
	request_body {
		max_size 2048
	}
	alipayai_proxy alipay
`
	)
	for name, site := range map[string]struct {
		errors string
		// announced is the status of a body of an announced length; where it is 413 the error is in the door's form.
		announced int
	}{
		"no handle_errors":             {"", 0},
		"alipayai_errors":              {"handle_errors {\nalipayai_errors\n}\n", http.StatusRequestEntityTooLarge},
		"alipayai_errors for a status": {"handle_errors 413 {\nalipayai_errors\n}\nhandle_errors {\nrespond `another` 598\n}\n", http.StatusRequestEntityTooLarge},
		"the site's own":               {"handle_errors {\nrespond `a second body` 599\n}\n", byCaddy},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.load(oneProvider, "http://${gateway} {\n"+site.errors+limited+"}")
			paths := map[string]aDoor{
				"images": {"POST", "/v1/images/generations", `{"prompt":"%s"}`, nil, false, false},
				"files":  {"POST", "/v1/files", `{"file":"%s"}`, []string{claudeVersion}, true, false},
			}
			maps.Copy(paths, doors)
			for name, d := range paths {
				if d.body == "" {
					continue
				}
				words := strings.Repeat("long ", 1000)
				announced := d.at(g, words)
				switch {
				case site.announced == http.StatusRequestEntityTooLarge:
					d.refused(t, announced, http.StatusRequestEntityTooLarge, "request_too_large", "request_too_large")
				case site.announced != 0 && announced.status != site.announced:
					t.Errorf("%s: %d %s", name, announced.status, announced.body)
				case announced.status == http.StatusOK:
					t.Errorf("%s was served: %s", name, announced.body)
				}
				if _, served := doors[name]; !served { // whose body is never read
					continue
				}
				body := bufio.NewReader(strings.NewReader(fmt.Sprintf(d.body, words)))
				chunked, err := http.NewRequestWithContext(t.Context(), d.method, "http://"+g.vars["gateway"]+d.path, body)
				if err != nil {
					t.Fatal(err)
				}
				chunked.Header.Set("Content-Type", "application/json")
				for _, field := range d.fields {
					key, value, _ := strings.Cut(field, ": ")
					chunked.Header.Set(key, value)
				}
				d.refused(t, g.read(g.http.Do(chunked)), http.StatusRequestEntityTooLarge, "request_too_large", "request_too_large")
			}
			if n := g.chats(); n != 0 {
				t.Errorf("%d calls reached the upstream", n)
			}
		})
	}
}

// TestErrorsOfOtherHandlers has what Caddy's handlers refuse in the forms of the doors, with the header fields that they set, and
// without their words.
func TestErrorsOfOtherHandlers(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1}) // which all these calls would be too many for
	g.load(limited("limit off"), `
http://${gateway} {
	@status header X-Status *
	header @status Retry-After 7
	error @status "S3CR3T" {header.X-Status}
	alipayai_errors
	alipayai_proxy alipay {
		cors https://app.example.com
	}
	handle_errors {
		alipayai_errors
	}
}`)
	for status, want := range map[int]struct{ code, kind string }{
		http.StatusUnauthorized:          {"invalid_api_key", "authentication_error"},
		http.StatusForbidden:             {"", "permission_error"},
		http.StatusNotFound:              {"unknown_url", "not_found_error"},
		http.StatusRequestEntityTooLarge: {"request_too_large", "request_too_large"},
		http.StatusTooManyRequests:       {"", "rate_limit_error"},
		http.StatusServiceUnavailable:    {"", "overloaded_error"},
		http.StatusGatewayTimeout:        {"", "timeout_error"},
	} {
		for name, d := range doors {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				if a := d.at(g, "hello"); a.status != http.StatusOK {
					t.Errorf("without an error: %d %s", a.status, a.body)
				}
				a := d.at(g, "hello", "X-Status: "+fmt.Sprint(status), "Origin: https://app.example.com")
				if want.code == "" && !d.claude {
					if a.status != status || !strings.Contains(a.body, `"code":null`) {
						t.Errorf("%d %s", a.status, a.body)
					}
				} else {
					d.refused(t, a, status, want.code, want.kind)
				}
				if strings.Contains(a.body, "S3CR3T") || a.header.Get("Retry-After") != "7" || a.header.Get("Access-Control-Allow-Origin") == "" {
					t.Errorf("%v %s", a.header, a.body)
				}
			})
		}
	}
}
