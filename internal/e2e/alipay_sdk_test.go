package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/signer"
)

// sdkCall is a call that client.mjs makes: with curl (v3) or exec (v2) of a client with that configuration.
type sdkCall struct {
	Config map[string]any `json:"config"`
	V3     *sdkV3         `json:"v3,omitempty"`
	V2     *sdkV2         `json:"v2,omitempty"`
	SSE    *sdkSSE        `json:"sse,omitempty"`
}

type sdkV3 struct {
	HTTPMethod string         `json:"httpMethod"`
	Path       string         `json:"path"`
	Options    map[string]any `json:"options,omitempty"`
	// Files go up in an AlipayFormData with a field, Stream in an AlipayFormStream.
	Files  map[string]string `json:"files,omitempty"`
	Stream map[string]string `json:"stream,omitempty"`
}

type sdkV2 struct {
	Method string         `json:"method"`
	Params map[string]any `json:"params"`
	// Files go up in an AlipayFormData with Params as its fields.
	Files map[string]string `json:"files,omitempty"`
}

type sdkSSE struct {
	Path string         `json:"path"`
	Body map[string]any `json:"body"`
}

// sdkResult is what came of a call.
type sdkResult struct {
	Answer *judged `json:"answer"`
	Error  *struct {
		Message, Code, Body string
		Status              int
	} `json:"error"`
}

// judged is what judge.mjs found in a request.
type judged struct {
	Nth       int    `json:"nth"`      // of those that arrived
	Verified  bool   `json:"verified"` // by the SDK, with the app's public key
	Certified bool   `json:"certified"`
	AppID     string `json:"appId"`
	Merchant  string `json:"merchant"`
	RequestID string `json:"requestId"`
	Encrypted string `json:"encrypted"`
	Content   string `json:"content"`
	Text      string `json:"text"` // a field beside v2's files
	Files     map[string]struct{ Name, Content string }
	Events    []struct{ Event, Data string }
}

// TestAlipaySDK has Alipay's SDK for Node call the Open Platform through the gateway, with a key that the platform does not
// know. The gateway signs anew, the platform verifies with the SDK's functions, and the SDK verifies the answer.
func TestAlipaySDK(t *testing.T) {
	r := startAlipay(t)
	with := func(site string, change map[string]any) map[string]any {
		c := r.config(t, site)
		maps.Copy(c, change)
		return c
	}
	type want struct {
		merchant, content string
		encrypted         string
		files             map[string]string
		refused           bool   // by the gateway, and nothing reaches the platform
		code              string // of the platform's error
	}
	body := map[string]any{"out_trade_no": "1", "subject": "\u8336 & <\"+%>"}
	const encoded = `{"out_trade_no":"1","subject":"茶 & <\"+%>"}`
	files := map[string]string{"image": "\x00PNG\r\n--x"}
	calls := map[string]struct {
		site   string
		config map[string]any
		v3     *sdkV3
		v2     *sdkV2
		want   want
	}{
		"v3":             {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/alipay/trade/create", Options: map[string]any{"body": body}}, nil, want{content: encoded}},
		"v3, GET":        {r.plain, nil, &sdkV3{HTTPMethod: "GET", Path: "/v3/alipay/user/info", Options: map[string]any{"query": map[string]any{"a": "1 +&=%2F茶", "b": ""}}}, nil, want{}},
		"v3, no body":    {r.plain, nil, &sdkV3{HTTPMethod: "DELETE", Path: "/v3/x"}, nil, want{}},
		"v3, request id": {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"requestId": "of-the-client"}}, nil, want{}},
		"v3, files": {
			r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/alipay/open/file/upload", Files: files, Options: map[string]any{"body": body}}, nil,
			want{content: `{"biz_type":"图",` + encoded[1:], files: files},
		},
		"v3, files as a stream":  {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Stream: files, Options: map[string]any{"body": body}}, nil, want{content: encoded, files: files}},
		"v3, files without data": {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Stream: files}, nil, want{files: files}},
		"v3, encrypted":          {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body, "needEncrypt": true}}, nil, want{content: encoded, encrypted: "AES"}},
		"v3, expiry":             {r.plain, map[string]any{"additionalAuthInfo": "expired_seconds=120"}, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body}}, nil, want{content: encoded}},
		"v3, certificates":       {r.certified, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body}}, nil, want{content: encoded}},
		"v3, our merchant":       {r.merchant, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body, "appAuthToken": alipayMerchant}}, nil, want{content: encoded, merchant: alipayMerchant}},
		"v3, merchant unsaid":    {r.merchant, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body}}, nil, want{content: encoded, merchant: alipayMerchant}},
		"v3, files, merchant":    {r.merchant, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Stream: files, Options: map[string]any{"body": body, "appAuthToken": alipayMerchant}}, nil, want{content: encoded, files: files, merchant: alipayMerchant}},
		"v3, another merchant":   {r.merchant, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body, "appAuthToken": "theirs"}}, nil, want{refused: true}},
		"v3, merchant for none":  {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body, "appAuthToken": "theirs"}}, nil, want{refused: true}},
		"v3, files, another":     {r.merchant, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Stream: files, Options: map[string]any{"body": body, "appAuthToken": "theirs"}}, nil, want{refused: true}},
		"v3, another app":        {r.plain, map[string]any{"appId": "2"}, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body}}, nil, want{refused: true}},
		"v3, unknown part":       {r.plain, map[string]any{"additionalAuthInfo": "merchant=theirs"}, &sdkV3{HTTPMethod: "POST", Path: "/v3/x", Options: map[string]any{"body": body}}, nil, want{refused: true}},
		"v3, unsigned error":     {r.plain, nil, &sdkV3{HTTPMethod: "POST", Path: "/v3/limited", Options: map[string]any{"body": body}}, nil, want{code: "app-call-limited"}},

		"v2":                    {r.plain, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body}}, want{content: encoded}},
		"v2, more parameters":   {r.plain, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body, "notifyUrl": "https://shop.example/?a=1&b=%20", "authToken": "user"}}, want{content: encoded}},
		"v2, encrypted":         {r.plain, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body, "needEncrypt": true}}, want{content: encoded, encrypted: "AES"}},
		"v2, certificates":      {r.certified, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body}}, want{content: encoded}},
		"v2, our merchant":      {r.merchant, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body, "appAuthToken": alipayMerchant}}, want{content: encoded, merchant: alipayMerchant}},
		"v2, merchant unsaid":   {r.merchant, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body}}, want{content: encoded, merchant: alipayMerchant}},
		"v2, another merchant":  {r.merchant, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body, "appAuthToken": "theirs"}}, want{refused: true}},
		"v2, merchant for none": {r.plain, nil, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body, "appAuthToken": "theirs"}}, want{refused: true}},
		"v2, files":             {r.plain, nil, nil, &sdkV2{Method: "alipay.offline.material.image.upload", Params: map[string]any{"image_name": "茶 & =+%"}, Files: files}, want{files: files}},
		"v2, files, merchant":   {r.merchant, nil, nil, &sdkV2{Method: "alipay.offline.material.image.upload", Params: map[string]any{"app_auth_token": alipayMerchant}, Files: files}, want{files: files, merchant: alipayMerchant}},
		"v2, files, unsaid":     {r.merchant, nil, nil, &sdkV2{Method: "alipay.offline.material.image.upload", Params: map[string]any{}, Files: files}, want{files: files, merchant: alipayMerchant}},
		"v2, files, another":    {r.merchant, nil, nil, &sdkV2{Method: "alipay.offline.material.image.upload", Params: map[string]any{"app_auth_token": "theirs"}, Files: files}, want{refused: true}},
		"v2, files, for none":   {r.plain, nil, nil, &sdkV2{Method: "alipay.offline.material.image.upload", Params: map[string]any{"app_auth_token": "theirs"}, Files: files}, want{refused: true}},
		"v2, files, certified":  {r.certified, nil, nil, &sdkV2{Method: "alipay.offline.material.image.upload", Params: map[string]any{}, Files: files}, want{files: files}},
		"v2, another app":       {r.plain, map[string]any{"appId": "2"}, nil, &sdkV2{Method: "alipay.trade.query", Params: map[string]any{"bizContent": body}}, want{refused: true}},
	}
	names := slices.Sorted(maps.Keys(calls))
	names = append(slices.DeleteFunc(names, func(n string) bool { return n == "v3, unsigned error" }), "v3, unsigned error") // it holds back what comes next
	var made []sdkCall
	for _, name := range names {
		c := calls[name]
		made = append(made, sdkCall{Config: with(c.site, c.config), V3: c.v3, V2: c.v2})
	}
	var results []sdkResult
	runNode(t, "client.mjs", made, &results)
	if len(results) != len(names) {
		t.Fatalf("%d results of %d calls", len(results), len(names))
	}
	arrived := 0
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			c, got := calls[name], results[i]
			if c.want.refused || c.want.code != "" {
				if got.Error == nil {
					t.Fatalf("answered: %+v", got.Answer)
				}
				if all := encode(t, got.Error); c.want.refused && !strings.Contains(string(all), "403") || strings.Contains(string(all), "theirs") {
					t.Errorf("refused with %s", all)
				}
				if c.want.code != got.Error.Code && c.v3 != nil && !c.want.refused {
					t.Errorf("code %q, want %q", got.Error.Code, c.want.code)
				}
				return
			}
			if got.Error != nil {
				t.Fatalf("%+v", *got.Error)
			}
			a := got.Answer
			if arrived++; a.Nth != arrived {
				t.Errorf("it is the request %d that arrived, and not %d", a.Nth, arrived)
			}
			if !a.Verified || a.AppID != alipayApp || a.Certified != (c.site == r.certified) {
				t.Errorf("the SDK finds verified %t, certified %t, app %s", a.Verified, a.Certified, a.AppID)
			}
			if a.Merchant != c.want.merchant || a.Content != c.want.content || a.Encrypted != c.want.encrypted {
				t.Errorf("for merchant %q, encrypted %q, %s", a.Merchant, a.Encrypted, a.Content)
			}
			if c.v3 != nil && a.RequestID == "" || c.v3 != nil && c.v3.Options["requestId"] != nil && a.RequestID != c.v3.Options["requestId"] {
				t.Errorf("request id %q", a.RequestID)
			}
			if want := map[bool]string{true: "图"}[c.v2 != nil && c.v2.Files != nil]; a.Text != want {
				t.Errorf("field beside the files %q, want %q", a.Text, want)
			}
			if len(a.Files) != len(c.want.files) {
				t.Errorf("files %v", a.Files)
			}
			for name, content := range c.want.files {
				if f := a.Files[name]; f.Content != content || f.Name != name+".png" {
					t.Errorf("file %s: %+v", name, f)
				}
			}
		})
	}
}

// TestAlipaySDKMeetsTheSimulator: the simulated agent API takes what the SDK signs, by itself and through the gateway.
func TestAlipaySDKMeetsTheSimulator(t *testing.T) {
	simulated, addr := startSimulator(t, sandbox.Config{
		Format: sandbox.NextBuilder, RequestsPerSecond: -1,
		Apps: []sandbox.App{{ClientID: alipayApp, PublicKey: publicPEM(t, appKey())}},
	})
	r := &alipayRig{dir: t.TempDir(), plain: heldport.Addr(t)}
	stopCaddy(t, simulated.close)
	loadCaddyfile(t, strings.NewReplacer("UPSTREAM", "http://"+addr, "APP", alipayApp, "KEY", r.write(t, "app.key", privatePEM(t, appKey())), "SITE", r.plain).Replace(`{
	admin off
	persist_config off
	auto_https off
	log {
		level ERROR
	}
	alipayai {
		provider agent {
			profile nextbuilder
			agent sandbox-agent
			base_url UPSTREAM
			client_id APP
			key 1 {file.KEY}
		}
	}
}
http://SITE {
	reverse_proxy UPSTREAM {
		transport alipayai agent {
			paths /v3/stream/*
			allow_anonymous
		}
	}
}`))
	direct, through := r.config(t, r.plain), r.config(t, r.plain)
	direct["endpoint"], direct["privateKey"], direct["additionalAuthInfo"] = "http://"+addr, privatePEM(t, appKey()), "expired_seconds=120,x=y"
	call := &sdkSSE{"/v3/stream/alipay/cloud/nextbuilder/agent/chat/generate", map[string]any{
		"agent_id": "sandbox-agent", "outer_user_id": "u", "query": "茶", "request_id": "1",
	}}
	var results []sdkResult
	runNode(t, "client.mjs", []sdkCall{{Config: direct, SSE: call}, {Config: through, SSE: call}}, &results)
	for i, name := range []string{"by itself", "through the gateway"} {
		if got := results[i]; got.Error != nil {
			t.Errorf("%s: %+v", name, *got.Error)
		} else if events := got.Answer.Events; len(events) != 5 || !strings.Contains(events[3].Data, "茶") {
			t.Errorf("%s: events %+v", name, events)
		}
	}
}

// TestCertificateIssuers: serial numbers of certificates are what the SDK computes, whatever their issuers are called.
func TestCertificateIssuers(t *testing.T) {
	r := &alipayRig{dir: t.TempDir()}
	issuers := map[string][]byte{
		"usual":   name(t, "C=CN", "2.5.4.10=Ant, Inc", "2.5.4.11=CA", "CN=x+y\"z\\"),
		"all":     name(t, "2.5.4.8=ZJ", "2.5.4.7=杭州", "1.2.840.113549.1.9.1=a@b"),
		"serial":  name(t, "CN=a", "2.5.4.5=9133"),
		"title":   name(t, "2.5.4.12=T", "CN=a", "2.5.4.9=Street", "2.5.4.17=310000", "2.5.4.13=d"),
		"domain":  name(t, "0.9.2342.19200300.100.1.25=com", "0.9.2342.19200300.100.1.1=u", "CN=a"),
		"EV":      name(t, "1.3.6.1.4.1.311.60.2.1.2=ZJ", "1.3.6.1.4.1.311.60.2.1.3=CN", "2.5.4.15=Private", "2.5.4.97=VAT"),
		"nothing": name(t),
		// A BMPString, and a T61String that is no UTF-8.
		"BMP": {0x30, 0x11, 0x31, 0x0f, 0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x03, 0x1e, 0x06, 0x00, 'A', 0x82, 0x9a, 0xe4, 0xbd},
		"T61": {0x30, 0x11, 0x31, 0x0f, 0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x03, 0x14, 0x06, 0xe4, 0xbd, 'A', 0xed, 0xa0, 0x80},
	}
	key := clientKey()
	in := map[string][]string{"certificates": {}, "bundles": {}}
	var ours, bundles []string
	bundle := ""
	names := slices.Sorted(maps.Keys(issuers))
	for _, issuer := range names {
		encoded := encodePEM("CERTIFICATE", certificate(t, &key.PublicKey, key, nil, issuers[issuer]))
		parsed, err := signer.ParseCertificate([]byte(encoded))
		if err != nil {
			t.Fatalf("%s: %v", issuer, err)
		}
		ours = append(ours, parsed.SN)
		in["certificates"] = append(in["certificates"], r.write(t, issuer+".crt", encoded))
		bundle += encoded
	}
	sn, err := signer.RootCertSN([]byte(bundle))
	if err != nil {
		t.Fatal(err)
	}
	bundles = append(bundles, sn)
	in["bundles"] = append(in["bundles"], r.write(t, "bundle.crt", bundle))
	var theirs struct{ Certificates, Bundles []string }
	runNode(t, "serials.mjs", in, &theirs)
	for i, issuer := range names {
		if len(theirs.Certificates) != len(ours) || ours[i] != theirs.Certificates[i] {
			t.Errorf("%s: %s, and the SDK says %v", issuer, ours[i], theirs.Certificates)
		}
	}
	if !slices.Equal(bundles, theirs.Bundles) {
		t.Errorf("bundle: %v, and the SDK says %v", bundles, theirs.Bundles)
	}
}
