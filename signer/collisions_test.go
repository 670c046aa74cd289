package signer

import (
	"errors"
	"testing"
	"time"
)

// The vendors' layouts let different messages have one canonical string. These tests document it: whoever
// relies on such a signature has to know.

func TestCollisionOpenAPIV2(t *testing.T) {
	s := must(NewOpenAPIV2(openAPIConfig(t)))(t)
	one := Message{Method: "GET", Target: "/gateway.do?x=1%26y%3D2", Time: testTime}
	two := Message{Method: "GET", Target: "/gateway.do?x=1&y=2", Time: testTime}
	same(t, s, one, two)
}

func TestCollisionOpenAPIV3(t *testing.T) {
	s := must(NewOpenAPIV3(openAPIConfig(t)))(t)
	one := Message{Method: "POST", Target: "/v3/x", Body: []byte("x\nT"), Time: testTime, Nonce: "n"}
	two := Message{Method: "POST", Target: "/v3/x", Body: []byte("x"), AppAuthToken: "T", Time: testTime, Nonce: "n"}
	same(t, s, one, two)
	received, h := send(t, s, one)
	received.Body = two.Body
	h.Set("Alipay-App-Auth-Token", "T")
	if err := s.VerifyRequest(received, h); err != nil {
		t.Errorf("the collision is the vendor's, so it verifies: got %v", err)
	}
}

// Times with a fraction hold the separator. The strings collide, but since a verifier wants whole ISO 8601
// times, only one of both messages can be sent.
func TestCollisionGlobal(t *testing.T) {
	s := must(NewGlobal(GlobalConfig{ClientID: "A", RSAKeys: rsaKeys(t)}))(t)
	canonical := func(at, body string) string {
		return string(s.layout.appendHead(nil, "POST", "/x", []byte(at))) + body
	}
	if canonical("2019-05-28T12:12:12.5Z", "x") != canonical("2019-05-28T12:12:12", "5Z.x") {
		t.Error("no collision: is the layout still the vendor's?")
	}
	if !s.layout.validTime("2019-05-28T12:12:12.5Z") || s.layout.validTime("2019-05-28T12:12:12") {
		t.Error("a verifier must take the first and refuse the second")
	}
	iso := must(NewGlobal(GlobalConfig{ClientID: "A", RSAKeys: rsaKeys(t), ISO8601: true}))(t)
	m := Message{Method: "POST", Target: "/x", Time: time.Date(2019, 5, 28, 12, 12, 12, 5e8, time.UTC)}
	if got, want := must(iso.Canonical(m))(t), "POST /x\nA.2019-05-28T12:12:12Z."; got != want {
		t.Errorf("signed times have no fraction: got %q, want %q", got, want)
	}
}

func same(t *testing.T, s Scheme, one, two Message) {
	t.Helper()
	a, b := must(s.Canonical(one))(t), must(s.Canonical(two))(t)
	if a != b {
		t.Errorf("no collision: is the layout still the vendor's?\n%q\n%q", a, b)
	}
}

// Where a message could be mistaken for another one through the client id, the id is refused.
func TestDotInClientIDWouldCollide(t *testing.T) {
	one, two := clientLayout{id: "A.1"}, clientLayout{id: "A"}
	if string(one.appendHead(nil, "GET", "/", []byte("2")))+"x" != string(two.appendHead(nil, "GET", "/", []byte("1")))+"2.x" {
		t.Error("no collision: is the rule still needed?")
	}
	keys := ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("k"))})
	if _, err := NewHMAC(HMACConfig{ClientID: "A.1", Keys: keys}); err == nil || errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}
