package signer

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// timestampV2 is the form of the parameter timestamp, in Chinese time.
const timestampV2 = "2006-01-02 15:04:05"

// OpenAPIV2 is the scheme of Alipay Open Platform v2 (gateway.do), as its official SDKs do it. The signature
// covers the parameters of the query and of a form body together, sorted by name:
//
//	sign = base64(RSASSA-PKCS1-v1_5-SHA256("k1=v1&k2=v2.."))     raw UTF-8 values; without sign, with sign_type
//
// Sign sets the parameters app_id, sign_type (RSA2), timestamp (Message.Time) and sign, in the certificate mode
// app_cert_sn and alipay_root_cert_sn, and app_auth_token where there is one. It puts them at the query's end,
// where the Node SDK has them as well, and takes them out of where they were; all other parameters stay byte for
// byte. The layout is the vendor's and not injective: a="1&b=2" signs like a=1, b=2.
//
// The app_auth_token says for which merchant the app acts. It comes from Message.AppAuthToken or the
// configuration, never from a parameter: one that says anything else is refused with ErrWrongIdentity, as
// whoever composed the parameters could otherwise act for another merchant. So is a target_app_id (official Java
// SDK, AlipayConstants) other than the app's own, and each of these names in another spelling.
//
// Of a form with files (Content-Type multipart/form-data in Message.Header), the texts are parameters, and the files are not
// signed. Such a form stays byte for byte.
type OpenAPIV2 struct {
	ofVendor
	config OpenAPIConfig
	zone   *time.Location
}

// NameOpenAPIV2 is the name of the scheme [OpenAPIV2].
const NameOpenAPIV2 = "openapi-v2"

var kindOpenAPIV2 = &Kind{
	Name: NameOpenAPIV2, Key: KeyRSA, OpenPlatform: true, SignsParameters: true,
	New: func(c Config) (Scheme, error) { return made(NewOpenAPIV2(c.openAPI())) },
}

// NewOpenAPIV2 checks c and returns its scheme. Errors name the option.
func NewOpenAPIV2(c OpenAPIConfig) (*OpenAPIV2, error) {
	if err := c.check(NameOpenAPIV2, "&="); err != nil {
		return nil, err
	}
	return &OpenAPIV2{ofVendor{}, c, time.FixedZone("UTC+8", 8*60*60)}, nil
}

// Sign implements Scheme.
func (s *OpenAPIV2) Sign(m Message) (Signed, error) {
	target, body, params, err := s.prepare(m)
	if err != nil {
		return Signed{}, err
	}
	version, signature, err := s.config.sign([]byte(canonicalV2(params)))
	if err != nil {
		return Signed{}, err
	}
	target += "&sign=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
	return Signed{Target: target, Body: body, KeyVersion: version}, nil
}

// Canonical implements Scheme.
func (s *OpenAPIV2) Canonical(m Message) (string, error) {
	_, _, params, err := s.prepare(m)
	return canonicalV2(params), err
}

// prepare returns the message to send, but for sign, and all its parameters.
func (s *OpenAPIV2) prepare(m Message) (target string, body []byte, params []Field, err error) {
	query, params, err := readV2(m)
	if err != nil {
		return "", nil, nil, err
	}
	if _, err := m.millis(); err != nil {
		return "", nil, nil, err
	}
	token := cmp.Or(m.AppAuthToken, s.config.AppAuthToken)
	if err := checkOptionalID("app auth token", token, "&"); err != nil {
		return "", nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, own := range []Field{
		{"app_id", s.config.AppID}, {"target_app_id", s.config.AppID}, {"sign_type", "RSA2"}, {"app_auth_token", token},
	} {
		for _, param := range params {
			if plainParam(param.Name) == own.Name && (param.Name != own.Name || param.Value != own.Value) {
				return "", nil, nil, fmt.Errorf("%w: parameter %s", ErrWrongIdentity, own.Name)
			}
		}
	}
	own := []Field{
		{"app_id", s.config.AppID},
		{"sign_type", "RSA2"},
		{"timestamp", m.Time.In(s.zone).Format(timestampV2)},
		{"app_cert_sn", s.config.AppCertSN},
		{"alipay_root_cert_sn", s.config.RootCertSN},
		{"app_auth_token", token},
		{"sign", ""},
	}
	isOwn := func(name string) bool {
		_, ok := lookup(own, name)
		return ok
	}
	query = dropParams(query, isOwn)
	body = m.Body
	if !IsFormWithFiles(m.Header) {
		if kept := dropParams(string(m.Body), isOwn); len(kept) != len(m.Body) {
			body = []byte(kept)
		}
	}
	params = slices.DeleteFunc(params, func(f Field) bool { return isOwn(f.Name) })
	for _, f := range own {
		if f.Value == "" { // an empty parameter must not be sent
			continue
		}
		params = append(params, f)
		if query != "" {
			query += "&"
		}
		query += f.Name + "=" + url.QueryEscape(f.Value)
	}
	return m.path() + "?" + query, body, params, nil
}

// VerifyRequest implements Scheme. All that it needs are parameters; of the header it reads Content-Type alone.
func (s *OpenAPIV2) VerifyRequest(m Message, h http.Header) error {
	m.Header = h
	_, params, err := readV2(m)
	if err != nil {
		return err
	}
	sign, ok := lookup(params, "sign")
	if !ok {
		return ErrUnsigned
	}
	signature, err := decodeBase64(sign)
	if err != nil {
		return fmt.Errorf("%w: parameter sign must be base64", ErrMalformed)
	}
	for _, own := range []Field{
		{"app_id", s.config.AppID},
		{"sign_type", "RSA2"},
		{"app_cert_sn", s.config.AppCertSN},
		{"alipay_root_cert_sn", s.config.RootCertSN},
	} {
		if got, _ := lookup(params, own.Name); got != own.Value {
			return fmt.Errorf("%w: parameter %s", ErrWrongIdentity, own.Name)
		}
	}
	timestamp, _ := lookup(params, "timestamp")
	if _, err := time.Parse(timestampV2, timestamp); err != nil {
		return fmt.Errorf("%w: parameter timestamp must look like %s", ErrMalformed, timestampV2)
	}
	return s.config.verifyRequest(0, signature, []byte(canonicalV2(params)))
}

// VerifyResponse implements Scheme. What is signed are the raw bytes of the answer's member <method>_response
// (or error_response), as in the official SDKs; sign stands beside it. When the request's method is not in
// m.Target, because it went in the form, the one member whose name ends in _response counts. Some answers are signed
// before their slashes are escaped, which the SDKs try next (alipay-sdk-java-all, v2 DefaultAlipayClient, checkResponseSign).
//
// What is not in this form at all, such as a proxy's error page, is ErrUnsigned.
func (s *OpenAPIV2) VerifyResponse(m Message, _ http.Header) error {
	if err := m.check(); err != nil {
		return err
	}
	_, query, _ := strings.Cut(m.Target, "?")
	params, err := parseParams(nil, query)
	if err != nil {
		return err
	}
	method, _ := lookup(params, "method")
	content, sign, err := splitResponseV2(m.Body, method)
	if err != nil {
		return err
	}
	signature, err := decodeBase64(sign)
	if err != nil {
		return fmt.Errorf("%w: sign of the response must be base64", ErrMalformed)
	}
	err = s.config.verifyResponse(0, signature, content)
	if errors.Is(err, ErrBadSignature) && bytes.Contains(content, []byte(`\/`)) {
		return s.config.verifyResponse(0, signature, plainSlashes(content))
	}
	return err
}

// splitResponseV2 returns the signed bytes of an answer and its sign; ErrUnsigned without one. It reads the
// outermost object member by member and refuses repeated names, where the SDKs search the text for the name:
// on well-formed answers both find the same bytes, and nothing inside a string can pose as a member here.
func splitResponseV2(body []byte, method string) (content []byte, sign string, err error) {
	malformed := func(what string) ([]byte, string, error) {
		return nil, "", fmt.Errorf("%w: response %s", ErrMalformed, what)
	}
	// other refuses what is not in the form of an answer: it is malformed only if it claims to be signed.
	other := func(what string) ([]byte, string, error) {
		if sign == "" {
			return nil, "", ErrUnsigned
		}
		return malformed(what)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return other("must be a JSON object")
	}
	seen := make(map[string]bool)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return other("must be a JSON object")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return other("must be a JSON object")
		}
		key, _ := name.(string)
		if seen[key] {
			return malformed("must not repeat a member")
		}
		seen[key] = true
		switch {
		case key == "sign":
			if err := json.Unmarshal(value, &sign); err != nil {
				return malformed("must have a string as sign")
			}
		case isResponseV2(key, method):
			if content != nil {
				return malformed("must have one signed member")
			}
			content = value
		}
	}
	if _, err := dec.Token(); err != nil {
		return other("must be a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return other("must be one JSON object")
	}
	if content == nil || sign == "" {
		return other("lacks the member that is signed")
	}
	return content, sign, nil
}

// plainSlashes is JSON with / where it has \/. It reads escape by escape, where the SDKs replace text, so that both always
// mean the same.
func plainSlashes(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if i++; text[i] != '/' {
				plain = append(plain, '\\')
			}
		}
		plain = append(plain, text[i])
	}
	return plain
}

// isResponseV2 reports whether an answer's member is the one that is signed, given the request's method.
func isResponseV2(key, method string) bool {
	if key == "error_response" {
		return true
	}
	if method == "" {
		return strings.HasSuffix(key, "_response")
	}
	return key == strings.ReplaceAll(method, ".", "_")+"_response"
}

// Reflects implements Scheme. An answer is signed with the vendor's key, in another layout.
func (*OpenAPIV2) Reflects(_, _ http.Header) bool { return false }

// AnswerField implements Scheme: the signature is in the body.
func (*OpenAPIV2) AnswerField() string { return "" }
