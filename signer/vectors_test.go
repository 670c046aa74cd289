package signer

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The vectors of HMAC were made by an independent implementation, those of RSA by the official SDKs; their
// private keys are not here, so for RSA the canonical string must match and the signature verify over it.

func TestVectorsHMAC(t *testing.T) {
	for _, v := range vectors[struct {
		Name, Secret, Method, Target, Body string
		KeyVersion                         int    `json:"key_version"`
		ClientID                           string `json:"client_id"`
		RequestTime                        string `json:"request_time"`
		StringToSign                       string `json:"string_to_sign"`
		SignatureHeader                    string `json:"signature_header"`
	}](t, "hmac_sha256_vectors.json") {
		t.Run(v.Name, func(t *testing.T) {
			keys := ring(t, map[int]*HMACKey{v.KeyVersion: NewHMACKey([]byte(v.Secret))})
			s := must(NewHMAC(HMACConfig{ClientID: v.ClientID, Keys: keys}))(t)
			m := Message{Method: v.Method, Target: v.Target, Body: []byte(v.Body), Time: atMillis(t, v.RequestTime)}
			if got := must(s.Canonical(m))(t); got != v.StringToSign {
				t.Errorf("canonical string\n got %q\nwant %q", got, v.StringToSign)
			}
			got := header(must(s.Sign(m))(t).Fields)
			for name, want := range map[string]string{
				"Client-Id": v.ClientID, "Request-Time": v.RequestTime, "Signature": v.SignatureHeader,
			} {
				if got[name] == nil || got[name][0] != want {
					t.Errorf("%s: got %q, want %q", name, got[name], want)
				}
			}
			if err := s.VerifyRequest(m, got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVectorsGlobal(t *testing.T) {
	for _, v := range vectors[struct {
		Name, Method, Path, ClientID, Time, Body, StringToSign, SignatureHeader string
	}](t, "global_sign_vectors.json") {
		t.Run(v.Name, func(t *testing.T) {
			c := GlobalConfig{ClientID: v.ClientID, RSAKeys: RSAKeys{RequestKeys: vectorKeys(t, "test_app_public.pem")}}
			m := Message{Method: v.Method, Target: v.Path, Body: []byte(v.Body)}
			if at, err := time.Parse(time.RFC3339, v.Time); err == nil {
				c.ISO8601, m.Time = true, at
			} else {
				m.Time = atMillis(t, v.Time)
			}
			s := must(NewGlobal(c))(t)
			if got := must(s.Canonical(m))(t); got != v.StringToSign {
				t.Errorf("canonical string\n got %q\nwant %q", got, v.StringToSign)
			}
			h := http.Header{"Client-Id": {v.ClientID}, "Request-Time": {v.Time}, "Signature": {v.SignatureHeader}}
			if err := s.VerifyRequest(m, h); err != nil {
				t.Error(err)
			}
			if _, err := s.Sign(m); !errors.Is(err, ErrNoKeys) {
				t.Errorf("signing without a private key: got %v", err)
			}
			// What the SDK wrote is also what Append writes.
			parsed := must(ParseSignature(v.SignatureHeader))(t)
			if got := string(parsed.Append(nil)); got != v.SignatureHeader {
				t.Errorf("header\n got %q\nwant %q", got, v.SignatureHeader)
			}
		})
	}
}

func TestVectorsOpenAPIV3(t *testing.T) {
	for _, v := range vectors[struct {
		Name    string
		Request struct {
			Method, Body string
			RequestURI   string `json:"request_uri"`
			Headers      map[string]string
		}
		StringToSign string `json:"string_to_sign"`
		AuthString   string `json:"auth_string"`
		Sign         string
		Response     struct {
			Headers map[string]string
			Body    string
		}
	}](t, "v3_request_response_vectors.json") {
		t.Run(v.Name, func(t *testing.T) {
			a := must(ParseAuthorization(v.Request.Headers["authorization"]))(t)
			if a.authString() != v.AuthString || base64.StdEncoding.EncodeToString(a.Sign) != v.Sign {
				t.Errorf("parsed %q", a.authString())
			}
			s := must(NewOpenAPIV3(OpenAPIConfig{AppID: a.AppID, RSAKeys: RSAKeys{
				RequestKeys:  vectorKeys(t, "test_app_public.pem"),
				ResponseKeys: vectorKeys(t, "test_alipay_public.pem"),
			}}))(t)
			m := Message{
				Method: v.Request.Method,
				Target: v.Request.RequestURI,
				Body:   []byte(v.Request.Body),
				Time:   atMillis(t, a.Timestamp),
				Nonce:  a.Nonce,
			}
			if got := must(s.Canonical(m))(t); got != v.StringToSign {
				t.Errorf("canonical string\n got %q\nwant %q", got, v.StringToSign)
			}
			if err := s.VerifyRequest(m, canonicalHeader(v.Request.Headers)); err != nil {
				t.Error(err)
			}
			m.Body = []byte(v.Response.Body)
			h := canonicalHeader(v.Response.Headers)
			if err := s.VerifyResponse(m, h); err != nil {
				t.Error(err)
			}
			m.Body = append(m.Body, ' ')
			if err := s.VerifyResponse(m, h); !errors.Is(err, ErrBadSignature) {
				t.Errorf("changed response: got %v", err)
			}
		})
	}
}

func TestVectorsOpenAPIV2(t *testing.T) {
	for _, v := range vectors[struct {
		Name         string
		Params       map[string]string
		StringToSign string `json:"string_to_sign"`
		Sign         string
	}](t, "v2_request_sign_vectors.json") {
		t.Run(v.Name, func(t *testing.T) {
			s := must(NewOpenAPIV2(OpenAPIConfig{
				AppID:        v.Params["app_id"],
				AppAuthToken: v.Params["app_auth_token"],
				RSAKeys:      RSAKeys{RequestKeys: vectorKeys(t, "test_app_public.pem")},
			}))(t)
			at := must(time.ParseInLocation(timestampV2, v.Params["timestamp"], s.zone))(t)
			query, form := url.Values{}, url.Values{}
			for name, value := range v.Params {
				if name == "biz_content" {
					form.Set(name, value)
				} else {
					query.Set(name, value)
				}
			}
			for where, m := range map[string]Message{
				"query and body": {Target: "/gateway.do?" + query.Encode(), Body: []byte(form.Encode())},
				"body":           {Target: "/gateway.do", Body: []byte(strings.Trim(query.Encode()+"&"+form.Encode(), "&"))},
				"query":          {Target: "/gateway.do?" + strings.Trim(query.Encode()+"&"+form.Encode(), "&")},
			} {
				m.Method, m.Time = "POST", at
				if got := must(s.Canonical(m))(t); got != v.StringToSign {
					t.Errorf("%s: canonical string\n got %q\nwant %q", where, got, v.StringToSign)
				}
				target := m.Target + "?sign=" + url.QueryEscape(v.Sign)
				if strings.Contains(m.Target, "?") {
					target = m.Target + "&sign=" + url.QueryEscape(v.Sign)
				}
				received := Message{Method: "POST", Target: target, Body: m.Body}
				if err := s.VerifyRequest(received, nil); err != nil {
					t.Errorf("%s: %v", where, err)
				}
			}
		})
	}
}

func atMillis(t *testing.T, text string) time.Time {
	t.Helper()
	return time.UnixMilli(must(strconv.ParseInt(text, 10, 64))(t))
}

func canonicalHeader(fields map[string]string) http.Header {
	h := make(http.Header)
	for name, value := range fields {
		h.Set(name, value)
	}
	return h
}
