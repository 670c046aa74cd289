package signer

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestOpenAPIV2SetsItsOwnParameters(t *testing.T) {
	c := openAPIConfig(t)
	c.AppCertSN, c.RootCertSN, c.AppAuthToken = "c1", "r1_r2", "aat-own"
	s := must(NewOpenAPIV2(c))(t)
	for name, m := range map[string]Message{
		"none given":         {Target: "/gateway.do?method=a.b"},
		"stale in the query": {Target: "/gateway.do?timestamp=2001-01-01+00%3A00%3A00&sign=AA%3D%3D&method=a.b&app_id=2021000000000001"},
		"stale in the body":  {Target: "/gateway.do?method=a.b", Body: []byte("sign=AA%3D%3D&app_cert_sn=old&sign_type=RSA2")},
	} {
		t.Run(name, func(t *testing.T) {
			m.Method, m.Time = "POST", testTime
			signed := must(s.Sign(m))(t)
			u := must(url.Parse(signed.Target))(t)
			q := u.Query()
			for param, want := range map[string]string{
				"app_id": "2021000000000001", "sign_type": "RSA2", "timestamp": "2026-01-02 11:00:00",
				"app_cert_sn": "c1", "alipay_root_cert_sn": "r1_r2", "app_auth_token": "aat-own", "method": "a.b",
			} {
				if len(q[param]) != 1 || q[param][0] != want {
					t.Errorf("%s: got %q, want %q", param, q[param], want)
				}
			}
			if len(signed.Body) > 0 || u.Path != "/gateway.do" || len(signed.Fields) > 0 {
				t.Errorf("got %+v", signed)
			}
			received := Message{Method: "POST", Target: signed.Target, Body: signed.Body}
			if err := s.VerifyRequest(received, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenAPIV2KeepsOtherBytes(t *testing.T) {
	s := must(NewOpenAPIV2(openAPIConfig(t)))(t)
	m := Message{
		Method: "POST",
		Target: "/gateway.do?method=a%2eb&notify_url=https://x/?a%3d1",
		Body:   []byte("biz_content={%22a%22:1}&app_id=2021000000000001&app_auth_token=ours&x=a+b%20c"),
		Time:   testTime,

		AppAuthToken: "ours",
	}
	signed := must(s.Sign(m))(t)
	if want := "/gateway.do?method=a%2eb&notify_url=https://x/?a%3d1&app_id="; !strings.HasPrefix(signed.Target, want) {
		t.Errorf("target: got %s", signed.Target)
	}
	if want := "biz_content={%22a%22:1}&x=a+b%20c"; string(signed.Body) != want {
		t.Errorf("body: got %s, want %s", signed.Body, want)
	}
	const want = `app_auth_token=ours&app_id=2021000000000001&biz_content={"a":1}&method=a.b&` +
		`notify_url=https://x/?a=1&sign_type=RSA2&timestamp=2026-01-02 11:00:00&x=a b c`
	if got := must(s.Canonical(m))(t); got != want {
		t.Errorf("canonical\n got %s\nwant %s", got, want)
	}
}

func TestOpenAPIV2RefusedRequests(t *testing.T) {
	s := must(NewOpenAPIV2(openAPIConfig(t)))(t)
	for name, c := range map[string]struct {
		query, body string
		want        error
	}{
		"another app":        {"app_id=2", "", ErrWrongIdentity},
		"RSA1":               {"sign_type=RSA", "", ErrWrongIdentity},
		"twice in the query": {"a=1&a=1", "", ErrMalformed},
		"query and body":     {"a=1", "a=1", ErrMalformed},
		"empty value":        {"a=", "", ErrMalformed},
		"no value":           {"a", "", ErrMalformed},
		"no name":            {"=1", "", ErrMalformed},
		"empty pair":         {"a=1&&b=2", "", ErrMalformed},
		"name with equals":   {"a%3D1=2", "", ErrMalformed},
		"bad escape":         {"a=%zz", "", ErrMalformed},
		"JSON body":          {"a=1", `{"b":"&c=d"}`, ErrMalformed},
		"multipart body":     {"a=1", "--x\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n1\r\n--x--", ErrMalformed},
		"token with &":       {"app_auth_token=a%26b", "", ErrWrongIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			m := Message{Method: "POST", Target: "/gateway.do?" + c.query, Body: []byte(c.body), Time: testTime}
			if _, err := s.Sign(m); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestOpenAPIV2Response(t *testing.T) {
	s := must(NewOpenAPIV2(openAPIConfig(t)))(t)
	vendor := RSAKeys{Keys: ring(t, map[int]*rsa.PrivateKey{1: vendorKey()})}
	sign := func(content string) string {
		_, raw, err := vendor.sign([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	const inner = `{"code":"10000","msg":"Success \"sign\":\"x\"}", "n":{"b" : 1}}`
	const share, any = "/gateway.do?method=alipay.user.share", "/gateway.do"
	for name, c := range map[string]struct {
		target, body string
		want         error
	}{
		"as sent":            {share, `{"alipay_user_share_response":` + inner + `,"sign":"` + sign(inner) + `"}`, nil},
		"method in the form": {any, `{"alipay_user_share_response":` + inner + `,"sign":"` + sign(inner) + `"}`, nil},
		"sign first":         {share, `{"sign":"` + sign(inner) + `","alipay_user_share_response":` + inner + `}`, nil},
		"spaces around":      {share, " {\"alipay_user_share_response\" : " + inner + " ,\n\"sign\": \"" + sign(inner) + "\"}\n", nil},
		"with certificate":   {share, `{"alipay_user_share_response":` + inner + `,"alipay_cert_sn":"1","sign":"` + sign(inner) + `"}`, nil},
		"escaped sign":       {share, `{"alipay_user_share_response":` + inner + `,"sign":"` + strings.ReplaceAll(sign(inner), "/", `\/`) + `"}`, nil},
		"escaped slashes": {share, `{"alipay_user_share_response":{"u":"http:\/\/a\\\/","b":"\\"},"sign":"` +
			sign(`{"u":"http://a\\/","b":"\\"}`) + `"}`, nil},
		"slashes signed escaped": {share, `{"alipay_user_share_response":{"u":"a\/b"},"sign":"` + sign(`{"u":"a\/b"}`) + `"}`, nil},
		"escaped backslash":      {share, `{"alipay_user_share_response":{"u":"a\\/b"},"sign":"` + sign(`{"u":"a\/b"}`) + `"}`, ErrBadSignature},
		"error response":         {share, `{"error_response":{"code":"40002"},"sign":"` + sign(`{"code":"40002"}`) + `"}`, nil},
		"encrypted":              {share, `{"alipay_user_share_response":"AbC=","sign":"` + sign(`"AbC="`) + `"}`, nil},
		"unsigned":               {share, `{"alipay_user_share_response":` + inner + `}`, ErrUnsigned},
		"changed":                {share, `{"alipay_user_share_response":` + inner + ` ,"sign":"` + sign(inner+" ") + `"}`, ErrBadSignature},
		"another method":         {share, `{"alipay_user_get_response":` + inner + `,"sign":"` + sign(inner) + `"}`, ErrMalformed},
		"member twice": {share, `{"alipay_user_share_response":{},"alipay_user_share_response":` + inner +
			`,"sign":"` + sign(inner) + `"}`, ErrMalformed},
		"two members": {any, `{"a_response":{},"alipay_user_share_response":` + inner + `,"sign":"` + sign(inner) + `"}`, ErrMalformed},
		"inside a string": {share, `{"x":"\"alipay_user_share_response\":` + `{}` + `","sign":"` + sign("{}") + `"}`,
			ErrMalformed},
		"more behind":       {share, `{"alipay_user_share_response":` + inner + `,"sign":"` + sign(inner) + `"}{}`, ErrMalformed},
		"sign not a string": {share, `{"alipay_user_share_response":` + inner + `,"sign":1}`, ErrMalformed},
		"sign not base64":   {share, `{"alipay_user_share_response":` + inner + `,"sign":"a"}`, ErrMalformed},
		"no object":         {share, `[]`, ErrUnsigned},
		"cut":               {share, `{"alipay_user_share_response":` + inner, ErrUnsigned},
		"cut after sign":    {share, `{"sign":"` + sign(inner) + `","alipay_user_share_response":` + inner, ErrMalformed},
		"no member":         {share, `{"sign":"` + sign(inner) + `"}`, ErrMalformed},
		"another JSON":      {share, `{"error":"no route"}`, ErrUnsigned},
		"empty sign":        {share, `{"alipay_user_share_response":` + inner + `,"sign":""}`, ErrUnsigned},
		"no JSON":           {share, `<html>`, ErrUnsigned},
		"empty":             {share, ``, ErrUnsigned},
	} {
		t.Run(name, func(t *testing.T) {
			m := Message{Method: "POST", Target: c.target, Body: []byte(c.body)}
			if err := s.VerifyResponse(m, nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
