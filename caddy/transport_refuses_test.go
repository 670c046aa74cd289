package alipaycaddy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestTransportRefuses asks for signatures that no client may have. Whoever
// reaches the site could otherwise have anything signed.
func TestTransportRefuses(t *testing.T) {
	g, upstream := signingRig(t, "HTTP/1.1", func(int) int { return 0 })
	g.vars["bcrypt"] = bcryptOfPassword
	const site = `
http://${gateway} {
	handle /open/* {
		uri strip_prefix /open
		reverse_proxy ${upstream} {
			transport alipayai alipay {
				paths /v1/chat/completions
			}
		}
	}
	@closed not path /open/*
	basic_auth @closed {
		bob ${bcrypt}
	}
	handle /other/* {
		uri strip_prefix /other
		reverse_proxy http://${gone} {
			transport alipayai alipay {
				paths /v1/*
			}
		}
	}
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v1/chat/completions /v1/emb*
			max_body 200
		}
		lb_retries 2
		lb_retry_match {
			method GET POST
		}
		fail_duration 1m
		max_fails 1
	}
}`
	g.load(signingProvider, site)
	small := chatBody("x", false)
	tests := map[string]struct {
		method, target, body string
		anonymous            bool
		status               int
	}{
		"listed":                     {"POST", chatPath, small, false, 200},
		"listed, with query":         {"POST", chatPath + "?a=1", small, false, 200},
		"listed by prefix":           {"POST", "/v1/embeddings", `{"model":"alipay-embed-1","input":"x"}`, false, 200},
		"body that just fits":        {"POST", chatPath, padded(small, 200), false, 200},
		"body of one byte more":      {"POST", chatPath, padded(small, 201), false, 413},
		"body of much more":          {"POST", chatPath, padded(small, 1<<20), false, 413},
		"no authenticated user":      {"POST", "/open" + chatPath, small, true, 401},
		"not listed":                 {"GET", "/v1/models", "", false, 403},
		"below an exact path":        {"POST", chatPath + "/x", small, false, 403},
		"exact path and slash":       {"POST", chatPath + "/", small, false, 403},
		"in capitals":                {"POST", "/V1/chat/completions", small, false, 403},
		"slash encoded":              {"POST", "/v1/chat%2Fcompletions", small, false, 403},
		"letter encoded":             {"POST", "/v1/ch%61t/completions", small, false, 403},
		"dot segments":               {"GET", "/v1/embeddings/../models", "", false, 403},
		"dot segments, encoded":      {"GET", "/v1/embeddings/%2e%2e/models", "", false, 403},
		"dot segments, half encoded": {"GET", "/v1/embeddings/.%2E/models", "", false, 403},
		"dot segments, twice":        {"GET", "/v1/embeddings/%252e%252e/models", "", false, 403},
		"dot segments of Tomcat":     {"GET", "/v1/embeddings/..;/models", "", false, 403},
		"dot segments of IIS":        {"GET", `/v1/embeddings/..%5Cmodels`, "", false, 403},
		"one dot":                    {"POST", "/v1/./chat/completions", small, false, 403},
		"two slashes":                {"POST", "//v1/chat/completions", small, false, 403},
		"NUL":                        {"POST", "/v1/embeddings%00", small, false, 403},
		"line break":                 {"POST", "/v1/embeddings%0D%0AX-Any:%20a", small, false, 403},
		"TRACE, which shows headers": {"TRACE", "/v1/embeddings", "", false, 403},
		"other host":                 {"POST", "/other" + chatPath, small, false, 403},
	}
	codes := map[int]string{401: "invalid_api_key", 403: "not_signed", 413: "request_too_large"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(upstream.recorded())
			auth := "Authorization: Basic Ym9iOmEtcGFzc3dvcmQ="
			if tt.anonymous {
				auth = "X-None: "
			}
			a := g.raw(tt.method, tt.target, tt.body, auth)
			if a.status != tt.status {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			want := 1
			if tt.status != http.StatusOK {
				want = 0
				if a.code() != codes[tt.status] || a.header.Get("X-Request-Id") == "" {
					t.Errorf("code %q, want %q, with header %v", a.code(), codes[tt.status], a.header)
				}
			}
			if n := len(upstream.recorded()) - before; n != want {
				t.Errorf("%d requests reached the upstream, want %d", n, want)
			}
		})
	}
}

// padded makes a body longer by white space.
func padded(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }

// raw sends a request whose target stays as it is spelt. Who refuses a body may close before all of it is sent, so
// the answer is read meanwhile.
func (g *rig) raw(method, target, body, field string) answer {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.vars["gateway"])
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if !strings.HasPrefix(field, "Content-Type:") {
		field += "\r\nContent-Type: application/json"
	}
	go fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		method, target, g.vars["gateway"], field, len(body), body)
	return g.read(http.ReadResponse(bufio.NewReader(conn), nil))
}

// A Connection field that names Authorization has reverse_proxy remove what says which app an SDK has signed for.
func TestHiddenFieldsAreRefused(t *testing.T) {
	for options, refused := range map[string]bool{
		"Authorization": true, "close, authorization ": true, "Agent-Token": true, "App-Auth-Token": true, "Target_App_Id": true,
		"close": false, "keep-alive, X-Other": false, "": false,
	} {
		t.Run(options, func(t *testing.T) {
			client, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/v3/pay", http.NoBody)
			client.Header.Set("Connection", options)
			client = caddyhttp.PrepareRequest(client, caddy.NewReplacer(), nil, nil)
			if got := refuseHidden(client); (got != nil) != refused {
				t.Errorf("got %v, want refused %t", got, refused)
			}
		})
	}
}
