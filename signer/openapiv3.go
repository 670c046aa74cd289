package signer

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Header fields of openapi-v3, in canonical form.
const (
	headerAppAuthToken = "Alipay-App-Auth-Token"
	headerRootCertSN   = "Alipay-Root-Cert-Sn"
	headerTimestamp    = "Alipay-Timestamp"
	headerNonce        = "Alipay-Nonce"
	headerSignature    = "Alipay-Signature"
)

// OpenAPIConfig configures an openapi-v3 or openapi-v2 scheme.
type OpenAPIConfig struct {
	AppID string
	RSAKeys
	// AppCertSN and RootCertSN switch the certificate mode on: see ParseCertificate and RootCertSN. Both or none.
	AppCertSN, RootCertSN string
	// AppAuthToken is the merchant's token when an app acts for one merchant only; optional.
	AppAuthToken string
}

// openAPI is c for an Open Platform scheme.
func (c Config) openAPI() OpenAPIConfig {
	return OpenAPIConfig{
		AppID: c.ClientID, RSAKeys: c.RSAKeys,
		AppCertSN: c.AppCertSN, RootCertSN: c.RootCertSN, AppAuthToken: c.AppAuthToken,
	}
}

// check refuses values that hold the separators of the scheme's layout.
func (c *OpenAPIConfig) check(scheme, separators string) error {
	if err := checkID("app_id", c.AppID, separators); err != nil {
		return err
	}
	if err := checkOptionalID("app_cert_sn", c.AppCertSN, separators); err != nil {
		return err
	}
	if err := checkOptionalID("root_cert_sn", c.RootCertSN, separators); err != nil {
		return err
	}
	if (c.AppCertSN == "") != (c.RootCertSN == "") {
		return errors.New("app_cert_sn: must be set together with root_cert_sn")
	}
	if err := checkOptionalID("app_auth_token", c.AppAuthToken, "&"); err != nil {
		return err
	}
	return c.RSAKeys.check(scheme)
}

// OpenAPIV3 is the scheme of Alipay Open Platform v3, as its official Node SDK does it:
//
//	Authorization: ALIPAY-SHA256withRSA <auth>,sign=<base64(signature)>
//	alipay-app-auth-token: <app auth token>      (if there is one)
//	alipay-root-cert-sn: <sn>                    (certificate mode)
//
//	auth      = app_id=<id>[,app_cert_sn=<sn>],nonce=<nonce>,timestamp=<Unix milliseconds>
//	signature = RSASSA-PKCS1-v1_5-SHA256("<auth>\n<METHOD>\n<path[?query]>\n<body>\n[<app auth token>\n]")
//
// Of a form with files (Content-Type multipart/form-data in Message.Header), body is the content of the part data.
// Verifiers also take an auth string with more parts behind the timestamp, such as expired_seconds=120.
//
// The layout is the vendor's and not injective: a body "x\nT" without a token signs like a body "x" with the
// token T. The header alipay-request-id, which the platform wants as well, is not signed and so not set here.
type OpenAPIV3 struct {
	ofVendor
	config OpenAPIConfig
}

// NameOpenAPIV3 is the name of the scheme [OpenAPIV3].
const NameOpenAPIV3 = "openapi-v3"

var kindOpenAPIV3 = &Kind{
	Name: NameOpenAPIV3, Key: KeyRSA, OpenPlatform: true, Nonce: true, RequestID: "Alipay-Request-Id",
	New: func(c Config) (Scheme, error) { return made(NewOpenAPIV3(c.openAPI())) },
}

// NewOpenAPIV3 checks c and returns its scheme. Errors name the option.
func NewOpenAPIV3(c OpenAPIConfig) (*OpenAPIV3, error) {
	if err := c.check(NameOpenAPIV3, ",="); err != nil {
		return nil, err
	}
	return &OpenAPIV3{ofVendor{}, c}, nil
}

// Sign implements Scheme.
func (s *OpenAPIV3) Sign(m Message) (Signed, error) {
	auth, token, err := s.authorize(m)
	if err != nil {
		return Signed{}, err
	}
	signed, err := signedPart(m.Header, m.Body)
	if err != nil {
		return Signed{}, err
	}
	head, tail := layoutV3(auth, m, token)
	version, signature, err := s.config.sign(head, signed, tail)
	if err != nil {
		return Signed{}, err
	}
	value := authorizationScheme + " " + auth + ",sign=" + base64.StdEncoding.EncodeToString(signature)
	fields := []Field{{"Authorization", value}}
	if token != "" {
		fields = append(fields, Field{headerAppAuthToken, token})
	}
	if s.config.RootCertSN != "" {
		fields = append(fields, Field{headerRootCertSN, s.config.RootCertSN})
	}
	return Signed{Fields: fields, Target: m.Target, Body: m.Body, KeyVersion: version}, nil
}

// Canonical implements Scheme.
func (s *OpenAPIV3) Canonical(m Message) (string, error) {
	auth, token, err := s.authorize(m)
	if err != nil {
		return "", err
	}
	signed, err := signedPart(m.Header, m.Body)
	if err != nil {
		return "", err
	}
	head, tail := layoutV3(auth, m, token)
	return string(head) + string(signed) + string(tail), nil
}

// authorize checks m and returns its auth string and token.
func (s *OpenAPIV3) authorize(m Message) (auth, token string, err error) {
	if err := m.check(); err != nil {
		return "", "", err
	}
	ms, err := m.millis()
	if err != nil {
		return "", "", err
	}
	if err := checkID("nonce", m.Nonce, ",="); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	token = cmp.Or(m.AppAuthToken, s.config.AppAuthToken)
	if err := checkOptionalID("app auth token", token, ""); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	a := Authorization{
		AppID:     s.config.AppID,
		AppCertSN: s.config.AppCertSN,
		Nonce:     m.Nonce,
		Timestamp: strconv.FormatInt(ms, 10),
	}
	if m.ExpiredSeconds > 0 {
		a.Extra = "expired_seconds=" + strconv.Itoa(m.ExpiredSeconds)
	}
	return a.authString(), token, nil
}

// layoutV3 returns what is signed before and after the body.
func layoutV3(auth string, m Message, token string) (head, tail []byte) {
	head = []byte(auth + "\n" + m.Method + "\n" + m.Target + "\n")
	tail = []byte("\n")
	if token != "" {
		tail = []byte("\n" + token + "\n")
	}
	return head, tail
}

// VerifyRequest implements Scheme. The token comes from its header, whatever the scheme's own is.
func (s *OpenAPIV3) VerifyRequest(m Message, h http.Header) error {
	if err := m.check(); err != nil {
		return err
	}
	if len(h.Values("Authorization")) == 0 {
		return ErrUnsigned
	}
	header, err := single(h, "Authorization")
	if err != nil {
		return err
	}
	a, err := ParseAuthorization(header)
	if err != nil {
		return err
	}
	if a.AppID != s.config.AppID || a.AppCertSN != s.config.AppCertSN {
		return fmt.Errorf("%w: app_id or app_cert_sn", ErrWrongIdentity)
	}
	var token string
	if len(h.Values(headerAppAuthToken)) > 0 {
		if token, err = single(h, headerAppAuthToken); err != nil {
			return err
		}
		if err := checkID("header "+headerAppAuthToken, token, ""); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	signed, err := signedPart(h, m.Body)
	if err != nil {
		return err
	}
	head, tail := layoutV3(a.authString(), m, token)
	return s.config.verifyRequest(0, a.Sign, head, signed, tail)
}

// VerifyResponse implements Scheme. What is signed is "<alipay-timestamp>\n<alipay-nonce>\n<raw body>\n"; it
// does not bind the answer to the request. Streams are not signed, and errors (status 400 and above) need not be: the
// official Node SDK verifies none of them, the Java SDK those that have a signature.
func (s *OpenAPIV3) VerifyResponse(m Message, h http.Header) error {
	if isUnsigned(h, headerSignature) {
		return ErrUnsigned
	}
	var value [3]string
	for i, name := range []string{headerSignature, headerTimestamp, headerNonce} {
		var err error
		if value[i], err = single(h, name); err != nil {
			return err
		}
		if err := checkID("header "+name, value[i], ""); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	signature, err := decodeBase64(value[0])
	if err != nil {
		return fmt.Errorf("%w: header %s must be base64", ErrMalformed, headerSignature)
	}
	head := []byte(value[1] + "\n" + value[2] + "\n")
	return s.config.verifyResponse(0, signature, head, m.Body, []byte("\n"))
}

// Reflects implements Scheme. An answer is signed with the vendor's key, in another layout.
func (*OpenAPIV3) Reflects(_, _ http.Header) bool { return false }

// AnswerField implements Scheme.
func (*OpenAPIV3) AnswerField() string { return headerSignature }
