package signer

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSignature(t *testing.T) {
	const good = "algorithm=HMAC-SHA256,keyVersion=12,signature=%2B%2F8%3D"
	for name, header := range map[string]string{
		"as signed":    good,
		"with spaces":  "algorithm=HMAC-SHA256, keyVersion=12, signature=%2B%2F8%3D",
		"other order":  "signature=%2B%2F8%3D,keyVersion=12,algorithm=HMAC-SHA256",
		"one space":    "algorithm=HMAC-SHA256, keyVersion=12,signature=%2B%2F8%3D",
		"leading too ": " algorithm=HMAC-SHA256,keyVersion=12,signature=%2B%2F8%3D",
	} {
		t.Run(name, func(t *testing.T) {
			s := must(ParseSignature(header))(t)
			if got := string(s.Append(nil)); got != good {
				t.Errorf("got %s", got)
			}
		})
	}
	for name, header := range map[string]string{
		"empty":                "",
		"no algorithm":         "keyVersion=12,signature=AA%3D%3D",
		"no version":           "algorithm=RSA256,signature=AA%3D%3D",
		"no signature":         "algorithm=RSA256,keyVersion=1",
		"empty signature":      "algorithm=RSA256,keyVersion=1,signature=",
		"unknown algorithm":    "algorithm=RSA512,keyVersion=1,signature=AA%3D%3D",
		"algorithm in lower":   "algorithm=rsa256,keyVersion=1,signature=AA%3D%3D",
		"unknown part":         good + ",x=y",
		"trailing comma":       good + ",",
		"algorithm twice":      good + ",algorithm=HMAC-SHA256",
		"version twice":        good + ",keyVersion=12",
		"signature twice":      good + ",signature=%2B%2F8%3D",
		"two spaces":           "algorithm=RSA256,  keyVersion=1,signature=AA%3D%3D",
		"version zero":         "algorithm=RSA256,keyVersion=0,signature=AA%3D%3D",
		"version signed":       "algorithm=RSA256,keyVersion=+1,signature=AA%3D%3D",
		"version padded":       "algorithm=RSA256,keyVersion=01,signature=AA%3D%3D",
		"version overflows":    "algorithm=RSA256,keyVersion=4294967297,signature=AA%3D%3D",
		"version not a number": "algorithm=RSA256,keyVersion=a,signature=AA%3D%3D",
		"raw padding":          "algorithm=RSA256,keyVersion=1,signature=AA==",
		"raw plus":             "algorithm=RSA256,keyVersion=1,signature=+/8%3D",
		"lower-case escape":    "algorithm=RSA256,keyVersion=1,signature=AA%3d%3d",
		"needless escape":      "algorithm=RSA256,keyVersion=1,signature=%41A%3D%3D",
		"no padding":           "algorithm=RSA256,keyVersion=1,signature=AA",
		"set trailing bits":    "algorithm=RSA256,keyVersion=1,signature=AB%3D%3D",
		"cut escape":           "algorithm=RSA256,keyVersion=1,signature=AA%3D%3",
		"newline in base64":    "algorithm=RSA256,keyVersion=1,signature=AA\n%3D%3D",
		"URL alphabet":         "algorithm=RSA256,keyVersion=1,signature=_w%3D%3D",
		"oversized":            "algorithm=RSA256,keyVersion=1,signature=" + strings.Repeat("AAAA", 1200),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ParseSignature(header)
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, %v", s, err)
			}
			if strings.Contains(err.Error(), "AA") {
				t.Errorf("%q tells the signature", err)
			}
		})
	}
}

func TestParseAuthorization(t *testing.T) {
	for name, auth := range map[string]string{
		"plain":            "app_id=1,nonce=n,timestamp=2",
		"with certificate": "app_id=1,app_cert_sn=c,nonce=n,timestamp=2",
		"with an expiry":   "app_id=1,nonce=n,timestamp=2,expired_seconds=120",
		"with more parts":  "app_id=1,app_cert_sn=c,nonce=n,timestamp=2,expired_seconds=120,x=y",
	} {
		t.Run(name, func(t *testing.T) {
			a := must(ParseAuthorization("ALIPAY-SHA256withRSA " + auth + ",sign=AA=="))(t)
			if a.authString() != auth || len(a.Sign) != 1 {
				t.Errorf("got %+v", a)
			}
		})
	}
	for name, header := range map[string]string{
		"empty":               "",
		"other scheme":        "Bearer app_id=1,nonce=n,timestamp=2,sign=AA==",
		"scheme in lower":     "alipay-sha256withrsa app_id=1,nonce=n,timestamp=2,sign=AA==",
		"two spaces":          "ALIPAY-SHA256withRSA  app_id=1,nonce=n,timestamp=2,sign=AA==",
		"no app_id":           "ALIPAY-SHA256withRSA nonce=n,timestamp=2,sign=AA==",
		"empty app_id":        "ALIPAY-SHA256withRSA app_id=,nonce=n,timestamp=2,sign=AA==",
		"empty certificate":   "ALIPAY-SHA256withRSA app_id=1,app_cert_sn=,nonce=n,timestamp=2,sign=AA==",
		"no nonce":            "ALIPAY-SHA256withRSA app_id=1,timestamp=2,sign=AA==",
		"nonce twice":         "ALIPAY-SHA256withRSA app_id=1,nonce=n,nonce=n,timestamp=2,sign=AA==",
		"nonce with space":    "ALIPAY-SHA256withRSA app_id=1,nonce=n m,timestamp=2,sign=AA==",
		"nonce with equals":   "ALIPAY-SHA256withRSA app_id=1,nonce=n=m,timestamp=2,sign=AA==",
		"no timestamp":        "ALIPAY-SHA256withRSA app_id=1,nonce=n,sign=AA==",
		"odd timestamp":       "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=-2,sign=AA==",
		"padded timestamp":    "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=02,sign=AA==",
		"other order":         "ALIPAY-SHA256withRSA nonce=n,app_id=1,timestamp=2,sign=AA==",
		"extra before":        "ALIPAY-SHA256withRSA app_id=1,nonce=n,expired_seconds=120,timestamp=2,sign=AA==",
		"extra without value": "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,x=,sign=AA==",
		"extra without name":  "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,=y,sign=AA==",
		"extra, no equals":    "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,x,sign=AA==",
		"extra with space":    "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2, x=y,sign=AA==",
		"extra, two equals":   "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,x=y=z,sign=AA==",
		"extra twice":         "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,x=y,x=y,sign=AA==",
		"extra app_id":        "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,app_id=2,sign=AA==",
		"extra APP_ID":        "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,APP_ID=2,sign=AA==",
		"extra certificate":   "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,app_cert_sn=c,sign=AA==",
		"sign twice":          "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=AA==,sign=AA==",
		"no sign":             "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2",
		"empty sign":          "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=",
		"sign not last":       "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=AA==,x=y",
		"trailing comma":      "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=AA==,",
		"space after a comma": "ALIPAY-SHA256withRSA app_id=1, nonce=n,timestamp=2,sign=AA==",
		"odd base64":          "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=AB==",
		"newline in base64":   "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=AA=\n=",
		"oversized":           "ALIPAY-SHA256withRSA app_id=1,nonce=n,timestamp=2,sign=" + strings.Repeat("AAAA", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := ParseAuthorization(header); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}
