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

// signedPart returns what openapi-v3 signs of a body: all of it, but of a form with files the content of the part data
// alone, which holds the call's parameters as JSON; nothing where the form has no such part. So it is in the Node SDK
// (alipay-sdk-nodejs-all, src/alipay.ts, #curl) and in the Java SDK (alipay-sdk-java-all, v3,
// ApiClient.getEncryptRequestBody). The files, and other parts, are not signed.
//
// It refuses forms that two readers could understand differently.
func signedPart(h http.Header, body []byte) ([]byte, error) {
	if len(h["Content-Type"]) == 0 {
		return body, nil
	}
	contentType, err := single(h, "Content-Type")
	if err != nil {
		return nil, err
	}
	const form = "multipart/form-data"
	if len(contentType) < len(form) || !strings.EqualFold(contentType[:len(form)], form) {
		return body, nil
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, fmt.Errorf("%w: header Content-Type must name the boundary of the form", ErrMalformed)
	}
	var data []byte
	found := false
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it says that the form is cut
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: body is no whole form with the boundary of the header Content-Type", ErrMalformed)
		}
		isData, err := isDataPart(http.Header(part.Header))
		if err != nil {
			return nil, err
		}
		if !isData {
			continue
		}
		if found {
			return nil, fmt.Errorf("%w: form must have one part data", ErrMalformed)
		}
		found = true
		if data, err = io.ReadAll(part); err != nil {
			return nil, fmt.Errorf("%w: part data of the form is cut", ErrMalformed)
		}
	}
}

// isDataPart reports whether a part of a form is the one that is signed.
func isDataPart(h http.Header) (bool, error) {
	disposition, err := single(h, "Content-Disposition")
	if err != nil {
		return false, fmt.Errorf("part of the form: %w", err)
	}
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil || params["name"] == "" {
		return false, fmt.Errorf("%w: each part of the form must have a name", ErrMalformed)
	}
	if params["name"] != "data" {
		return false, nil
	}
	if _, isFile := params["filename"]; isFile {
		return false, fmt.Errorf("%w: part data of the form must not be a file", ErrMalformed)
	}
	for _, encoding := range h["Content-Transfer-Encoding"] {
		if !slices.Contains([]string{"binary", "8bit", "7bit"}, strings.ToLower(encoding)) {
			return false, fmt.Errorf("%w: part data of the form must not be encoded", ErrMalformed)
		}
	}
	return true, nil
}
