package signer

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// formPart is a part of a multipart/form-data body.
type formPart struct {
	name    string
	file    bool
	content []byte // nil of a file
}

// IsFormWithFiles reports whether a header says that the body is multipart/form-data, as uploads are.
func IsFormWithFiles(h http.Header) bool {
	const form = "multipart/form-data"
	contentType := h.Get("Content-Type")
	return len(contentType) >= len(form) && strings.EqualFold(contentType[:len(form)], form)
}

// formParts reads a body whose Content-Type is multipart/form-data; isForm is false where that is another. It refuses
// forms that two readers could understand differently.
func formParts(h http.Header, body []byte) (list []formPart, isForm bool, err error) {
	if len(h["Content-Type"]) == 0 {
		return nil, false, nil
	}
	contentType, err := single(h, "Content-Type")
	if err != nil || !IsFormWithFiles(h) {
		return nil, false, err
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, true, fmt.Errorf("%w: header Content-Type must name the boundary of the form", ErrMalformed)
	}
	if !isWholeForm(body, "--"+params["boundary"]) {
		return nil, true, errForm
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it says that the form is cut
			return list, true, nil
		}
		if err != nil {
			return nil, true, errForm
		}
		read, err := readPart(part)
		if err != nil {
			return nil, true, err
		}
		list = append(list, read)
	}
}

var errForm = fmt.Errorf("%w: body is no whole form with the boundary of the header Content-Type", ErrMalformed)

// isWholeForm reports whether body begins with the form's first boundary, and nothing but a line break follows its last.
// What stands before or behind (RFC 2046, section 5.1.1) is no part, but not every reader stops there.
func isWholeForm(body []byte, boundary string) bool {
	last := []byte("\n" + boundary + "--")
	_, rest, found := bytes.Cut(append([]byte("\n"), body...), last)
	return found && bytes.HasPrefix(body, []byte(boundary)) && len(bytes.Trim(rest, "\r\n")) == 0
}

// readPart reads a part's name and, where it is no file, its content.
func readPart(part *multipart.Part) (p formPart, err error) {
	disposition, err := single(http.Header(part.Header), "Content-Disposition")
	if err != nil {
		return p, fmt.Errorf("part of the form: %w", err)
	}
	_, params, err := mime.ParseMediaType(disposition)
	if p.name = params["name"]; err != nil || p.name == "" {
		return p, fmt.Errorf("%w: each part of the form must have a name", ErrMalformed)
	}
	if strings.Contains(strings.ReplaceAll(strings.ToLower(disposition), "filename*", ""), "name*") {
		return p, fmt.Errorf("%w: the name of each part must be written as RFC 7578 has it, without name*", ErrMalformed)
	}
	if _, p.file = params["filename"]; p.file {
		return p, nil
	}
	for _, encoding := range part.Header["Content-Transfer-Encoding"] {
		if !slices.Contains([]string{"binary", "8bit", "7bit"}, strings.ToLower(encoding)) {
			return p, fmt.Errorf("%w: part %s of the form must not be encoded", ErrMalformed, p.name)
		}
	}
	if p.content, err = io.ReadAll(part); err != nil {
		return p, fmt.Errorf("%w: part %s of the form is cut", ErrMalformed, p.name)
	}
	return p, nil
}

// signedPart returns what openapi-v3 signs of a body: all of it, but of a form with files the content of the part data
// alone, which holds the call's parameters as JSON; nothing where the form has no such part. So it is in the Node SDK
// (alipay-sdk-nodejs-all, src/alipay.ts, #curl) and in the Java SDK (alipay-sdk-java-all, v3,
// ApiClient.getEncryptRequestBody). The files, and other parts, are not signed.
func signedPart(h http.Header, body []byte) ([]byte, error) {
	parts, isForm, err := formParts(h, body)
	if err != nil || !isForm {
		return body, err
	}
	var data []byte
	found := false
	for _, p := range parts {
		switch {
		case p.name != "data":
		case p.file:
			return nil, fmt.Errorf("%w: part data of the form must not be a file", ErrMalformed)
		case found:
			return nil, fmt.Errorf("%w: form must have one part data", ErrMalformed)
		default:
			data, found = p.content, true
		}
	}
	return data, nil
}

// queryOnly are the parameters of openapi-v2 that a form with files has in the query alone: what decides whose and what
// the call is has one place.
var queryOnly = map[string]bool{
	"app_id": true, "method": true, "sign": true, "sign_type": true, "timestamp": true, "charset": true, "version": true, "format": true,
	"app_cert_sn": true, "alipay_root_cert_sn": true, "target_app_id": true, "encrypt_type": true,
}

// partParams appends the parameters that openapi-v2 signs of a form with files: its texts. The files are not signed
// (alipay-sdk-nodejs-all, src/alipay.ts, #multipartExec). A text may repeat a parameter of the query with the same value,
// as that SDK has its app_auth_token in both.
func partParams(params []Field, parts []formPart) ([]Field, error) {
	seen := make(map[string]bool)
	for _, p := range parts {
		plain := plainParam(p.name)
		switch {
		case !isParamName(p.name):
			return nil, fmt.Errorf("%w: the names of the form's parts must be those of parameters", ErrMalformed)
		case seen[plain]:
			return nil, fmt.Errorf("%w: part %s of the form comes more than once", ErrMalformed, p.name)
		case queryOnly[plain], p.file && plain == "app_auth_token":
			return nil, fmt.Errorf("%w: parameter %s stands in the query, not in a form with files", ErrMalformed, plain)
		}
		seen[plain] = true
		value, repeated := lookup(params, p.name)
		switch {
		case repeated && (p.file || value != string(p.content)):
			return nil, fmt.Errorf("%w: parameter %s comes more than once", ErrMalformed, p.name)
		case repeated || p.file:
		case len(p.content) == 0:
			return nil, fmt.Errorf("%w: parameter %s must not be empty", ErrMalformed, p.name)
		default:
			params = append(params, Field{p.name, string(p.content)})
		}
	}
	return params, nil
}
