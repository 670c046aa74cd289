package sandbox

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestExpiredTokenStaysDead(t *testing.T) {
	g := newRig(t, Config{})
	g.set(Fault{Kind: ExpiredToken, Times: 1})
	for range 2 {
		if o := g.see(chatBody("x", "")); o.status != 401 || !strings.Contains(o.body, codeExpiredToken) {
			t.Errorf("got %+v", o)
		}
	}
	g.token = g.fetchToken()
	g.chat("a new token works")
}

func TestClockSkew(t *testing.T) {
	clk := newClock()
	g := newRig(t, Config{Now: clk.now})
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		g.set(Fault{Kind: ClockSkew, Skew: skew})
		var got apiError
		h := g.call("POST", pathChat, chatBody("x", ""), 401, &got)
		if got.Code != codeInvalidTime || h.Get("Date") != clk.now().Add(skew).Format(http.TimeFormat) {
			t.Errorf("skew %v: %+v, Date %s", skew, got, h.Get("Date"))
		}
		g.now = func() time.Time { return clk.now().Add(skew) } // a client that learnt
		g.chat("the token has not aged")
		g.now = clk.now
	}
	g.set()
	g.chat("the clock is right again")
}

func TestTokenErrors(t *testing.T) {
	g := newRig(t, Config{})
	tests := map[string]struct {
		fault    Fault
		status   int
		contains string
	}{
		"default":          {Fault{Kind: TokenError}, 503, `"error":"server_error"`},
		"status":           {Fault{Kind: TokenError, Status: 500}, 500, `"error":"server_error"`},
		"invalid client":   {Fault{Kind: TokenError, Code: "invalid_client"}, 401, `"error":"invalid_client"`},
		"401":              {Fault{Kind: TokenError, Status: 401}, 401, `"error":"invalid_client"`},
		"garbage":          {Fault{Kind: TokenError, Garbage: true}, 200, "<html>"},
		"garbage and 502":  {Fault{Kind: TokenError, Garbage: true, Status: 502}, 502, "<html>"},
		"another by path":  {Fault{Kind: HTTPStatus, Status: 500, Path: pathToken}, 500, "UNKNOWN_EXCEPTION"},
		"malformed answer": {Fault{Kind: MalformedJSON, Path: pathToken}, 200, "<html>"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.fault.Times = 1
			g.set(tc.fault)
			g.chat("the API itself works")
			resp, err := g.http.PostForm(g.web.URL+pathToken, clientForm())
			if err != nil {
				t.Fatal(err)
			}
			if body := g.read(resp, tc.status, nil); !strings.Contains(string(body), tc.contains) {
				t.Errorf("want %s in %s", tc.contains, body)
			}
			g.fetchToken()
		})
	}
	g.set(Fault{Kind: TokenError})
	for path, want := range map[string]string{pathGateway: "isp.unknow-error", pathApply: `"resultStatus":"U"`} {
		resp, err := g.http.PostForm(g.web.URL+path, clientForm())
		if err != nil {
			t.Fatal(err)
		}
		if body := g.read(resp, 200, nil); !strings.Contains(string(body), want) {
			t.Errorf("want %s in %s", want, body)
		}
	}
}

func TestFaultsNeedAVerifiedCall(t *testing.T) {
	g := newRig(t, Config{})
	g.set(Fault{Kind: SystemError500, Times: 1})
	req := g.signed("POST", pathChat, chatBody("x", ""))
	req.Header.Del("Signature")
	resp, err := g.do(req)
	if err != nil {
		t.Fatal(err)
	}
	g.read(resp, 401, nil)
	if n := len(g.srv.Faults()); n != 1 {
		t.Error("a call that did not verify used up a fault")
	}
}
