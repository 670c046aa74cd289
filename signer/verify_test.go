package signer

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// A certificate says with which key an app signs: a request of another one, or of none, is another app's.
func TestOpenAPIV3ComparesCertificates(t *testing.T) {
	serials := map[string]string{"none": "", "one": "cert-1", "another": "cert-2"}
	scheme := func(sn string) *OpenAPIV3 {
		config := openAPIConfig(t)
		if sn != "" {
			config.AppCertSN, config.RootCertSN = sn, "root"
		}
		return must(NewOpenAPIV3(config))(t)
	}
	m := Message{Method: "POST", Target: "/v3/pay", Body: []byte("{}"), Time: testTime, Nonce: "n"}
	for sent, sentSN := range serials {
		signed := must(scheme(sentSN).Sign(m))(t)
		for known, knownSN := range serials {
			err := scheme(knownSN).VerifyRequest(m, header(signed.Fields))
			if sent == known && err != nil || sent != known && !errors.Is(err, ErrWrongIdentity) {
				t.Errorf("certificate %s where %s is known: %v", sent, known, err)
			}
		}
	}
}

// The layout's two algorithms have one header: the value of one under the name of the other is not its signature.
func TestSignatureNamesItsAlgorithm(t *testing.T) {
	m := Message{Method: "POST", Target: "/v1/chat/completions", Body: []byte("{}"), Time: testTime}
	for name, c := range map[string]struct {
		scheme   Scheme
		from, to string
	}{
		"hmac-sha256": {newHMAC(t, "app"), AlgorithmHMAC, AlgorithmRSA},
		"global":      {must(NewGlobal(GlobalConfig{ClientID: "app", RSAKeys: rsaKeys(t)}))(t), AlgorithmRSA, AlgorithmHMAC},
	} {
		t.Run(name, func(t *testing.T) {
			h := header(must(c.scheme.Sign(m))(t).Fields)
			if err := c.scheme.VerifyRequest(m, h); err != nil {
				t.Fatal(err)
			}
			h.Set("Signature", strings.Replace(h.Get("Signature"), c.from, c.to, 1))
			if err := c.scheme.VerifyRequest(m, h); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A time is read as an int64 by whoever judges it: one that does not fit is none.
func TestTimesFit(t *testing.T) {
	for digits, ok := range map[string]bool{
		"1": true, "999999999999999999": true, "1000000000000000000": false, "9223372036854775808": false, "9999999999999999999": false,
		"10000000000000000000": false, "0": false, "01": false, "": false, "1a": false, "-1": false,
	} {
		_, err := ParseAuthorization("ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=" + digits + ",sign=AAAA")
		if ok != (err == nil) {
			t.Errorf("%q: %v", digits, err)
		}
	}
}

// Of a member that comes twice another reader might take the other one, wherever it stands.
func TestOpenAPIV2AnswerRepeatsNothing(t *testing.T) {
	const content = `{"code":"10000"}`
	sum := sha256.Sum256([]byte(content))
	sign := base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(nil, vendorKey(), crypto.SHA256, sum[:]))(t))
	s := must(NewOpenAPIV2(openAPIConfig(t)))(t)
	m := Message{Method: "GET", Target: "/gateway.do?method=a.b"}
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"once":          {`{"a_b_response":` + content + `,"sign":"` + sign + `"}`, nil},
		"with another":  {`{"a_b_response":` + content + `,"x":1,"sign":"` + sign + `"}`, nil},
		"content twice": {`{"a_b_response":` + content + `,"a_b_response":` + content + `,"sign":"` + sign + `"}`, ErrMalformed},
		"sign twice":    {`{"a_b_response":` + content + `,"sign":"` + sign + `","sign":"` + sign + `"}`, ErrMalformed},
		"another twice": {`{"x":1,"a_b_response":` + content + `,"x":2,"sign":"` + sign + `"}`, ErrMalformed},
		"twice, spelt":  {`{"x":1,"a_b_response":` + content + `,"\u0078":2,"sign":"` + sign + `"}`, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m.Body = []byte(c.body)
			if err := s.VerifyResponse(m, nil); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
