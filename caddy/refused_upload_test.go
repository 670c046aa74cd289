package alipaycaddy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestRefusedUploads sends the heads of requests whose bodies wait to be asked for: what is refused for its head is answered at
// once, and not when the time for the body is over.
func TestRefusedUploads(t *testing.T) {
	const json = "application/json"
	keys := "http://${gateway} {\nalipayai_auth {\nkey demo sha256:6805a667ae43f521393653313aec1c32172247772770d24131a8adadead7174f\n}\nalipayai_proxy alipay\n}"
	moderated := "http://${gateway} {\nalipayai_moderate law {\nmax_body 1KiB\n}\nalipayai_proxy alipay\n}"
	global := strings.Replace(oneProvider, "alipayai {", "alipayai {\nmoderator law {\nrules builtin china\n}", 1)
	for name, c := range map[string]struct {
		site, path, media string
		length, status    int
	}{
		"another path":                {proxySite, "/v1/images", json, 10, 404},
		"another type":                {proxySite, chatPath, "text/plain", 10, 415},
		"too large":                   {matchedSite, chatPath, json, 64<<10 + 1, 413},
		"no key":                      {keys, chatPath, json, 10, 401},
		"too large to be moderated":   {moderated, chatPath, json, 1<<10 + 1, 413},
		"an error of another handler": {"http://${gateway} {\nerror 403\nhandle_errors {\nalipayai_errors\n}\n}", chatPath, json, 10, 403},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.load("servers {\ntimeouts {\nread_body 1m\n}\n}"+global, c.site)
			conn := g.dial(t)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", c.path, g.vars["gateway"], c.media, c.length)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status || !resp.Close {
				t.Errorf("%s, and the connection ends: %t", resp.Status, resp.Close)
			}
		})
	}
}

// TestUploadsRefusedOnceRead sends bodies that wait to be asked for, and are refused for what is in them: the connection serves the
// next request, as it does where the body does not wait.
func TestUploadsRefusedOnceRead(t *testing.T) {
	moderated := "http://${gateway} {\nalipayai_moderate law\nalipayai_proxy alipay\n}"
	matched := "http://${gateway} {\n@short alipayai {\nlast_characters <3\n}\nerror @short 403\nalipayai_proxy alipay\nhandle_errors {\nalipayai_errors\n}\n}"
	forbidden := strings.Replace(oneProvider, "alipayai {", "alipayai {\nmoderator law {\nwords mirabelle\n}", 1)
	for name, c := range map[string]struct {
		site, body string
		status     int
	}{
		"broken JSON":                     {proxySite, `{"model"`, 400},
		"broken JSON, looked at":          {matched, `{"model"`, 400},
		"no messages":                     {proxySite, `{"model":"m"}`, 400},
		"more than room is made for":      {proxySite, `{"model":"m","messages":7,"metadata":{"a":"` + strings.Repeat("x", 100<<10) + `"}}`, 400},
		"broken JSON at a moderator":      {moderated, `{"model"`, 400},
		"blocked":                         {moderated, chatBody("mirabelle", false), 403},
		"refused for it by a handler":     {matched, chatBody("a", false), 403},
		"a model that no provider serves": {proxySite, `{"model":"none","messages":[{"role":"user","content":"q"}]}`, 404},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.load(forbidden, c.site)
			conn := g.dial(t)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", chatPath, g.vars["gateway"], len(c.body))
			from := bufio.NewReader(conn)
			for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
				if line, err := from.ReadString('\n'); err != nil || line != want {
					t.Fatalf("%q, %v", line, err)
				}
			}
			fmt.Fprint(conn, c.body)
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			if a := g.read(resp, nil); a.status != c.status || resp.Close {
				t.Fatalf("%d %s, and the connection ends: %t", a.status, a.body, resp.Close)
			}
			fmt.Fprintf(conn, "GET /v1/models HTTP/1.1\r\nHost: %s\r\n\r\n", g.vars["gateway"])
			if a := g.read(http.ReadResponse(from, nil)); a.status != 200 {
				t.Errorf("the next request: %d %s", a.status, a.body)
			}
		})
	}
}

// dial opens a connection to the gateway, for what no client of net/http sends, that ends with the test.
func (g *rig) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.vars["gateway"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
