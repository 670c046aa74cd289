package alipaycaddy

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// maxFormValue is how much is read of a form's part that may say where a provider works.
const maxFormValue = 4 << 10

// formValues gives the parameters of a body that is a form by any Content-Type that the header has, as uploads of files and sound
// are, or one in the form of a query; none of any other. A form that cannot be read to its end gives what it has had.
func formValues(h http.Header, body []byte) url.Values {
	values := make(url.Values)
	for _, contentType := range h["Content-Type"] {
		kind, params, _ := mime.ParseMediaType(contentType)
		switch {
		case kind == "application/x-www-form-urlencoded":
			inForm, _ := url.ParseQuery(string(body)) // what is read of it counts
			for name, list := range inForm {
				values[name] = append(values[name], list...)
			}
		case strings.HasPrefix(kind, "multipart/"):
			parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
			for part, err := parts.NextRawPart(); err == nil; part, err = parts.NextRawPart() {
				value, _ := io.ReadAll(io.LimitReader(part, maxFormValue))
				values.Add(part.FormName(), string(value))
			}
		}
	}
	return values
}
