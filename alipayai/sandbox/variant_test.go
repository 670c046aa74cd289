package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// variantClient is a client of one variant, by code of its own.
type variantClient struct {
	target  string
	unit    time.Duration
	content func(method, target, at string, body []byte) string
	field   string
	encode  func(mac []byte) string
	token   string
	ahead   time.Duration
	hash    func() hash.Hash // SHA-256 unless set
	time    string           // the form of the time in China, for one that is no number
}

func plainClient() variantClient {
	return variantClient{
		target: pathModels, unit: time.Millisecond, field: "Signature", token: "Authorization",
		content: func(method, target, at string, body []byte) string {
			return method + " " + target + "\n" + DemoClientID + "." + at + "." + string(body)
		},
		encode: func(mac []byte) string {
			return "algorithm=HMAC-SHA256,keyVersion=1,signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac))
		},
	}
}

// request signs a request for the models as the variant has it.
func (d variantClient) request(t *testing.T, base, token string, now time.Time) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, base+d.target, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := strconv.FormatInt(now.Add(d.ahead).UnixNano()/int64(d.unit), 10)
	if d.time != "" {
		at = now.UTC().Add(8 * time.Hour).Format(d.time)
	}
	if d.hash == nil {
		d.hash = sha256.New
	}
	mac := hmac.New(d.hash, []byte(demoKey()))
	io.WriteString(mac, d.content(http.MethodGet, d.target, at, nil))
	req.Header.Set("Client-Id", DemoClientID)
	req.Header.Set("Request-Time", at)
	req.Header.Set(d.field, d.encode(mac.Sum(nil)))
	if d.token == "Authorization" {
		token = "Bearer " + token
	}
	req.Header.Set(d.token, token)
	return req
}

// A variant takes what it wants, and refuses what every other API takes.
func TestVariantsWantTheirOwnForm(t *testing.T) {
	for variant, tc := range map[Variant]struct {
		change func(*variantClient)
		status int // of the plain form
		code   string
	}{
		VariantLayout: {func(d *variantClient) {
			d.content = func(method, target, at string, body []byte) string {
				return fmt.Sprintf("%s\n%s\n%s\n%s\n%x", method, target, DemoClientID, at, sha256.Sum256(body))
			}
		}, 401, codeInvalidSignature},
		VariantSHA512: {func(d *variantClient) { d.hash = sha512.New }, 401, codeInvalidSignature},
		VariantZone:   {func(d *variantClient) { d.time = "2006-01-02 15:04:05" }, 401, codeInvalidTime},
		VariantDigest: {func(d *variantClient) {
			d.content = func(method, target, at string, body []byte) string {
				digest := sha256.Sum256(body)
				return method + " " + target + "\n" + DemoClientID + "." + at + "." + base64.StdEncoding.EncodeToString(digest[:])
			}
		}, 401, codeInvalidSignature},
		VariantHex:         {func(d *variantClient) { d.field, d.encode = "X-Signature", hex.EncodeToString }, 401, codeInvalidSignature},
		VariantSeconds:     {func(d *variantClient) { d.unit = time.Second }, 401, codeInvalidTime},
		VariantTokenHeader: {func(d *variantClient) { d.token = "X-Access-Token" }, 401, codeInvalidToken},
		VariantPaths:       {func(d *variantClient) { d.target = "/api" + pathModels }, 404, codeInvalidAPI},
		VariantSkew:        {func(d *variantClient) { d.ahead = 10 * time.Minute }, 401, codeInvalidTime},
	} {
		t.Run(string(variant), func(t *testing.T) {
			g := newRig(t, Config{Variants: []Variant{variant}})
			var models struct{ Data []struct{ ID string } }
			own := plainClient()
			tc.change(&own)
			resp, err := g.do(own.request(t, g.web.URL, g.token, g.now()))
			if err != nil {
				t.Fatal(err)
			}
			if g.read(resp, http.StatusOK, &models); len(models.Data) != 3 {
				t.Errorf("%d models", len(models.Data))
			}
			var refused apiError
			if resp, err = g.do(plainClient().request(t, g.web.URL, g.token, g.now())); err != nil {
				t.Fatal(err)
			}
			if g.read(resp, tc.status, &refused); refused.Code != tc.code {
				t.Errorf("the plain form gets %q, want %q", refused.Code, tc.code)
			}
		})
	}
}

func TestVariantsOfTheTokenEndpoint(t *testing.T) {
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	object, _ := json.Marshal(map[string]string{"grant_type": "client_credentials", "client_id": DemoClientID, "client_secret": DemoOAuthSecret})
	values := url.Values{"grant_type": {"client_credentials"}, "client_id": {DemoClientID}, "client_secret": {DemoOAuthSecret}}
	for variant, tc := range map[Variant]struct {
		kind   string
		body   []byte
		member string
	}{
		VariantTokenJSON: {jsonType, object, "access_token"},
		VariantTokenPost: {form, []byte(values.Encode()), "accessToken"},
	} {
		t.Run(string(variant), func(t *testing.T) {
			srv, err := New(Config{Variants: []Variant{variant}})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(kind string, body []byte, basic bool) (status int, answer map[string]any) {
				rec := newRecorder(t, srv, func(req *http.Request) {
					req.Header.Set("Content-Type", kind)
					if basic {
						req.SetBasicAuth(DemoClientID, DemoOAuthSecret)
					}
				}, body)
				if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
					t.Fatal(err)
				}
				return rec.Code, answer
			}
			if status, answer := ask(tc.kind, tc.body, false); status != http.StatusOK || answer[tc.member] == nil {
				t.Errorf("its own form: status %d, answer %v", status, answer)
			}
			if status, answer := ask(form, []byte("grant_type=client_credentials"), true); status < 400 {
				t.Errorf("HTTP Basic: status %d, answer %v", status, answer)
			}
		})
	}
}

// newRecorder is what the simulator answers to a POST to its token endpoint, but for what change changes.
func newRecorder(t *testing.T, srv *Server, change func(*http.Request), body []byte) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, pathToken, bytes.NewReader(body))
	change(req)
	rec := httptest.NewRecorder()
	srv.ServeHTTP(rec, req)
	return rec
}

func TestVariantErrors(t *testing.T) {
	g := newRig(t, Config{Variants: []Variant{VariantErrors}})
	g.token = "made-up-token"
	var got struct {
		Code, Msg string
		Data      json.RawMessage
	}
	g.call("GET", pathModels, nil, http.StatusOK, &got)
	if got.Code != VariantErrorCode(codeInvalidToken) || got.Msg == "" || string(got.Data) != "null" {
		t.Errorf("answer %+v", got)
	}
	g.wantCode(codeInvalidToken, 1) // the statistics keep the simulator's own words
}

func TestVariantHTTP1(t *testing.T) {
	srv, err := New(Config{Variants: []Variant{VariantHTTP1}})
	if err != nil {
		t.Fatal(err)
	}
	for major, want := range map[int]int{1: http.StatusUnauthorized, 2: http.StatusHTTPVersionNotSupported, 3: http.StatusHTTPVersionNotSupported} {
		rec := newRecorder(t, srv, func(req *http.Request) { req.ProtoMajor, req.URL.Path, req.Method = major, pathModels, http.MethodGet }, nil)
		if rec.Code != want {
			t.Errorf("HTTP/%d: status %d, want %d", major, rec.Code, want)
		}
	}
}

// The other versions of HTTP, and the base of all endpoints.
func TestVariantsOfConnections(t *testing.T) {
	for name, tc := range map[string]struct {
		variant Variant
		major   int
		path    string
		status  int
	}{
		"HTTP/1.1, where HTTP/2 is wanted": {VariantHTTP2, 1, pathToken, http.StatusHTTPVersionNotSupported},
		"HTTP/2, where it is":              {VariantHTTP2, 2, pathToken, http.StatusOK},
		"the base":                         {VariantBase, 1, "/gateway" + pathToken, http.StatusOK},
		"no base":                          {VariantBase, 1, pathToken, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := New(Config{Variants: []Variant{tc.variant}})
			if err != nil {
				t.Fatal(err)
			}
			rec := newRecorder(t, srv, func(req *http.Request) {
				req.ProtoMajor, req.URL.Path = tc.major, tc.path
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.SetBasicAuth(DemoClientID, DemoOAuthSecret)
			}, []byte("grant_type=client_credentials"))
			if rec.Code != tc.status {
				t.Errorf("status %d, want %d: %s", rec.Code, tc.status, rec.Body)
			}
		})
	}
}

// Requests and streams of the variants are written out here, byte for byte.
func TestVariantsOfBodies(t *testing.T) {
	call := string(chatBody("hi", `,"stream":true`))
	quoted, _ := json.Marshal(call)
	for name, tc := range map[string]struct {
		variant Variant
		body    string
		status  int
		begins  string
		ends    string
	}{
		"wrapped":              {VariantWrapped, `{"biz_content":` + string(quoted) + `}`, 200, "data: {", "data: [DONE]\n\n"},
		"wrapped in an object": {VariantWrapped, `{"biz_content":` + call + `}`, 400, `{"code":"PARAM_ILLEGAL"`, "}"},
		"wrapped, with more":   {VariantWrapped, `{"biz_content":` + string(quoted) + `,"app":"a"}`, 400, `{"code":"PARAM_ILLEGAL"`, "}"},
		"not wrapped":          {VariantWrapped, call, 400, `{"code":"PARAM_ILLEGAL"`, "}"},
		"lines":                {VariantLines, call, 200, `{"choices":`, "{\"is_end\":true}\n"},
		"names of events":      {VariantNamedEvents, call, 200, "data: {\"note\":", "data: {\"type\":\"end\"}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, Config{Variants: []Variant{tc.variant}})
			resp, err := g.do(g.signed("POST", pathChat, []byte(tc.body)))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.status || !strings.HasPrefix(string(got), tc.begins) || !strings.HasSuffix(string(got), tc.ends) {
				t.Errorf("%d: %s %v", resp.StatusCode, got, err)
			}
		})
	}
}

func TestVariantsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"unknown":         {Config{Variants: []Variant{"md5"}}, `Variants[0] "md5"`},
		"twice":           {Config{Variants: []Variant{VariantHex, VariantHex}}, "Variants[1]"},
		"two signatures":  {Config{Variants: []Variant{VariantHex, VariantSeconds}}, "exclude each other"},
		"two token forms": {Config{Variants: []Variant{VariantTokenJSON, VariantPaths, VariantTokenPost}}, "exclude each other"},
		"another format":  {Config{Format: Anthropic, Variants: []Variant{VariantHTTP1}}, "Variants: format anthropic"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(tc.cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// Answers of the variants have their own names, in JSON and in the events of streams.
func TestVariantsOfAnswers(t *testing.T) {
	g := newRig(t, Config{Variants: []Variant{VariantEnvelope, VariantErrorNames}})
	var listed struct {
		Code, TraceID string
		Response      struct{ Data []struct{ ID string } }
	}
	if g.call("GET", pathModels, nil, http.StatusOK, &listed); listed.Code != variantSuccess || listed.TraceID == "" || len(listed.Response.Data) != 3 {
		t.Errorf("models %+v", listed)
	}
	g.token = "made-up-token"
	var refused map[string]any
	if g.call("GET", pathModels, nil, http.StatusUnauthorized, &refused); refused["errNo"] != codeInvalidToken || refused["errText"] == "" || refused["code"] != nil {
		t.Errorf("error %v", refused)
	}
	srv, err := New(Config{Variants: []Variant{VariantTokenAnswer}})
	if err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(t, srv, func(req *http.Request) {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(DemoClientID, DemoOAuthSecret)
	}, []byte("grant_type=client_credentials"))
	var token struct {
		Code string
		Data struct {
			Token string
			TTL   int64
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &token); err != nil || token.Code != variantSuccess || token.Data.Token == "" || token.Data.TTL != 1_800_000 {
		t.Errorf("token %s: %v", rec.Body, err)
	}
}
