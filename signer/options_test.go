package signer

import (
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRefusedOptions(t *testing.T) {
	hmacKeys := ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("k"))})
	tokens := ring(t, map[int]string{1: "sk"})
	small := newRSAKey(1024)
	hmac := func(change func(*HMACConfig)) func() error {
		return func() error {
			c := HMACConfig{ClientID: "A", Keys: hmacKeys}
			change(&c)
			_, err := NewHMAC(c)
			return err
		}
	}
	v3 := func(change func(*OpenAPIConfig)) func() error {
		return func() error {
			c := openAPIConfig(t)
			change(&c)
			_, err := NewOpenAPIV3(c)
			return err
		}
	}
	v2 := func(change func(*OpenAPIConfig)) func() error {
		return func() error {
			c := openAPIConfig(t)
			change(&c)
			_, err := NewOpenAPIV2(c)
			return err
		}
	}
	global := func(change func(*GlobalConfig)) func() error {
		return func() error {
			c := GlobalConfig{ClientID: "5X01", RSAKeys: rsaKeys(t)}
			change(&c)
			_, err := NewGlobal(c)
			return err
		}
	}
	xHeader := func(change func(*HeaderConfig)) func() error {
		return func() error {
			c := HeaderConfig{Name: "x-api-key", Keys: tokens}
			change(&c)
			_, err := NewHeader(c)
			return err
		}
	}
	for name, c := range map[string]struct {
		build func() error
		names string // the option that the error must name
	}{
		"hmac: no id":            {hmac(func(c *HMACConfig) { c.ClientID = "" }), "client_id"},
		"hmac: dot":              {hmac(func(c *HMACConfig) { c.ClientID = "a.b" }), "client_id"},
		"hmac: LF":               {hmac(func(c *HMACConfig) { c.ClientID = "a\nb" }), "client_id"},
		"hmac: CR":               {hmac(func(c *HMACConfig) { c.ClientID = "a\rb" }), "client_id"},
		"hmac: NUL":              {hmac(func(c *HMACConfig) { c.ClientID = "a\x00b" }), "client_id"},
		"hmac: DEL":              {hmac(func(c *HMACConfig) { c.ClientID = "a\x7fb" }), "client_id"},
		"hmac: space":            {hmac(func(c *HMACConfig) { c.ClientID = "a b" }), "client_id"},
		"hmac: not ASCII":        {hmac(func(c *HMACConfig) { c.ClientID = "支付" }), "client_id"},
		"hmac: no keys":          {hmac(func(c *HMACConfig) { c.Keys = nil }), "keys"},
		"hmac: header name":      {hmac(func(c *HMACConfig) { c.Headers.Signature = "Sig nature" }), "signature header"},
		"hmac: header twice":     {hmac(func(c *HMACConfig) { c.Headers.RequestTime = "client-id" }), "request_time header"},
		"global: dot":            {global(func(c *GlobalConfig) { c.ClientID = "a.b" }), "client_id"},
		"global: no keys":        {global(func(c *GlobalConfig) { c.Keys = nil }), "keys"},
		"global: small key":      {global(func(c *GlobalConfig) { c.Keys = ring(t, map[int]*rsa.PrivateKey{3: small}) }), "keys: key 3"},
		"v3: no id":              {v3(func(c *OpenAPIConfig) { c.AppID = "" }), "app_id"},
		"v3: comma":              {v3(func(c *OpenAPIConfig) { c.AppID = "a,nonce=b" }), "app_id"},
		"v3: equals":             {v3(func(c *OpenAPIConfig) { c.AppID = "a=b" }), "app_id"},
		"v3: cert sn":            {v3(func(c *OpenAPIConfig) { c.AppCertSN = "a,b" }), "app_cert_sn"},
		"v3: root sn":            {v3(func(c *OpenAPIConfig) { c.RootCertSN = "a\r\nX: y" }), "root_cert_sn"},
		"v3: half certificate":   {v3(func(c *OpenAPIConfig) { c.AppCertSN = "ab" }), "root_cert_sn"},
		"v3: token":              {v3(func(c *OpenAPIConfig) { c.AppAuthToken = "a\nb" }), "app_auth_token"},
		"v3: no keys":            {v3(func(c *OpenAPIConfig) { c.Keys = nil }), "keys"},
		"v3: small vendor key":   {v3(func(c *OpenAPIConfig) { c.ResponseKeys = ring(t, map[int]*rsa.PublicKey{1: &small.PublicKey}) }), "response_keys"},
		"v3: small request key":  {v3(func(c *OpenAPIConfig) { c.RequestKeys = ring(t, map[int]*rsa.PublicKey{1: &small.PublicKey}) }), "request_keys"},
		"v2: ampersand":          {v2(func(c *OpenAPIConfig) { c.AppID = "a&b" }), "app_id"},
		"v2: token":              {v2(func(c *OpenAPIConfig) { c.AppAuthToken = "a&sign_type=b" }), "app_auth_token"},
		"header: no name":        {xHeader(func(c *HeaderConfig) { c.Name = "" }), "header"},
		"header: bad name":       {xHeader(func(c *HeaderConfig) { c.Name = "x:y" }), "header"},
		"header: no keys":        {xHeader(func(c *HeaderConfig) { c.Keys = nil }), "keys"},
		"header: extra twice":    {xHeader(func(c *HeaderConfig) { c.Extra = []Field{{"X-Api-Key", "v"}} }), "extra header X-Api-Key"},
		"header: extra newline":  {xHeader(func(c *HeaderConfig) { c.Extra = []Field{{"a", "v\nb: c"}} }), "extra header A"},
		"header: extra empty":    {xHeader(func(c *HeaderConfig) { c.Extra = []Field{{"a", ""}} }), "extra header A"},
		"header: extra bad name": {xHeader(func(c *HeaderConfig) { c.Extra = []Field{{"a b", "c"}} }), "extra header"},
		"bearer: no keys":        {func() error { _, err := NewBearer(nil); return err }, "keys"},
		"bearer: newline":        {func() error { _, err := NewBearer(ring(t, map[int]string{4: "a\nb"})); return err }, "keys: key 4"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.build()
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.names) {
				t.Errorf("%q does not name %q", err, c.names)
			}
		})
	}
}

func TestConfigurableHeaders(t *testing.T) {
	keys := ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("k"))})
	s := must(NewHMAC(HMACConfig{ClientID: "A", Keys: keys, Headers: Headers{Signature: "x-sig", ClientID: "x-app"}}))(t)
	m, h := send(t, s, Message{Method: "GET", Target: "/", Time: testTime})
	if h["X-Sig"] == nil || h["X-App"] == nil || h["Request-Time"] == nil {
		t.Errorf("got %v", h)
	}
	if err := s.VerifyRequest(m, h); err != nil {
		t.Error(err)
	}
}

func TestRefusedMessages(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"no method":             func(m *Message) { m.Method = "" },
		"method with space":     func(m *Message) { m.Method = "POST /a" },
		"method with newline":   func(m *Message) { m.Method = "POST\n" },
		"no target":             func(m *Message) { m.Target = "" },
		"absolute target":       func(m *Message) { m.Target = "https://host/gateway.do" },
		"target with newline":   func(m *Message) { m.Target += "\nx" },
		"target with CR":        func(m *Message) { m.Target += "\r" },
		"target with NUL":       func(m *Message) { m.Target += "\x00" },
		"target with space":     func(m *Message) { m.Target += " " },
		"no time":               func(m *Message) { m.Time = time.Time{} },
		"v3: no nonce":          func(m *Message) { m.Nonce = "" },
		"v3: nonce with comma":  func(m *Message) { m.Nonce = "a,b" },
		"v3: nonce with equals": func(m *Message) { m.Nonce = "a=b" },
		"v3: nonce with LF":     func(m *Message) { m.Nonce = "a\nb" },
		"v3: token with LF":     func(m *Message) { m.AppAuthToken = "a\nb" },
		"v3: token with space":  func(m *Message) { m.AppAuthToken = "a b" },
	} {
		t.Run(name, func(t *testing.T) {
			for scheme, s := range schemes(t) {
				if _, err := s.Canonical(s.m); errors.Is(err, ErrNoCanonical) ||
					strings.HasPrefix(name, "v3") && !strings.HasPrefix(scheme, NameOpenAPIV3) {
					continue
				}
				m := s.m
				change(&m)
				if _, err := s.Sign(m); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s: Sign: got %v", scheme, err)
				}
				if _, err := s.Canonical(m); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s: Canonical: got %v", scheme, err)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	for scheme := range schemes(t) {
		name, _, _ := strings.Cut(scheme, " ")
		if !slices.Contains(Names(), name) {
			t.Errorf("Names lacks %s", name)
		}
	}
}
