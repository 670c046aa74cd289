package signer

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

const formType = `multipart/form-data; boundary=--b`

// form is a multipart body of parts, each with its header and its content.
func form(parts ...string) []byte {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("----b\r\n" + strings.Replace(part, "\n\n", "\r\n\r\n", 1) + "\r\n")
	}
	return []byte(b.String() + "----b--\r\n")
}

// TestOpenAPIV3Multipart: of a form with files, the part data alone is signed, as by the Node SDK (alipay.ts, #curl) and the
// Java SDK (v3 ApiClient.getEncryptRequestBody).
func TestOpenAPIV3Multipart(t *testing.T) {
	const (
		data = "Content-Disposition: form-data; name=\"data\"\r\nContent-Type: application/json\n\n{\"a\":\"\u4f60\"}"
		file = "Content-Disposition: form-data; name=\"image\"; filename=\"data\"\r\nContent-Type: image/png\n\n\x89PNG\r\n----x"
		text = "Content-Disposition: form-data; name=\"biz\"\n\nx"
	)
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		want        string // what is signed of the body
		err         error
	}{
		"data and a file":       {formType, form(data, file), `{"a":"你"}`, nil},
		"a file and data":       {formType, form(file, text, data), `{"a":"你"}`, nil},
		"type in capitals":      {"Multipart/Form-Data; Boundary=\"--b\"", form(data), `{"a":"你"}`, nil},
		"empty data":            {formType, form("Content-Disposition: form-data; name=data\n\n", file), "", nil},
		"length in the part":    {formType, form("Content-Disposition: form-data; name=\"data\"\r\nContent-Length: 2\r\nContent-Transfer-Encoding: binary\n\n{}"), "{}", nil},
		"files alone":           {formType, form(file), "", nil},
		"another type":          {"application/json", form(data, file), string(form(data, file)), nil},
		"no type":               {"", []byte("x"), "x", nil},
		"another multipart":     {"multipart/mixed; boundary=--b", form(data), string(form(data)), nil},
		"data twice":            {formType, form(data, file, data), "", ErrMalformed},
		"data as a file":        {formType, form(strings.Replace(data, `name="data"`, `name="data"; filename="x"`, 1)), "", ErrMalformed},
		"data in base64":        {formType, form("Content-Disposition: form-data; name=\"data\"\r\nContent-Transfer-Encoding: base64\n\ne30="), "", ErrMalformed},
		"a quoted-printable":    {formType, form("Content-Disposition: form-data; name=\"data\"\r\nContent-Transfer-Encoding: quoted-printable\n\n=7B}"), "", ErrMalformed},
		"two names":             {formType, form("Content-Disposition: form-data; name=\"data\"\r\nContent-Disposition: form-data; name=\"x\"\n\n{}"), "", ErrMalformed},
		"a name twice":          {formType, form("Content-Disposition: form-data; name=\"x\"; name=\"data\"\n\n{}"), "", ErrMalformed},
		"a part without a name": {formType, form("Content-Type: text/plain\n\n{}"), "", ErrMalformed},
		"cut":                   {formType, form(data, file)[:120], "", ErrMalformed},
		"no boundary":           {"multipart/form-data", form(data), "", ErrMalformed},
		"two boundaries":        {formType + "; boundary=c", form(data), "", ErrMalformed},
		"another boundary":      {"multipart/form-data; boundary=c", form(data), "", ErrMalformed},
		"no body":               {formType, nil, "", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := must(NewOpenAPIV3(openAPIConfig(t)))(t)
			m := Message{Method: "POST", Target: "/v3/x", Body: c.body, Time: testTime, Nonce: "n"}
			if c.contentType != "" {
				m.Header = http.Header{"Content-Type": {c.contentType}}
			}
			plain := m
			plain.Body, plain.Header = []byte(c.want), nil
			got, err := s.Canonical(m)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if c.err != nil {
				if _, err := s.Sign(m); !errors.Is(err, c.err) {
					t.Errorf("Sign: got %v", err)
				}
				_, h := send(t, s, plain)
				h["Content-Type"] = m.Header["Content-Type"]
				if err := s.VerifyRequest(m, h); !errors.Is(err, c.err) {
					t.Errorf("VerifyRequest: got %v", err)
				}
				return
			}
			if want := must(s.Canonical(plain))(t); got != want {
				t.Errorf("canonical string\n got %q\nwant %q", got, want)
			}
			received, h := send(t, s, m)
			if string(received.Body) != string(c.body) {
				t.Error("Sign changed the body")
			}
			h["Content-Type"] = m.Header["Content-Type"]
			if err := s.VerifyRequest(received, h); err != nil {
				t.Error(err)
			}
			received.Body = []byte(strings.Replace(string(c.body), "你", "我", 1))
			if string(received.Body) != string(c.body) {
				if err := s.VerifyRequest(received, h); !errors.Is(err, ErrBadSignature) {
					t.Errorf("changed data: got %v", err)
				}
			}
		})
	}
	s := must(NewOpenAPIV3(openAPIConfig(t)))(t)
	m := Message{Method: "POST", Target: "/v3/x", Body: form(data), Time: testTime, Nonce: "n", Header: http.Header{"Content-Type": {formType, "text/plain"}}}
	if _, err := s.Sign(m); !errors.Is(err, ErrMalformed) {
		t.Errorf("two types: got %v", err)
	}
}
